//! Values as JSON text, straight into bytes.

use sterna_stream::EventId;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A string with its quotes and the escapes it needs.
pub(super) fn string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let bytes = value.as_bytes();
    let mut from = 0;
    for (at, &b) in bytes.iter().enumerate() {
        if b >= b' ' && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        escape(out, b);
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u");
            return hex(out, byte.into(), 4);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A number in decimal digits.
pub(super) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] += (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The lowest `digits` hex digits of a number.
pub(super) fn hex(out: &mut Vec<u8>, value: u128, digits: usize) {
    for at in (0..digits).rev() {
        out.push(HEX[(value >> (4 * at) & 0xf) as usize]);
    }
}

/// An event id in its hyphenated form, without quotes.
pub(crate) fn event_id(out: &mut Vec<u8>, id: EventId) {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for byte in id.to_bytes() {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 0xf)];
        at += 2;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn values_are_written_as_their_own_types_write_themselves() {
        for n in [0, 7, 10, 1_204, u64::MAX] {
            assert_eq!(written(|out| number(out, n)), n.to_string());
        }
        for n in [0, 1, 0x01a1_fb1d_da00_0007, u64::MAX] {
            assert_eq!(written(|out| hex(out, n.into(), 16)), sterna_stream::Hlc(n).to_string());
        }
        let id = EventId::mint(0x01a1_fb1d_da00, u128::MAX / 3);
        assert_eq!(written(|out| event_id(out, id)), id.to_string());
        for text in ["", "ana", "a\"b\\c", "Änne\n\t\r\u{1}\u{1f}\u{7f}", "\u{2028}🐦"] {
            let expected = serde_json::to_string(text).unwrap_or_default();
            assert_eq!(written(|out| string(out, text)), expected);
        }
    }
}

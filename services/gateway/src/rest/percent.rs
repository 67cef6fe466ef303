//! Percent-encoding (RFC 3986, section 2.1), read once, after a path or query was split at its separators.
//!
//! What does not decode to UTF-8 text is refused; nothing is decoded twice.

/// The text that `encoded` stands for; `None`: a broken escape, or bytes that are no text.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| (digit as char).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        bytes.push((high << 4 | low) as u8);
    }
    String::from_utf8(bytes).ok()
}

/// The same for a part of a query, where a plus is a space.
pub(super) fn decode_query(encoded: &str) -> Option<String> {
    decode(&encoded.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_once_and_broken_ones_refused() {
        assert_eq!(decode("a%20b%2Fc+d").as_deref(), Some("a b/c+d"));
        assert_eq!(decode("%2525").as_deref(), Some("%25"), "once");
        assert_eq!(decode("%C3%A4").as_deref(), Some("ä"));
        assert_eq!(decode_query("a+b%2B").as_deref(), Some("a b+"));
        for broken in ["%", "%2", "%zz", "%+1", "%ff", "%c3%28", "a%"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}

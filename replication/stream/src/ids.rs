//! Names of things: region, origin, stream, user, event. Parsed once at the edge, valid for ever after.
//!
//! All are cheap to clone and ordered as their bytes are. Names of which there are few and short ones stand
//! in the value itself (an event carries three to ten of them, none worth an allocation); the others are
//! shared.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ecow::EcoString;

use crate::limits;

#[cfg(test)]
mod tests;

/// Why a text is not an id. Never echoes the text: it may be hostile or secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Empty, or a part of it is.
    #[error("empty")]
    Empty,
    /// Longer than the limit named in [`limits`].
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// A byte that this kind of id may not hold.
    #[error("has a character that is not allowed")]
    Character,
    /// Not of the form that this kind of id has.
    #[error("expected {0}")]
    Form(&'static str),
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident in $held:ty) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($held);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::check(text)?;
                Ok(Self(<$held>::from(text)))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Invalid;

            fn try_from(text: &str) -> Result<Self, Invalid> {
                text.parse()
            }
        }
    };
}

text_id! {
    /// One independent stack, named like an AWS region: `us-east-1`. Lower-case letters, digits, dashes.
    Region in EcoString
}
text_id! {
    /// The region that sequenced an event, with its incarnation: `us-east-1`, after a rebuild `us-east-1~2`
    /// (E1). Opaque to clients, compared as bytes.
    Origin in EcoString
}
text_id! {
    /// `<tenant>/<kind>/<name>`, at most 255 bytes, lower-case letters, digits, `.`, `_` and dashes in each
    /// part.
    StreamId in Arc<str>
}
text_id! {
    /// The subject of a token inside its tenant; at most 128 bytes, no control characters.
    UserId in Arc<str>
}
text_id! {
    /// What sort of fact an event is, within its stream's kind: `message`, `member`, … At most 32 bytes.
    EventKind in EcoString
}

/// An event's id and idempotency key: a UUIDv7 minted by the author's client (E7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

// === impl Region ===

impl Region {
    fn check(text: &str) -> Result<(), Invalid> {
        length(text.as_bytes(), limits::REGION_BYTES)?;
        characters(text.as_bytes(), |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

// === impl Origin ===

impl Origin {
    /// The origin that `region` is in its `incarnation`-th life (1 is the first and has no suffix).
    pub fn of(region: &Region, incarnation: u32) -> Self {
        match incarnation {
            0 | 1 => Self(region.0.clone()),
            n => Self(format!("{region}~{n}").into()),
        }
    }

    /// The region, without the incarnation.
    pub fn region(&self) -> Region {
        let (region, _) = self.parts();
        Region(region.into())
    }

    /// Which life of its region this is; 1 is the first.
    pub fn incarnation(&self) -> u32 {
        self.parts().1
    }

    fn parts(&self) -> (&str, u32) {
        match cut(&self.0, b'~') {
            None => (&self.0, 1),
            Some((region, n)) => (region, n.parse().unwrap_or(1)),
        }
    }

    fn check(text: &str) -> Result<(), Invalid> {
        const FORM: Invalid = Invalid::Form("<region> or <region>~<incarnation from 2 on>");
        let Some((region, incarnation)) = cut(text, b'~') else {
            return Region::check(text);
        };
        Region::check(region)?;
        let n: u32 = incarnation.parse().map_err(|_| FORM)?;
        let canonical = n >= 2 && !incarnation.starts_with(['+', '0']);
        if canonical { Ok(()) } else { Err(FORM) }
    }
}

// === impl StreamId ===

impl StreamId {
    /// The id of `<tenant>/<kind>/<name>`.
    ///
    /// # Errors
    /// As parsing the joined text.
    pub fn new(tenant: &str, kind: &str, name: &str) -> Result<Self, Invalid> {
        format!("{tenant}/{kind}/{name}").parse()
    }

    /// The customer whose stream it is.
    pub fn tenant(&self) -> &str {
        self.split().0
    }

    /// The stream kind: `chat`, `files`, `access`, `audit`, `control`.
    pub fn kind(&self) -> &str {
        self.split().1
    }

    /// The name within tenant and kind.
    pub fn name(&self) -> &str {
        self.split().2
    }

    /// Its text, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    fn split(&self) -> (&str, &str, &str) {
        let (tenant, rest) = cut(&self.0, b'/').unwrap_or((&self.0, ""));
        let (kind, name) = cut(rest, b'/').unwrap_or((rest, ""));
        (tenant, kind, name)
    }

    fn check(text: &str) -> Result<(), Invalid> {
        const FORM: Invalid = Invalid::Form("<tenant>/<kind>/<name>");
        // An event's stream is read several times on its way: one look at each byte.
        let bytes = text.as_bytes();
        length(bytes, limits::STREAM_BYTES)?;
        let mut slashes = [0; 2];
        let mut found = 0;
        for (at, &b) in bytes.iter().enumerate() {
            if is_name(b) {
                continue;
            }
            if b != b'/' {
                return Err(Invalid::Character);
            }
            *slashes.get_mut(found).ok_or(FORM)? = at;
            found += 1;
        }
        if found < 2 {
            return Err(FORM);
        }
        length(&bytes[..slashes[0]], limits::STREAM_BYTES)?;
        length(&bytes[slashes[0] + 1..slashes[1]], limits::KIND_BYTES)?;
        length(&bytes[slashes[1] + 1..], limits::STREAM_BYTES)
    }
}

/// As the key of a record.
impl AsRef<[u8]> for StreamId {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

// === impl UserId, EventKind ===

impl UserId {
    fn check(text: &str) -> Result<(), Invalid> {
        length(text.as_bytes(), limits::USER_BYTES)?;
        characters(text.as_bytes(), |b| b >= b' ' && b != 0x7f)
    }
}

impl EventKind {
    fn check(text: &str) -> Result<(), Invalid> {
        length(text.as_bytes(), limits::KIND_BYTES)?;
        characters(text.as_bytes(), is_name)
    }
}

// === impl EventId ===

impl EventId {
    /// The id with these 128 bits, if they are a UUID of version 7.
    ///
    /// # Errors
    /// [`Invalid::Form`] for any other version or variant.
    pub fn new(bits: u128) -> Result<Self, Invalid> {
        let version = (bits >> 76) & 0xf;
        let variant = (bits >> 62) & 0b11;
        if version == 7 && variant == 0b10 {
            Ok(Self(bits))
        } else {
            Err(Invalid::Form("a UUID of version 7"))
        }
    }

    /// Mints an id for `time_ms` (Unix milliseconds) from 74 bits of `random`.
    pub fn mint(time_ms: u64, random: u128) -> Self {
        let time = u128::from(time_ms & 0xffff_ffff_ffff) << 80;
        let high = (random >> 62 & 0xfff) << 64;
        let low = random & 0x3fff_ffff_ffff_ffff;
        Self(time | 0x7 << 76 | high | 0b10 << 62 | low)
    }

    /// When its author's client says it was minted, Unix milliseconds.
    pub fn time_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// All 128 bits.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// The id from its 16 bytes, most significant first.
    ///
    /// # Errors
    /// [`Invalid::Form`] if there are not 16, or they are no UUIDv7.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| Invalid::Form("16 bytes"))?;
        Self::new(u128::from_be_bytes(bytes))
    }

    /// Its 16 bytes, most significant first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0;
        let (a, v7, variant) = ((b >> 96) as u32, (b >> 64) as u16, (b >> 48) as u16);
        write!(f, "{a:08x}-{:04x}-{v7:04x}-{variant:04x}-{:012x}", (b >> 80) as u16, b & 0xffff_ffff_ffff)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const FORM: Invalid = Invalid::Form("a UUID in its hyphenated form");
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(FORM);
        }
        let mut bits = 0u128;
        for (at, &b) in bytes.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if b != b'-' {
                    return Err(FORM);
                }
                continue;
            }
            let digit = (b as char).to_digit(16).ok_or(FORM)?;
            bits = bits << 4 | u128::from(digit);
        }
        Self::new(bits)
    }
}

// === checks ===

fn length(text: &[u8], longest: usize) -> Result<(), Invalid> {
    match text.len() {
        0 => Err(Invalid::Empty),
        n if n > longest => Err(Invalid::TooLong(longest)),
        _ => Ok(()),
    }
}

fn characters(text: &[u8], allowed: impl Fn(u8) -> bool) -> Result<(), Invalid> {
    if text.iter().all(|&b| allowed(b)) { Ok(()) } else { Err(Invalid::Character) }
}

fn is_name(b: u8) -> bool {
    const NAME: [bool; 256] = {
        let mut names = [false; 256];
        let bytes = b"abcdefghijklmnopqrstuvwxyz0123456789._-";
        let mut at = 0;
        while at < bytes.len() {
            names[bytes[at] as usize] = true;
            at += 1;
        }
        names
    };
    NAME[usize::from(b)]
}

/// What stands before and after the first `mark`, which is ASCII. By bytes: names are short, and a search
/// sets up for longer texts.
fn cut(text: &str, mark: u8) -> Option<(&str, &str)> {
    let at = text.as_bytes().iter().position(|&b| b == mark)?;
    Some((&text[..at], &text[at + 1..]))
}

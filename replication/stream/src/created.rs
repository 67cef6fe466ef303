//! The name of a stream that a user creates follows from its creation (E3).
//!
//! So a retry anywhere makes the same stream, nobody else can make it, and no two regions can give one name
//! to two streams during a cut. Human names are aliases in the tenant's access stream, not this file's.

use sha2::{Digest, Sha256};

use crate::ids::{EventId, Invalid, StreamId, UserId};

/// Characters of a created stream's name: 16 bytes in base32.
pub const NAME_CHARACTERS: usize = 26;

/// The name of the stream that `author` creates in `tenant` with the event `id`: the first 16 bytes of
/// `sha256(len ‖ tenant ‖ len ‖ author ‖ id)` in lower-case base32 (RFC 4648, section 6) without padding.
/// `len` is the length in bytes of what follows, 4 bytes, most significant first; `id` its 16 bytes, most
/// significant first.
pub fn name(tenant: &str, author: &UserId, id: EventId) -> String {
    let mut hash = Sha256::new();
    for part in [tenant, author.as_str()] {
        hash.update((part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hash.update(id.to_bytes());
    base32(&hash.finalize()[..16])
}

/// The stream of `kind` that `author` creates in `tenant` with the event `id`.
///
/// # Errors
/// As [`StreamId::new`]: `tenant` or `kind` is no part of a stream id.
pub fn stream(tenant: &str, kind: &str, author: &UserId, id: EventId) -> Result<StreamId, Invalid> {
    StreamId::new(tenant, kind, &name(tenant, author, id))
}

/// Whether `author`'s event `id` is the creation of `stream`.
pub fn is_creation(stream: &StreamId, author: &UserId, id: EventId) -> bool {
    stream.name() == name(stream.tenant(), author, id)
}

fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(ALPHABET[(bits >> held & 31) as usize] as char);
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        text.push(ALPHABET[(bits << (5 - held) & 31) as usize] as char);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        id.parse().unwrap()
    }

    /// The vectors of RFC 4648, section 10, lower-case and without padding.
    #[test]
    fn base32_is_the_rfcs() {
        let vectors = [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq")];
        for (bytes, text) in vectors.into_iter().chain([("fooba", "mzxw6ytb"), ("foobar", "mzxw6ytboi")]) {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    /// E3: this name is stored for ever; computed by another program (Python's hashlib and base64).
    #[test]
    fn the_golden_name_never_changes() {
        let id: EventId = "01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11".parse().unwrap();
        assert_eq!(name("acme", &user("ana"), id), "hyzmwgwfh332nfmqiomneklx7a");
        assert_eq!(
            stream("acme", "chat", &user("ana"), id).unwrap().as_str(),
            "acme/chat/hyzmwgwfh332nfmqiomneklx7a"
        );
    }

    /// E3: nobody else's creation, and no other of the same author, gives the same stream.
    #[test]
    fn tenant_author_and_id_each_count() {
        let id = EventId::mint(1, 1);
        let named = name("acme", &user("ana"), id);
        assert_eq!(named.len(), NAME_CHARACTERS);
        assert_eq!(named, name("acme", &user("ana"), id), "a retry gives the same stream");
        let others = [
            name("acm", &user("eana"), id),
            name("acmea", &user("na"), id),
            name("acme", &user("bo"), id),
            name("acme", &user("ana"), EventId::mint(1, 2)),
        ];
        for other in others {
            assert_ne!(other, named);
        }
        let stream = stream("acme", "chat", &user("ana"), id).unwrap();
        assert!(is_creation(&stream, &user("ana"), id));
        assert!(!is_creation(&stream, &user("bo"), id));
    }
}

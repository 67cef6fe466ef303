//! The content hash: with its id it decides whether two publishes are one event (E4).
//!
//! Keyed per tenant, so that nobody can compute another author's hash and aim an event at it, and over the
//! plaintext, so that a retry is recognised whatever its encryption. All regions of a deployment share the
//! secret: twins are compared across origins.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sterna_stream::UserId;
use sterna_stream::digest::ContentHash;
use sterna_stream::ids::EventKind;

/// Shortest secret, bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// What makes content hashes.
pub struct ContentKey(Hmac<Sha256>);

impl ContentKey {
    /// The key of `tenant` under the deployment's `secret`.
    pub fn of_tenant(secret: &[u8], tenant: &str) -> Self {
        let root = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        let key = root.chain_update(b"sterna content v1\0").chain_update(tenant).finalize().into_bytes();
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"))
    }

    /// The first 16 bytes of `hmac(len ‖ author ‖ len ‖ kind ‖ payload)`; `len` is one byte, which both fit.
    pub fn hash(&self, author: &UserId, kind: &EventKind, payload: &[u8]) -> ContentHash {
        let mut mac = self.0.clone();
        for part in [author.as_str(), kind.as_str()] {
            mac.update(&[part.len() as u8]);
            mac.update(part.as_bytes());
        }
        mac.update(payload);
        let bytes = mac.finalize().into_bytes();
        let mut hash = [0; 16];
        hash.copy_from_slice(&bytes[..16]);
        ContentHash(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(secret: &[u8], tenant: &str, author: &str, kind: &str, payload: &str) -> ContentHash {
        let (author, kind) = (author.parse().unwrap(), kind.parse().unwrap());
        ContentKey::of_tenant(secret, tenant).hash(&author, &kind, payload.as_bytes())
    }

    /// E4: author, kind and payload all count, and the boundary between them too.
    #[test]
    fn any_other_author_kind_payload_tenant_or_secret_gives_another_hash() {
        let one = hash(b"s", "acme", "ana", "message", "1");
        assert_eq!(one, hash(b"s", "acme", "ana", "message", "1"));
        let others = [
            hash(b"t", "acme", "ana", "message", "1"),
            hash(b"s", "acmf", "ana", "message", "1"),
            hash(b"s", "acme", "bo", "message", "1"),
            hash(b"s", "acme", "ana", "messag", "e1"),
            hash(b"s", "acme", "anam", "essage", "1"),
            hash(b"s", "acme", "ana", "message", "2"),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    /// E2, E13: stored in every body and compared between regions for ever.
    #[test]
    fn golden_content_hash() {
        let golden = hash(b"0123456789abcdef", "acme", "ana", "message", r#"{"text":"hi"}"#);
        let hex: String = golden.0.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "b8d24b6b59567d64c4126dea56ba6a66", "as Python's hmac computes it");
    }
}

//! Hashes that make equal histories recognisable: the running prefix hash of an origin's part of a stream
//! (E2), the content hash of an event (E4) and the running hash of a partition's log (E21).
//!
//! All are SHA-256 over stored bytes. None is a secret; the content hash is keyed where it is made (Publish).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hlc::Hlc;

#[cfg(test)]
mod tests;

/// Running hash of everything an origin ever put into a stream, in seq order: `sha256(before ‖ stamp ‖
/// body)`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(pub [u8; 32]);

/// Keyed hash of author, kind and plaintext payload, truncated to 16 bytes: with the event id it decides
/// whether two publishes are one event (E4). Keyed by the tenant's key, so nobody can aim for another's.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 16]);

/// Running hash of a partition's numbered log records: `sha256(before ‖ n ‖ record's own hash)` (E21).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogHash(pub [u8; 32]);

impl Prefix {
    /// Before the first event.
    pub const START: Self = Self([0; 32]);

    /// The prefix after one more event.
    #[must_use]
    pub fn extend(self, stamp: Hlc, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(stamp.0.to_be_bytes());
        hash.update(body);
        Self(hash.finalize().into())
    }
}

impl LogHash {
    /// Before the first record.
    pub const START: Self = Self([0; 32]);

    /// The hash after the record numbered `n`, whose own hash is `record`: a segment's prefix after its last
    /// event, or the SHA-256 of a mark's bytes.
    #[must_use]
    pub fn extend(self, n: u64, record: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(n.to_be_bytes());
        hash.update(record);
        Self(hash.finalize().into())
    }

    /// The own hash of a record that is not a segment.
    pub fn of_bytes(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }
}

/// How two regions' copies of one origin's part of a stream compare (E23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Both end at this seq and are equal.
    Equal(u64),
    /// One is longer. Equal up to `upto`, the last boundary that both hold; what is missing is put if absent.
    Missing {
        /// Equal up to this seq.
        upto: u64,
        /// Where ours ends.
        ours: u64,
        /// Where theirs ends.
        theirs: u64,
    },
    /// Different bytes under one key, in `after + 1 ..= by`: to be quarantined and alarmed, never
    /// overwritten.
    Fork {
        /// Equal up to this seq.
        after: u64,
        /// Different from a seq up to this one on.
        by: u64,
    },
}

/// Compares by the boundaries that both hold, by log and by table: (seq, prefix after it), rising in seq, the
/// last one being where the copy ends. Before seq 1 all are equal.
pub fn compare(ours: &[(u64, Prefix)], theirs: &[(u64, Prefix)]) -> Comparison {
    let end = |boundaries: &[(u64, Prefix)]| boundaries.last().map_or(0, |(seq, _)| *seq);
    let mut upto = 0;
    for (seq, prefix) in ours {
        let Ok(at) = theirs.binary_search_by_key(seq, |(seq, _)| *seq) else { continue };
        if theirs[at].1 != *prefix {
            return Comparison::Fork { after: upto, by: *seq };
        }
        upto = *seq;
    }
    match (end(ours), end(theirs)) {
        (ours, theirs) if ours == theirs => Comparison::Equal(ours),
        (ours, theirs) => Comparison::Missing { upto, ours, theirs },
    }
}

macro_rules! hex_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().take(6).try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    )*};
}
hex_debug!(Prefix, ContentHash, LogHash);

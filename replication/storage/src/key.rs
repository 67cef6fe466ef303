//! The address of an item: table, hash key, sort key. Both keys are text and compare as bytes.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// Longest hash key, bytes (DynamoDB's).
pub const HASH_BYTES: usize = 2_048;
/// Longest sort key, bytes (DynamoDB's).
pub const SORT_BYTES: usize = 1_024;

/// The tables there are (docs/design.md, section 4). Audit streams are streams like all others:
/// [`Name::Events`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Segments, immutable: stream / origin#first_seq.
    Events,
    /// Cursors that devices stored: tenant#device#user / stream#region.
    Cursors,
    /// Caches of folded stream members.
    Members,
    /// Caches of folded tenant policies.
    Access,
    /// Caches of folded identities.
    Identities,
    /// Versions of file nodes, immutable: library / node#version.
    Files,
    /// Subject keys: tenant / subject / region#n.
    SubjectKeys,
    /// Checkpoints of log partitions, immutable: origin / partition#term#second#part.
    Checkpoints,
    /// Incarnations, resume points, fences, runs: region / item.
    Control,
}

impl Name {
    /// Every table.
    pub const ALL: [Self; 9] = [
        Self::Events,
        Self::Cursors,
        Self::Members,
        Self::Access,
        Self::Identities,
        Self::Files,
        Self::SubjectKeys,
        Self::Checkpoints,
        Self::Control,
    ];

    /// The table's name without the deployment's prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Cursors => "cursors",
            Self::Members => "members",
            Self::Access => "access",
            Self::Identities => "identities",
            Self::Files => "files",
            Self::SubjectKeys => "subject-keys",
            Self::Checkpoints => "checkpoints",
            Self::Control => "control",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an item stands. Cheap to clone (two reference counts).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The table.
    pub table: Name,
    /// The hash key: items of one hash key are near each other and can be queried in order.
    pub hash: Arc<str>,
    /// The sort key: orders the items of one hash key, as bytes.
    pub sort: Arc<str>,
}

impl Key {
    /// The address made of these parts. Lengths are checked by the store, at use.
    pub fn new(table: Name, hash: impl Into<Arc<str>>, sort: impl Into<Arc<str>>) -> Self {
        Self { table, hash: hash.into(), sort: sort.into() }
    }

    /// Refuses keys that a real table would refuse.
    ///
    /// # Errors
    /// [`Error::Limit`] for an empty or overlong part.
    pub fn check(&self) -> Result<(), Error> {
        within(&self.hash, "bytes of a hash key, at least 1", HASH_BYTES)?;
        within(&self.sort, "bytes of a sort key, at least 1", SORT_BYTES)
    }
}

fn within(text: &str, what: &'static str, limit: usize) -> Result<(), Error> {
    if text.is_empty() || text.len() > limit { Err(Error::Limit { what, limit }) } else { Ok(()) }
}

//! What can go wrong with a log, by what the caller can do about it.

use std::borrow::Cow;

use crate::record::{Offset, Topic};

/// Why a call on a log did not succeed. The text is for the operator's log, never for a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may have been applied, may still be applied later, or never. Look before repeating, or repeat what
    /// is recognised as a repetition.
    #[error("outcome unknown: {0}")]
    Unknown(Cow<'static, str>),
    /// It was not applied and never will be, however often it is repeated: too large, wrong partition count.
    #[error("refused: {0}")]
    Refused(Cow<'static, str>),
    /// Another generation owns the partition. Stop working on it.
    #[error("fenced by a newer generation")]
    Fenced,
    /// The offset is not in the log. Stop the partition with an alarm; an offset is never reset (E10).
    #[error("offset {asked} of {topic}/{partition} is outside {earliest}..={end}")]
    OutOfRange {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: u16,
        /// The offset that was asked for.
        asked: Offset,
        /// The first offset there is.
        earliest: Offset,
        /// The offset after the last one.
        end: Offset,
    },
    /// There is no such topic, or it has no such partition. Topics are never created by being mentioned.
    #[error("no partition {1} of topic {0}")]
    MissingTopic(Topic, u16),
    /// It was not applied; repeat it later.
    #[error("unavailable: {0}")]
    Unavailable(Cow<'static, str>),
}

impl Error {
    /// Whether the call certainly changed nothing.
    pub fn is_without_effect(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

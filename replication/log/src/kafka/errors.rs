//! What the client's errors mean, by what the caller can do.

use std::borrow::Cow;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::Error;
use crate::record::Topic;

/// A record that was not acknowledged. Whatever is not certain is `Unknown`.
pub(super) fn produced(error: &KafkaError, topic: &Topic, partition: u16) -> Error {
    match error.rdkafka_error_code() {
        Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition) => {
            Error::MissingTopic(topic.clone(), partition)
        }
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
            Error::Refused("record too large".into())
        }
        Some(Code::InvalidTimestamp) => Error::Refused("timestamp too far from the broker's clock".into()),
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            Error::Refused("not allowed to produce".into())
        }
        Some(Code::QueueFull) => Error::Unavailable("too much unacknowledged".into()),
        Some(Code::NotEnoughReplicas) => Error::Unavailable("too few replicas in sync".into()),
        _ => Error::Unknown(said(error)),
    }
}

/// A question about a topic that was not answered. Questions change nothing.
pub(super) fn asked(code: Option<Code>, topic: &Topic, partition: u16) -> Error {
    match code {
        Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition) => {
            Error::MissingTopic(topic.clone(), partition)
        }
        Some(code) => Error::Unavailable(Cow::Owned(code.to_string())),
        None => Error::Unavailable("the client gave no reason".into()),
    }
}

/// What became of a commit that was not confirmed.
pub(super) enum Commit {
    /// The group goes on without this member, or under another generation.
    Fenced,
    /// Members are changing; ask again.
    Again,
    /// Anything else.
    Failed(Error),
}

pub(super) fn committed(error: &KafkaError) -> Commit {
    match error.rdkafka_error_code() {
        Some(
            Code::UnknownMemberId
            | Code::IllegalGeneration
            | Code::FencedInstanceId
            | Code::FencedMemberEpoch
            | Code::StaleMemberEpoch
            | Code::AssignmentLost,
        ) => Commit::Fenced,
        Some(
            Code::RebalanceInProgress
            | Code::WaitingForCoordinator
            | Code::NotCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable,
        ) => Commit::Again,
        Some(
            Code::UnknownTopicOrPartition | Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed,
        ) => Commit::Failed(Error::Unavailable(said(error))),
        _ => Commit::Failed(Error::Unknown(said(error))),
    }
}

/// Whether a fetch failed because its position is not in the log.
pub(super) fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation)
    )
}

/// Whether a fetch failed because there is no such partition any more.
pub(super) fn is_missing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition)
    )
}

pub(super) fn said(error: &KafkaError) -> Cow<'static, str> {
    Cow::Owned(error.to_string())
}

//! What a region's messaging is told at start.

use bytes::Bytes;
use sterna_log::{Group, Topic};
use sterna_stream::sequencer::Limits;
use sterna_stream::{Origin, limits};

/// The configuration of the role. Everything but names and secrets has a default in [`Config::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The region's origin in its present incarnation.
    pub origin: Origin,
    /// Partitions of ingress and log: equal everywhere, never changed (E28).
    pub partitions: u16,
    /// The region's ingress topic.
    pub ingress: Topic,
    /// The region's log topic.
    pub log: Topic,
    /// The consumer group of its sequencers.
    pub group: Group,
    /// The deployment's secret for content hashes, at least 16 bytes (E4).
    pub content_secret: Bytes,
    /// The region's secret for grants (E32).
    pub grant_secret: Bytes,
    /// How old an event's id may be, milliseconds (E5).
    pub dedupe_window_ms: u64,
    /// Records that may wait in one ingress partition before Publish answers `overloaded` (E8).
    pub lag_max: u64,
    /// Whether to accept, marked `single copy`, while fewer replicas are in sync than there should be (E9).
    pub accept_single_copy: bool,
    /// The bounds of each partition's machine.
    pub limits: Limits,
}

impl Config {
    /// The defaults for `origin`.
    ///
    /// # Panics
    /// Never: the topic and group names are constants.
    pub fn new(origin: Origin, content_secret: Bytes, grant_secret: Bytes) -> Self {
        let topic = |name: &str| {
            let topic: Topic = name.parse().expect("a topic's name");
            topic.in_incarnation(origin.incarnation())
        };
        Self {
            partitions: 4,
            ingress: topic("sterna-ingress"),
            log: topic("sterna-log"),
            group: "sterna-sequencers".parse().expect("a group's name"),
            content_secret,
            grant_secret,
            dedupe_window_ms: limits::DEDUPE_WINDOW_MS,
            lag_max: 100_000,
            accept_single_copy: false,
            limits: Limits::default(),
            origin,
        }
    }
}

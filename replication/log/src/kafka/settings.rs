//! What each client of the cluster is told. One place, because a forgotten setting here is a lost record.

use std::time::Duration;

use rdkafka::ClientConfig;
use sterna_stream::limits;

use crate::record::Group;

/// How a [`super::KafkaLog`] behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Brokers to ask first: `host:port`, separated by commas.
    pub brokers: String,
    /// The client library's own settings for all its clients: TLS, sign-in, name. They come first, so none
    /// of those that the contract rests on can be changed by them.
    pub properties: Vec<(String, String)>,
    /// How long a member may stay away from `next`. At least what the brokers allow
    /// (`group.min.session.timeout.ms`, 6 s by default).
    pub session_timeout: Duration,
    /// How long a record may wait for its acknowledgement; then its outcome is `Unknown`.
    pub produce_timeout: Duration,
    /// How long any other request may take.
    pub request_timeout: Duration,
    /// Records that may be unacknowledged before `produce` answers `Unavailable`.
    pub unacked_records_max: usize,
    /// Bytes that may be unacknowledged, KiB.
    pub unacked_kib_max: usize,
    /// Largest record, key, value and headers, bytes. The topics must take a batch of [`BATCH_BYTES`].
    pub message_bytes_max: usize,
    /// Bytes that a member fetches ahead of each topic and partition, KiB.
    pub prefetch_kib_max: usize,
}

/// Largest batch that is sent, bytes: topics have a `max.message.bytes` above it, or a batch of small records
/// is refused as a whole.
pub const BATCH_BYTES: usize = 256 * 1024;

// === impl Config ===

impl Config {
    /// Settings that suit a region's own cluster.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            properties: Vec::new(),
            session_timeout: Duration::from_secs(10),
            produce_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            unacked_records_max: limits::UNACKED_RECORDS,
            unacked_kib_max: 64 * 1024,
            message_bytes_max: limits::FRAME_BYTES,
            prefetch_kib_max: 256,
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("message.max.bytes", (BATCH_BYTES * 2).to_string());
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
        config
    }

    /// Makes topics.
    pub(super) fn admin(&self) -> ClientConfig {
        self.client()
    }

    /// E9: acknowledged means: by every replica in sync, once, in the order of the calls.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("acks", "all").set("enable.idempotence", "true");
        config.set("linger.ms", "0").set("batch.size", BATCH_BYTES.to_string());
        config.set("message.timeout.ms", self.produce_timeout.as_millis().to_string());
        config.set("queue.buffering.max.messages", self.unacked_records_max.to_string());
        config.set("queue.buffering.max.kbytes", self.unacked_kib_max.to_string());
        // A topic that nobody knows is missing after this, not after half a minute.
        config.set("topic.metadata.propagation.max.ms", "2000");
        config
    }

    /// E10: no position is ever chosen by the client.
    fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config.set("group.id", group).set("auto.offset.reset", "error");
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("allow.auto.create.topics", "false").set("check.crcs", "true");
        config.set("fetch.error.backoff.ms", "50").set("fetch.queue.backoff.ms", "20");
        config
    }

    /// A member of a group, which fetches nothing itself.
    pub(super) fn member(&self, group: &Group) -> ClientConfig {
        let session_ms = self.session_timeout.as_millis();
        let mut config = self.consumer(group.as_str());
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("session.timeout.ms", session_ms.to_string());
        // Not polling is as bad as not being there (C10).
        config.set("max.poll.interval.ms", session_ms.to_string());
        config.set("heartbeat.interval.ms", (session_ms / 10).max(50).to_string());
        config
    }

    /// Fetches what a member has started. It is in no group: the name is one that the client insists on.
    pub(super) fn follower(&self) -> ClientConfig {
        let mut config = self.consumer("sterna-follower");
        config.set("queued.max.messages.kbytes", self.prefetch_kib_max.to_string());
        config.set("queued.min.messages", "10000");
        config.set("fetch.message.max.bytes", (self.prefetch_kib_max * 1024).to_string());
        config.set("fetch.wait.max.ms", "500");
        config
    }

    /// Reads without a group, one partition at a time.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer("sterna-reader");
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        config.set("queued.max.messages.kbytes", "2048");
        config
    }

    /// Asks what a group has committed; never joins it.
    pub(super) fn inspector(&self, group: &Group) -> ClientConfig {
        self.consumer(group.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// E9, E10: what a deployment adds cannot take away what the contract rests on.
    #[test]
    fn properties_cannot_weaken_the_contract() {
        let mut config = Config::new("localhost:9092");
        for (name, value) in [("acks", "1"), ("enable.idempotence", "false"), ("auto.offset.reset", "latest")]
        {
            config.properties.push((name.to_owned(), value.to_owned()));
        }
        config.properties.push(("client.id".to_owned(), "messaging-1".to_owned()));
        let producer = config.producer();
        assert_eq!(producer.get("acks"), Some("all"));
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
        assert_eq!(producer.get("client.id"), Some("messaging-1"));
        let group = "g".parse().unwrap();
        for config in [config.member(&group), config.follower(), config.reader(), config.inspector(&group)] {
            assert_eq!(config.get("auto.offset.reset"), Some("error"));
            assert_eq!(config.get("enable.auto.commit"), Some("false"));
        }
    }
}

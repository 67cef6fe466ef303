//! How loaded the ingress is: what Publish must know before it accepts (E8, E9).
//!
//! Looked up once a second; between two looks a partition may take more than its limit, by what a second
//! brings. Whoever looks also sees whether ingress and log are still the topics that they were: another one
//! of the same name ends the work at once, one that is missing after so many looks (E1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sterna_log::{Description, Identity};
use sterna_stream::sequencer::Why;
use sterna_stream::{Reason, Refusal, mutant};

use crate::Inner;
use crate::missing::Misses;
use crate::sequencer::{INGRESS, LOG};

/// How often the log is asked.
const LOOK: Duration = Duration::from_secs(1);

/// Each partition's state at the last look.
pub(crate) struct Load {
    partitions: Vec<Partition>,
    lag_max: u64,
    accept_single_copy: bool,
}

#[derive(Default)]
struct Partition {
    lag: AtomicU64,
    single_copy: AtomicBool,
}

impl Load {
    pub(crate) fn new(partitions: u16, lag_max: u64, accept_single_copy: bool) -> Self {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        Self { partitions, lag_max, accept_single_copy }
    }

    /// Refuses while the sequencer is too far behind, or too few replicas hold what would be accepted.
    pub(crate) fn admit(&self, partition: u16) -> Result<(), Refusal> {
        let Some(of) = self.partitions.get(usize::from(partition)) else {
            return Err(Reason::Internal.because("there is no such partition"));
        };
        if of.lag.load(Ordering::Relaxed) > self.lag_max {
            return Err(Reason::Overloaded.because("too much is accepted and not yet sequenced"));
        }
        if of.single_copy.load(Ordering::Relaxed) && !self.accept_single_copy {
            return Err(
                Reason::Overloaded.because("too few replicas hold the region's log for a durable ack")
            );
        }
        Ok(())
    }

    /// Whether acks of this partition are to be marked `single copy`.
    pub(crate) fn single_copy(&self, partition: u16) -> bool {
        self.partitions.get(usize::from(partition)).is_some_and(|p| p.single_copy.load(Ordering::Relaxed))
    }
}

/// A topic, as the looks at it see it.
struct Watched {
    name: &'static str,
    /// Which topic it was at the first look.
    first: Option<Identity>,
    misses: Misses,
}

impl Watched {
    fn new(name: &'static str) -> Self {
        Self { name, first: None, misses: Misses::default() }
    }

    /// A topic that was seen once stays the same, and stays there: that it does not is believed after so many
    /// answers in a row.
    fn look(&mut self, role: &Inner, now: &Result<Description, sterna_log::Error>) {
        match (now, self.first) {
            (Ok(now), None) => self.first = Some(now.identity),
            _ if mutant!("bare_offsets") => {}
            (Ok(now), Some(first)) => {
                self.misses.over();
                if now.identity != first {
                    role.alarms.raise_for_all(Why::TopicOther(self.name));
                }
            }
            (Err(sterna_log::Error::MissingTopic(..)), Some(_)) if self.misses.once_more(self.name) => {
                role.alarms.raise_for_all(Why::TopicMissing(self.name));
            }
            (Err(_), _) => {}
        }
    }
}

/// Looks again and again, for the role's life.
pub(crate) async fn watch(role: Arc<Inner>) {
    let drain = role.process.drain_signal();
    let (mut ingress, mut log) = (Watched::new(INGRESS), Watched::new(LOG));
    while !drain.is_raised() {
        let described = role.log.describe(&role.config.ingress, Some(&role.config.group)).await;
        ingress.look(&role, &described);
        log.look(&role, &role.log.describe(&role.config.log, None).await);
        match described {
            Ok(described) => {
                for (of, extent) in role.load.partitions.iter().zip(&described.partitions) {
                    let done = extent.committed.unwrap_or(extent.earliest);
                    of.lag.store(extent.end.saturating_sub(done), Ordering::Relaxed);
                    let single = extent.in_sync <= 1 && described.replicas > 1;
                    of.single_copy.store(single, Ordering::Relaxed);
                }
            }
            Err(error) => tracing::warn!(%error, "the ingress cannot be described"),
        }
        tokio::select! {
            biased;
            () = drain.raised() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

//! How a driver waits before it takes its partition over again, and what ends that.

use sterna_stream::sequencer::Why;

use super::{Driver, Tables};
use crate::missing::Misses;

/// Terms in a row of which the log took no record, from which on there is an alarm.
const REFUSED_TERMS: u32 = 5;

impl Driver {
    /// Waits before the next takeover, the longer the more terms the log took nothing of.
    pub(super) async fn back_off(&self, refused: u32, tables: &mut Tables) {
        if refused == REFUSED_TERMS {
            let why = Why::LogRefuses(refused);
            tracing::error!(
                partition = self.partition, %why,
                "alarm: the partition waits for its log; accepted events wait in the ingress"
            );
            self.shared.alarms.raise(self.partition, why);
        }
        tables.pause_longer(refused).await;
    }

    /// A topic is said to be missing: waits, the longer the more often in a row. False when that was once too
    /// often, and nothing may go on.
    pub(super) async fn missed(&self, name: &'static str, misses: &mut Misses, tables: &mut Tables) -> bool {
        if misses.once_more(name) {
            self.alarm(&Why::TopicMissing(name));
            return false;
        }
        tables.pause_longer(misses.row()).await;
        true
    }
}

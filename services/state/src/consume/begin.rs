//! Where a partition's topics are consumed from.

use std::time::Duration;

use sterna_log::{Offset, Topic};

use crate::Inner;

/// Pause before a log is described again.
const DESCRIBE_PAUSE: Duration = Duration::from_millis(200);

/// Where to go on: where the group was, or at the first record of a log that it has never read, or whose
/// count is lost.
pub(super) async fn starts(
    role: &Inner,
    partition: u16,
    committed: Vec<(Topic, Option<Offset>)>,
    lost: &[bool],
) -> Vec<(Topic, Offset)> {
    let mut starts = Vec::with_capacity(committed.len());
    for (at, (topic, offset)) in committed.into_iter().enumerate() {
        let again = at > 0 && lost.get(at - 1).copied().unwrap_or(false);
        let from = match offset.filter(|_| !again) {
            Some(offset) => offset,
            None => earliest(role, &topic, partition).await,
        };
        starts.push((topic, from));
    }
    starts
}

async fn earliest(role: &Inner, topic: &Topic, partition: u16) -> Offset {
    loop {
        match role.log.describe(topic, None).await {
            Ok(described) => {
                return described.partitions.get(usize::from(partition)).map_or(0, |extent| extent.earliest);
            }
            Err(error) => tracing::warn!(%error, "a log cannot be described yet"),
        }
        tokio::time::sleep(DESCRIBE_PAUSE).await;
    }
}

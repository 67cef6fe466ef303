//! A courier: one more express lane to a state, in the name of the origin's region, that brings segments of
//! the origin's log once more. It brings nothing that a state could not have sent.

use std::sync::Arc;
use std::time::Duration;

use sterna_process::{Caller, CallerKeys, Link, Process};
use sterna_proto::record::LogRecord;
use sterna_proto::v1;
use sterna_proto::v1::state_client::StateClient;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::faults::between::Way;
use crate::world::World;

/// Segments that the lane holds.
const QUEUE: usize = 16;
/// Longest that a step may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the log that are read: its newest records are among what is brought.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Brings so many segments to some state of the second region.
pub(super) fn carry(world: &World, (from, to): Way, segments: u64) -> impl Future<Output = ()> + 'static {
    let (source, target) = (&world.sites[from], &world.sites[to]);
    let seed = target.plan.seed ^ world.trace.elapsed_ms();
    let dice = &mut Dice::new(seed, "courier");
    let (partition, state) =
        (dice.index(source.plan.partitions.into()) as u16, dice.index(target.plan.state));
    let (mut dice, log, topic) = (dice.clone(), source.stores.log.clone(), source.topic(false));
    let process = Process::new("courier", seed, Arc::new(source.clock.clone()));
    let link = Link::duplex(&process, &target.stores.neighbours.doors[state]);
    let keys = CallerKeys::new(&[&source.plan.secrets.links]).expect("the plan's secret is long enough");
    let caller = Caller::new("state", source.plan.region.as_str()).expect("a role's name fits");
    let link = link.called_by(&process, &caller, &keys);
    async move {
        let (carries, queue) = mpsc::channel(QUEUE);
        let queue = futures_util::stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
        let answer = timeout(PATIENCE, StateClient::new(link).express(Box::pin(queue))).await;
        let Ok(Ok(answer)) = answer else { return process.kill() };
        let mut wanted = answer.into_inner();
        for _ in 0..segments {
            sleep(Duration::from_millis(dice.between(1, 200))).await;
            let Some(record) = some(&mut dice, &*log, &topic, partition).await else { continue };
            // Once, or twice in a row.
            for _ in 0..dice.between(1, 2) {
                let carry = v1::Carry { record: record.clone() };
                if !matches!(timeout(PATIENCE, carries.send(carry)).await, Ok(Ok(()))) {
                    return process.kill();
                }
            }
            while let Ok(Ok(Some(_))) = timeout(Duration::ZERO, wanted.message()).await {}
        }
        process.kill();
    }
}

/// A segment among the newest of a partition's log, or any.
async fn some(
    dice: &mut Dice,
    log: &dyn sterna_log::Log,
    topic: &sterna_log::Topic,
    partition: u16,
) -> Option<bytes::Bytes> {
    let last = log.last(topic, partition).await.ok()??.offset;
    let back = if dice.chance(700) { 20 } else { last };
    let from = last - dice.between(0, back.min(last));
    let page = log.read(topic, partition, from, PAGE_BYTES).await.ok()?;
    let mut values = page.entries.into_iter().map(|entry| entry.record.value);
    values.find(|bytes| matches!(LogRecord::decode(bytes.clone()), Ok(LogRecord::Segment(_))))
}

//! What a driver does with what the log says: commits after its ack, rewinds when it fails, knows repeats.

use std::time::Duration;

use sterna_log::faulty::ProduceFault;
use sterna_log::{Log, Record};
use sterna_proto::record::{LOG_POS, Placed};
use sterna_stream::LogPos;

use super::{World, config, pass, stream_in, streams};

impl World {
    /// The positions of a partition's log records, in the order of the log.
    pub(super) async fn positions(&self, partition: u16) -> Vec<LogPos> {
        let records = self.records(true, partition).await;
        let pos = |record: &Record| Placed::decode(record.header(LOG_POS).unwrap()).unwrap().pos;
        records.iter().map(pos).collect()
    }
}

/// E12: offsets are committed after the log's ack: what is in the table alone is not settled.
#[tokio::test(start_paused = true)]
async fn a_commit_waits_for_the_logs_ack() {
    let mut world = World::new(config());
    world.produce(&[stream_in(0)], 5).await;
    let ack = Duration::from_secs(30);
    world.log.tune(|config| config.produce_latency = (ack, ack));
    let _instance = world.start("messaging-0");
    pass(20).await;
    assert_eq!(world.ids().await.len(), 5, "the table has them");
    assert_eq!(world.logged().await.len(), 0, "the log has not");
    let page = world.log.read(&world.config.ingress, 0, 0, usize::MAX).await.unwrap();
    assert!(world.committed(0).await.is_none_or(|upto| upto <= page.entries[0].offset));
    pass(15).await;
    assert_eq!(world.logged().await.len(), world.stored().await[&stream_in(0)].len());
    assert!(world.committed(0).await.unwrap() > page.entries[4].offset);
    world.judge().await;
}

/// E12, E21: a produce that failed, or whose outcome nobody knows, rewinds the partition under a raised term;
/// the log then continues without hole, whatever of the older term still lands.
#[tokio::test(start_paused = true)]
async fn a_failed_produce_rewinds_with_a_raised_term() {
    let faults = [ProduceFault::Unavailable, ProduceFault::Applied, ProduceFault::Lost, ProduceFault::Late];
    for fault in faults {
        let mut world = World::new(config());
        let _instance = world.start("messaging-0");
        for round in 0..6 {
            if round % 2 == 1 {
                world.log_faults.force(fault, Some(&world.config.log), 1);
            }
            world.produce(&streams(6), 3).await;
            pass(2).await;
        }
        world.settled().await;
        pass(15).await;
        world.judge().await;
        let mut newest = 0;
        for partition in 0..2 {
            let positions = world.positions(partition).await;
            newest = newest.max(positions.iter().map(|pos| pos.term).max().unwrap());
            let last = positions.iter().max().unwrap().term;
            let numbers: Vec<u64> =
                positions.iter().filter(|pos| pos.term == last).map(|pos| pos.n).collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{fault:?}: {numbers:?}");
        }
        assert!(newest >= 2, "{fault:?}: a term was raised");
    }
}

/// E4, E13: a resend of what is sequenced becomes no second event, before and after a takeover.
#[tokio::test(start_paused = true)]
async fn a_resend_is_a_proven_duplicate() {
    let mut world = World::new(config());
    let stream = stream_in(0);
    let first = world.start("messaging-0#1");
    let id = world.id();
    world.accepted.insert(id);
    world.produce_event(&stream, id, false).await;
    world.produce_event(&stream, id, true).await;
    world.settled().await;
    pass(3).await;
    first.process.kill();
    let _second = world.start("messaging-0#2");
    world.produce_event(&stream, id, true).await;
    world.produce(std::slice::from_ref(&stream), 1).await;
    world.settled().await;
    world.judge().await;
}

/// Drained, an instance finishes what it took and commits it: its successor has nothing to do again.
#[tokio::test(start_paused = true)]
async fn a_drained_instance_leaves_nothing_uncommitted() {
    let mut world = World::new(config());
    let first = world.start("messaging-0#1");
    world.produce(&streams(4), 10).await;
    world.settled().await;
    let drained = first.process.drain(Duration::from_secs(10)).await;
    assert_eq!(drained.cut, 0);
    for partition in 0..2 {
        let from = world.committed(partition).await.unwrap();
        let rest = world.log.read(&world.config.ingress, partition, from, usize::MAX).await.unwrap();
        assert!(rest.entries.is_empty());
    }
    world.judge().await;
}

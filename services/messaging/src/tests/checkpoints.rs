//! Goal: checkpoints name every record of the log, whatever the table does meanwhile, so that whoever lacks
//! records can find each. Method: the table refuses checkpoints for a while, instances die; then the
//! checkpoints of each partition are walked and their hashes compared with the log's.

use sterna_process::State;
use sterna_proto::checkpoint;
use sterna_proto::record::{LogRecord, Placed};
use sterna_storage::{Table, layout};
use sterna_stream::LogPos;
use sterna_stream::digest::LogHash;
use sterna_stream::hole::{self, Step};
use sterna_stream::limits::CHECKPOINTS_WAITING;
use sterna_stream::sequencer::Limits;

use super::{World, config, pass, stream_in, until};

impl World {
    /// Each checkpoint of partition 0, with its part.
    async fn checkpoints(&self) -> Vec<(u16, sterna_stream::sequencer::Checkpoint)> {
        let page = self.table.query(layout::checkpoints_from(&self.config.origin, 0, 0, 0)).await.unwrap();
        assert!(page.next.is_none());
        let item = |item: &sterna_storage::Item| {
            let (.., part) = layout::parse_checkpoint(&item.key.sort).unwrap();
            (part, checkpoint::decode(&item.value).unwrap())
        };
        page.items.iter().map(item).collect()
    }

    /// How far partition 0's checkpoints name its log from its beginning on, judged by their hashes.
    async fn named(&self) -> LogPos {
        let records = self.records(true, 0).await;
        let own = |wanted: LogPos| {
            records.iter().find_map(|record| {
                let placed = Placed::decode(record.header(sterna_proto::record::LOG_POS)?).unwrap();
                let decoded = LogRecord::decode(record.value.clone()).unwrap();
                (placed.pos == wanted).then(|| decoded.counted(&record.value, placed).own)
            })
        };
        let (mut at, mut hash) = (LogPos::default(), LogHash::START);
        for step in hole::steps(LogPos::default(), self.checkpoints().await) {
            match step {
                Step::Back(_) => panic!("nothing is beyond the beginning"),
                Step::Record { pos, .. } => (at, hash) = (pos, hash.extend(pos.n, &own(pos).unwrap())),
                Step::Proof(end) => assert_eq!((end.at, end.hash), (at, hash)),
            }
        }
        at
    }

    /// Waits until what the log holds now is named.
    async fn all_named(&self) {
        let last = self.positions(0).await.into_iter().max().unwrap();
        until("checkpoints of the whole log", async || match self.named().await {
            at if at >= last => Ok(()),
            at => Err((at, last)),
        })
        .await;
    }
}

/// E21: a checkpoint that the table did not take is put until it stands; what an instance that died had not
/// named its successor's opening names, in parts where it is much.
#[tokio::test(start_paused = true)]
async fn every_record_is_named_whatever_became_of_the_checkpoints() {
    let limits = Limits { segment_events: 1, checkpoint_bytes: 600, ..Limits::default() };
    let mut world = World::new(crate::Config { limits, ..config() });
    let first = world.start("messaging-0#1");
    world.produce(&[stream_in(0)], 5).await;
    pass(3).await;
    world.checkpoint_faults.set_read_only(true);
    world.produce(&[stream_in(0)], 60).await;
    world.settled().await;
    pass(3).await;
    world.checkpoint_faults.set_read_only(false);
    world.all_named().await;

    world.checkpoint_faults.set_read_only(true);
    world.produce(&[stream_in(0)], 60).await;
    world.settled().await;
    first.process.kill();
    assert_eq!(first.process.state(), State::Dead);
    world.checkpoint_faults.set_read_only(false);
    let _second = world.start("messaging-0#2");
    world.produce(&[stream_in(0)], 5).await;
    world.settled().await;
    world.all_named().await;
    assert!(world.checkpoints().await.iter().any(|(part, _)| *part > 0), "the opening had no room for all");
    world.judge().await;
}

/// E29: so many checkpoints wait for the table; then the partition is taken over again, and nothing of it is
/// unnamed in the end.
#[tokio::test(start_paused = true)]
async fn a_table_that_takes_no_checkpoint_ends_the_term() {
    let mut world = World::new(config());
    let _instance = world.start("messaging-0#1");
    world.produce(&[stream_in(0)], 5).await;
    pass(3).await;
    let term = async |world: &World| world.positions(0).await.into_iter().max().unwrap().term;
    let before = term(&world).await;
    world.checkpoint_faults.set_read_only(true);
    pass(CHECKPOINTS_WAITING as u64 - 2).await;
    let marks = world.positions(0).await.len();
    pass(1).await;
    assert!(world.positions(0).await.len() > marks, "it goes on");
    pass(10).await;
    let marks = world.positions(0).await.len();
    pass(10).await;
    assert_eq!(world.positions(0).await.len(), marks, "it waits for the table");
    world.checkpoint_faults.set_read_only(false);
    world.produce(&[stream_in(0)], 5).await;
    world.settled().await;
    assert!(term(&world).await > before);
    world.all_named().await;
    world.judge().await;
}

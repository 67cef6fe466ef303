//! How far this region has the others' logs, and how far they have its own (E9, E21, E22).
//!
//! Mirrored records are counted as they are consumed: a mirrored topic is as durable as the own log. Once a
//! second the counts go into the own log as a mark without a number, which the others' mirrors bring them;
//! what their marks say of this region's log is told to the shards, for second acks. Counts survive restarts
//! as control items. Where a mirror lacks records for longer than a grace time the table is asked for them
//! (`fill`).

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sterna_log::Record;
use sterna_proto::record::{LogRecord, Placed};
use sterna_proto::v1;
use sterna_storage::{Consistency, Expect, Key, Put, layout};
use sterna_stream::digest::LogHash;
use sterna_stream::watermark::{Seen, Watermark};
use sterna_stream::{LogPos, Origin, Region};

use crate::covered::Covered;
use crate::positions::{Of, Position};
use crate::{Inner, Mirror};

pub(crate) mod holes;

/// Pause before a count is asked for again.
const LOAD_PAUSE: Duration = Duration::from_millis(200);

/// What was met in the mirrors, and in the own log, so far, by one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Holes that stayed beyond the grace time (alarm).
    pub holes: u64,
    /// Holes of those that are closed.
    pub closed: u64,
    /// Rounds in which the table was asked.
    pub rounds: u64,
    /// Rounds that a limit ended.
    pub limited: u64,
    /// Rounds that led nowhere: checkpoints or segments are not here (alarm).
    pub lacking: u64,
    /// Times that what the table holds did not lead to the running hash (alarm).
    pub wrong: u64,
    /// Segments taken from the table.
    pub fetched: u64,
    /// Marks of another region or partition than their log's; ignored (alarm).
    pub strange: u64,
    /// Records of a kind that this version does not know; skipped (E27).
    pub unknown: u64,
}

/// The counts of one owned partition.
#[derive(Default)]
pub(crate) struct Counts {
    /// Per mirror, in the order in which they are followed.
    mirrors: Vec<Mirrored>,
    /// What of the own ingress another region has.
    covered: Covered,
}

/// The count of one mirror, and what of it is stored.
struct Mirrored {
    origin: Origin,
    watermark: Watermark,
    /// The hole that is waited or asked for.
    open: Option<holes::Open>,
    stored: LogPos,
    /// What the stored item must be for the next one to replace it; `None`: to be read first, because nobody
    /// knows what became of the last put. One that lands late must not undo a later one: the offsets that
    /// were committed behind that would never be counted.
    expect: Option<Expect>,
}

/// What a partition's counts begin with.
pub(crate) struct Begin {
    pub(crate) counts: Counts,
    /// Per mirror: whether its count is lost, so that it has to be read from its beginning.
    pub(crate) lost: Vec<bool>,
}

impl Counts {
    /// Goes on from the stored counts. `known` says per mirror whether the group has read it before.
    pub(crate) async fn load(role: &Inner, mirrors_of: &[Mirror], partition: u16, known: &[bool]) -> Begin {
        let (mut mirrors, mut lost) = (Vec::new(), Vec::new());
        for (at, mirror) in mirrors_of.iter().enumerate() {
            let (stored, expect) = stored(role, &key(&role.config.origin, &mirror.origin, partition)).await;
            lost.push(stored.is_none() && known.get(at).copied().unwrap_or(false));
            let watermark = stored.unwrap_or_default();
            let stored = watermark.pos();
            let origin = mirror.origin.clone();
            mirrors.push(Mirrored { origin, watermark, open: None, stored, expect: Some(expect) });
        }
        Begin { counts: Self { mirrors, ..Self::default() }, lost }
    }

    /// A record of the own log was consumed.
    pub(crate) fn own(&mut self, record: &LogRecord, placed: Option<Placed>) {
        let Some(placed) = placed else { return };
        let done = match record {
            LogRecord::Mark(mark) => Some(mark.ingress_done),
            LogRecord::Segment(_) | LogRecord::Unknown => None,
        };
        self.covered.logged(placed, done);
    }

    /// A record of the mirror `at` was consumed; `bytes` are its own.
    pub(crate) fn mirrored(&mut self, at: usize, record: &LogRecord, bytes: &Bytes, placed: Option<Placed>) {
        let (Some(placed), Some(mirrored)) = (placed, self.mirrors.get_mut(at)) else { return };
        if mirrored.watermark.seen(&record.counted(bytes, placed)) == Seen::Differs {
            tracing::error!(n = placed.pos.n, "alarm: a mirrored log contradicts what was counted of it");
        }
    }

    /// A mark of another region's state: how far it has which log.
    pub(crate) fn heard(&mut self, own: &str, mark: &v1::Mark) {
        for watermark in mark.watermarks.iter().filter(|watermark| watermark.origin == own) {
            self.covered.heard(LogPos { term: watermark.term, n: watermark.n });
        }
    }

    /// Stores what moved since the last time. `false`: something is not stored, and nothing that was counted
    /// may be committed.
    pub(crate) async fn store(&mut self, role: &Inner, partition: u16) -> bool {
        let mut all = true;
        for mirrored in &mut self.mirrors {
            if mirrored.watermark.pos() != mirrored.stored {
                let key = key(&role.config.origin, &mirrored.origin, partition);
                all &= mirrored.store(role, key).await;
            }
        }
        all
    }

    /// What shards must be told: how far another region has the own ingress, if that moved.
    pub(crate) fn news(&mut self, role: &Inner, partition: u16) -> Option<v1::Covered> {
        let (partition, incarnation) = (partition.into(), role.config.origin.incarnation());
        self.covered.news().map(|below| v1::Covered { partition, incarnation, below })
    }

    fn positions(&self, partition: u16) -> Vec<Position> {
        let at = |of, pos: LogPos| Position { partition, of, n: pos.n };
        let own = [at(Of::Own, self.covered.consumed()), at(Of::Covered, self.covered.furthest())];
        let peer = |of: &Mirrored| at(Of::Peer(of.origin.to_string()), of.watermark.pos());
        let peers = self.mirrors.iter().map(peer);
        own.into_iter().chain(peers).collect()
    }

    /// Says in the own log how far this region has the others'. Alone it has nothing to say.
    pub(crate) fn write_mark(&self, role: &Inner, partition: u16) {
        role.positions.are(partition, self.positions(partition));
        if self.mirrors.is_empty() {
            return;
        }
        let watermark = |mirrored: &Mirrored| v1::Watermark {
            origin: mirrored.origin.to_string(),
            term: mirrored.watermark.pos().term,
            n: mirrored.watermark.pos().n,
        };
        let (wall_unix_ms, echoes) = role.wall.written(partition);
        let mark = v1::Mark {
            origin: role.config.origin.to_string(),
            partition: partition.into(),
            wall_unix_ms,
            watermarks: self.mirrors.iter().map(watermark).collect(),
            echoes,
            ..v1::Mark::default()
        };
        // Nobody waits for it: the next second's mark says the same and more.
        drop(role.log.produce(Record {
            topic: role.config.log.clone(),
            partition,
            key: Bytes::new(),
            value: sterna_proto::record::encode_mark(mark),
            headers: Default::default(),
            timestamp_ms: role.process.clock().wall_ms(),
        }));
    }
}

/// Whether a mark of a partition's log is of the region whose log it is.
pub(crate) fn is_of(mark: &v1::Mark, region: &Region, partition: u16) -> bool {
    let origin = mark.origin.parse::<Origin>();
    origin.is_ok_and(|origin| origin.region() == *region) && mark.partition == u32::from(partition)
}

/// A rebuilt region counts anew: what its former life had, its log and table need not have (E1).
fn key(own: &Origin, of: &Origin, partition: u16) -> Key {
    let life = match own.incarnation() {
        1 => String::new(),
        n => format!("-g{n}"),
    };
    layout::control(&own.region(), &format!("watermark{life}#{of}#{partition:05}"))
}

impl Mirrored {
    /// Stores the count in the place of the one before it. `false`: it is not known to be stored.
    async fn store(&mut self, role: &Inner, key: Key) -> bool {
        let expect = match self.expect.take() {
            Some(expect) => expect,
            None => stored(role, &key).await.1,
        };
        match role.table.put(key, item(&self.watermark), expect).await {
            Ok(Put::Done(version)) => {
                (self.stored, self.expect) = (self.watermark.pos(), Some(Expect::Version(version)));
                true
            }
            Ok(Put::Found(_) | Put::Missing) => false,
            Err(error) => {
                tracing::warn!(%error, "a count was not stored; the next one covers it");
                false
            }
        }
    }
}

/// The stored count, `None` if there is none, and what the next put has to expect. A table that does not
/// answer is asked again: its silence is no reason to read a mirror from its beginning.
async fn stored(role: &Inner, key: &Key) -> (Option<Watermark>, Expect) {
    let items = loop {
        match role.table.get(std::slice::from_ref(key), Consistency::Consistent).await {
            Ok(items) => break items,
            Err(error) => tracing::warn!(%error, "a count cannot be read yet"),
        }
        tokio::time::sleep(LOAD_PAUSE).await;
    };
    let Some(item) = items.into_iter().next().flatten() else { return (None, Expect::Absent) };
    (read(&item.value), Expect::Version(item.version))
}

fn item(watermark: &Watermark) -> Bytes {
    let LogPos { term, n } = watermark.pos();
    v1::Counted { term, n, log_hash: Bytes::copy_from_slice(&watermark.hash().0) }.encode_to_vec().into()
}

fn read(value: &Bytes) -> Option<Watermark> {
    let item = v1::Counted::decode(value.clone()).ok()?;
    let hash: [u8; 32] = item.log_hash.as_ref().try_into().ok()?;
    Some(Watermark::at(LogPos { term: item.term, n: item.n }, LogHash(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E27: the bytes of a stored count, for ever. A red test here means that mirrors are read from their
    /// beginning.
    #[test]
    fn golden_bytes_of_a_stored_count() {
        let bytes = item(&Watermark::at(LogPos { term: 3, n: 300 }, LogHash([7; 32])));
        assert_eq!(bytes, [b"\x08\x03\x10\xac\x02\x1a\x20".as_slice(), &[7; 32]].concat());
        let read = read(&bytes).map(|watermark| (watermark.pos(), watermark.hash()));
        assert_eq!(read, Some((LogPos { term: 3, n: 300 }, LogHash([7; 32]))));
    }

    /// E1, E27: each life of a region, each log and each partition has a count of its own, under a name that
    /// never changes.
    #[test]
    fn golden_keys_of_stored_counts() {
        let [first, second, of] = ["us-east-1", "us-east-1~2", "eu-west-1~3"].map(|o| o.parse().unwrap());
        let control = |what: &str| layout::control(&Origin::region(&first), what);
        assert_eq!(key(&first, &of, 3), control("watermark#eu-west-1~3#00003"));
        assert_eq!(key(&second, &of, 12), control("watermark-g2#eu-west-1~3#00012"));
    }
}

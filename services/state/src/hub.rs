//! Interest, joins and pushes: which shard follows which stream, and up to where it must read history itself.
//!
//! No I/O and no waiting. The order of a shard's queue is the promise: after `Joined {head}` every segment
//! beyond `head` follows in it (E15). A stream is known here only while somebody follows it, so an idle
//! region costs nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sterna_proto::v1::attach_down::What;
use sterna_proto::{convert, v1};
use sterna_stream::limits::WAITING_SEGMENTS;
use sterna_stream::map::{Map, Set};
use sterna_stream::{Cursor, Hlc, Origin, Segment, StreamId, mutant, partition};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, Instant};
use tonic::Status;

use followed::{Followed, Waiting};
use index::Index;
use tenants::Tenants;
use watched::Watched;

pub use watched::WatchId;

mod followed;
mod index;
mod tenants;
#[cfg(test)]
pub(crate) mod tests;
mod told;
mod waits;
mod watched;

/// How long a segment waits for what it rests on, before it is left to the backlog.
pub const WAITING: Duration = Duration::from_secs(10);

/// What a shard reads.
pub type Down = Result<v1::AttachDown, Status>;

/// Names one attachment of a shard; never used again.
pub type ShardId = u64;

/// The hub of an instance, shared by its tasks.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Hub>>);

/// Who follows what.
pub struct Hub {
    partitions: u16,
    push_queue: usize,
    owned: Set<u16>,
    shards: Map<ShardId, Shard>,
    streams: Map<StreamId, Followed>,
    tenants: Tenants,
    /// Of `streams`, those in which something waits.
    waiting: Index,
    watched: Watched,
    unensured: Map<StreamId, Unensured>,
    /// Per owned partition, the newest of what every shard was told.
    covered: BTreeMap<u16, v1::Covered>,
    last_id: ShardId,
    counters: Counters,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments pushed, each counted per shard.
    pub pushed: u64,
    /// Segments that no shard wanted.
    pub unwanted: u64,
    /// Segments that were consumed before.
    pub repeated: u64,
    /// Shards cut off because their queue was full.
    pub overflows: u64,
    /// Segments that had to wait for what they rest on (E24).
    pub waited: u64,
    /// Segments that waited too long, or with too many, and were left to the backlog.
    pub given_up: u64,
    /// Ephemerals that a shard's queue had no room for.
    pub shed: u64,
}

struct Shard {
    /// As it said when it attached.
    name: String,
    queue: mpsc::Sender<Down>,
    n: u64,
    follows: Set<StreamId>,
}

/// What the table holds of a stream.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The newest seq of each origin.
    pub cursor: Cursor,
    /// The newest stamp of all.
    pub newest: Hlc,
}

/// Segments of one stream, of other regions, that are not known to be in the local table yet.
#[derive(Default)]
struct Unensured {
    segments: usize,
    head: Cursor,
}

// === impl Shared ===

impl Shared {
    /// Shares a hub.
    pub fn new(hub: Hub) -> Self {
        Self(Arc::new(Mutex::new(hub)))
    }

    /// The hub, for one step.
    pub fn lock(&self) -> MutexGuard<'_, Hub> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Hub ===

impl Hub {
    /// A hub that owns no partition yet.
    pub fn new(partitions: u16, push_queue: usize) -> Self {
        Self {
            partitions,
            push_queue,
            owned: Set::default(),
            shards: Map::default(),
            streams: Map::default(),
            tenants: Tenants::default(),
            waiting: Index::default(),
            watched: Watched::default(),
            unensured: Map::default(),
            covered: BTreeMap::new(),
            last_id: 0,
            counters: Counters::default(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether this instance answers for `partition`.
    pub fn owns(&self, partition: u16) -> bool {
        self.owned.contains(&partition)
    }

    /// Whether nobody follows anything.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.shards.values().all(|shard| shard.follows.is_empty())
    }

    /// A shard attaches; it reads the receiver until it is dropped or ends. What others were told once of
    /// this region's partitions it is told first.
    pub fn attach(&mut self) -> (ShardId, mpsc::Receiver<Down>) {
        let (queue, receiver) = mpsc::channel(self.push_queue);
        self.last_id += 1;
        self.shards.insert(self.last_id, Shard { name: String::new(), queue, n: 0, follows: Set::default() });
        let told: Vec<v1::Covered> = self.covered.values().copied().collect();
        told.into_iter().for_each(|covered| self.send(self.last_id, What::Covered(covered)));
        (self.last_id, receiver)
    }

    /// Whether a shard's queue, at most half full, has room for an answer: the other half is for pushes.
    /// `None`: the shard is not attached, or nobody reads its queue any more.
    pub fn has_room(&self, id: ShardId) -> Option<bool> {
        let queue = &self.shards.get(&id)?.queue;
        (!queue.is_closed()).then(|| queue.capacity() > self.push_queue / 2)
    }

    /// A shard is gone, or is to be.
    pub fn detach(&mut self, id: ShardId) {
        let Some(shard) = self.shards.remove(&id) else { return };
        for stream in shard.follows {
            self.leave(id, &stream);
        }
    }

    /// Whether somebody follows a stream here, or is about to.
    pub fn knows(&self, stream: &StreamId) -> bool {
        self.streams.contains_key(stream)
    }

    /// A shard wants a stream. `true`: read the stream's heads, then call [`Hub::joined`]. What is consumed
    /// from now on is counted into the head. `false`: this instance does not own it, which the shard is told.
    pub fn follow(&mut self, id: ShardId, stream: &StreamId) -> bool {
        if !self.answers_for(stream) {
            let not_owner =
                v1::Joined { stream: stream.to_string(), not_owner: true, ..v1::Joined::default() };
            self.send(id, What::Joined(not_owner));
            return false;
        }
        let Some(shard) = self.shards.get_mut(&id) else { return false };
        shard.follows.insert(stream.clone());
        if !self.streams.contains_key(stream) {
            self.watched.change(stream, true);
        }
        let followed = self.streams.entry(stream.clone()).or_default();
        if let Some(unensured) = self.unensured.get(stream) {
            followed.consumed.merge(&unensured.head);
        }
        true
    }

    /// The heads of a stream were read, after [`Hub::follow`]: the shard joins at what is the further of
    /// both.
    pub fn joined(&mut self, id: ShardId, stream: &StreamId, head: Head) {
        let Head { cursor: mut head, newest } = head;
        let wanted = self.shards.get(&id).is_some_and(|shard| shard.follows.contains(stream));
        let Some(followed) = self.streams.get_mut(stream).filter(|_| wanted) else { return };
        followed.held.merge(&head);
        if !mutant!("tail_before_interest") {
            head.merge(&followed.consumed);
        }
        followed.join(id, &head);
        let mut known = head.clone();
        known.merge(&followed.known);
        let joined = v1::Joined {
            stream: stream.to_string(),
            head: convert::cursor_field(&head),
            known: convert::cursor_field(&known),
            not_owner: false,
            newest: newest.0,
        };
        self.send(id, What::Joined(joined));
        self.release(stream);
    }

    /// Whether this instance owns a stream's partition.
    pub fn answers_for(&self, stream: &StreamId) -> bool {
        self.owns(partition::of(stream, self.partitions))
    }

    /// Whether a shard that has a stream up to `theirs` would learn nothing by joining it now, as the table
    /// is seen to hold it up to `table`: it gets pushes, and nobody knows of more (E16). What waited for
    /// something that the table is seen to hold goes out.
    pub fn agrees(&mut self, id: ShardId, stream: &StreamId, theirs: &Head, table: &Head) -> bool {
        let Some(followed) = self.streams.get_mut(stream) else { return false };
        let more = [&table.cursor, &followed.consumed, &followed.known];
        let is_all = theirs.newest >= table.newest && more.iter().all(|head| theirs.cursor.covers(head));
        if !is_all || !followed.live.contains(&id) {
            return false;
        }
        if !followed.held.covers(&table.cursor) {
            followed.held.merge(&table.cursor);
            self.release(stream);
        }
        true
    }

    /// A shard's comparison of heads is answered.
    pub fn compared(&mut self, id: ShardId) {
        self.send(id, What::Compared(v1::Compared {}));
    }

    /// A shard does not want a stream any more.
    pub fn unfollow(&mut self, id: ShardId, stream: &StreamId) {
        if let Some(shard) = self.shards.get_mut(&id) {
            shard.follows.remove(stream);
        }
        self.leave(id, stream);
    }

    /// The seq that comes next of an origin, as every shard that follows the stream has it: what is beyond is
    /// not shown before it came. `None`: nobody follows the stream here.
    pub fn next(&self, stream: &StreamId, origin: &Origin) -> Option<u64> {
        let followed = self.streams.get(stream)?;
        Some(followed.consumed.get(origin).max(followed.history.get(origin)) + 1)
    }

    /// A segment of a followed stream came by express: its origin's log goes at least so far, whether or not
    /// it can be shown yet (E18).
    pub fn heard_of(&mut self, segment: &Segment) {
        if let Some(followed) = self.streams.get_mut(&segment.stream) {
            followed.known.advance(&segment.origin, segment.last());
        }
    }

    /// Somebody wants to know which streams are followed here, all of them and then what changes.
    pub fn watch(&mut self) -> (WatchId, Arc<Notify>) {
        let mut followed: Vec<StreamId> = self.streams.keys().cloned().collect();
        followed.sort_unstable();
        self.watched.watch(followed)
    }

    /// Who watched is gone.
    pub fn unwatch(&mut self, id: WatchId) {
        self.watched.unwatch(id);
    }

    /// Takes out at most so many changes that a watcher has not seen, in their order: whether each stream is
    /// followed now.
    pub fn changes(&mut self, id: WatchId, most: usize) -> Vec<(StreamId, bool)> {
        self.watched.changes(id, most)
    }

    /// A segment was consumed: pushed to each shard that follows it, unless it was before. One that rests on
    /// events which this region does not hold yet waits, and with it what follows of its origin (E24).
    pub fn push(&mut self, segment: Segment, record: Bytes, now: Instant) {
        let Some(followed) = self.streams.get_mut(&segment.stream) else {
            self.counters.unwanted += 1;
            return;
        };
        if !followed.consumed.advance(&segment.origin, segment.last()) {
            self.counters.repeated += 1;
            return;
        }
        if followed.must_wait(&segment, &self.tenants) {
            self.counters.waited += 1;
            self.tenants.ask(&segment);
            if followed.waiting.len() < WAITING_SEGMENTS {
                self.waiting.set(&segment.stream, true);
                followed.waiting.push(Waiting { segment, record, until: now + WAITING });
            } else {
                self.counters.given_up += 1;
            }
            return;
        }
        let stream = segment.stream.clone();
        self.deliver(&segment, record);
        self.release(&stream);
    }

    fn deliver(&mut self, segment: &Segment, record: Bytes) {
        let Some(followed) = self.streams.get_mut(&segment.stream) else { return };
        let recheck = followed.show(segment);
        let live = std::mem::take(&mut followed.live);
        for &id in &live {
            self.send(id, What::Push(v1::Push { record: record.clone(), recheck }));
            self.counters.pushed += 1;
        }
        self.restore(&segment.stream, live);
    }

    /// A segment of another region was consumed that may not be in the local table yet. One that changes
    /// members is in no head before it is there: who joins at a head is authorised by what the table holds.
    pub fn arrived(&mut self, segment: &Segment) {
        let unensured = self.unensured.entry(segment.stream.clone()).or_default();
        unensured.segments += 1;
        if segment.members.is_empty() {
            unensured.head.advance(&segment.origin, segment.last());
        }
    }

    /// A segment that had arrived is in the local table.
    pub fn ensured(&mut self, stream: &StreamId) {
        let Some(unensured) = self.unensured.get_mut(stream) else { return };
        unensured.segments -= 1;
        if unensured.segments == 0 {
            self.unensured.remove(stream);
        }
    }

    /// An ephemeral for everybody who follows its stream here. Shed first: a queue that is half full takes
    /// none (E19).
    pub fn ephemeral(&mut self, ephemeral: &v1::Ephemeral) {
        let Ok(stream) = ephemeral.stream.parse::<StreamId>() else { return };
        let live = self.streams.get(&stream).map(|followed| followed.live.clone());
        for id in live.unwrap_or_default() {
            if self.shards.get(&id).is_some_and(|shard| shard.queue.capacity() * 2 < self.push_queue) {
                self.counters.shed += 1;
            } else {
                self.send(id, What::Ephemeral(ephemeral.clone()));
            }
        }
    }

    /// Another region has what this one took in of `partition` up to somewhere: told to every shard, and to
    /// whoever attaches later (E9).
    pub fn covered(&mut self, partition: u16, covered: v1::Covered) {
        self.covered.insert(partition, covered);
        let ids: Vec<ShardId> = self.shards.keys().copied().collect();
        for id in ids {
            self.send(id, What::Covered(covered));
        }
    }

    /// This instance owns `partition` from now on.
    pub fn own(&mut self, partition: u16) {
        self.owned.insert(partition);
        self.resync(partition);
    }

    /// Another instance owns `partition`, or nobody does: shards must ask again.
    pub fn disown(&mut self, partition: u16) {
        self.owned.remove(&partition);
        self.covered.remove(&partition);
        let partitions = self.partitions;
        let gone: Vec<StreamId> =
            self.streams.keys().filter(|s| partition::of(s, partitions) == partition).cloned().collect();
        for stream in gone {
            self.forget(&stream);
            for shard in self.shards.values_mut() {
                shard.follows.remove(&stream);
            }
        }
        self.resync(partition);
    }

    fn resync(&mut self, partition: u16) {
        let ids: Vec<ShardId> = self.shards.keys().copied().collect();
        for id in ids {
            self.send(id, What::Resync(v1::Resync { partitions: vec![partition.into()] }));
        }
    }

    /// Puts the pushed shards back, less those that were cut off while pushing.
    fn restore(&mut self, stream: &StreamId, mut live: Vec<ShardId>) {
        live.retain(|id| self.shards.contains_key(id));
        if live.is_empty() {
            self.forget_if_unfollowed(stream);
        } else if let Some(followed) = self.streams.get_mut(stream) {
            followed.live = live;
        }
    }

    fn leave(&mut self, id: ShardId, stream: &StreamId) {
        if let Some(followed) = self.streams.get_mut(stream) {
            followed.live.retain(|shard| *shard != id);
            self.forget_if_unfollowed(stream);
        }
    }

    /// Forgets a stream that nobody follows, not even one whose heads are being read.
    fn forget_if_unfollowed(&mut self, stream: &StreamId) {
        let empty = self.streams.get(stream).is_some_and(|followed| followed.live.is_empty());
        if empty && !self.shards.values().any(|shard| shard.follows.contains(stream)) {
            self.forget(stream);
        }
    }

    fn forget(&mut self, stream: &StreamId) {
        self.streams.remove(stream);
        self.waiting.set(stream, false);
        self.watched.change(stream, false);
    }

    fn send(&mut self, id: ShardId, what: What) {
        let Some(shard) = self.shards.get_mut(&id) else { return };
        shard.n += 1;
        let down = v1::AttachDown { n: shard.n, what: Some(what) };
        if let Err(error) = shard.queue.try_send(Ok(down)) {
            self.counters.overflows += u64::from(matches!(error, TrySendError::Full(_)));
            self.detach(id);
        }
    }
}

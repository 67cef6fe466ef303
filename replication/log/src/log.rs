//! The port: what a log promises, in numbered sentences that the `contract` suite names.
//!
//! Nothing is promised that Kafka cannot keep: offsets have holes, delivery is at-least-once, a produce may
//! end unknown, a former owner may hold records that it fetched before it lost them.

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::error::Error;
use crate::record::{Entry, Group, Offset, Record, Topic};

/// One region's log.
///
/// **L1** `produce` enqueues when it is called, not when its future is first polled, and dropping the future
/// withdraws nothing. Of one partition's records that this value produced and that were answered `Ok`, those
/// whose call came first stand first.
///
/// **L2** `Ok(offset)` means that every in-sync replica holds the record: it is readable there from now on.
///
/// **L3** Offsets rise strictly within a partition and may have holes, also at the end. They start anew when
/// a topic is made again, and then its identity differs.
///
/// **L4** A record above the topic's limit is answered `Refused`, is not applied, and disturbs no other
/// record.
///
/// **L5** After `Unknown` a record may stand in the log once, appear later, also behind records that were
/// produced after it, or never. After any other error it is not there and will not come.
///
/// **L6** A record's key, value, headers with their order, and timestamp are read back as they were produced.
///
/// **L7** `read` gives the records at and after `from` in offset order and leaves none out, at most
/// `max_bytes` of them but one at least. The next page starts at `Page::next`. A page is empty only if there
/// is no record at or after `from`.
///
/// **L8** An offset below `earliest` or beyond `end` is answered `OutOfRange`; nothing else is read in its
/// place.
///
/// **L9** `last` gives the newest record of a partition, or none if there is none.
///
/// **L10** `describe` tells the identity, which stays the same for as long as it is the same topic; each
/// partition's first and end offset; and what the group has committed, which is none until it commits and
/// again when the log has forgotten it.
///
/// **L11** A topic or partition that does not exist is answered `MissingTopic` by every call and is not made
/// by it. For moments one that exists may be answered so, too: a broker that restarts may not know of it yet.
///
/// **L12** Each group is delivered every record, whatever other groups do.
#[async_trait]
pub trait Log: Send + Sync {
    /// Appends a record. Resolves when all in-sync replicas have it.
    ///
    /// # Errors
    /// `Unknown`, `Refused`, `MissingTopic`, `Unavailable` (too few replicas in sync, too much
    /// unacknowledged).
    fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, Error>>;

    /// Becomes a member of `group` for `topics`, which have equal partition counts and are the same for all
    /// members; while these change over, one after the other, to a longer list that begins with the shorter
    /// one, each is delivered of its partitions what it named itself.
    ///
    /// # Errors
    /// `Refused` for unequal partition counts or no topic, `MissingTopic`, `Unavailable`.
    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, Error>;

    /// Reads records without a group.
    ///
    /// # Errors
    /// `OutOfRange`, `MissingTopic`, `Unavailable`.
    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error>;

    /// Reads the newest record of a partition.
    ///
    /// # Errors
    /// `MissingTopic`, `Unavailable`.
    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, Error>;

    /// Describes a topic and, if a group is named, what it has committed there.
    ///
    /// # Errors
    /// `MissingTopic` (with partition 0), `Unavailable`.
    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, Error>;
}

/// One member of a group.
///
/// **C1** Partition p of *all* topics goes to one member. It is assigned to another only after its owner was
/// told `Revoked` and has called `next` again, or was dropped, or its session has timed out.
///
/// **C2** The generation of an `Assigned` is greater than that of every earlier one of the partition in this
/// group. A rebalance takes no partition from a member that keeps it.
///
/// **C3** `Assigned` carries the group's committed offset of each topic, in the order of the join.
///
/// **C4** Nothing of a partition is delivered before `start`; then only the topics named there, each
/// beginning with the first record at or after the offset named.
///
/// **C5** Records of one (topic, partition) come in offset order and none is left out. `start` may be called
/// again: delivery goes on at the offsets named, and nothing that was fetched before comes any more.
///
/// **C6** A position that is not in the log is told once, as `Err(OutOfRange)`, and a topic that is answered
/// to be missing (L11) as `Err(MissingTopic)`; that topic of the partition then is silent until it is started
/// again, all else goes on.
///
/// **C7** A partition on pause delivers nothing; when the pause ends it goes on where it was.
///
/// **C8** `commit` stores the offsets if this member holds the partition under `generation`; else it is
/// answered `Fenced` and stores nothing. The offset to commit is the first one not handled. The latest commit
/// counts, also if it is lower.
///
/// **C9** Between `Revoked` with `lost: false` and its next call of `next` a member may still commit what it
/// has handled; the new owner is assigned the result.
///
/// **C10** A member that does not poll `next` for longer than its session timeout loses all its partitions.
/// It may then still be delivered what had been fetched for it, under the old generation; its commits are
/// `Fenced`. It is told `Revoked` with `lost: true`, joins again by itself, and is assigned partitions under
/// new generations.
///
/// **C11** Dropping the future of `next` loses nothing: the next call goes on.
///
/// **C12** Dropping the consumer gives its partitions up, at the latest when its session times out.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for what happens next. Must be polled for as long as the member is to live, however busy it is.
    ///
    /// # Errors
    /// `OutOfRange` and `MissingTopic` for one topic and partition (C6), `Unavailable` for this call alone.
    async fn next(&mut self) -> Result<Polled, Error>;

    /// Says from where each topic of an assigned partition is delivered. No effect on a partition not held.
    fn start(&mut self, partition: u16, at: &[(Topic, Offset)]);

    /// Stops and resumes the delivery of a partition. No effect on a partition not held.
    fn pause(&mut self, partition: u16, on: bool);

    /// Stores how far the group has come: for each topic the first offset that is not yet handled.
    ///
    /// # Errors
    /// `Fenced`, `Unknown`, `Unavailable`.
    async fn commit(
        &mut self,
        partition: u16,
        generation: u32,
        upto: &[(Topic, Offset)],
    ) -> Result<(), Error>;
}

/// What a consumer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The member owns a partition from now on; it must say from where to deliver.
    Assigned {
        /// The partition, of all topics of the join.
        partition: u16,
        /// To be named in commits.
        generation: u32,
        /// Committed offset of each topic in the order of the join; none if nothing is known.
        committed: Vec<(Topic, Option<Offset>)>,
    },
    /// The partition goes to another member at the next call of `next`, or is gone already.
    Revoked {
        /// The partition.
        partition: u16,
        /// The generation under which it was held.
        generation: u32,
        /// The session has ended: another member may be at work already.
        lost: bool,
    },
    /// Records of one topic and partition.
    Records(Batch),
}

/// Records of one (topic, partition), in offset order, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: u16,
    /// The generation under which it was fetched.
    pub generation: u32,
    /// The records.
    pub entries: Vec<Entry>,
    /// Where delivery goes on: what to commit when all of the batch is handled.
    pub next: Offset,
}

/// A page of [`Log::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub entries: Vec<Entry>,
    /// Where the next page starts.
    pub next: Offset,
}

/// What tells a topic from another one of the same name: made anew with the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u128);

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Which topic of this name it is.
    pub identity: Identity,
    /// How many replicas a partition should have.
    pub replicas: u16,
    /// Its partitions, by number.
    pub partitions: Vec<Extent>,
}

/// One partition's extent.
///
/// A group has handled everything if `read` from its committed offset gives an empty page; because of holes
/// the committed offset may stay below `end` even then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first offset that can be read.
    pub earliest: Offset,
    /// The offset after the last record, and after any hole behind it.
    pub end: Offset,
    /// What the group has committed, if one was named and it has.
    pub committed: Option<Offset>,
    /// Replicas in sync now; 1 means that a produced record has a single copy (E9).
    pub in_sync: u16,
}

//! Named situations; [`interleaved`] tries all others.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sterna_proto::record::Stored;
use sterna_proto::v1::attach_down::What;
use sterna_proto::{convert, v1};
use sterna_stream::digest::Prefix;
use sterna_stream::{Cursor, Hlc, Origin, Policy, Position, Segment, StreamId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;

mod interleaved;
mod waits;

const US: &str = "us-east-1";
const EU: &str = "eu-west-1";

/// An attached shard and what it has read.
struct Reader {
    id: ShardId,
    queue: mpsc::Receiver<Down>,
    n: u64,
}

impl Reader {
    fn attach(hub: &mut Hub) -> Self {
        let (id, queue) = hub.attach();
        Self { id, queue, n: 0 }
    }

    /// What came since; `None`: the stream has ended. Numbers must be dense.
    fn read(&mut self) -> Option<Vec<What>> {
        let mut read = Vec::new();
        loop {
            match self.queue.try_recv() {
                Ok(down) => {
                    let down = down.unwrap();
                    self.n += 1;
                    assert_eq!(down.n, self.n, "E15: a hole in the numbers");
                    read.push(down.what.unwrap());
                }
                Err(mpsc::error::TryRecvError::Empty) => return Some(read),
                Err(mpsc::error::TryRecvError::Disconnected) => return (!read.is_empty()).then_some(read),
            }
        }
    }

    /// What came since, in words.
    fn words(&mut self) -> Vec<String> {
        self.read().unwrap_or_default().iter().map(words).collect()
    }

    fn join(&mut self, hub: &mut Hub, stream: &str, table: &str) {
        assert!(hub.follow(self.id, &id(stream)));
        hub.joined(self.id, &id(stream), head(table));
    }
}

pub(crate) fn words(what: &What) -> String {
    match what {
        What::Joined(joined) if joined.not_owner => format!("not owner of {}", joined.stream),
        What::Joined(joined) => format!("joined {}", convert::cursor(joined.head.as_ref()).unwrap()),
        What::Push(push) => {
            let segment = Stored::decode(push.record.clone()).unwrap().segment;
            let recheck = if push.recheck { "recheck " } else { "" };
            format!("{recheck}{}:{}", segment.origin, segment.last())
        }
        What::Ephemeral(_) => "ephemeral".into(),
        What::Resync(resync) => format!("resync {:?}", resync.partitions),
        What::Covered(covered) => format!("covered {} of {}", covered.below, covered.partition),
        What::End(ended) => format!("end {} with {}", ended.session, ended.code),
        What::Members(changed) => format!("members {}", changed.users.join(" ")),
        What::Compared(v1::Compared {}) => "compared".to_owned(),
        What::Presence(presence) => format!("{} online", presence.online),
    }
}

fn id(stream: &str) -> StreamId {
    format!("acme/chat/{stream}").parse().unwrap()
}

fn cursor(text: &str) -> Cursor {
    text.parse().unwrap()
}

fn head(text: &str) -> Head {
    Head { cursor: cursor(text), newest: Hlc(7) }
}

/// The segment of one event with this seq, resting on `member`.
pub(super) fn segment(stream: &str, origin: &str, seq: u64, member: &str) -> Segment {
    Segment {
        stream: id(stream),
        origin: origin.parse().unwrap(),
        first: seq,
        stamps: vec![Hlc(seq)].into(),
        bodies: vec![Bytes::from_static(b"x")].into(),
        from: Position { incarnation: 1, partition: 0, offset: seq },
        policy: Policy { member: cursor(member), ..Policy::default() },
        prefix: Prefix::START,
        members: Vec::new(),
        member_before: 0,
    }
}

fn push(hub: &mut Hub, segment: Segment) {
    let record = Stored::new(segment.clone()).bytes;
    hub.push(segment, record, Instant::now());
}

/// A hub that owns its only partition.
fn owner(push_queue: usize) -> Hub {
    let mut hub = Hub::new(1, push_queue);
    hub.own(0);
    hub
}

fn is_empty(hub: &Hub) -> bool {
    hub.is_idle() && hub.unensured.is_empty()
}

/// E15: heads are read while segments arrive; what arrives meanwhile is within the head, all else follows.
#[test]
fn what_is_consumed_while_heads_are_read_is_within_the_head() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    assert!(hub.follow(reader.id, &id("a")));
    push(&mut hub, segment("a", US, 6, ""));
    hub.joined(reader.id, &id("a"), head("us-east-1:5"));
    push(&mut hub, segment("a", US, 7, ""));
    assert_eq!(reader.words(), ["joined us-east-1:6", "us-east-1:7"]);
}

/// E15: `head` is never below what the instance has consumed: a mirrored segment was consumed before anybody
/// followed, the heads were read before the table had it, and it is in the table before the answer.
#[test]
fn a_segment_that_reaches_the_table_behind_the_reading_of_heads_is_within_the_head() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    let mirrored = segment("a", EU, 3, "");
    hub.arrived(&mirrored);
    push(&mut hub, mirrored);
    assert!(hub.follow(reader.id, &id("a")));
    let read_from_the_table = head("eu-west-1:2");
    hub.ensured(&id("a"));
    hub.joined(reader.id, &id("a"), read_from_the_table);
    assert_eq!(reader.words(), ["joined eu-west-1:3"]);
}

/// E16: whoever compares agrees only if it gets pushes, and has all that is in the table, was consumed or is
/// heard of, up to the newest stamp (E14, E18).
#[test]
fn who_compares_agrees_only_with_all_that_is_known() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    let agrees =
        |hub: &mut Hub, theirs: &str| hub.agrees(reader.id, &id("a"), &head(theirs), &head("us-east-1:5"));
    assert!(!agrees(&mut hub, "us-east-1:5"), "it gets no pushes");
    assert!(hub.follow(reader.id, &id("a")));
    assert!(!agrees(&mut hub, "us-east-1:5"), "nor yet");
    hub.joined(reader.id, &id("a"), head("us-east-1:5"));
    assert!(agrees(&mut hub, "us-east-1:5") && !agrees(&mut hub, "us-east-1:4"));
    push(&mut hub, segment("a", US, 6, ""));
    assert!(agrees(&mut hub, "us-east-1:6") && !agrees(&mut hub, "us-east-1:5"), "consumed");
    hub.heard_of(&segment("a", EU, 3, ""));
    assert!(agrees(&mut hub, "eu-west-1:3,us-east-1:6") && !agrees(&mut hub, "us-east-1:6"), "heard of");
    let theirs = Head { newest: Hlc(6), ..head("eu-west-1:3,us-east-1:6") };
    assert!(!hub.agrees(reader.id, &id("a"), &theirs, &head("us-east-1:5")), "a newer stamp is stored");
    assert_eq!(reader.words(), ["joined us-east-1:5", "us-east-1:6"], "nothing else was said");
}

/// E24: what waits for events of members goes out when a comparison finds them in the table.
#[test]
fn a_comparison_lets_go_what_waited_for_what_the_table_holds() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "us-east-1:5");
    push(&mut hub, segment("a", EU, 1, "us-east-1:7"));
    assert_eq!(reader.words(), ["joined us-east-1:5"]);
    let theirs = head("eu-west-1:1,us-east-1:7");
    assert!(hub.agrees(reader.id, &id("a"), &theirs, &head("us-east-1:5")));
    assert!(reader.words().is_empty(), "that a shard has it does not put it into the table");
    assert!(hub.agrees(reader.id, &id("a"), &theirs, &head("us-east-1:7")));
    assert_eq!(reader.words(), ["recheck eu-west-1:1"]);
}

/// E15: of heads that are not in the table yet a second shard learns, too.
#[test]
fn what_the_table_lacks_is_within_every_later_head() {
    let mut hub = owner(8);
    let [mut first, mut second] = [0, 1].map(|_| Reader::attach(&mut hub));
    first.join(&mut hub, "a", "");
    for seq in [1, 2] {
        hub.arrived(&segment("a", EU, seq, ""));
        push(&mut hub, segment("a", EU, seq, ""));
    }
    second.join(&mut hub, "a", "");
    assert_eq!(first.words(), ["joined ", "eu-west-1:1", "eu-west-1:2"]);
    assert_eq!(second.words(), ["joined eu-west-1:2"]);
    hub.detach(first.id);
    hub.detach(second.id);
    assert_eq!(hub.unensured.len(), 1, "kept until the table has both");
    hub.ensured(&id("a"));
    hub.ensured(&id("a"));
    assert!(is_empty(&hub));
}

/// E15: a segment that is consumed again is not pushed again.
#[test]
fn a_repeated_segment_is_counted_and_not_pushed() {
    let mut hub = owner(8);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    for seq in [1, 2, 1, 2, 3] {
        push(&mut hub, segment("a", US, seq, ""));
    }
    push(&mut hub, segment("unfollowed", US, 1, ""));
    assert_eq!(reader.words(), ["joined ", "us-east-1:1", "us-east-1:2", "us-east-1:3"]);
    let Counters { pushed, unwanted, repeated, .. } = hub.counters();
    assert_eq!((pushed, unwanted, repeated), (3, 1, 2));
}

/// E15: whoever does not own a partition says so; a change of owner is told to all, and forgets its streams.
#[test]
fn owners_answer_and_changes_of_owner_are_told() {
    let mut hub = Hub::new(1, 8);
    let mut reader = Reader::attach(&mut hub);
    assert!(!hub.follow(reader.id, &id("a")));
    hub.own(0);
    reader.join(&mut hub, "a", "us-east-1:4");
    assert!(hub.follow(reader.id, &id("b")), "its heads are being read");
    hub.disown(0);
    hub.joined(reader.id, &id("b"), head("us-east-1:1"));
    push(&mut hub, segment("a", US, 5, ""));
    assert!(is_empty(&hub));
    let told = ["not owner of acme/chat/a", "resync [0]", "joined us-east-1:4", "resync [0]"];
    assert_eq!(reader.words(), told);
    assert_eq!(hub.counters().unwanted, 1);
}

/// E15: only the partition's streams are forgotten with it.
#[test]
fn a_lost_partition_leaves_the_others_streams_alone() {
    let mut hub = Hub::new(2, 64);
    let names: Vec<String> = (0..16).map(|n| format!("s{n}")).collect();
    let (odd, even): (Vec<_>, Vec<_>) = names.iter().partition(|name| partition::of(&id(name), 2) == 1);
    assert!(!odd.is_empty() && !even.is_empty());
    hub.own(0);
    hub.own(1);
    let mut reader = Reader::attach(&mut hub);
    names.iter().for_each(|name| reader.join(&mut hub, name, ""));
    hub.disown(1);
    reader.words();
    names.iter().for_each(|name| push(&mut hub, segment(name, US, 1, "")));
    assert_eq!(reader.words().len(), even.len());
    assert!(!hub.follow(reader.id, &id(odd[0])));
}

/// E15, E16: what cannot be pushed ends that shard's stream, and no other's.
#[test]
fn a_full_queue_ends_its_shard_alone() {
    let mut hub = owner(4);
    let [mut slow, mut quick] = [0, 1].map(|_| Reader::attach(&mut hub));
    slow.join(&mut hub, "a", "");
    quick.join(&mut hub, "a", "");
    for seq in 1..=9 {
        push(&mut hub, segment("a", US, seq, ""));
        assert!(quick.read().is_some());
    }
    assert_eq!(slow.words(), ["joined ", "us-east-1:1", "us-east-1:2", "us-east-1:3"]);
    assert_eq!(slow.read(), None, "it ends behind the last that fitted");
    assert_eq!(hub.counters().overflows, 1);
    assert_eq!(hub.streams[&id("a")].live, [quick.id]);
    hub.detach(quick.id);
    assert!(is_empty(&hub));
}

/// E15: a queue may fill in the midst of anything: pushes, resyncs, joins, told positions.
#[test]
fn an_overflow_anywhere_leaves_nothing_of_the_shard_behind() {
    type Step = fn(&mut Hub, ShardId);
    let steps: [Step; 4] = [
        |hub, _| push(hub, segment("a", US, 1, "")),
        |hub, _| hub.own(0),
        |hub, shard| hub.joined(shard, &id("a"), Head::default()),
        |hub, _| hub.covered(0, v1::Covered::default()),
    ];
    for step in steps {
        let mut hub = owner(1);
        let mut reader = Reader::attach(&mut hub);
        reader.join(&mut hub, "a", "");
        step(&mut hub, reader.id);
        assert_eq!((reader.words().len(), reader.read()), (1, None));
        assert!(is_empty(&hub) && hub.shards.is_empty());
        assert_eq!(hub.counters().overflows, 1);
    }
}

/// A reader that is gone is no overflow.
#[test]
fn a_shard_that_went_away_is_not_counted_as_slow() {
    let mut hub = owner(4);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    drop(reader);
    push(&mut hub, segment("a", US, 1, ""));
    assert!(is_empty(&hub));
    assert_eq!(hub.counters().overflows, 0);
}

/// Memory is bounded by what is followed: nothing of a stream stays behind its last follower.
#[test]
fn a_stream_that_nobody_follows_is_forgotten() {
    let mut hub = owner(64);
    let [mut one, mut other] = [0, 1].map(|_| Reader::attach(&mut hub));
    one.join(&mut hub, "a", "");
    other.join(&mut hub, "a", "");
    assert!(other.read().is_some() && hub.follow(other.id, &id("b")));
    hub.unfollow(one.id, &id("a"));
    push(&mut hub, segment("a", US, 1, ""));
    assert_eq!(one.words(), ["joined "]);
    assert_eq!(other.words(), ["us-east-1:1"]);
    hub.unfollow(other.id, &id("a"));
    assert_eq!(hub.streams.len(), 1, "heads of b are being read");
    hub.unfollow(other.id, &id("b"));
    hub.joined(other.id, &id("b"), Head::default());
    hub.unfollow(other.id, &id("never-followed"));
    assert!(is_empty(&hub));
    assert_eq!(other.words(), [""; 0]);
}

/// E9: whoever is attached is told, whatever it follows, and whoever attaches later is told the newest; of a
/// partition that is another instance's now that one tells.
#[test]
fn what_is_covered_is_told_to_every_shard_and_again_when_one_attaches() {
    let mut hub = owner(8);
    let covered = |below| v1::Covered { partition: 0, incarnation: 1, below };
    let mut readers = [0, 1, 2].map(|_| Reader::attach(&mut hub));
    hub.covered(0, covered(8));
    hub.covered(0, covered(9));
    for reader in &mut readers {
        assert_eq!(reader.words(), ["covered 8 of 0", "covered 9 of 0"]);
    }
    assert_eq!(Reader::attach(&mut hub).words(), ["covered 9 of 0"]);
    hub.disown(0);
    assert_eq!(Reader::attach(&mut hub).words(), [""; 0]);
}

/// E19: ephemerals never cost anybody an event: a queue that is half full takes none.
#[test]
fn ephemerals_are_shed_first() {
    let mut hub = owner(4);
    let mut reader = Reader::attach(&mut hub);
    reader.join(&mut hub, "a", "");
    let ephemeral = v1::Ephemeral { stream: id("a").to_string(), ..v1::Ephemeral::default() };
    (0..5).for_each(|_| hub.ephemeral(&ephemeral));
    (1..=1).for_each(|seq| push(&mut hub, segment("a", US, seq, "")));
    assert_eq!(reader.words(), ["joined ", "ephemeral", "ephemeral", "us-east-1:1"]);
    let Counters { shed, overflows, .. } = hub.counters();
    assert_eq!((shed, overflows), (3, 0));
}

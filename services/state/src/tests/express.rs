//! The express lane, in paused time: a peer's state played by the test, on either side of it.

use std::collections::BTreeSet;

use sterna_storage::Tails;
use sterna_storage::control::raise_incarnation;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::ensure::{Counters, GRACE};
use crate::express::SILENCE;
use crate::lives::LOOK;

mod outgoing;

/// A state of another region that sends.
struct Sender {
    carries: mpsc::Sender<v1::Carry>,
    news: tonic::Streaming<v1::Carried>,
    wanted: BTreeSet<String>,
}

impl Sender {
    async fn dial(instance: &Instance, keys: &CallerKeys, role: &str, region: &str) -> Result<Self, Status> {
        let (carries, queue) = mpsc::channel(4_096);
        let peer = Process::new("peer", 1, Arc::new(ManualClock::new(NOW)));
        let link = instance.link.called_by(&peer, &Caller::new(role, region).unwrap(), keys);
        let news = StateClient::new(link).express(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { carries, news, wanted: BTreeSet::new() })
    }

    async fn of(world: &World, instance: &Instance) -> Self {
        Self::dial(instance, &world.keys, "state", EU).await.unwrap()
    }

    async fn carry(&self, stored: &Stored) {
        self.carries.send(v1::Carry { record: stored.bytes.clone() }).await.unwrap();
    }

    /// Keeps the lane alive for so long, and takes in what it is told; `false`: it was ended.
    async fn live(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(end) => return true,
                news = self.news.message() => match news {
                    Ok(Some(news)) => {
                        self.wanted.extend(news.follow);
                        news.unfollow.iter().for_each(|stream| assert!(self.wanted.remove(stream)));
                    }
                    _ => return false,
                },
                _ = beat.tick() => drop(self.carries.send(v1::Carry::default()).await),
            }
        }
    }

    async fn wanted(&mut self) -> Vec<&str> {
        assert!(self.live(Duration::from_millis(500)).await, "the lane was ended");
        self.wanted.iter().map(String::as_str).collect()
    }
}

/// A world whose shard follows the stream, and a peer that knows it.
async fn joined() -> (World, Instance, Shard, Sender) {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    let mut sender = Sender::of(&world, &instance).await;
    assert_eq!(sender.wanted().await, [STREAM]);
    (world, instance, shard, sender)
}

/// E15: a peer is told the union of what the shards follow: all of it when it comes, then what changes.
#[tokio::test(start_paused = true)]
async fn a_peer_is_told_the_union_of_interest() {
    let (world, instance, shard, mut sender) = joined().await;
    let mut second = world.shard(&instance, STREAM).await;
    let many: Vec<String> = (0..1_000).map(|n| format!("acme/chat/s{n:03}")).collect();
    second.wish(Wish::Follow(v1::Streams { streams: many.clone() })).await;
    second.told(1_001).await;
    assert_eq!(sender.wanted().await.len(), 1_001);
    let mut later = Sender::of(&world, &instance).await;
    assert_eq!(later.wanted().await.len(), 1_001);
    drop(shard);
    assert_eq!(sender.wanted().await.len(), 1_001, "one of two has left");
    second.wish(Wish::Unfollow(v1::Streams { streams: many })).await;
    assert_eq!(sender.wanted().await, [STREAM]);
    drop(second);
    assert_eq!(sender.wanted().await, [""; 0]);
    assert_eq!(later.wanted().await, [""; 0]);
}

/// E19, E20, E21: a segment is shown when it comes by express, is put into the table though no mirror brings
/// it, and is in no watermark; the mirror's copy is shown to nobody again, and counted.
#[tokio::test(start_paused = true)]
async fn what_comes_by_express_is_shown_put_and_not_counted() {
    let (world, instance, mut shard, sender) = joined().await;
    let stored = Chain::of(EU).next();
    sender.carry(&stored).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
    assert_eq!(world.in_table(&stored).await, None, "replication has its grace time");
    sleep(GRACE + Duration::from_secs(1)).await;
    assert_eq!(world.in_table(&stored).await, Some(stored.bytes.clone()));
    let counted = |mark: v1::Mark| mark.watermarks.iter().find(|w| w.origin == EU).map_or(0, |w| w.n);
    assert_eq!(world.marks().await.pop().map(counted), Some(0));
    let offset = world.mirrored(&stored).await;
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    until("the mark", async || world.marks().await.pop().map(counted) == Some(1)).await;
    assert_eq!(shard.told_within(Duration::from_secs(1)).await, [""; 0]);
    assert_eq!(instance.state.express().shown, 1);
}

/// E20: what express brought is in its tail, and leaves it only when it is readable in the table.
#[tokio::test(start_paused = true)]
async fn what_comes_by_express_is_kept_in_its_tail() {
    let (world, _instance, mut shard, sender) = joined().await;
    world.faults.set_down(true);
    let mut chain = Chain::of(EU);
    let made = [chain.next(), chain.next()];
    for stored in &made {
        sender.carry(stored).await;
    }
    shard.told(2).await;
    sleep(Duration::from_secs(10)).await;
    let tails = world.tails.read(&STREAM.parse().unwrap(), &Cursor::new(), usize::MAX).await.unwrap();
    let kept: Vec<Bytes> = tails[0].entries.iter().map(|entry| entry.bytes.clone()).collect();
    assert_eq!(kept, made.map(|stored| stored.bytes));
}

/// E19: behind a gap nothing is shown before the mirror has filled it; then all is, each once, in order.
#[tokio::test(start_paused = true)]
async fn behind_a_gap_express_waits_for_the_mirror() {
    let (world, instance, mut shard, mut sender) = joined().await;
    let mut chain = Chain::of(EU);
    let made: Vec<Stored> = (0..5).map(|_| chain.next()).collect();
    for at in [1, 3, 4, 1] {
        sender.carry(&made[at]).await;
    }
    assert!(sender.live(Duration::from_secs(3)).await);
    assert_eq!(shard.told_within(Duration::from_millis(100)).await, [""; 0]);
    world.mirrored(&made[0]).await;
    assert_eq!(shard.told(2).await, ["eu-west-1:1", "eu-west-1:2"]);
    for stored in &made[1..] {
        world.mirrored(stored).await;
    }
    assert_eq!(shard.told(3).await, ["eu-west-1:3", "eu-west-1:4", "eu-west-1:5"]);
    sender.carry(&made[2]).await;
    assert!(sender.live(Duration::from_secs(1)).await);
    assert_eq!(shard.told_within(Duration::from_secs(1)).await, [""; 0]);
    assert_eq!(instance.state.express().late, 1);
}

/// E19: express accepts segments of the authenticated peer's region only; who sends others is cut off. Only
/// states of peer regions may call at all, and nobody where express is turned off.
#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_but_the_peers_own_segments() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let refused = async |role: &str, region: &str| {
        Sender::dial(&instance, &world.keys, role, region).await.map(|_| ()).unwrap_err().code()
    };
    for (role, region) in [("gateway", EU), ("messaging", EU), ("state", US), ("state", "ap-southeast-1")] {
        assert_eq!(refused(role, region).await, tonic::Code::PermissionDenied, "{role} of {region}");
    }
    let strangers = [US, "ap-southeast-1"].map(|origin| Chain::of(origin).next().bytes);
    let mark = sterna_proto::record::encode_mark(v1::Mark { origin: EU.into(), ..v1::Mark::default() });
    for record in strangers.into_iter().chain([mark, Bytes::from_static(b"\xffnothing")]) {
        let mut sender = Sender::of(&world, &instance).await;
        sender.carries.send(v1::Carry { record }).await.unwrap();
        assert!(!sender.live(Duration::from_secs(2)).await, "the lane is ended");
    }
    assert_eq!(shard.told_within(Duration::from_secs(1)).await, [""; 0]);
    assert_eq!(instance.state.express().refused, 4);
    world.config.express = false;
    let off = world.start();
    let refused = Sender::dial(&off, &world.keys, "state", EU).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
}

/// E1, E19: of a life that is not followed here yet nothing is taken, and no lane is ended for it: once it is
/// followed its mirror brings what was left out, in order with what express brings then.
#[tokio::test(start_paused = true)]
async fn a_life_that_is_not_followed_yet_is_left_to_its_mirror() {
    let (world, instance, mut shard, mut sender) = joined().await;
    let mut sequencer = Chain::of("eu-west-1~2");
    let (early, later) = (sequencer.next(), sequencer.next());
    sender.carry(&early).await;
    assert!(sender.live(Duration::from_secs(2)).await, "the lane goes on");
    assert_eq!(shard.told_within(Duration::from_secs(1)).await, [""; 0]);
    assert_eq!((instance.state.express().refused, instance.state.express().unwanted), (0, 1));
    let [witness, peer] = [US, EU].map(|name| name.parse().unwrap());
    raise_incarnation(&*world.table, &witness, &peer, 1).await.unwrap();
    let topic: Topic = "eu-west-1.sterna-log-g2".parse().unwrap();
    world.log.create(&topic, 1);
    assert!(sender.live(2 * LOOK).await);
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "], "whoever follows joins anew");
    sender.carry(&later).await;
    assert!(sender.live(Duration::from_secs(1)).await);
    world.produce(&topic, 0, early.bytes, Some(placed(1, 1))).await;
    assert_eq!(shard.told(2).await, ["eu-west-1~2:1", "eu-west-1~2:2"]);
    assert_eq!(instance.state.express().shown, 1);
}

/// E18: what express told of before the mirror brought what comes in between is known to whoever joins then,
/// and is not in the head: a device that has all of the head is not told that it is caught up.
#[tokio::test(start_paused = true)]
async fn what_express_told_of_is_known_and_not_yet_served() {
    let (world, instance, mut shard, sender) = joined().await;
    let mut sequencer = Chain::of(EU);
    let (first, second) = (sequencer.next(), sequencer.next());
    sender.carry(&second).await;
    assert_eq!(shard.told_within(Duration::from_secs(1)).await, [""; 0]);
    let joined = async || loop {
        let mut late = world.shard(&instance, STREAM).await;
        if let Some(What::Joined(joined)) = late.next().await {
            let cursor = |cursor: &Option<v1::Cursor>| {
                sterna_proto::convert::cursor(cursor.as_ref()).unwrap().to_string()
            };
            return (cursor(&joined.head), cursor(&joined.known));
        }
    };
    assert_eq!(joined().await, (String::new(), format!("{EU}:2")));
    world.mirrored(&first).await;
    assert_eq!(shard.told(2).await, ["eu-west-1:1", "eu-west-1:2"]);
    assert_eq!(joined().await, (format!("{EU}:2"), format!("{EU}:2")));
}

/// E19: if the mirror brings other bytes, the mirror's stand in tail and table, and an alarm is raised.
#[tokio::test(start_paused = true)]
async fn on_a_difference_the_mirror_wins_and_an_alarm_is_raised() {
    let (world, instance, mut shard, sender) = joined().await;
    let (mut one, mut other) = (Chain::of(EU), Chain::of(EU));
    let (expressed, mirrored) = (one.next(), other.resting(&[], "us-east-1:0"));
    let mirrored = Stored::new(Segment { stamps: vec![Hlc::at(NOW + 7)].into(), ..mirrored.segment });
    assert_ne!(expressed.bytes, mirrored.bytes);
    sender.carry(&expressed).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
    let offset = world.mirrored(&mirrored).await;
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    assert_eq!(instance.state.express().differing, 1);
    assert_eq!(world.in_table(&mirrored).await, Some(mirrored.bytes.clone()));
    let tails = world.tails.read(&STREAM.parse().unwrap(), &Cursor::new(), usize::MAX).await.unwrap();
    assert_eq!(tails[0].entries[0].bytes, mirrored.bytes);
    let unread = instance.state.0.hub.lock().next(&STREAM.parse().unwrap(), &EU.parse().unwrap());
    assert_eq!(unread, Some(2), "nothing is shown twice");
}

/// E19, E23: if what express brought stands in the table when the mirror brings other bytes, that is a fork:
/// alarmed, counted, never overwritten; the tail does not contradict the table, and nothing is held up.
#[tokio::test(start_paused = true)]
async fn a_difference_that_comes_late_is_a_fork() {
    let (world, instance, mut shard, mut sender) = joined().await;
    let (mut one, mut other) = (Chain::of(EU), Chain::of(EU));
    let (expressed, mirrored) = (one.next(), other.resting(&[], "us-east-1:0"));
    let mirrored = Stored::new(Segment { stamps: vec![Hlc::at(NOW + 7)].into(), ..mirrored.segment });
    sender.carry(&expressed).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
    assert!(sender.live(GRACE + Duration::from_secs(1)).await);
    assert_eq!(world.in_table(&expressed).await, Some(expressed.bytes.clone()));
    assert_eq!(instance.state.ensured(), Counters { held: 1, ..Counters::default() });
    let offset = world.mirrored(&mirrored).await;
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    assert_eq!(instance.state.ensured(), Counters { held: 1, forks: 1, recovered: 0 });
    assert_eq!(world.in_table(&expressed).await, Some(expressed.bytes.clone()), "nothing is overwritten");
    let tails = world.tails.read(&STREAM.parse().unwrap(), &Cursor::new(), usize::MAX).await.unwrap();
    assert!(tails.iter().flat_map(|part| &part.entries).all(|entry| entry.bytes == expressed.bytes));
}

/// E20: an instance that dies before it put into the table what express brought leaves it in the tail; the
/// next one puts it, shows it, and goes on behind it, though no mirror ever brings it.
#[tokio::test(start_paused = true)]
async fn what_express_brought_outlives_the_instance_that_showed_it() {
    let (mut world, instance, mut shard, sender) = joined().await;
    let mut chain = Chain::of(EU);
    let made = [chain.next(), chain.next(), chain.next()];
    for stored in &made[..2] {
        sender.carry(stored).await;
    }
    assert_eq!(shard.told(2).await, ["eu-west-1:1", "eu-west-1:2"]);
    instance.process.kill();
    assert_eq!(world.in_table(&made[0]).await, None, "it was within its grace time");
    let next = world.start();
    let mut shard = world.shard(&next, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined eu-west-1:2"]);
    let mut sender = Sender::of(&world, &next).await;
    assert_eq!(sender.wanted().await, [STREAM]);
    sender.carry(&made[2]).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:3"]);
    assert!(sender.live(GRACE + Duration::from_secs(1)).await);
    for stored in &made {
        assert_eq!(world.in_table(stored).await, Some(stored.bytes.clone()));
    }
    assert_eq!(next.state.ensured(), Counters { held: 3, forks: 0, recovered: 2 });
    for stored in &made {
        world.mirrored(stored).await;
    }
    assert!(sender.live(Duration::from_secs(2)).await);
    assert_eq!(shard.told_within(Duration::from_millis(100)).await, [""; 0], "nothing is shown again");
}

/// E24: a member segment that comes by express stands in the table before it is shown; what follows it,
/// whichever way, does not overtake it, and other partitions go on.
#[tokio::test(start_paused = true)]
async fn a_member_segment_by_express_stands_in_the_table_before_it_is_shown() {
    let (world, _instance, mut shard, mut sender) = joined().await;
    let mut chain = Chain::of(EU);
    let (member, after, last) = (chain.member(), chain.next(), chain.next());
    world.faults.set_down(true);
    sender.carry(&member).await;
    sender.carry(&after).await;
    assert!(sender.live(Duration::from_secs(3)).await);
    for stored in [&member, &after, &last] {
        world.mirrored(stored).await;
    }
    assert!(sender.live(Duration::from_secs(20)).await);
    assert_eq!(shard.told_within(Duration::from_millis(100)).await, [""; 0]);
    world.faults.set_down(false);
    assert_eq!(shard.told(3).await, ["eu-west-1:1", "eu-west-1:2", "eu-west-1:3"]);
    assert_eq!(world.in_table(&member).await, Some(member.bytes));
}

/// E24: what rests on member events that this region does not hold waits, though it came by express.
#[tokio::test(start_paused = true)]
async fn what_comes_by_express_does_not_overtake_what_it_rests_on() {
    let (world, _instance, mut shard, mut sender) = joined().await;
    let (mut home, mut away) = (Chain::of(US), Chain::of(EU));
    sender.carry(&away.resting(&[], "us-east-1:1")).await;
    assert!(sender.live(Duration::from_secs(3)).await);
    assert_eq!(shard.told_within(Duration::from_millis(100)).await, [""; 0]);
    world.sequenced(&home.member()).await;
    assert_eq!(shard.told(2).await, ["us-east-1:1", "eu-west-1:1"]);
}

/// G9: a peer that says nothing is a broken lane; nothing of it is kept.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let (_world, _instance, _shard, mut sender) = joined().await;
    assert!(sender.live(3 * SILENCE).await);
    let news = async { while let Ok(Some(_)) = sender.news.message().await {} };
    let ended = tokio::time::timeout(SILENCE + Duration::from_secs(2), news).await;
    assert!(ended.is_ok(), "the lane is ended");
}

/// G9: more than the table can be sure of is left to the mirror, which still brings all of it.
#[tokio::test(start_paused = true)]
async fn what_is_too_much_for_express_comes_by_the_mirror() {
    let (world, instance, mut shard, mut sender) = joined().await;
    world.faults.set_down(true);
    let mut chain = Chain::of(EU);
    let made: Vec<Stored> = (0..1_500).map(|_| chain.next()).collect();
    for stored in &made {
        sender.carry(stored).await;
        tokio::task::yield_now().await;
    }
    assert!(sender.live(Duration::from_secs(2)).await);
    let shown = instance.state.express().shown;
    assert!((1..1_500).contains(&shown), "{shown}");
    world.faults.set_down(false);
    for stored in &made {
        world.mirrored(stored).await;
    }
    let told = shard.told(1_500).await;
    assert!(told.iter().enumerate().all(|(at, what)| *what == format!("eu-west-1:{}", at + 1)));
}

//! In paused time: what this region's state sends, to a peer's that the test plays.

use futures_util::Stream;
use sterna_proto::v1::state_server::{State as Service, StateServer};
use sterna_stream::limits::{EXPRESS_QUEUE, EXPRESS_RECENT_MS};
use tonic::service::Routes;
use tonic::{Request, Response, Streaming};

use super::*;

/// One lane, the receiver's side. Dropping it ends it.
struct Lane {
    carries: Streaming<v1::Carry>,
    news: mpsc::Sender<Result<v1::Carried, Status>>,
}

/// A peer's state, which hands over each lane that is opened to it.
struct Far(mpsc::Sender<Lane>);

#[tonic::async_trait]
impl Service for Far {
    type AttachStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::AttachDown, Status>> + Send>>;

    async fn attach(
        &self,
        _: Request<Streaming<v1::AttachUp>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        Err(Status::unimplemented("nobody attaches to a peer"))
    }

    type ExpressStream = ReceiverStream<Result<v1::Carried, Status>>;

    async fn express(
        &self,
        request: Request<Streaming<v1::Carry>>,
    ) -> Result<Response<Self::ExpressStream>, Status> {
        let caller = Caller::of(&request)?;
        assert_eq!((caller.role(), caller.region()), ("state", US));
        let (news, queue) = mpsc::channel(64);
        self.0.send(Lane { carries: request.into_inner(), news }).await.unwrap();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

impl Lane {
    async fn tell(&self, follow: &[&str], unfollow: &[&str]) {
        let names = |streams: &[&str]| streams.iter().map(ToString::to_string).collect();
        self.news.send(Ok(v1::Carried { follow: names(follow), unfollow: names(unfollow) })).await.unwrap();
    }

    /// What comes within `time`, while this side says that it lives.
    async fn carried(&mut self, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut carried = Vec::new();
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(end) => return carried,
                _ = beat.tick() => drop(self.news.send(Ok(v1::Carried::default())).await),
                carry = self.carries.message() => match carry {
                    Ok(Some(carry)) if carry.record.is_empty() => {}
                    Ok(Some(carry)) => {
                        let segment = Stored::decode(carry.record).unwrap().segment;
                        carried.push(format!("{} {}:{}", segment.stream, segment.origin, segment.last()));
                    }
                    _ => return carried,
                },
            }
        }
    }
}

/// A world with a peer instance of another region, and the lanes that are opened to it.
fn world() -> (World, mpsc::Receiver<Lane>, Process) {
    let mut world = World::new();
    let (opened, lanes) = mpsc::channel(16);
    let far = Process::new("far", 1, Arc::new(ManualClock::new(NOW)));
    let routes = require_caller(Routes::new(StateServer::new(Far(opened))), &world.keys);
    let caller = Process::new("us", 1, Arc::new(ManualClock::new(NOW)));
    let identity = Caller::new("state", US).unwrap();
    let link = Link::direct(&far, routes).called_by(&caller, &identity, &world.keys);
    world.peers = vec![Peer { region: EU.parse().unwrap(), link }];
    (world, lanes, far)
}

/// The next lane that is opened.
async fn opened(lanes: &mut mpsc::Receiver<Lane>) -> Lane {
    tokio::time::timeout(Duration::from_secs(60), lanes.recv()).await.expect("a lane is opened").unwrap()
}

/// E19: what is read back from the own log goes to whoever wants its stream, and nothing else does: not what
/// a mirror brought, not what the table alone holds, not what another life of this region wrote.
#[tokio::test(start_paused = true)]
async fn only_own_segments_of_wanted_streams_are_sent() {
    let (mut world, mut lanes, _far) = world();
    let instance = world.start();
    let mut lane = opened(&mut lanes).await;
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let (mut own, mut other) = (Chain::of(US), Chain::in_stream(US, "acme/chat/other"));
    world.sequenced(&own.next()).await;
    assert_eq!(lane.carried(Duration::from_secs(3)).await, [""; 0], "nobody wanted it");
    lane.tell(&[STREAM], &[]).await;
    assert_eq!(lane.carried(Duration::from_millis(100)).await, [""; 0], "nobody wanted it in time");
    world.sequenced(&own.next()).await;
    world.sequenced(&other.next()).await;
    world.mirrored(&Chain::of(EU).next()).await;
    let unlogged = own.next();
    world.put(&unlogged, unlogged.bytes.clone()).await;
    let former = Chain::of("us-east-1~2").next();
    world.produce(&world.config.log, 0, former.bytes, None).await;
    let expected = format!("{STREAM} us-east-1:2");
    assert_eq!(lane.carried(Duration::from_secs(3)).await, [expected]);
    lane.tell(&["acme/chat/other"], &[STREAM]).await;
    lane.carried(Duration::from_millis(100)).await;
    world.sequenced(&own.next()).await;
    world.sequenced(&other.next()).await;
    assert_eq!(lane.carried(Duration::from_secs(2)).await, ["acme/chat/other us-east-1:2"]);
    assert_eq!(instance.state.express().sent, 2);
}

/// E19: the news that a stream is wanted takes its time: what was read back of it meanwhile is sent on it,
/// once, in order, ahead of what is read back then; and nothing of what is older, another's, or not of this
/// life.
#[tokio::test(start_paused = true)]
async fn whoever_begins_to_want_a_stream_is_sent_what_is_recent() {
    let (mut world, mut lanes, _far) = world();
    let instance = world.start();
    let mut lane = opened(&mut lanes).await;
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let (mut own, mut other) = (Chain::of(US), Chain::in_stream(US, "acme/chat/other"));
    world.sequenced(&own.next()).await;
    lane.carried(Duration::from_millis(EXPRESS_RECENT_MS + 500)).await;
    for _ in 0..2 {
        world.sequenced(&own.next()).await;
        world.sequenced(&other.next()).await;
    }
    world.mirrored(&Chain::of(EU).next()).await;
    world.produce(&world.config.log, 0, Chain::of("us-east-1~2").next().bytes, None).await;
    assert_eq!(lane.carried(Duration::from_millis(500)).await, [""; 0], "nobody wanted it");
    lane.tell(&[STREAM, STREAM], &[]).await;
    sleep(Duration::from_millis(100)).await;
    world.sequenced(&own.next()).await;
    let expected = [2, 3, 4].map(|seq| format!("{STREAM} us-east-1:{seq}"));
    assert_eq!(lane.carried(Duration::from_millis(500)).await, expected);
    lane.tell(&[STREAM], &[]).await;
    assert_eq!(lane.carried(Duration::from_millis(500)).await, [""; 0], "it was wanted before");
    assert_eq!(instance.state.express().sent, 3);
}

/// G9, E29: what is recent takes half of a lane's queue at most, whatever a peer asks for how often; the
/// rest is left to what comes now.
#[tokio::test(start_paused = true)]
async fn what_is_recent_leaves_room_for_what_comes_now() {
    let (mut world, mut lanes, _far) = world();
    let instance = world.start();
    let mut lane = opened(&mut lanes).await;
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let mut own = Chain::of(US);
    for _ in 0..EXPRESS_QUEUE {
        world.sequenced(&own.next()).await;
    }
    shard.told(EXPRESS_QUEUE).await;
    lane.tell(&[STREAM], &[]).await;
    sleep(Duration::from_millis(100)).await;
    let first = instance.state.express();
    // Heartbeats take places, too.
    let half = EXPRESS_QUEUE as u64 / 2;
    assert!((half - 5..=half).contains(&first.sent), "{first:?}");
    assert_eq!(first.sent + first.dropped, EXPRESS_QUEUE as u64);
    for _ in 0..20 {
        lane.tell(&[STREAM], &[STREAM]).await;
    }
    sleep(Duration::from_millis(100)).await;
    let dropped = instance.state.express().dropped;
    world.sequenced(&own.next()).await;
    shard.told(1).await;
    assert_eq!(instance.state.express().dropped, dropped, "there is room for what comes now");
    let sent = instance.state.express().sent;
    assert_eq!(lane.carried(Duration::from_secs(1)).await.len() as u64, sent);
}

/// E19: a peer that reads slowly costs its own express, and nobody else anything: what its queue has no room
/// for is dropped and counted, and the own shards get everything at once.
#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_dropped_for_and_holds_up_nobody() {
    let (mut world, mut lanes, _far) = world();
    let instance = world.start();
    let mut lane = opened(&mut lanes).await;
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    lane.tell(&[STREAM], &[]).await;
    sleep(Duration::from_millis(100)).await;
    let mut chain = Chain::of(US);
    for _ in 0..3_000 {
        world.sequenced(&chain.next()).await;
    }
    assert_eq!(shard.told(3_000).await.last().unwrap(), "us-east-1:3000");
    let counted = instance.state.express();
    assert_eq!(counted.sent + counted.dropped, 3_000);
    assert!(counted.dropped >= 1_000, "{counted:?}");
    let carried = lane.carried(Duration::from_secs(2)).await;
    assert_eq!(carried.len() as u64, counted.sent, "what is in the queue comes, once the peer reads");
}

/// G9: a lane that is ended, or whose other side falls silent, is opened again, and told what is wanted anew.
#[tokio::test(start_paused = true)]
async fn a_broken_or_silent_lane_is_opened_again() {
    let (mut world, mut lanes, far) = world();
    let instance = world.start();
    let mut chain = Chain::of(US);
    drop(opened(&mut lanes).await);
    let silent = opened(&mut lanes).await;
    silent.tell(&[STREAM], &[]).await;
    let began = Instant::now();
    let mut lane = opened(&mut lanes).await;
    assert!((SILENCE..2 * SILENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
    world.sequenced(&chain.next()).await;
    assert_eq!(lane.carried(Duration::from_secs(1)).await, [""; 0], "wishes die with their lane");
    lane.tell(&[STREAM], &[]).await;
    lane.carried(Duration::from_millis(100)).await;
    world.sequenced(&chain.next()).await;
    assert_eq!(lane.carried(Duration::from_secs(1)).await.len(), 1);
    far.pause(true);
    sleep(Duration::from_secs(60)).await;
    far.pause(false);
    drop(lane);
    // After a pause of the whole peer, too.
    drop(opened(&mut lanes).await);
    assert!(instance.state.express().sent >= 1);
}

/// E19: where it is turned off no lane is opened.
#[tokio::test(start_paused = true)]
async fn a_region_without_express_opens_no_lane() {
    let (mut world, mut lanes, _far) = world();
    world.config.express = false;
    let _instance = world.start();
    assert!(tokio::time::timeout(Duration::from_secs(60), lanes.recv()).await.is_err());
}

//! One shard's stream.

use super::*;

/// E32: interest and live events are for gateways, those of this region.
#[tokio::test(start_paused = true)]
async fn only_a_gateway_may_attach() {
    let mut world = World::new();
    let instance = world.start();
    let here = ["state", "messaging", "notification", "client"].map(|role| (role, US));
    for (role, region) in here.into_iter().chain([("gateway", EU), ("gateway", "us-east-2")]) {
        let refused = Shard::of(&instance, &world.keys, role, region).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{role} of {region}");
    }
    assert!(Shard::attach(&instance, &world.keys, "gateway").await.is_ok());
}

/// E15: a shard joins at what the table holds, and gets what the own log brings.
#[tokio::test(start_paused = true)]
async fn a_shard_joins_at_the_tables_head() {
    let mut world = World::new();
    let mut chain = Chain::of(US);
    for _ in 0..3 {
        world.sequenced(&chain.next()).await;
    }
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined us-east-1:3"]);
    world.sequenced(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["us-east-1:4"]);
}

/// A shard that has joined a stream of one event.
async fn joined() -> (World, Chain, Instance, Shard) {
    let mut world = World::new();
    let mut chain = Chain::of(US);
    world.sequenced(&chain.next()).await;
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined us-east-1:1"]);
    (world, chain, instance, shard)
}

/// How far a shard says that it has the stream.
fn compare(head: &str) -> Wish {
    compare_each(&[(STREAM, head, false)])
}

/// The same of several streams, each with whether the table was looked into lately.
fn compare_each(heads: &[(&str, &str, bool)]) -> Wish {
    let head = |&(stream, head, looked_lately): &(&str, &str, bool)| {
        let head = sterna_proto::convert::cursor_field(&head.parse().unwrap());
        v1::HeadOf { stream: stream.into(), head, newest: u64::MAX, looked_lately }
    };
    Wish::Compare(v1::Heads { heads: heads.iter().map(head).collect() })
}

/// E16: a comparison is answered by what is more than the shard has, and by nothing else; by the table, which
/// may hold what was consumed by nobody.
#[tokio::test(start_paused = true)]
async fn a_comparison_tells_only_of_what_goes_further_here() {
    let (world, mut chain, _instance, mut shard) = joined().await;
    for _ in 0..2 {
        shard.wish(compare("us-east-1:1")).await;
        assert_eq!(shard.told(1).await, ["compared"]);
    }
    world.sequenced(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["us-east-1:2"]);
    for behind in ["us-east-1:1", ""] {
        shard.wish(compare(behind)).await;
        assert_eq!(shard.told(2).await, ["joined us-east-1:2", "compared"]);
    }
    let third = chain.next();
    world.put(&third, third.bytes.clone()).await;
    shard.wish(compare("us-east-1:2")).await;
    assert_eq!(shard.told(2).await, ["joined us-east-1:3", "compared"]);
    shard.wish(compare("us-east-1:3")).await;
    assert_eq!(shard.told(1).await, ["compared"]);
}

/// E16: where the table was looked into lately, what was consumed decides, and the looks of the others are
/// theirs alone.
#[tokio::test(start_paused = true)]
async fn a_comparison_without_a_look_into_the_table_tells_of_what_was_consumed() {
    let (world, mut chain, instance, mut shard) = joined().await;
    const QUIET: &str = "acme/chat/quiet";
    shard.wish(Wish::Follow(v1::Streams { streams: vec![QUIET.into()] })).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    world.sequenced(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["us-east-1:2"]);
    shard.wish(compare_each(&[(STREAM, "us-east-1:1", true), (QUIET, "", false)])).await;
    assert_eq!(shard.told(2).await, ["joined us-east-1:2", "compared"]);
    let third = chain.next();
    world.put(&third, third.bytes.clone()).await;
    world.faults.set_down(true);
    shard.wish(compare_each(&[(STREAM, "us-east-1:2", true), (QUIET, "", true)])).await;
    assert_eq!(shard.told(1).await, ["compared"], "the table is not asked");
    world.faults.set_down(false);
    shard.wish(compare_each(&[(QUIET, "", true), (STREAM, "us-east-1:2", false), (QUIET, "", false)])).await;
    assert_eq!(shard.told(2).await, ["joined us-east-1:3", "compared"]);
    instance.state.0.hub.lock().unfollow(1, &QUIET.parse().unwrap());
    shard.wish(compare_each(&[(QUIET, "", true)])).await;
    assert_eq!(shard.told(2).await, ["joined ", "compared"], "it gets no pushes");
}

/// E16: whoever compares what it does not follow here follows it from then on.
#[tokio::test(start_paused = true)]
async fn a_comparison_of_what_is_not_followed_follows_it() {
    let (world, mut chain, _instance, mut shard) = joined().await;
    shard.wish(Wish::Unfollow(v1::Streams { streams: vec![STREAM.into()] })).await;
    shard.wish(compare("us-east-1:1")).await;
    assert_eq!(shard.told(2).await, ["joined us-east-1:1", "compared"]);
    world.sequenced(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["us-east-1:2"]);
}

/// E16: streams that another instance owns are that one's to compare; who asks is answered all the same.
#[tokio::test(start_paused = true)]
async fn a_comparison_of_what_another_instance_owns_is_answered_alone() {
    let (world, _chain, instance, mut shard) = joined().await;
    let at = partition::of(&STREAM.parse().unwrap(), world.config.partitions);
    instance.state.0.hub.lock().disown(at);
    assert_eq!(shard.told(1).await, [format!("resync [{at}]")]);
    shard.wish(compare("")).await;
    assert_eq!(shard.told(1).await, ["compared"]);
}

/// E15: heads that cannot be read end the stream, never are an empty answer; the shard comes again.
#[tokio::test(start_paused = true)]
async fn a_shard_whose_heads_cannot_be_read_is_cut_off() {
    let mut world = World::new();
    let instance = world.start();
    world.faults.set_down(true);
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told_within(Duration::from_secs(60)).await, [""; 0]);
    assert!(shard.next().await.is_none());
    assert_eq!(world.faults.taken().failed, 3, "it was tried three times");
    assert!(instance.state.0.hub.lock().is_idle());
    world.faults.set_down(false);
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "]);
}

/// E15: what is not wanted any more while its heads are read is not pushed, and forgotten.
#[tokio::test(start_paused = true)]
async fn an_unfollow_during_a_pending_follow_ends_it() {
    let mut world = World::new();
    let instance = world.start();
    let slow = Duration::from_secs(1);
    world.faults.set_chances(Chances { delay_min: slow, delay_max: slow, ..Chances::default() });
    let mut shard = world.shard(&instance, STREAM).await;
    shard.wish(Wish::Unfollow(v1::Streams { streams: vec![STREAM.into()] })).await;
    let mut chain = Chain::of(US);
    sleep(Duration::from_millis(500)).await;
    world.sequenced(&chain.next()).await;
    until("the join", async || instance.state.0.hub.lock().is_idle()).await;
    world.sequenced(&chain.next()).await;
    assert_eq!(shard.told_within(Duration::from_secs(10)).await, ["joined us-east-1:1"]);
}

/// E15: a shard that goes away, or whose stream is dropped, leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_shard_that_ends_is_forgotten() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    drop(shard);
    until("nothing of it", async || instance.state.0.hub.lock().is_idle()).await;
}

/// E19: an ephemeral reaches everybody who follows its stream here.
#[tokio::test(start_paused = true)]
async fn an_ephemeral_reaches_the_streams_followers() {
    let mut world = World::new();
    let instance = world.start();
    let mut shards = [world.shard(&instance, STREAM).await, world.shard(&instance, STREAM).await];
    for shard in &mut shards {
        shard.told(1).await;
    }
    let ephemeral = v1::Ephemeral { stream: STREAM.into(), ..v1::Ephemeral::default() };
    shards[0].wish(Wish::Ephemeral(ephemeral)).await;
    for shard in &mut shards {
        assert_eq!(shard.told(1).await, ["ephemeral"]);
    }
}

/// Follows `count` streams, this one last, then one round of comparison after the other, reading only when
/// all has been said; meanwhile one segment comes by in each round.
async fn rounds(queue: usize, count: usize) {
    let mut world = World::new();
    world.config.push_queue = queue;
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    let mut streams: Vec<String> = (0..count).map(|n| format!("acme/chat/s{n}")).collect();
    streams.push(STREAM.into());
    let mut chain = Chain::of(US);
    for round in 1..=3 {
        let wishes = shard.wishes.clone();
        let asking = async {
            for streams in streams.chunks(200) {
                let follow = Some(Wish::Follow(v1::Streams { streams: streams.to_vec() }));
                wishes.send(v1::AttachUp { what: follow }).await.unwrap();
            }
        };
        let reading = async {
            sleep(Duration::from_secs(5)).await;
            world.sequenced(&chain.next()).await;
            sleep(Duration::from_secs(5)).await;
            shard.told(count + 2).await
        };
        let ((), told) = tokio::join!(asking, reading);
        let pushed = format!("us-east-1:{round}");
        assert_eq!(told.iter().filter(|what| **what == pushed).count(), 1, "round {round}");
        assert_eq!(told.iter().filter(|what| what.starts_with("joined ")).count(), count + 1);
    }
    assert_eq!(instance.state.0.hub.lock().counters().overflows, 0);
}

/// E15: a shard may follow more streams than its queue holds: answers wait for room, pushes find some.
#[tokio::test(start_paused = true)]
async fn answers_wait_for_room_in_a_small_queue() {
    for queue in [2, 16, 64] {
        rounds(queue, 1_000).await;
    }
}

/// E15: so it is with the queue as it is configured.
#[tokio::test(start_paused = true)]
async fn answers_wait_for_room_in_the_real_queue() {
    let queue = Config::new(US.parse().unwrap()).push_queue;
    rounds(queue, queue + queue / 2).await;
}

/// E15: a shard that goes away while an answer waits for room leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_shard_that_leaves_while_an_answer_waits_is_forgotten() {
    let mut world = World::new();
    world.config.push_queue = 4;
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    let streams = (0..100).map(|n| format!("acme/chat/s{n}")).collect();
    shard.wish(Wish::Follow(v1::Streams { streams })).await;
    sleep(Duration::from_secs(1)).await;
    drop(shard);
    until("nothing of it", async || instance.state.0.hub.lock().is_idle()).await;
}

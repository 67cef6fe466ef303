//! Sessions registered by shards: bounded, renewed, gone when nobody renews them.

use sterna_proto::record::Body;
use sterna_storage::Sessions;
use sterna_storage::sessions::Session;
use sterna_stream::limits::{SESSION_LANE_JOBS, SESSIONS_PER_DEVICE, SESSIONS_PER_USER};
use sterna_stream::{ContentHash, EventId};

use super::*;
use crate::registry::SESSION_TTL;

fn row(session: usize, user: &str, device: usize) -> v1::SessionRow {
    v1::SessionRow {
        session: format!("{session}.1"),
        tenant: "acme".into(),
        user: user.into(),
        device: format!("device-{device}"),
        opened_unix_ms: NOW + session as u64,
        leaving: false,
    }
}

fn rows(sessions: Vec<v1::SessionRow>, renewal: bool) -> v1::SessionRows {
    v1::SessionRows { sessions, renewal }
}

/// An instance that owns everything, and the shard of this name attached to it.
async fn attached(world: &mut World, name: &str) -> (Instance, Shard) {
    let instance = world.start();
    until("an owner", async || instance.state.0.hub.lock().owns(0)).await;
    let mut shard = Shard::attach(&instance, &world.keys, "gateway").await.unwrap();
    shard.wish(Wish::Attaching(v1::Attaching { shard: name.into() })).await;
    (instance, shard)
}

async fn of(world: &World, user: &str) -> Vec<Session> {
    world.sessions.of_user("acme", &user.parse().unwrap()).await.unwrap()
}

async fn registered(world: &World, user: &str, count: usize) {
    until("so many sessions", async || of(world, user).await.len() == count).await;
}

/// The chain's next segment, which adds a user.
fn adds(chain: &mut Chain, user: &str) -> Stored {
    let body = Body {
        id: EventId::mint(NOW, 7),
        author: "ana".parse().unwrap(),
        kind: "member".parse().unwrap(),
        payload: Bytes::from(format!(r#"{{"user":"{user}","add":"writer"}}"#)),
        content: ContentHash::default(),
        resend: false,
        key: String::new(),
        deps: None,
    };
    let Stored { segment, .. } = chain.member();
    Stored::new(Segment { bodies: vec![body.encode()].into(), ..segment })
}

/// E16: what a shard opens stands in the registry with its gateway, until it is closed.
#[tokio::test(start_paused = true)]
async fn opened_sessions_are_registered_until_they_are_closed() {
    let mut world = World::new();
    let (_instance, mut shard) = attached(&mut world, "gateway-1").await;
    shard.wish(Wish::Opened(rows(vec![row(1, "ana", 1), row(2, "ana", 2), row(3, "bo", 3)], false))).await;
    registered(&world, "ana", 2).await;
    registered(&world, "bo", 1).await;
    let session = &of(&world, "ana").await[0];
    assert_eq!(
        (&*session.id, &*session.gateway, &*session.device),
        ("gateway-1-1.1", "gateway-1", "device-1")
    );
    shard.wish(Wish::Closed(rows(vec![row(1, "ana", 1)], false))).await;
    registered(&world, "ana", 1).await;
}

/// E16: sessions that are renewed stay; those of a gateway that crashed are gone when their time is over;
/// what the registry lost is opened again by the next renewal.
#[tokio::test(start_paused = true)]
async fn who_is_not_renewed_is_gone_and_who_was_lost_comes_back() {
    let mut world = World::new();
    let (_instance, mut shard) = attached(&mut world, "gateway-1").await;
    shard.wish(Wish::Opened(rows(vec![row(1, "ana", 1), row(2, "bo", 2)], false))).await;
    registered(&world, "bo", 1).await;
    for _ in 0..4 {
        sleep(SESSION_TTL / 3).await;
        shard.wish(Wish::Opened(rows(vec![row(1, "ana", 1)], true))).await;
    }
    registered(&world, "bo", 0).await;
    registered(&world, "ana", 1).await;
    world.sessions.wipe();
    shard.wish(Wish::Opened(rows(vec![row(1, "ana", 1)], true))).await;
    registered(&world, "ana", 1).await;
}

/// `SESSIONS_PER_DEVICE`: one more ends the device's oldest with 4301, at whichever gateway that is.
#[tokio::test(start_paused = true)]
async fn one_more_session_of_a_device_ends_its_oldest() {
    let mut world = World::new();
    let (instance, mut first) = attached(&mut world, "gateway-1").await;
    let mut second = Shard::attach(&instance, &world.keys, "gateway").await.unwrap();
    second.wish(Wish::Attaching(v1::Attaching { shard: "gateway-2".into() })).await;
    first.wish(Wish::Opened(rows(vec![row(1, "ana", 1)], false))).await;
    registered(&world, "ana", 1).await;
    let more = (2..=SESSIONS_PER_DEVICE + 1).map(|n| row(n, "ana", 1)).collect();
    second.wish(Wish::Opened(rows(more, false))).await;
    assert_eq!(first.told(1).await, ["end 1.1 with 4301"]);
    registered(&world, "ana", SESSIONS_PER_DEVICE).await;
}

/// `SESSIONS_PER_USER`: one more is ended itself with 4103; sessions that are about to move do not count.
#[tokio::test(start_paused = true)]
async fn one_more_session_of_a_user_ends_itself_unless_others_are_leaving() {
    let mut world = World::new();
    let (_instance, mut shard) = attached(&mut world, "gateway-1").await;
    let all: Vec<_> = (1..=SESSIONS_PER_USER + 1).map(|n| row(n, "ana", n)).collect();
    shard.wish(Wish::Opened(rows(all.clone(), false))).await;
    assert_eq!(shard.told(1).await, [format!("end {}.1 with 4103", SESSIONS_PER_USER + 1)]);
    registered(&world, "ana", SESSIONS_PER_USER).await;
    let leaving = v1::SessionRow { leaving: true, ..all[0].clone() };
    shard.wish(Wish::Opened(rows(vec![leaving], false))).await;
    shard.wish(Wish::Opened(rows(vec![all[SESSIONS_PER_USER].clone()], false))).await;
    registered(&world, "ana", SESSIONS_PER_USER + 1).await;
}

/// G9: what a lane has no room for is dropped, and the next renewal makes it good; rows that are none cost
/// nothing.
#[tokio::test(start_paused = true)]
async fn what_a_lane_drops_the_next_renewal_makes_good() {
    let mut world = World::new();
    let (instance, mut shard) = attached(&mut world, "gateway-1").await;
    let flood: Vec<_> = (0..2 * SESSION_LANE_JOBS).map(|n| row(n, "ana", n)).collect();
    // In one step: no lane runs in between.
    instance.state.0.sessions_opened("gateway-1", rows(flood, false));
    sleep(Duration::from_secs(5)).await;
    instance.state.0.sessions_opened("gateway-1", rows(vec![row(9_999, "bo", 1)], true));
    registered(&world, "bo", 1).await;
    assert!(of(&world, "ana").await.len() <= SESSIONS_PER_USER);
    let nobody = v1::SessionRow { user: String::new(), ..row(1, "", 1) };
    shard.wish(Wish::Opened(rows(vec![nobody], false))).await;
    shard.wish(Wish::Opened(rows(vec![row(1, "cy", 1)], false))).await;
    registered(&world, "cy", 1).await;
}

/// Rule 6: whoever a member event names is told of to every shard, followed or not.
#[tokio::test(start_paused = true)]
async fn changed_members_are_told_to_every_shard() {
    let mut world = World::new();
    let (_instance, mut shard) = attached(&mut world, "gateway-1").await;
    let mut chain = Chain::of(US);
    world.sequenced(&adds(&mut chain, "bo")).await;
    loop {
        if let Some(What::Members(changed)) = shard.next_of_all().await {
            assert_eq!((changed.stream.as_str(), changed.users), (STREAM, vec!["bo".to_owned()]));
            return;
        }
    }
}

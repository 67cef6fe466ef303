//! In paused time. Sessions beyond one connection: who is there, how many may be, what is followed by itself.

use sterna_cluster::Plan;
use sterna_cluster::region::Place;
use sterna_protocol::Encoding;
use sterna_protocol::frame::{ClientFrame, PresenceState, Subscribe, Subscription};
use sterna_stream::{Reason, StreamId};
use tokio::time::{Duration, Instant, sleep};

use super::person::Person;
use super::{World, run};

fn two_shards(seed: u64) -> World {
    World::of(Plan { shards: 2, state: 2, ..Plan::small("us-east-1".parse().unwrap(), seed) })
}

async fn watch(person: &mut Person, stream: &StreamId) {
    let cursor = person.cursors.get(stream).cloned().or(Some("".parse().unwrap()));
    let one = Subscription { stream: stream.clone(), cursor, tail: None, presence: true };
    person.send(ClientFrame::Subscribe(Subscribe { streams: vec![one], ..Subscribe::default() })).await;
}

fn is(user: &str, state: PresenceState) -> impl Fn(&Person) -> bool {
    let user = user.to_owned();
    move |person| person.present.get(&user) == Some(&state)
}

/// Rules 20 and 23, E16: who comes is online at once, who leaves is offline after the grace time and not
/// before, whichever shard they are on; a crashed gateway leaves no ghost; a crashed state forgets nobody.
#[test]
fn presence_is_true_over_shards_and_crashes() {
    run(async {
        let mut world = two_shards(41);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &["bo", "cyd"]).await;
        watch(&mut ana, &stream).await;
        ana.until("bo is away", is("bo", PresenceState::Offline)).await;
        assert_eq!(ana.present.get("ana"), Some(&PresenceState::Online));
        let bo = world.person_at(1, "bo", 7).await;
        ana.until("bo is there", is("bo", PresenceState::Online)).await;
        let began = Instant::now();
        drop(bo);
        ana.until("bo is away again", is("bo", PresenceState::Offline)).await;
        let took = began.elapsed().as_secs();
        assert!((15..20).contains(&took), "after {took} s");

        let mut cyd = world.person_at(1, "cyd", 8).await;
        ana.until("cyd is there", is("cyd", PresenceState::Online)).await;
        for state in 0..2 {
            world.region.restart(Place::State(state));
        }
        let deadline = Instant::now() + Duration::from_secs(100);
        while Instant::now() < deadline {
            ana.listen(Duration::from_millis(500)).await;
            cyd.listen(Duration::from_millis(500)).await;
            assert_eq!(ana.present.get("cyd"), Some(&PresenceState::Online), "state forgets nobody");
        }
        world.region.kill(Place::Gateway(1));
        let began = Instant::now();
        ana.until("cyd's gateway has crashed", is("cyd", PresenceState::Offline)).await;
        assert!(began.elapsed() < Duration::from_secs(240), "{:?}", began.elapsed());
        drop(cyd);
    });
}

/// Section 5: a device's fourth session ends its oldest with 4301, over all shards; the others stay.
#[test]
fn a_devices_fourth_session_ends_its_oldest() {
    run(async {
        let world = two_shards(42);
        let mut sessions = Vec::new();
        for n in 0..4 {
            sessions.push(world.person_at(n % 2, "ana", 7).await);
            world.clock.step_ms(5);
            sleep(Duration::from_millis(500)).await;
        }
        let mut newest = sessions.split_off(1);
        assert_eq!(sessions[0].closing().await, 4301);
        for session in &mut newest {
            session.listen(Duration::from_secs(15)).await;
            assert_eq!(session.closed, None);
        }
    });
}

/// Section 5: a user's twenty-first session is closed with 4103, over all shards and devices; when one has
/// gone there is room again.
#[test]
fn a_users_twenty_first_session_is_too_many() {
    run(async {
        let world = two_shards(43);
        let mut sessions = Vec::new();
        for n in 0..20 {
            sessions.push(world.person_at(n % 2, "ana", 100 + n as u128).await);
            world.clock.step_ms(5);
            sleep(Duration::from_millis(200)).await;
        }
        let mut more = world.person_at(0, "ana", 200).await;
        assert_eq!(more.closing().await, 4103);
        assert_eq!(more.refused, [Reason::LimitExceeded]);
        let mut other = world.person_at(1, "bo", 200).await;
        other.listen(Duration::from_secs(5)).await;
        assert_eq!(other.closed, None, "another user is not counted");
        drop(sessions.pop());
        sleep(Duration::from_secs(1)).await;
        let mut again = world.person_at(0, "ana", 201).await;
        again.listen(Duration::from_secs(31)).await;
        assert_eq!(again.closed, None);
        for session in &mut sessions {
            session.listen(Duration::from_millis(10)).await;
            assert_eq!(session.closed, None);
        }
    });
}

/// Rule 6: whoever asks for all of theirs gets those of now, later ones by themselves, also those added at
/// the very moment; a removal is told by an error with the stream.
#[test]
fn mine_follows_all_now_and_later() {
    for seed in 0..6 {
        run(async move {
            let mut world = two_shards(50 + seed);
            let mut ana = world.person("ana", Encoding::Json).await;
            let mut streams =
                vec![world.create(&mut ana, &["bo"]).await, world.create(&mut ana, &["bo"]).await];
            let mut bo = world.person_at(1, "bo", 7).await;
            // Made while bo asks: sooner, at the same time, later.
            let racing = world.create_asking(&mut ana, seed).await;
            sleep(Duration::from_millis(7 * seed)).await;
            bo.send(ClientFrame::Subscribe(Subscribe { mine: true, ..Subscribe::default() })).await;
            streams.extend(racing);
            bo.until("all of them", |p| streams.iter().all(|stream| p.shown.contains_key(stream))).await;
            let later = world.create(&mut ana, &["bo"]).await;
            bo.until("the later one", |p| p.shown.contains_key(&later)).await;
            let id = world.id();
            ana.publish(&later, id, "message", "\"hi\"", false).await;
            bo.until("what is said there", |p| p.texts(&later) == ["\"hi\""]).await;
            let id = world.id();
            ana.publish(&later, id, "member", r#"{"user":"bo","remove":"all"}"#, false).await;
            bo.until("being removed", |p| p.left.contains(&later)).await;
        });
    }
}

/// Rule 4: a device without memory, with crashes in between, is shown nothing twice that it said it has, and
/// misses nothing.
#[test]
fn a_device_without_memory_misses_nothing() {
    run(async {
        let mut world = two_shards(44);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &["bo"]).await;
        let mut seen: Vec<String> = Vec::new();
        for round in 0..6 {
            let mut bo = world.person_at(round % 2, "bo", 7).await;
            let one = Subscription { stream: stream.clone(), cursor: None, tail: None, presence: false };
            bo.send(ClientFrame::Subscribe(Subscribe { streams: vec![one], ..Subscribe::default() })).await;
            for n in 0..5 {
                let id = world.id();
                ana.publish(&stream, id, "message", &format!("{}", round * 5 + n), false).await;
                sleep(Duration::from_millis(60)).await;
            }
            let last = format!("{}", round * 5 + 4);
            bo.until("the round's last", |p| p.texts(&stream).last() == Some(&last)).await;
            seen.extend(bo.texts(&stream));
            bo.report(&stream).await;
            bo.listen(Duration::from_millis(10)).await;
            match round {
                1 => world.region.restart(Place::Persistence),
                2 => world.region.restart(Place::Notification),
                _ => {}
            }
            drop(bo);
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(seen, (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}

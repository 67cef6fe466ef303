//! In paused time. Sessions as state registers them, and who is there (docs/protocol.md, rules 20 and 23,
//! section 5; E16).

use std::collections::BTreeMap;

use sterna_gateway::presence::LINGER;
use sterna_gateway::registered::RENEW_S;
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What as Down;
use sterna_proto::v1::attach_up::What as Up;
use sterna_protocol::frame::{
    ClientFrame, Cursors, Presence, PresenceState, ServerFrame, Subscribe, Subscription, Unsubscribe,
};
use sterna_stream::{Reason, StreamId};
use tokio::time::{Duration, sleep};

use crate::person::Person;
use crate::world::{World, run};

fn with_presence(stream: &StreamId, presence: bool) -> ClientFrame {
    let cursor = Some("".parse().unwrap());
    let one = Subscription { stream: stream.clone(), cursor, tail: None, presence };
    ClientFrame::Subscribe(Subscribe { streams: vec![one], ..Subscribe::default() })
}

fn leave(stream: &StreamId) -> ClientFrame {
    ClientFrame::Unsubscribe(Unsubscribe { streams: vec![stream.clone()] })
}

fn told(stream: &StreamId, full: bool, online: u32, users: &[(&str, v1::PresenceState)]) -> Down {
    let user = |(user, state): &(&str, v1::PresenceState)| v1::UserPresence {
        user: (*user).into(),
        state: (*state).into(),
        since_unix_ms: u64::from(*state != v1::PresenceState::Online) * 77,
    };
    let users = users.iter().map(user).collect();
    Down::Presence(v1::Presence { stream: stream.to_string(), full, online, users })
}

async fn presence(person: &mut Person) -> Presence {
    match person.frame().await {
        ServerFrame::Presence(presence) => presence,
        other => panic!("presence was expected, not {other:?}"),
    }
}

fn states(presence: &Presence) -> BTreeMap<String, PresenceState> {
    presence.users.iter().map(|one| (one.user.to_string(), one.state.clone())).collect()
}

/// Rows told so far, in order, each with what was told of it.
async fn news(world: &mut World) -> Vec<(&'static str, v1::SessionRow)> {
    assert!(world.state.is_quiet(0).await);
    let mut rows = Vec::new();
    for up in std::mem::take(&mut world.state.news) {
        let (what, told) = match up.what {
            Some(Up::Opened(told)) if told.renewal => ("renewed", told),
            Some(Up::Opened(told)) => ("opened", told),
            Some(Up::Closed(told)) => ("closed", told),
            other => panic!("{other:?}"),
        };
        rows.extend(told.sessions.into_iter().map(|row| (what, row)));
    }
    rows
}

/// E16: a session is told of when it was greeted and when it is gone, and again within half a minute; one
/// that never said hello is nobody's.
#[test]
fn sessions_are_told_of_and_renewed() {
    run(async {
        let mut world = World::new().await;
        let nobody = Person::connect(&world.gateway);
        let (ana, bo) = (world.person("ana").await, world.person("bo").await);
        sleep(Duration::from_millis(10)).await;
        let opened = news(&mut world).await;
        let users: Vec<&str> = opened.iter().map(|(_, row)| row.user.as_str()).collect();
        assert_eq!((users, opened.iter().all(|(what, _)| *what == "opened")), (vec!["ana", "bo"], true));
        assert_eq!(opened[0].1.device, "00000000-0000-0000-0000-000000000007");
        drop(nobody);
        sleep(Duration::from_secs(RENEW_S + 2)).await;
        let mut renewed: Vec<String> = news(&mut world).await.into_iter().map(|(_, row)| row.user).collect();
        renewed.sort();
        renewed.dedup();
        assert_eq!(renewed, ["ana", "bo"]);
        drop(ana);
        sleep(Duration::from_millis(10)).await;
        let closed = news(&mut world).await;
        assert_eq!((closed[0].0, closed[0].1.user.as_str(), closed.len()), ("closed", "ana", 1));
        drop(bo);
    });
}

/// Section 5: state ends sessions: 4301 for a device's oldest, 4103 with an error before it for a user's
/// newest; one that is gone already is nobody else's, also if a gateway that is gone called it so.
#[test]
fn state_ends_sessions_with_their_code() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        sleep(Duration::from_millis(10)).await;
        let names: Vec<String> = news(&mut world).await.into_iter().map(|(_, row)| row.session).collect();
        let end = |session: &str, code| Down::End(v1::EndSession { session: session.into(), code });
        for session in ["", "7", "99999.1.1", "0.77777.1", "a.b.c", &names[0].replace('.', ".9")] {
            world.state.tell(&mut world.pushed, end(session, 4301)).await;
        }
        // Of a gateway of this name that is gone: it counted from the beginning too.
        let (place, opened) = names[0].rsplit_once('.').unwrap();
        let earlier = format!("{place}.{}", opened.parse::<u64>().unwrap() - 1);
        world.state.tell(&mut world.pushed, end(&earlier, 4301)).await;
        world.state.tell(&mut world.pushed, end(&names[0], 4301)).await;
        world.state.tell(&mut world.pushed, end(&names[1], 4103)).await;
        ana.closed(4301).await;
        bo.refused(Reason::LimitExceeded).await;
        bo.closed(4103).await;
    });
}

/// Rule 23: all of it to who comes, changes to who is there; who did not ask is told nothing.
#[test]
fn who_comes_is_told_all_and_who_is_there_what_changes() {
    run(async {
        use v1::PresenceState::{Online, Unknown};
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut bo, &stream, "").await;
        ana.send(&[with_presence(&stream, true)]).await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        let Some(Up::Watch(watched)) = world.state.up().await.what else { panic!("watch") };
        assert_eq!(watched.streams, [stream.to_string()]);
        let all = told(&stream, true, 1, &[("ana", Online), ("cy", Unknown)]);
        world.state.tell(&mut world.pushed, all).await;
        let first = presence(&mut ana).await;
        assert_eq!((first.full, first.online, first.users[1].since_unix_ms), (true, 1, Some(77)));
        world.state.tell(&mut world.pushed, told(&stream, false, 2, &[("cy", Online)])).await;
        let change = presence(&mut ana).await;
        assert_eq!((change.full, change.online, change.users.len()), (false, 2, 1));
        let mut dee = world.person("dee").await;
        dee.send(&[with_presence(&stream, true)]).await;
        assert_eq!(dee.frame().await.name(), "subscribed");
        let all = presence(&mut dee).await;
        let online = ("ana".to_owned(), PresenceState::Online);
        assert_eq!(states(&all), [online, ("cy".into(), PresenceState::Online)].into());
        ana.send(&[with_presence(&stream, false)]).await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        world.state.tell(&mut world.pushed, told(&stream, false, 1, &[("cy", Unknown)])).await;
        assert_eq!(presence(&mut dee).await.online, 1);
        ana.quiet(2).await;
        bo.quiet(1).await;
    });
}

/// Rule 23, G9: a storm of subscribing and leaving costs state one watch, and one frame a second to who
/// storms; when nobody watches for a moment, it is told so.
#[test]
fn a_storm_of_watching_costs_one_watch() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut stays) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut stays, &stream, "").await;
        let storm: Vec<ClientFrame> =
            (0..500).flat_map(|_| [with_presence(&stream, true), leave(&stream)]).collect();
        ana.send(&storm).await;
        ana.send(&[ClientFrame::Ping]).await;
        while ana.frame().await != ServerFrame::Pong {}
        let Some(Up::Watch(_)) = world.state.up().await.what else { panic!("watch") };
        assert!(world.state.is_quiet(LINGER.as_secs() - 2).await);
        let Some(Up::Unwatch(streams)) = world.state.up().await.what else { panic!("unwatch") };
        assert_eq!(streams.streams, [stream.to_string()]);
        ana.send(&[ClientFrame::Cursor(Cursors::default()), ClientFrame::Ping]).await;
        assert_eq!(ana.frame().await, ServerFrame::Pong);
    });
}

/// G9: who does not read is told nothing of it, is not cut off for it, and is told all of it later.
#[test]
fn presence_is_shed_first() {
    run(async {
        use v1::PresenceState::{Offline, Online};
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        ana.send(&[with_presence(&stream, true)]).await;
        world.state.followed().await;
        world.joined(&stream, "").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        world.state.tell(&mut world.pushed, told(&stream, true, 1, &[("ana", Online)])).await;
        assert!(presence(&mut ana).await.full);
        let names: Vec<String> = (0..400).map(|n| format!("user-{n:0100}")).collect();
        for round in 0..400 {
            let state = if round % 2 == 0 { Online } else { Offline };
            let users: Vec<(&str, v1::PresenceState)> =
                names.iter().map(|name| (name.as_str(), state)).collect();
            world.state.tell(&mut world.pushed, told(&stream, false, round, &users)).await;
        }
        sleep(Duration::from_millis(500)).await;
        let mut last = presence(&mut ana).await;
        let mut frames = 1;
        while last.online < 399 {
            last = presence(&mut ana).await;
            frames += 1;
        }
        assert!(last.full && frames < 100, "{frames} frames, not 400");
        ana.send(&[ClientFrame::Ping]).await;
        while ana.frame().await != ServerFrame::Pong {}
    });
}

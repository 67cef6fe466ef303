//! Who is suspended in their tenant: told so and closed, wherever they are connected (A7, A8).

use sterna_gateway::limits::STANDING_S;
use sterna_process::Clock;
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What as Down;
use sterna_stream::Reason;
use tokio::time::{Duration, Instant};

use crate::person::Person;
use crate::world::{World, run};

/// What comes within so many seconds, and next, says that all access is revoked: an error that names no
/// stream, then 1008.
async fn revoked(person: &mut Person, within: u64) {
    ended(person, within, (Reason::Forbidden, 1008)).await;
}

/// The same with a void token: a new one is asked for, with 4200.
async fn voided(person: &mut Person, within: u64) {
    ended(person, within, (Reason::TokenExpired, 4200)).await;
}

async fn ended(person: &mut Person, within: u64, (reason, code): (Reason, u16)) {
    let began = Instant::now();
    let error = person.refused(reason).await;
    assert_eq!((error.stream.as_deref(), error.retry_after_ms), (None, None), "it is about everything");
    assert_eq!(error.event_id.as_deref(), None, "nothing that was said is refused");
    person.closed(code).await;
    assert!(began.elapsed() <= Duration::from_secs(within), "{:?}", began.elapsed());
}

async fn changed(world: &mut World, tenant: &str, users: &[&str], everyone: bool) {
    let users = users.iter().map(ToString::to_string).collect();
    let down = v1::MembersChanged { stream: format!("{tenant}/access/main"), users, everyone };
    world.state.tell(&mut world.pushed, Down::Members(down)).await;
}

/// E24, A7, A8: whoever a suspension names is told and closed with 1008, on every device and whatever they
/// follow; everybody, if it is about everybody; nobody of another tenant.
#[test]
fn whoever_is_suspended_is_told_and_closed() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo, mut idle) =
            (world.person("ana").await, world.person("bo").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        bo.follow(&stream).await;
        for user in ["ana", "bo"] {
            world.access.admits(user, Some(Reason::Forbidden));
        }
        changed(&mut world, "other", &["ana", "bo"], true).await;
        ana.quiet(1).await;
        changed(&mut world, "acme", &["bo"], false).await;
        revoked(&mut bo, 0).await;
        revoked(&mut idle, 0).await;
        ana.quiet(1).await;
        changed(&mut world, "acme", &[], true).await;
        revoked(&mut ana, 0).await;
    });
}

/// E24, A7: who is suspended already is told and closed when they come, and may come back when it is lifted.
#[test]
fn whoever_comes_suspended_is_closed_behind_the_greeting() {
    run(async {
        let world = World::new().await;
        world.access.admits("bo", Some(Reason::Forbidden));
        let mut bo = world.person("bo").await;
        revoked(&mut bo, 0).await;
        world.access.admits("bo", None);
        let mut bo = world.person("bo").await;
        bo.quiet(2 * STANDING_S).await;
    });
}

/// E24, A7, A8: whose token is made void is told and closed with 4200, wherever a suspension would be found:
/// when a change names them, behind the greeting, at a renewal, and in time if nobody told.
#[test]
fn whoever_has_a_void_token_is_told_and_closed() {
    run(async {
        let mut world = World::new().await;
        let token = format!("bo@{}", world.clock.wall_ms() + 3_600_000);
        let [mut named, mut renews, mut untold] =
            [world.person("bo").await, world.person("bo").await, world.person("cy").await];
        world.access.admits("bo", Some(Reason::TokenExpired));
        renews.hello(&token).await;
        assert_eq!(renews.frame().await.name(), "welcome");
        voided(&mut renews, 0).await;
        changed(&mut world, "acme", &["bo"], false).await;
        voided(&mut named, 0).await;
        voided(&mut world.person("bo").await, 0).await;
        untold.quiet(1).await;
        world.access.admits("cy", Some(Reason::TokenExpired));
        voided(&mut untold, STANDING_S).await;
        world.access.admits("bo", None);
        world.person("bo").await.quiet(2 * STANDING_S).await;
    });
}

/// A7: what is asked with a void token is not refused, which would be for good: the session ends, and it is
/// asked again with a new one.
#[test]
fn a_decision_that_finds_the_token_void_ends_the_session() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut writes, mut follows) = (world.person("bo").await, world.person("bo").await);
        world.access.refuse("bo", Reason::TokenExpired);
        let id = world.id();
        writes.publish(&stream, id).await;
        voided(&mut writes, 0).await;
        follows.subscribe(&stream, "").await;
        voided(&mut follows, 0).await;
    });
}

/// E24, A7, A8: who cannot be decided stays, is looked at again every second, and is closed as soon as it can
/// be.
#[test]
fn whoever_cannot_be_decided_is_looked_at_again() {
    run(async {
        let mut world = World::new().await;
        let mut bo = world.person("bo").await;
        world.access.admits("bo", Some(Reason::Unavailable));
        changed(&mut world, "acme", &["bo"], false).await;
        bo.quiet(5).await;
        world.access.admits("bo", Some(Reason::Forbidden));
        revoked(&mut bo, 1).await;
    });
}

/// E24, A8, E29: a suspension of which nobody told is found within its time all the same.
#[test]
fn a_suspension_that_nobody_told_of_is_found() {
    run(async {
        let world = World::new().await;
        let mut bo = world.person("bo").await;
        bo.quiet(STANDING_S).await;
        world.access.admits("bo", Some(Reason::Forbidden));
        revoked(&mut bo, STANDING_S).await;
    });
}

//! What follows a change of members waits until everybody is authorised again (E24, A8).

use sterna_proto::record::encode_segment;
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What as Down;
use sterna_stream::limits::RECHECK_SEGMENTS;
use sterna_stream::{Cursor, Policy, Reason};
use tokio::time::{Duration, Instant};

use crate::world::{World, run};
use crate::{of_members, place, segment};

/// E24: a removed session is told, and not sent a byte from behind its removal; the others get all in order.
#[test]
fn whoever_was_removed_gets_no_later_byte() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        bo.follow(&stream).await;
        world.push(&segment(&stream, 1, 1)).await;
        assert_eq!(bo.seqs().await, [1]);
        world.access.hold();
        world.push(&of_members(segment(&stream, 2, 2))).await;
        world.push(&segment(&stream, 3, 3)).await;
        world.push(&of_members(segment(&stream, 4, 4))).await;
        world.push(&segment(&stream, 5, 5)).await;
        assert_eq!(ana.seqs().await, [1]);
        ana.quiet(1).await;
        world.access.refuse("bo", Reason::NotFound);
        world.access.let_through(10);
        let error = bo.refused(Reason::NotFound).await;
        assert_eq!(error.stream.as_deref(), Some(stream.as_str()));
        for seq in 2..=5 {
            assert_eq!(ana.seqs().await, [seq]);
        }
        bo.quiet(5).await;
    });
}

/// E24: the same while it joins: the removal overtook the decision, so that nothing is sent at all.
#[test]
fn whoever_was_removed_before_pushes_begin_gets_nothing() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut bo = world.person("bo").await;
        bo.subscribe(&stream, "").await;
        world.state.followed().await;
        world.access.refuse("bo", Reason::NotFound);
        world.joined(&stream, "us:9").await;
        bo.refused(Reason::NotFound).await;
        bo.quiet(5).await;
        assert!(world.notification.is_quiet(1).await, "its history is not read");
    });
}

/// E24: a comparison of heads that reveals something may reveal a removal: what is pushed behind it waits
/// until everybody is authorised again, though it brings no member event itself.
#[test]
fn nothing_passes_a_removal_that_a_comparison_of_heads_reveals() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut bo = world.person("bo").await;
        world.live(&mut bo, &stream, "").await;
        world.push(&segment(&stream, 1, 1)).await;
        assert_eq!(bo.seqs().await, [1]);
        world.access.hold();
        world.joined(&stream, "us:1").await;
        world.joined(&stream, "eu:1,us:1").await;
        world.push(&segment(&stream, 2, 2)).await;
        bo.quiet(1).await;
        world.access.refuse("bo", Reason::NotFound);
        world.access.let_through(1);
        bo.refused(Reason::NotFound).await;
        bo.quiet(5).await;
    });
}

/// E24: a page of history may hold a removal that came after the decision to let its reader join: nothing
/// of it is given to whoever was removed.
#[test]
fn a_page_behind_a_removal_is_not_given_to_the_removed() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut bo = world.person("bo").await;
        bo.subscribe(&stream, "").await;
        world.joined(&stream, "us:3").await;
        assert_eq!(bo.frame().await.name(), "subscribed");
        let ask = world.notification.up().await;
        world.access.refuse("bo", Reason::NotFound);
        let removal = of_members(segment(&stream, 2, 2));
        let page = [segment(&stream, 1, 1), removal, segment(&stream, 3, 3)];
        world.notification.page(ask.tag, "", &page).await;
        bo.refused(Reason::NotFound).await;
        bo.quiet(5).await;
    });
}

/// Ana and bo join a stream of two segments, the second of which rests on what `rests_on` says. While both
/// wait for their history bo is refused with `why`: he is told so and given nothing of it, ana all.
async fn bo_gets_nothing_of_a_page(world: &mut World, rests_on: impl Fn(&mut Policy), why: Reason) {
    let stream = world.stream();
    let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
    for person in [&mut ana, &mut bo] {
        person.subscribe(&stream, "").await;
    }
    world.joined(&stream, "us:2").await;
    let mut asks = Vec::new();
    for person in [&mut ana, &mut bo] {
        assert_eq!(person.frame().await.name(), "subscribed");
        asks.push(world.notification.up().await.tag);
    }
    world.access.refuse("bo", why);
    let mut later = segment(&stream, 2, 2);
    rests_on(&mut later.policy);
    for tag in asks {
        world.notification.page(tag, "", &[segment(&stream, 1, 1), later.clone()]).await;
    }
    bo.refused(why).await;
    bo.quiet(5).await;
    assert_eq!((ana.seqs().await, ana.seqs().await), (vec![1], vec![2]));
}

/// E24: the table may hold a removal in another region, and what was said after it, before the mirror brings
/// either: a page that rests on it is given only to who may read behind it.
#[test]
fn a_page_that_rests_on_a_removal_elsewhere_is_not_given_to_the_removed() {
    run(async {
        let mut world = World::new().await;
        let rests_on = |policy: &mut Policy| policy.member = "eu:7".parse().unwrap();
        bo_gets_nothing_of_a_page(&mut world, rests_on, Reason::NotFound).await;
    });
}

/// E24: the same for a page that rests on events of the tenant's access stream, wherever they come from.
#[test]
fn a_page_that_rests_on_a_suspension_is_not_given_to_the_suspended() {
    run(async {
        let mut world = World::new().await;
        let rests_on = |policy: &mut Policy| policy.access = "us:7".parse().unwrap();
        bo_gets_nothing_of_a_page(&mut world, rests_on, Reason::Forbidden).await;
        assert_eq!(world.access.must(), ["us:7", "us:7"].map(|text| text.parse::<Cursor>().unwrap()));
    });
}

/// E24: a push that rests on events of the tenant's access stream is given to those only who may read by a
/// decision that knows them, and one decision holds for all that rests on no more.
#[test]
fn a_push_that_rests_on_a_suspension_is_not_given_to_the_suspended() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        bo.follow(&stream).await;
        world.access.refuse("bo", Reason::Forbidden);
        world.access.must();
        for (seq, access) in [(1, "us:7"), (2, "us:7"), (3, "eu:1,us:7")] {
            let mut resting = segment(&stream, seq, seq);
            resting.policy.access = access.parse().unwrap();
            let push = v1::Push { record: encode_segment(&resting), recheck: true };
            world.state.tell(&mut world.pushed, Down::Push(push)).await;
            assert_eq!(ana.seqs().await, [seq]);
        }
        bo.refused(Reason::Forbidden).await;
        bo.quiet(5).await;
        let must = ["us:7", "eu:1,us:7"].map(|text| text.parse::<Cursor>().unwrap());
        assert_eq!(world.access.must(), must);
    });
}

/// E24, A7, A8: whom a change of the tenant's access stream names is decided anew on all that they follow,
/// though nothing is said there; everybody, if it is about everybody; nobody of another tenant.
#[test]
fn whom_the_access_stream_names_is_authorised_again() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        bo.follow(&stream).await;
        world.access.refuse("ana", Reason::Forbidden);
        world.access.refuse("bo", Reason::Forbidden);
        let changed = |tenant: &str, users: &[&str], everyone| {
            let users = users.iter().map(ToString::to_string).collect();
            Down::Members(v1::MembersChanged { stream: format!("{tenant}/access/main"), users, everyone })
        };
        world.state.tell(&mut world.pushed, changed("other", &["ana", "bo"], true)).await;
        world.state.tell(&mut world.pushed, changed("acme", &["bo"], false)).await;
        let error = bo.refused(Reason::Forbidden).await;
        assert_eq!(error.stream.as_deref(), Some(stream.as_str()));
        ana.quiet(1).await;
        world.state.tell(&mut world.pushed, changed("acme", &[], true)).await;
        ana.refused(Reason::Forbidden).await;
    });
}

/// E24, A8, G9: however many changes of a tenant come, their users are decided one by one, and whoever is
/// named meanwhile once more behind that, however often.
#[test]
fn changes_of_a_tenant_are_decided_one_after_the_other() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        bo.subscribe(&stream, "").await;
        assert_eq!(bo.frame().await.name(), "subscribed");
        let mut changed = async |user: &str| {
            let down = v1::MembersChanged {
                stream: "acme/access/main".into(),
                users: vec![user.into()],
                everyone: false,
            };
            world.state.tell(&mut world.pushed, Down::Members(down)).await;
        };
        world.access.asked();
        world.access.hold();
        changed("bo").await;
        ana.quiet(1).await;
        for _ in 0..50 {
            changed("ana").await;
            changed("bo").await;
        }
        ana.quiet(1).await;
        let who = |asked: Vec<(String, _)>| asked.into_iter().map(|(user, _)| user).collect::<Vec<String>>();
        assert_eq!(who(world.access.asked()), ["bo"]);
        world.access.let_through(1);
        ana.quiet(1).await;
        assert_eq!(who(world.access.asked()).len(), 1, "the next round has begun");
        world.access.let_through(1);
        ana.quiet(1).await;
        assert_eq!(who(world.access.asked()).len(), 1, "and goes on");
        world.access.let_through(1_000);
        ana.quiet(2).await;
        bo.quiet(1).await;
        assert_eq!(who(world.access.asked()), [""; 0], "both were decided once for a hundred changes");
    });
}

/// A8: all that follows from one change of a tenant shares one bound: who cannot be decided in it follows no
/// more, on any stream, and whoever is named meanwhile has a bound of their own.
#[test]
fn all_that_follows_a_change_of_a_tenant_shares_one_bound() {
    run(async {
        let mut world = World::new().await;
        let streams = [world.stream(), world.stream()];
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        for stream in &streams {
            world.live(&mut ana, stream, "").await;
            bo.subscribe(stream, "").await;
            assert_eq!(bo.frame().await.name(), "subscribed");
        }
        let changed = |user: &str| {
            let users = vec![user.to_owned()];
            Down::Members(v1::MembersChanged { stream: "acme/access/main".into(), users, everyone: false })
        };
        world.access.hold();
        let began = Instant::now();
        world.state.tell(&mut world.pushed, changed("bo")).await;
        ana.quiet(1).await;
        world.state.tell(&mut world.pushed, changed("ana")).await;
        for (person, within) in [(&mut bo, 5), (&mut ana, 10)] {
            for _ in &streams {
                person.refused(Reason::Unavailable).await;
            }
            let took = began.elapsed();
            assert!((within..=within + 1).contains(&took.as_secs()), "{took:?} of {within} s");
        }
    });
}

/// A8: who cannot be decided does not read on either, and is told when to come back; a hanging decision is
/// none, for all of them together.
#[test]
fn whoever_cannot_be_decided_stops_following() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let names = ["ana", "bo", "cy", "dee"];
        let mut people = Vec::new();
        for name in names {
            let mut person = world.person(name).await;
            if people.is_empty() {
                world.live(&mut person, &stream, "").await;
            } else {
                person.follow(&stream).await;
            }
            people.push(person);
        }
        world.access.hold();
        let began = Instant::now();
        world.push(&of_members(segment(&stream, 1, 1))).await;
        for person in &mut people {
            let error = person.refused(Reason::Unavailable).await;
            assert_eq!((error.stream.as_deref(), error.retry_after_ms), (Some(stream.as_str()), Some(1_000)));
        }
        assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
    });
}

/// A decision that hangs does not hold a session up for ever.
#[test]
fn a_subscription_whose_decision_hangs_is_unavailable() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.access.hold();
        ana.subscribe(&stream, "").await;
        ana.refused(Reason::Unavailable).await;
    });
}

/// G9: more than is held behind a change of members is dropped and pulled: nothing is left out.
#[test]
fn what_is_too_much_to_be_held_is_pulled() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        world.access.hold();
        world.push(&of_members(segment(&stream, 1, 1))).await;
        let held = RECHECK_SEGMENTS as u64;
        for seq in 2..=held + 3 {
            world.push(&segment(&stream, seq, seq)).await;
        }
        ana.quiet(1).await;
        // The second decision: among what was dropped may be a removal.
        world.access.let_through(2);
        let ask = world.notification.up().await;
        assert_eq!(ask.after, Some(place(&format!("us:{held}"))));
        world.notification.page(ask.tag, "", &[segment(&stream, held + 1, held + 3)]).await;
        let mut seqs = Vec::new();
        while seqs.len() < RECHECK_SEGMENTS + 3 {
            seqs.extend(ana.seqs().await);
        }
        assert!(seqs.into_iter().eq(1..=held + 3));
    });
}

/// E24: one decision holds for every segment of history that rests on no more than what it was made against.
#[test]
fn history_that_rests_on_one_change_is_decided_once() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        world.push(&segment(&stream, 9, 9)).await;
        let ask = world.notification.up().await;
        world.access.hold();
        let rests = |seq| {
            let mut segment = segment(&stream, seq, seq);
            segment.policy.member = "eu:3".parse().unwrap();
            segment
        };
        let history: Vec<_> = (1..=8).map(rests).collect();
        world.notification.page(ask.tag, "", &history).await;
        ana.quiet(1).await;
        world.access.let_through(1);
        let mut seqs = Vec::new();
        while seqs.len() < 9 {
            seqs.extend(ana.seqs().await);
        }
        assert!(seqs.into_iter().eq(1..=9));
        let mut later = segment(&stream, 10, 10);
        later.policy.member = "eu:4".parse().unwrap();
        world.push(&segment(&stream, 11, 11)).await;
        let ask = world.notification.up().await;
        world.notification.page(ask.tag, "", &[later]).await;
        ana.quiet(1).await;
        world.access.let_through(1);
        assert_eq!(ana.seqs().await, [10], "another change is another decision");
    });
}

//! The rules one by one, each with the story that breaks without it.

use super::*;

/// A2: concurrent add and removal: the removal wins, wherever the clocks stand, and the beaten add is listed.
#[test]
fn a_removal_beats_a_concurrent_add() {
    for (add_skew, remove_skew) in [(0, 1_000), (1_000, 0)] {
        let mut world = World::new();
        world.take(0, 0, "root", "bo", Change::Add(Role::Writer));
        world.meet();
        world.take(0, remove_skew, "root", "bo", Change::Remove(None));
        let add = world.take(1, add_skew, "root", "bo", Change::Add(Role::Writer));
        assert_eq!(world.role("bo"), None);
        assert_eq!(world.loss(add), Some(Loss::Beaten));
    }
}

/// A2: an add that has seen the removal stands, even if a clock says that it came before.
#[test]
fn adding_again_after_seeing_the_removal_works() {
    let mut world = World::new();
    world.take(0, 0, "root", "bo", Change::Add(Role::Writer));
    world.take(0, 100_000, "root", "bo", Change::Remove(None));
    assert_eq!(world.role("bo"), None);
    world.meet();
    let again = world.take(1, 0, "root", "bo", Change::Add(Role::Reader));
    assert!(world.events[again].entry.place < world.events[2].entry.place, "its clock is behind");
    assert_eq!(world.role("bo"), Some(Role::Reader));
    assert_eq!(world.loss(again), None);
}

/// A2, E13: a retry of an old add, which meanwhile has seen the removal, does not bring the member back.
#[test]
fn a_retried_add_does_not_undo_a_removal() {
    let mut world = World::new();
    let add = world.take(0, 0, "root", "bo", Change::Add(Role::Writer));
    world.take(0, 0, "root", "bo", Change::Remove(None));
    world.meet();
    let retry = world.take(1, 0, "root", "bo", Change::Add(Role::Writer));
    let place = world.events[retry].entry.place.clone();
    world.events[retry].entry = Entry { place, resend: true, ..world.events[add].entry.clone() };
    assert_eq!(world.role("bo"), None);
    assert_eq!(world.loss(retry), Some(Loss::Void(Void::Twin)));
}

/// A5: while root removes ana, ana makes bo an owner elsewhere; bo's grants and removals fall with the grant
/// to him, also those made where the removal was not yet known.
#[test]
fn an_accomplice_falls_with_the_grant() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    world.take(0, 0, "root", "cy", Change::Add(Role::Writer));
    world.meet();
    world.take(0, 0, "root", "ana", Change::Remove(None));
    let grant = world.take(1, 0, "ana", "bo", Change::Add(Role::Owner));
    let second = world.take(1, 0, "bo", "dee", Change::Add(Role::Owner));
    let purge = world.take(1, 0, "dee", "cy", Change::Remove(None));
    assert_eq!(world.loss(grant), Some(Loss::Void(Void::AuthorRemoved)));
    assert_eq!(world.loss(second), Some(Loss::Void(Void::NoAuthority)));
    assert_eq!(world.loss(purge), Some(Loss::Void(Void::NoAuthority)));
    for (id, role) in [("ana", None), ("bo", None), ("dee", None), ("cy", Some(Role::Writer))] {
        assert_eq!(world.role(id), role, "{id}");
    }
}

/// A5: a removal that had seen the grant does not void it: only concurrent ones do.
#[test]
fn a_grant_outlives_its_authors_later_removal() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    world.take(0, 0, "ana", "bo", Change::Add(Role::Writer));
    world.take(0, 0, "root", "ana", Change::Remove(None));
    assert_eq!((world.role("ana"), world.role("bo")), (None, Some(Role::Writer)));
}

/// A5: whoever was removed, and whose region knows it, has no say; made owner again, they have.
#[test]
fn a_removed_owner_has_no_say() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    world.take(0, 0, "root", "ana", Change::Remove(Some(Role::Owner)));
    let add = world.take(0, 0, "ana", "bo", Change::Add(Role::Writer));
    let removal = world.take(0, 0, "ana", "cy", Change::Remove(None));
    for event in [add, removal] {
        assert_eq!(world.loss(event), Some(Loss::Void(Void::NoAuthority)));
    }
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    world.take(0, 0, "ana", "bo", Change::Add(Role::Writer));
    assert_eq!(world.role("bo"), Some(Role::Writer));
}

/// A5: seniority decides between concurrent removals only: what one had seen of the other stays done.
#[test]
fn a_removal_one_after_the_other_is_no_duel() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    world.take(0, 0, "ana", "bo", Change::Add(Role::Owner));
    let juniors = world.take(0, 0, "bo", "ana", Change::Remove(None));
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    let seniors = world.take(0, 0, "ana", "bo", Change::Remove(None));
    assert_eq!((world.loss(juniors), world.loss(seniors)), (None, None));
    assert_eq!(world.fold().knots(), 0, "the rules alone decide");
    assert_eq!((world.role("ana"), world.role("bo")), (Some(Role::Owner), None));
}

/// A5: two owners remove each other at once: the one nearer to the root stays; at equal distance the older
/// binding.
#[test]
fn of_duelling_owners_the_senior_stays() {
    let mut nearer = World::new();
    nearer.take(0, 0, "root", "cy", Change::Add(Role::Owner));
    nearer.take(0, 0, "cy", "bo", Change::Add(Role::Owner));
    nearer.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    let mut older = World::new();
    older.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    older.take(0, 0, "root", "bo", Change::Add(Role::Owner));
    for mut world in [nearer, older] {
        world.meet();
        let juniors = world.take(1, 0, "bo", "ana", Change::Remove(None));
        let seniors = world.take(2, 5_000, "ana", "bo", Change::Remove(Some(Role::Owner)));
        assert_eq!((world.role("ana"), world.role("bo")), (Some(Role::Owner), None));
        assert_eq!(world.loss(juniors), Some(Loss::Void(Void::Outranked)));
        assert_eq!(world.loss(seniors), None);
        assert_eq!(world.fold().knots(), 0, "the rules alone decide");
    }
}

/// A5: no owner can remove the root, nor can the root be talked into it: the stream keeps its owner.
#[test]
fn the_root_owner_stays() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    let coup = world.take(0, 0, "ana", "root", Change::Remove(None));
    let leave = world.take(0, 0, "root", "root", Change::Remove(Some(Role::Owner)));
    assert_eq!(world.role("root"), Some(Role::Owner));
    assert_eq!(world.loss(coup), Some(Loss::Void(Void::RootOwner)));
    assert_eq!(world.loss(leave), Some(Loss::Void(Void::RootOwner)));
}

/// A5: nobody grants more than they hold: writers and readers grant nothing, but everybody may leave.
#[test]
fn members_who_are_no_owners_may_only_leave() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Writer));
    world.take(0, 0, "root", "bo", Change::Add(Role::Reader));
    for (author, subject, change) in [
        ("ana", "ana", Change::Add(Role::Owner)),
        ("ana", "cy", Change::Add(Role::Reader)),
        ("bo", "ana", Change::Remove(None)),
    ] {
        let at = world.take(0, 0, author, subject, change);
        assert_eq!(world.loss(at), Some(Loss::Void(Void::NoAuthority)));
    }
    world.take(0, 0, "bo", "bo", Change::Remove(None));
    assert_eq!((world.role("ana"), world.role("bo"), world.role("cy")), (Some(Role::Writer), None, None));
}

/// A3: roles add up, and one can be taken away without the others.
#[test]
fn the_highest_role_in_force_counts() {
    let mut world = World::new();
    world.take(0, 0, "root", "bo", Change::Add(Role::Reader));
    world.take(0, 0, "root", "bo", Change::Add(Role::Owner));
    assert_eq!(world.role("bo"), Some(Role::Owner));
    world.take(0, 0, "root", "bo", Change::Remove(Some(Role::Owner)));
    assert_eq!(world.role("bo"), Some(Role::Reader));
}

/// A5: four owners in two regions whose grants and removals void each other in a circle: no verdict follows
/// from the rules alone; the removal by the more senior author is let count, and everybody finds the same.
#[test]
fn a_knot_is_cut_by_seniority() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    world.take(0, 0, "root", "bo", Change::Add(Role::Owner));
    world.meet();
    world.take(1, 0, "ana", "cy", Change::Add(Role::Owner));
    world.take(2, 0, "bo", "dee", Change::Add(Role::Owner));
    world.take(1, 0, "cy", "bo", Change::Remove(None));
    world.take(2, 0, "dee", "ana", Change::Remove(None));
    let members = world.fold();
    assert_eq!(members.knots(), 1);
    assert_eq!(oracle::stable(&world.events, &user("root")).len(), 2, "either would agree with the rules");
    let owners = ["root", "ana", "bo", "cy", "dee"].map(|id| members.role_of(&user(id)) == Some(Role::Owner));
    assert_eq!(owners, [true, true, false, true, false]);
    let mut reversed = Members::of(world.stream.clone());
    world.events.iter().rev().for_each(|event| drop(reversed.apply(event.clone())));
    assert_eq!(reversed.members, members.members);
}

/// A6: events that claim to have seen each other, which no honest region writes, are decided all the same.
#[test]
fn forged_circles_of_deps_end() {
    let mut world = World::new();
    let all: Cursor = REGIONS.iter().map(|r| (r.parse().unwrap(), 9)).collect();
    for (region, author, subject) in [(1, "ana", "bo"), (2, "bo", "ana"), (1, "ana", "ana")] {
        let at = world.take(region, 0, author, subject, Change::Add(Role::Owner));
        world.events[at].deps.member = all.clone();
    }
    let coup = world.take(1, 0, "ana", "cy", Change::Remove(None));
    world.events[coup].deps.member = all;
    assert_eq!(roles(&world.fold()).len(), 1, "nobody bootstraps authority");
    assert_eq!(world.loss(coup), Some(Loss::Void(Void::NoAuthority)));
}

/// E3, A5: without its creation a stream has no authority at all; a stranger's event with that id is not it.
#[test]
fn authority_comes_from_the_creation_alone() {
    let mut world = World::new();
    world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
    let creation = world.events.remove(0);
    let usurper = MemberEvent {
        entry: Entry { author: user("mallory"), ..creation.entry.clone() },
        subject: user("mallory"),
        ..creation.clone()
    };
    let mut members = Members::of(world.stream.clone());
    members.extend(world.events.clone().into_iter().chain([usurper]));
    assert_eq!((members.root(), members.iter().len()), (None, 0));
    let mut members = Members::of(world.stream.clone());
    members.extend(world.events.clone());
    assert_eq!(members.apply(creation), [user("ana"), user("root")]);

    let fixed = Members::rooted("acme/access/main".parse().unwrap(), user("operator"));
    assert_eq!(fixed.role_of(&user("operator")), Some(Role::Owner));
}

/// E24: history since the add: what stands before it stays hidden; who is re-added starts again.
#[test]
fn a_new_member_starts_at_the_add() {
    let mut world = World::new();
    let first = world.take(0, 0, "root", "bo", Change::Add(Role::Reader));
    let more = world.take(0, 0, "root", "bo", Change::Add(Role::Writer));
    let hides = |world: &World, event: usize| {
        let place = &world.events[event].entry.place;
        world.fold().hides(&user("bo"), History::SinceJoined, place)
    };
    assert!(hides(&world, 0) && !hides(&world, first) && !hides(&world, more));
    world.take(0, 0, "root", "bo", Change::Remove(None));
    assert!(hides(&world, more), "who is no member sees nothing");
    let again = world.take(0, 0, "root", "bo", Change::Add(Role::Reader));
    assert!(hides(&world, more) && !hides(&world, again));
    let root = world.fold().hides(&user("root"), History::SinceJoined, &world.events[0].entry.place);
    assert!(!root, "the creator was there from the beginning");
}

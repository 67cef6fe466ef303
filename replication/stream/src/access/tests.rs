#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::digest::ContentHash;
use crate::fixed::{self, PROVISIONER};
use crate::hlc::Hlc;
use crate::ids::{EventId, Origin};
use crate::member::{Change, MemberEvent};
use crate::policy::Policy;

const REGIONS: [&str; 3] = ["ap-southeast-1", "eu-west-1", "us-east-1"];

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

#[derive(Clone, Debug)]
enum Fact {
    Member(MemberEvent),
    Access(AccessEvent),
}

/// Three regions that take events of one access stream and hear of each other's when told to. The first event
/// is the founding, which makes `ops` the root owner; `ana` and `bo` administer by its grant.
#[derive(Clone, Debug)]
struct World {
    facts: Vec<Fact>,
    folded: [Cursor; 3],
}

impl World {
    fn new() -> Self {
        let mut world = Self { facts: Vec::new(), folded: Default::default() };
        world.member(0, PROVISIONER, "ops", Change::Add(Role::Owner));
        world.member(0, "ops", "ana", Change::Add(Role::Owner));
        world.member(0, "ops", "bo", Change::Add(Role::Owner));
        world.meet();
        world
    }

    fn next(&mut self, region: usize, author: &str) -> (Entry, Cursor) {
        let n = self.facts.len() as u64;
        let origin: Origin = REGIONS[region].parse().unwrap();
        let seen = self.folded[region].clone();
        let seq = seen.get(&origin) + 1;
        self.folded[region].advance(&origin, seq);
        // Clocks far apart: they decide nothing.
        let hlc = Hlc(1_000 * (3 - region as u64) + n);
        let place = Place { hlc, origin, seq };
        let content = ContentHash([n as u8; 16]);
        let entry =
            Entry { place, author: user(author), id: EventId::mint(2 + n, 0), content, resend: false };
        (entry, seen)
    }

    fn member(&mut self, region: usize, author: &str, subject: &str, change: Change) {
        let (entry, seen) = self.next(region, author);
        let deps = Policy { access: seen.clone(), member: seen };
        self.facts.push(Fact::Member(MemberEvent { entry, subject: user(subject), change, deps }));
    }

    fn suspension(&mut self, region: usize, author: &str, whom: Whom, suspended: bool) -> usize {
        let (entry, seen) = self.next(region, author);
        let not_before_ms = if suspended { entry.place.seq } else { 0 };
        let suspension = Suspension { whom, suspended, not_before_ms };
        self.facts.push(Fact::Access(AccessEvent { entry, suspension, seen }));
        self.facts.len() - 1
    }

    fn suspend(&mut self, region: usize, author: &str, whom: &str) -> usize {
        self.suspension(region, author, Whom::User(user(whom)), true)
    }

    fn lift(&mut self, region: usize, author: &str, whom: &str) -> usize {
        self.suspension(region, author, Whom::User(user(whom)), false)
    }

    fn meet(&mut self) {
        let mut all = Cursor::new();
        self.folded.iter().for_each(|folded| all.merge(folded));
        self.folded.fill(all);
    }

    fn fold_of(facts: impl IntoIterator<Item = Fact>) -> (Members, Access) {
        let mut members = Members::of(fixed::access("acme").unwrap());
        let mut access = Access::default();
        for fact in facts {
            match fact {
                Fact::Member(event) => {
                    members.apply(event);
                    access.extend([], &members);
                }
                Fact::Access(event) => access.extend([event], &members),
            }
        }
        (members, access)
    }

    fn is_suspended(&self, id: &str) -> bool {
        let (members, access) = Self::fold_of(self.facts.clone());
        access.is_suspended(&user(id), members.root())
    }

    fn is_lost(&self, fact: usize) -> bool {
        let (_, access) = Self::fold_of(self.facts.clone());
        let Fact::Access(event) = &self.facts[fact] else { panic!("no suspension") };
        access.losses().any(|lost| lost == event)
    }
}

/// A2, A3: a suspension beats a concurrent lift whatever the clocks say; a lift that has seen all of them
/// counts.
#[test]
fn a_suspension_beats_a_concurrent_lift_and_falls_to_one_that_has_seen_it() {
    let mut world = World::new();
    world.suspend(0, "ana", "cy");
    assert!(world.is_suspended("cy") && !world.is_suspended("dee"));
    world.lift(1, "bo", "cy");
    assert!(world.is_suspended("cy"), "eu had not heard of it");
    world.suspend(2, "bo", "cy");
    world.folded[1] = world.folded[0].clone();
    world.lift(1, "ana", "cy");
    assert!(world.is_suspended("cy"), "us' suspension was not seen");
    world.meet();
    world.lift(1, "ana", "cy");
    assert!(!world.is_suspended("cy"));
}

/// A5, A7: `not_before` only rises, stays when the suspension is lifted, and is not the root owner's.
#[test]
fn what_was_issued_before_a_suspension_stays_void() {
    let mut world = World::new();
    world.suspend(0, "ana", "cy");
    world.meet();
    world.lift(0, "ana", "cy");
    let (members, access) = World::fold_of(world.facts.clone());
    assert!(!access.is_suspended(&user("cy"), members.root()));
    let not_before = |id| access.not_before_ms(&user(id), members.root());
    assert_eq!((not_before("cy"), not_before("dee")), (4, 0));
    world.suspension(1, "bo", Whom::Everyone, true);
    let (members, access) = World::fold_of(world.facts.clone());
    let not_before = |id| access.not_before_ms(&user(id), members.root());
    assert!(not_before("dee") > 0 && not_before("cy") >= 4 && not_before("ops") == 0);
}

/// A5: no fold locks a tenant for good: the root owner is never suspended, not with everyone either.
#[test]
fn everyone_can_be_suspended_but_the_root_owner() {
    let mut world = World::new();
    world.suspend(0, "ana", "ops");
    world.suspension(1, "bo", Whom::Everyone, true);
    assert!(!world.is_suspended("ops"));
    assert!(["ana", "bo", "cy"].iter().all(|id| world.is_suspended(id)));
    world.meet();
    world.suspension(2, "ops", Whom::Everyone, false);
    assert!(!world.is_suspended("ana") && !world.is_suspended("cy"));
}

/// A5: a lift by somebody who was no owner, or who was removed or suspended concurrently, has no effect; one
/// by somebody who was removed later has.
#[test]
fn a_lift_counts_only_with_its_authors_authority() {
    let mut base = World::new();
    base.suspend(0, "ops", "cy");
    base.meet();

    let mut world = base.clone();
    let lift = world.lift(0, "dee", "cy");
    assert!(world.is_suspended("cy") && world.is_lost(lift), "dee is no owner");

    let mut world = base.clone();
    let lift = world.lift(0, "bo", "cy");
    world.member(1, "ana", "bo", Change::Remove(None));
    assert!(world.is_suspended("cy") && world.is_lost(lift), "removed concurrently");

    let mut world = base.clone();
    let lift = world.lift(0, "bo", "cy");
    world.suspend(1, "ana", "bo");
    assert!(world.is_suspended("cy") && world.is_lost(lift), "suspended concurrently");

    let mut world = base.clone();
    let lift = world.lift(0, "bo", "cy");
    world.meet();
    world.member(1, "ana", "bo", Change::Remove(None));
    world.suspend(2, "ana", "bo");
    assert!(!world.is_suspended("cy") && !world.is_lost(lift), "what came later takes nothing back");
}

/// E4: a lift that is sequenced again behind a later suspension is a twin and lifts nothing more.
#[test]
fn a_later_twin_of_a_lift_lifts_nothing_more() {
    let mut world = World::new();
    world.suspend(0, "ana", "cy");
    world.meet();
    let first = world.lift(0, "ana", "cy");
    world.suspend(0, "bo", "cy");
    world.meet();
    let again = world.lift(1, "ana", "cy");
    let Fact::Access(original) = world.facts[first].clone() else { panic!() };
    let Fact::Access(twin) = &mut world.facts[again] else { panic!() };
    twin.entry = Entry { place: twin.entry.place.clone(), resend: true, ..original.entry };
    twin.entry.place.hlc = Hlc(1 << 40);
    assert!(world.is_suspended("cy") && world.is_lost(again));
}

/// E3: foundings by several regions are one, and regions that were told different owners agree.
#[test]
fn foundings_of_several_regions_are_one() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut world = World { facts: Vec::new(), folded: Default::default() };
        for region in order {
            world.member(
                region,
                PROVISIONER,
                if region == 1 { "other" } else { "ops" },
                Change::Add(Role::Owner),
            );
        }
        let (members, _) = World::fold_of(world.facts);
        assert_eq!(members.root(), Some(&user("ops")), "the smaller id, whatever came first");
        assert_eq!(members.iter().count(), 1);
        assert_eq!(members.losses().count(), 0);
    }
}

fn any_world() -> impl Strategy<Value = World> {
    let step = prop_oneof![
        (0usize..3, 0usize..3, 0usize..4, any::<bool>()).prop_map(|(r, a, w, s)| (r, a, w, usize::from(s))),
        (0usize..3, 0usize..3, 0usize..4, 2usize..4),
        Just((0, 0, 0, 4)),
    ];
    prop::collection::vec(step, 0..12).prop_map(|steps| {
        let mut world = World::new();
        for (region, author, whom, what) in steps {
            let (author, whom) = (["ops", "ana", "bo"][author], ["ana", "bo", "cy", "ops"][whom]);
            match what {
                0 => drop(world.suspend(region, author, whom)),
                1 => drop(world.lift(region, author, whom)),
                2 => world.member(region, author, whom, Change::Add(Role::Owner)),
                3 => world.member(region, author, whom, Change::Remove(None)),
                _ => world.meet(),
            }
        }
        world
    })
}

proptest! {
    /// A3, A6: the fold is a function of the set of events, whatever order they come in and however often.
    #[test]
    fn the_fold_depends_on_the_set_of_events_alone(
        world in any_world(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let (members, access) = World::fold_of(world.facts.clone());
        let mut facts = world.facts.clone();
        for pick in picks {
            let at = pick.index(facts.len());
            let fact = facts[at].clone();
            facts.push(fact);
            facts.swap(0, at);
        }
        let (other_members, other) = World::fold_of(facts);
        prop_assert_eq!(&access.standing, &other.standing);
        prop_assert_eq!(&access.lost, &other.lost);
        prop_assert_eq!(members.root(), other_members.root());
        prop_assert!(!access.is_suspended(&user("ops"), members.root()));
    }
}

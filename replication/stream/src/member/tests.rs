#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::{EventId, Origin};

mod costs;
mod scenarios;

const REGIONS: [&str; 3] = ["ap-southeast-1", "eu-west-1", "us-east-1"];
const USERS: [&str; 5] = ["root", "ana", "bo", "cy", "dee"];

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

/// Three regions that take member events and hear of each other's when told to. The first event is the
/// creation.
#[derive(Clone, Debug)]
struct World {
    stream: StreamId,
    events: Vec<MemberEvent>,
    /// What each region has folded.
    folded: [Cursor; 3],
}

impl World {
    fn new() -> Self {
        let id = EventId::mint(1, 1);
        let stream = created::stream("acme", "chat", &user("root"), id).unwrap();
        let mut world = Self { stream, events: Vec::new(), folded: Default::default() };
        world.take(0, 0, "root", "root", Change::Add(Role::Owner));
        world.events[0].entry.id = id;
        (1..3).for_each(|region| world.hear(region, 0));
        world
    }

    /// `region`, whose clock is `skew` behind or ahead, takes an event; returns its index.
    fn take(&mut self, region: usize, skew: u64, author: &str, subject: &str, change: Change) -> usize {
        let n = self.events.len() as u64;
        let origin: Origin = REGIONS[region].parse().unwrap();
        let last = self.events.iter().rev().find(|e| e.entry.place.origin == origin).map(|e| &e.entry.place);
        let (seq, hlc) = last.map_or((1, 0), |last| (last.seq + 1, last.hlc.0));
        let place = Place { hlc: Hlc((100 + n * 2 + skew).max(hlc + 1)), origin: origin.clone(), seq };
        let content = ContentHash([n as u8; 16]);
        let entry =
            Entry { place, author: user(author), id: EventId::mint(2 + n, 0), content, resend: false };
        let deps = Policy { member: self.folded[region].clone(), ..Policy::default() };
        self.events.push(MemberEvent { entry, subject: user(subject), change, deps });
        self.folded[region].advance(&origin, seq);
        n as usize
    }

    fn hear(&mut self, region: usize, other: usize) {
        let heard = self.folded[other].clone();
        self.folded[region].merge(&heard);
    }

    fn meet(&mut self) {
        for (a, b) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
            self.hear(a, b);
        }
    }

    fn fold(&self) -> Members {
        let mut members = Members::of(self.stream.clone());
        members.extend(self.events.iter().cloned());
        members
    }

    fn role(&self, id: &str) -> Option<Role> {
        self.fold().role_of(&user(id))
    }

    fn loss(&self, event: usize) -> Option<Loss> {
        let members = self.fold();
        members.losses().find(|(lost, _)| **lost == self.events[event]).map(|(_, loss)| loss)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take { region: usize, skew: u64, author: usize, subject: usize, change: Change },
    Repeat { pick: usize, region: usize },
    Hear { region: usize, other: usize },
}

/// Mostly ownership, among few people, so that duels, accomplices and re-adds are common.
fn any_world(takes: usize) -> impl Strategy<Value = World> {
    let change = prop_oneof![
        4 => Just(Change::Add(Role::Owner)),
        1 => Just(Change::Add(Role::Writer)),
        1 => Just(Change::Add(Role::Reader)),
        3 => Just(Change::Remove(None)),
        1 => Just(Change::Remove(Some(Role::Owner))),
        1 => Just(Change::Remove(Some(Role::Writer))),
    ];
    let author = prop_oneof![3 => Just(0usize), 3 => 1usize..3, 1 => 3usize..5];
    let subject = prop_oneof![1 => Just(0usize), 6 => 1usize..3, 3 => 3usize..5];
    let take =
        (0usize..3, 0u64..40, author, subject, change).prop_map(|(region, skew, author, subject, change)| {
            Step::Take { region, skew, author, subject, change }
        });
    let step = prop_oneof![
        6 => take,
        1 => (any::<usize>(), 0usize..3).prop_map(|(pick, region)| Step::Repeat { pick, region }),
        4 => (0usize..3, 0usize..3).prop_map(|(region, other)| Step::Hear { region, other }),
    ];
    prop::collection::vec(step, 0..takes * 2).prop_map(move |steps| {
        let mut world = World::new();
        for step in steps {
            match step {
                _ if world.events.len() > takes => break,
                Step::Take { region, skew, author, subject, change } => {
                    world.take(region, skew, USERS[author], USERS[subject], change);
                }
                Step::Repeat { pick, region } => {
                    let MemberEvent { entry, subject, change, .. } =
                        world.events[pick % world.events.len()].clone();
                    let at = world.take(region, 0, entry.author.as_str(), subject.as_str(), change);
                    let place = world.events[at].entry.place.clone();
                    world.events[at].entry = Entry { place, resend: true, ..entry };
                }
                Step::Hear { region, other } => world.hear(region, other),
            }
        }
        world
    })
}

fn roles(members: &Members) -> BTreeMap<UserId, Role> {
    members.iter().map(|(user, membership)| (user.clone(), membership.role)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// A2, A5: what the fold finds is what the rules say, by an evaluator that shares nothing with it but the
    /// events.
    #[test]
    fn the_fold_agrees_with_the_naive_evaluator(world in any_world(8)) {
        let members = world.fold();
        if members.knots() == 0 {
            let stable = oracle::stable(&world.events, &user("root"));
            prop_assert_eq!(stable.len(), 1, "the rules decide");
            prop_assert_eq!(roles(&members), oracle::roles(&world.events, &user("root"), &stable[0]));
            let void = |e: &MemberEvent| {
                let mut losses = members.losses();
                losses.any(|(lost, loss)| lost == e && matches!(loss, Loss::Void(_)))
            };
            let counts: Vec<bool> = world.events.iter().map(|e| !void(e)).collect();
            prop_assert_eq!(&counts, &stable[0]);
        }
    }

    /// A6: equal sets give equal members, losses and starts, whatever the order of arrival, one by one or at
    /// once.
    #[test]
    fn any_order_of_arrival_gives_the_same((world, order) in any_world(14).prop_flat_map(|world| {
        let order: Vec<usize> = (0..world.events.len()).collect();
        (Just(world), Just(order).prop_shuffle())
    })) {
        let at_once = world.fold();
        let mut one_by_one = Members::of(world.stream.clone());
        for &at in order.iter().chain(&order[..order.len() / 2]) {
            let before = one_by_one.members.clone();
            let changed = one_by_one.apply(world.events[at].clone());
            for user in USERS.map(user) {
                let differs = before.get(&user) != one_by_one.members.get(&user);
                prop_assert_eq!(changed.contains(&user), differs, "exactly who changed is told");
            }
        }
        prop_assert_eq!(&one_by_one.members, &at_once.members);
        prop_assert_eq!(&one_by_one.losses, &at_once.losses);
        prop_assert_eq!(&one_by_one.cursor, &at_once.cursor);
    }

    /// A5: whatever anybody does, the stream has its root owner.
    #[test]
    fn no_fold_leaves_a_stream_without_an_owner(world in any_world(14)) {
        let members = world.fold();
        prop_assert_eq!(members.role_of(&user("root")), Some(Role::Owner));
        prop_assert_eq!(members.root(), Some(&user("root")));
    }

    /// A5: nobody who was never made an owner by one has any effect on others, whatever they claim to have
    /// seen.
    #[test]
    fn strangers_change_nobody_but_themselves(world in any_world(10), forged in 0u64..40) {
        let members = world.fold();
        let mut attacked = world.clone();
        let everything: Cursor = REGIONS.iter().map(|r| (r.parse().unwrap(), forged)).collect();
        for change in [Change::Add(Role::Owner), Change::Remove(None)] {
            for subject in USERS.into_iter().chain(["mallory"]) {
                let at = attacked.take(1, 0, "mallory", subject, change);
                attacked.events[at].deps.member = everything.clone();
            }
        }
        prop_assert_eq!(roles(&attacked.fold()), roles(&members));
    }

    /// E24: with `since_joined` the hidden part of each origin is a prefix, so one start per origin says it
    /// all.
    #[test]
    fn what_is_hidden_is_a_prefix_of_each_origin(
        world in any_world(14), stamps in prop::collection::btree_set(0u64..200, 0..20),
    ) {
        let members = world.fold();
        for id in USERS.map(user) {
            let hidden = |(seq, hlc): (usize, &u64)| {
                let origin = REGIONS[1].parse().unwrap();
                let place = Place { hlc: Hlc(*hlc), origin, seq: seq as u64 + 1 };
                prop_assert_eq!(members.hides(&id, History::All, &place), members.role_of(&id).is_none());
                Ok(members.hides(&id, History::SinceJoined, &place))
            };
            let hidden: Result<Vec<bool>, TestCaseError> = stamps.iter().enumerate().map(hidden).collect();
            let hidden = hidden?;
            prop_assert!(hidden.is_sorted_by(|a, b| a >= b), "{:?}", hidden);
        }
    }
}

//! What a fold costs, in counted steps: n events cost n log n, whatever hostile owners write.

use super::*;
use crate::counted;

/// Steps to fold what `make` writes in `n` turns.
fn cost(n: usize, make: fn(&mut World, usize)) -> u64 {
    let mut world = World::new();
    (0..n).for_each(|turn| make(&mut world, turn));
    counted::of(|| drop(world.fold()))
}

/// Four times the events cost less than six times the steps (n log n: 4.8), not sixteen or sixty-four.
fn costs_its_share(make: fn(&mut World, usize)) {
    let (few, many) = (cost(1_000, make), cost(4_000, make));
    assert!(many < 6 * few, "{few} steps for 1,000 turns, {many} for 4,000");
}

/// E4, E24: an id that is used again and again, each time with other content, costs no more than other ids.
#[test]
fn a_reused_id_costs_no_more_than_others() {
    costs_its_share(|world, turn| {
        let at = world.take(0, 0, "root", "bo", Change::Add(Role::Writer));
        world.events[at].entry.id = EventId::mint(9, 9);
        world.events[at].entry.content.0[..8].copy_from_slice(&turn.to_be_bytes());
    });
}

/// A2: adds and removals of one member in turn.
#[test]
fn alternating_adds_and_removals_cost_their_share() {
    costs_its_share(|world, turn| {
        let change = if turn % 2 == 0 { Change::Add(Role::Writer) } else { Change::Remove(None) };
        world.take(0, 0, "root", "bo", change);
    });
}

/// A5: the ownership of an accomplice comes and goes, and they write in between.
#[test]
fn an_accomplice_who_comes_and_goes_costs_their_share() {
    costs_its_share(|world, turn| {
        match turn % 3 {
            0 => world.take(0, 0, "root", "ana", Change::Add(Role::Owner)),
            1 => world.take(0, 0, "ana", "bo", Change::Add(Role::Owner)),
            _ => world.take(0, 0, "root", "ana", Change::Remove(None)),
        };
    });
}

/// A5: an accomplice who is made owner again and again, by two regions that hear of each other.
#[test]
fn many_grants_in_force_cost_their_share() {
    costs_its_share(|world, turn| {
        let region = turn % 2;
        world.take(region, 0, "root", "ana", Change::Add(Role::Owner));
        world.take(region, 0, "ana", "bo", Change::Add(Role::Owner));
        world.take(region, 0, "bo", "cy", Change::Remove(Some(Role::Writer)));
        world.hear(1 - region, region);
    });
}

/// A2, A5: one region removes an accomplice all the time, and another, which hears of none of it, what they
/// write.
#[test]
fn concurrent_removals_cost_their_share() {
    costs_its_share(|world, turn| {
        if turn == 0 {
            world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
            world.meet();
        }
        world.take(0, 0, "root", "ana", Change::Remove(None));
        world.take(1, 0, "ana", "bo", Change::Add(Role::Owner));
        world.take(1, 0, "ana", "cy", Change::Remove(None));
    });
}

/// A5: two owners remove each other in two regions, over and over.
#[test]
fn a_duel_costs_its_share() {
    costs_its_share(|world, turn| {
        if turn == 0 {
            world.take(0, 0, "root", "ana", Change::Add(Role::Owner));
            world.take(0, 0, "root", "bo", Change::Add(Role::Owner));
            world.meet();
        }
        world.take(0, 0, "ana", "bo", Change::Remove(None));
        world.take(1, 0, "bo", "ana", Change::Remove(None));
    });
}

#![allow(clippy::unwrap_used)]

use super::*;

const SESSION: Duration = Duration::from_secs(10);

struct Table {
    group: GroupState,
    now: Instant,
    /// What each member was told it holds.
    held: BTreeMap<MemberId, BTreeMap<u16, u32>>,
}

impl Table {
    fn join(&mut self) -> MemberId {
        let id = self.group.join(Arc::new(Wake::new(1)), SESSION, self.now, &mut Wakers::new());
        self.held.insert(id, BTreeMap::new());
        id
    }

    /// Every member hears all it is to be told and lets go what it must.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for id in self.held.keys().copied().collect::<Vec<_>>() {
                while let Some((event, _)) = self.group.event(id) {
                    quiet = false;
                    let held = self.held.get_mut(&id).unwrap();
                    match event {
                        Event::Assigned { partition, generation } => {
                            held.insert(partition, generation);
                        }
                        Event::Revoked { partition, .. } => {
                            held.remove(&partition);
                            self.group.release(id, partition, &mut Wakers::new());
                        }
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn counts(&self) -> Vec<usize> {
        self.held.values().map(BTreeMap::len).collect()
    }
}

fn table(partitions: u16) -> Table {
    Table { group: GroupState::new(partitions), now: Instant::now(), held: BTreeMap::new() }
}

/// Members come and go at random: always each partition has one owner, shares differ by at most one,
/// generations rise, and a rebalance moves no partition that need not move.
#[test]
fn shares_stay_even_and_sticky_whoever_comes_and_goes() {
    let mut random = crate::seed::Seed::named(1, "group");
    let mut table = table(16);
    let mut highest = [0; 16];
    for _ in 0..500 {
        let before = table.held.clone();
        if table.held.len() < 2 || (table.held.len() < 8 && random.chance(500)) {
            table.join();
        } else {
            let gone = *table.held.keys().nth(random.below(table.held.len() as u64) as usize).unwrap();
            table.held.remove(&gone);
            table.group.leave(gone, &mut Wakers::new());
        }
        table.settle();
        let mut owners = [0; 16];
        for held in table.held.values() {
            held.keys().for_each(|p| owners[usize::from(*p)] += 1);
        }
        assert_eq!(owners, [1; 16]);
        let counts = table.counts();
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        let mut moved = 0;
        for (id, held) in &table.held {
            for (partition, generation) in held {
                if before.get(id).and_then(|held| held.get(partition)) != Some(generation) {
                    let last = &mut highest[usize::from(*partition)];
                    assert!(generation > last, "C2");
                    *last = *generation;
                    moved += 1;
                }
            }
        }
        assert!(moved <= 16 / before.len().min(table.held.len()).max(1) + 1, "{moved} moved: {before:?}");
    }
}

/// A member that is dead in the middle of a handover holds nothing up.
#[test]
fn a_handover_survives_the_death_of_both_sides() {
    for dies in 0..2 {
        let mut table = table(4);
        let ids = [table.join(), table.join()];
        table.group.leave(ids[dies], &mut Wakers::new());
        table.held.remove(&ids[dies]);
        table.settle();
        assert_eq!(table.counts(), [4]);
    }
}

/// C10: a heartbeat of one member ends the sessions of those not heard of.
#[test]
fn silence_ends_a_session() {
    let mut table = table(4);
    let (first, second) = (table.join(), table.join());
    table.settle();
    let (&partition, &generation) = table.held[&first].first_key_value().unwrap();
    assert!(table.group.heartbeat(second, table.now + SESSION, &mut Wakers::new()));
    let late = table.now + SESSION + beat_interval(SESSION) + Duration::from_millis(1);
    assert!(table.group.heartbeat(second, late, &mut Wakers::new()));
    assert!(!table.group.heartbeat(first, late, &mut Wakers::new()));
    table.held.remove(&first);
    table.settle();
    assert_eq!(table.counts(), [4]);
    let commit = table.group.commit(first, (partition, generation), &[], late, &mut Wakers::new());
    assert_eq!(commit, Err(Error::Fenced));
}

//! Global-table semantics: what the engine must live with.

use bytes::Bytes;
use rand::RngExt as _;
use tokio::time::advance;

use super::*;
use crate::key::{Key, Name};
use crate::table::{Consistency, Delete, Expect, Put, Range, Table};

const MS: Duration = Duration::from_millis(1);

struct World {
    replication: Replication,
    regions: Vec<Region>,
    tables: Vec<Arc<MemoryTable>>,
}

fn world(min_ms: u32, max_ms: u32) -> World {
    let regions: Vec<Region> = ["a", "b", "c"].map(|name| name.parse().unwrap()).into();
    let replication = Replication::new(&regions, Delay { min: MS * min_ms, max: MS * max_ms }, 7);
    let tables = regions.iter().map(|region| replication.table(region).unwrap()).collect();
    World { replication, regions, tables }
}

fn key(sort: &str) -> Key {
    Key::new(Name::Events, "stream", sort)
}

impl World {
    async fn put(&self, at: usize, sort: &str, value: &str) -> Put {
        self.tables[at].put(key(sort), value.to_owned().into(), Expect::Any).await.unwrap()
    }

    async fn value(&self, at: usize, sort: &str) -> Option<Bytes> {
        let items = self.tables[at].get(&[key(sort)], Consistency::Consistent).await.unwrap();
        items.into_iter().next().flatten().map(|item| item.value)
    }

    async fn sorts(&self, at: usize) -> Vec<String> {
        let page = self.tables[at].query(Range::new(Name::Events, "stream")).await.unwrap();
        page.items.iter().map(|item| item.key.sort.to_string()).collect()
    }

    async fn after(&self, ms: u32) {
        advance(MS * ms).await;
        self.replication.step(Instant::now());
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_arrives_everywhere_after_its_delay() {
    let w = world(100, 100);
    w.put(0, "x", "one").await;
    w.after(99).await;
    assert_eq!((w.value(0, "x").await.unwrap(), w.value(1, "x").await), ("one".into(), None));
    w.after(1).await;
    for at in 0..3 {
        assert_eq!(w.value(at, "x").await.unwrap(), "one");
    }
    assert_eq!(w.replication.in_flight(), 0);
}

/// Conditions hold in one region only: both regions' puts succeed, and the later one wins in all.
#[tokio::test(start_paused = true)]
async fn two_regions_put_absent_and_the_last_writer_wins_everywhere() {
    let w = world(100, 100);
    assert_eq!(w.tables[0].put(key("x"), "first".into(), Expect::Absent).await.unwrap(), Put::Done(1));
    advance(MS).await;
    assert_eq!(w.tables[1].put(key("x"), "second".into(), Expect::Absent).await.unwrap(), Put::Done(1));
    w.after(200).await;
    for at in 0..3 {
        assert_eq!(w.value(at, "x").await.unwrap(), "second");
    }
    assert!(matches!(
        w.tables[2].put(key("x"), "third".into(), Expect::Absent).await.unwrap(),
        Put::Found(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_skewed_clock_makes_an_earlier_write_win() {
    let w = world(100, 100);
    w.tables[0].set_skew_ms(5_000);
    w.put(0, "x", "ahead").await;
    advance(MS * 50).await;
    w.put(1, "x", "later").await;
    w.after(200).await;
    for at in 0..3 {
        assert_eq!(w.value(at, "x").await.unwrap(), "ahead");
    }
}

#[tokio::test(start_paused = true)]
async fn items_arrive_in_another_order_and_old_versions_never_win() {
    let w = world(0, 1_000);
    let mut reordered = 0;
    for n in 0..50 {
        w.put(0, &format!("{n:02}"), "item").await;
        w.put(0, "last", &n.to_string()).await;
    }
    for _ in 0..100 {
        w.after(10).await;
        let arrived = w.sorts(1).await;
        reordered += usize::from(arrived.iter().zip(0..).any(|(sort, n)| *sort != format!("{n:02}")));
    }
    assert!(reordered > 10, "{reordered}");
    for at in 1..3 {
        assert_eq!(w.value(at, "last").await.unwrap(), "49");
        assert_eq!(w.sorts(at).await, w.sorts(0).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_put_that_arrives_after_a_delete_does_not_bring_the_item_back() {
    let w = world(100, 100);
    w.put(0, "x", "one").await;
    w.after(100).await;
    w.replication.pause(&w.regions[0], &w.regions[1], true);
    w.put(0, "x", "two").await;
    w.after(100).await;
    assert_eq!(w.value(1, "x").await.unwrap(), "one");
    assert_eq!(w.value(2, "x").await.unwrap(), "two");
    assert_eq!(w.tables[2].delete(key("x"), Expect::Version(2)).await.unwrap(), Delete::Done);
    w.after(100).await;
    w.replication.pause(&w.regions[0], &w.regions[1], false);
    w.after(0).await;
    assert_eq!((w.value(0, "x").await, w.value(1, "x").await, w.value(2, "x").await), (None, None, None));
    w.put(1, "x", "three").await;
    w.after(100).await;
    assert_eq!(w.value(0, "x").await.unwrap(), "three");
}

#[tokio::test(start_paused = true)]
async fn one_direction_pauses_alone_and_loses_nothing() {
    let w = world(10, 10);
    w.replication.pause(&w.regions[0], &w.regions[1], true);
    w.put(0, "x", "one").await;
    w.put(1, "y", "back").await;
    w.after(1_000).await;
    assert_eq!((w.value(1, "x").await, w.value(2, "x").await.unwrap()), (None, "one".into()));
    assert_eq!(w.value(0, "y").await.unwrap(), "back");
    assert_eq!(w.replication.in_flight_between(&w.regions[0], &w.regions[1]), 1);
    w.replication.pause(&w.regions[0], &w.regions[1], false);
    w.after(0).await;
    assert_eq!(w.value(1, "x").await.unwrap(), "one");
}

/// Section 7: a region destroyed and rebuilt empty with the table k items behind.
#[tokio::test(start_paused = true)]
async fn a_destroyed_region_leaves_its_last_k_items_nowhere() {
    let w = world(0, 500);
    for to in [1, 2] {
        w.replication.hold_back(&w.regions[0], &w.regions[to], 3);
    }
    for n in 0..10 {
        w.put(0, &format!("{n:02}"), "item").await;
    }
    w.after(1_000).await;
    assert_eq!(w.sorts(1).await.len(), 7);
    assert_eq!(w.sorts(1).await.last().unwrap(), "06", "the newest are held back");
    assert_eq!(w.replication.destroy(&w.regions[0]), 6);
    for to in [1, 2] {
        w.replication.hold_back(&w.regions[0], &w.regions[to], 0);
    }
    w.after(1_000).await;
    assert!(w.sorts(0).await.is_empty());
    w.replication.copy(&w.regions[1], &w.regions[0]);
    assert_eq!(w.sorts(0).await, w.sorts(1).await);
    w.put(0, "10", "next life").await;
    w.after(1_000).await;
    assert_eq!(w.sorts(1).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn run_applies_what_is_due_when_it_is_due() {
    let w = world(100, 200);
    let script = async {
        for n in 0..5 {
            w.put(n % 3, &n.to_string(), "item").await;
            tokio::time::sleep(MS * 50).await;
        }
        w.replication.set_delay(&w.regions[0], &w.regions[1], Delay { min: MS, max: MS });
        // By now it sleeps until something slower is due.
        tokio::time::sleep(MS).await;
        assert!(w.replication.in_flight() > 0);
        w.put(0, "fast", "overtakes").await;
        tokio::time::sleep(MS * 3).await;
        assert_eq!((w.value(1, "fast").await.unwrap(), w.value(2, "fast").await), ("overtakes".into(), None));
        tokio::time::sleep(MS * 250).await;
    };
    tokio::select! {
        biased;
        () = w.replication.run() => {}
        () = script => {}
    }
    assert_eq!(w.replication.in_flight(), 0);
    for at in 1..3 {
        assert_eq!(w.sorts(at).await, w.sorts(0).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_throttles_the_put_and_changes_nothing() {
    let regions: Vec<Region> = ["a", "b"].map(|name| name.parse().unwrap()).into();
    let replication = Replication::with_limit(&regions, Delay { min: MS, max: MS }, 7, 2);
    let (a, b) = (replication.table(&regions[0]).unwrap(), replication.table(&regions[1]).unwrap());
    for n in 0..2 {
        a.put(key(&n.to_string()), "item".into(), Expect::Absent).await.unwrap();
    }
    let put = a.put(key("2"), "item".into(), Expect::Absent).await;
    assert!(matches!(put, Err(Error::Throttled)), "{put:?}");
    assert!(matches!(a.delete(key("0"), Expect::Any).await, Err(Error::Throttled)));
    assert_eq!((a.len(Name::Events), b.len(Name::Events)), (2, 0));
    advance(MS).await;
    replication.step(Instant::now());
    assert_eq!(a.put(key("2"), "item".into(), Expect::Absent).await.unwrap(), Put::Done(1));
}

/// G5: whatever was written where, equal everywhere once all has arrived; equal for equal seeds.
#[tokio::test(start_paused = true)]
async fn random_writes_converge_and_repeat_from_their_seed() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let w = world(0, 300);
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        for _ in 0..500 {
            let (at, sort) = (rng.random_range(0..3), rng.random_range(0..20u32).to_string());
            if rng.random_range(0..4u32) == 0 {
                w.tables[at].delete(key(&sort), Expect::Any).await.unwrap();
            } else {
                w.put(at, &sort, &rng.random_range(0..1_000u32).to_string()).await;
            }
            w.after(rng.random_range(0..20)).await;
        }
        w.after(300).await;
        assert_eq!(w.replication.in_flight(), 0);
        let mut all = Vec::new();
        for at in 0..3 {
            let page = w.tables[at].query(Range::new(Name::Events, "stream")).await.unwrap();
            all.push(page.items.into_iter().map(|item| (item.key.sort, item.value)).collect::<Vec<_>>());
        }
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
        runs.push(all.swap_remove(0));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

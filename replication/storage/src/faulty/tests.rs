//! Each fault does what it says, once, and repeats from its seed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, advance};

use super::*;
use crate::error::Error;
use crate::key::{Key, Name};
use crate::memory::{MemorySessions, MemoryTable, MemoryTails};
use crate::sessions::{Session, Sessions};
use crate::table::{Consistency, Expect, Put, Table, Write};
use crate::tails::{Appended, Entry, Limits, Tails};

struct Broken {
    inner: Arc<MemoryTable>,
    faults: Arc<Faults>,
    table: FaultyTable,
}

fn broken(chances: Chances, seed: u64) -> Broken {
    let (inner, faults) = (Arc::new(MemoryTable::new()), Faults::new(chances, seed));
    Broken { table: FaultyTable::new(inner.clone(), faults.clone()), inner, faults }
}

fn key(hash: &str) -> Key {
    Key::new(Name::Events, hash, "sort")
}

impl Broken {
    async fn put(&self, hash: &str) -> Result<Put, Error> {
        self.table.put(key(hash), Bytes::from_static(b"value"), Expect::Absent).await
    }

    fn stored(&self) -> usize {
        self.inner.len(Name::Events)
    }
}

/// Section 7: put applied but reported failed, or landing 10 s late.
#[tokio::test(start_paused = true)]
async fn scripted_faults_are_taken_in_order() {
    let b = broken(Chances::default(), 1);
    for fault in [Fault::Fail, Fault::Throttle, Fault::Lost, Fault::Unknown, Fault::Late] {
        b.faults.next_write(fault);
    }
    assert!(matches!(b.put("fail").await, Err(Error::Unavailable(_))));
    assert!(matches!(b.put("throttle").await, Err(Error::Throttled)));
    assert!(matches!(b.put("lost").await, Err(Error::Unknown(_))));
    assert_eq!(b.stored(), 0);
    assert!(matches!(b.put("unknown").await, Err(Error::Unknown(_))));
    assert_eq!(b.stored(), 1, "applied, but not said");
    assert!(matches!(b.put("late").await, Err(Error::Unknown(_))));
    assert_eq!((b.stored(), b.faults.waiting()), (1, 1));
    assert!(matches!(b.put("unknown").await, Ok(Put::Found(item)) if item.value == "value"), "adopted");
    let taken = Taken { failed: 1, throttled: 1, unknown: 1, lost: 1, late: 1, landed: 0 };
    assert_eq!(b.faults.taken(), taken);
}

#[tokio::test(start_paused = true)]
async fn a_late_write_lands_ten_seconds_later_under_its_condition() {
    let b = broken(Chances::default(), 1);
    for _ in 0..2 {
        b.faults.next_write(Fault::Late);
    }
    let script = async {
        assert!(b.put("lands").await.is_err() && b.put("loses").await.is_err());
        assert_eq!(b.put("loses").await.unwrap(), Put::Done(1));
        tokio::time::sleep(Duration::from_millis(9_990)).await;
        assert_eq!((b.stored(), b.faults.waiting()), (1, 2));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!((b.stored(), b.faults.waiting()), (2, 0));
    };
    tokio::select! {
        biased;
        () = b.faults.run() => {}
        () = script => {}
    }
    assert_eq!(b.faults.taken().landed, 2);
    assert!(matches!(b.put("loses").await, Ok(Put::Found(item)) if item.version == 1));
}

#[tokio::test(start_paused = true)]
async fn late_writes_beyond_the_limit_are_lost() {
    let b = broken(Chances { late: 1_000, ..Chances::default() }, 1);
    for n in 0..LATE_MAX + 3 {
        assert!(matches!(b.put(&n.to_string()).await, Err(Error::Unknown(_))));
    }
    assert_eq!((b.faults.waiting(), b.faults.taken().lost), (LATE_MAX, 3));
    advance(Duration::from_secs(10)).await;
    assert_eq!(b.faults.step(Instant::now()).await, None);
    assert_eq!(b.stored(), LATE_MAX);
}

#[tokio::test(start_paused = true)]
async fn scripts_are_bounded() {
    let b = broken(Chances::default(), 1);
    for _ in 0..SCRIPT_MAX + 3 {
        b.faults.next_write(Fault::Lost);
    }
    for n in 0..SCRIPT_MAX + 3 {
        assert_eq!(b.put(&n.to_string()).await.is_ok(), n >= SCRIPT_MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn switches_refuse_what_they_name_and_nothing_else() {
    let b = broken(Chances::default(), 1);
    let read = async || b.table.get(&[key("a")], Consistency::Consistent).await;
    b.faults.set_hot("hot", true);
    assert!(matches!(b.put("hot").await, Err(Error::Throttled)));
    assert!(b.put("a").await.is_ok());
    b.faults.set_read_only(true);
    assert!(matches!(b.put("b").await, Err(Error::Unavailable(_))) && read().await.is_ok());
    b.faults.set_down(true);
    assert!(matches!(read().await, Err(Error::Unavailable(_))));
    b.faults.set_down(false);
    b.faults.set_read_only(false);
    b.faults.set_hot("hot", false);
    assert!(b.put("hot").await.is_ok() && read().await.is_ok());
}

/// E8: one throttled stream must not block what is put with it.
#[tokio::test(start_paused = true)]
async fn each_item_of_a_batch_meets_its_own_fate() {
    let b = broken(Chances::default(), 1);
    b.faults.set_hot("b", true);
    let write = |hash| Write { key: key(hash), value: Bytes::new(), expect: Expect::Absent };
    let answers = b.table.put_many(["a", "b", "c"].map(write).into()).await;
    assert!(
        matches!(&answers[..], [Ok(Put::Done(1)), Err(Error::Throttled), Ok(Put::Done(1))]),
        "{answers:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn chances_are_kept_about_and_repeat_from_their_seed() {
    let chances =
        Chances { fail: 50, unknown: 100, lost: 50, late: 100, throttle: 100, ..Chances::default() };
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let b = broken(chances, seed);
        let mut outcomes = String::new();
        for n in 0..1_000 {
            outcomes.push(match b.put(&n.to_string()).await {
                Ok(_) => '.',
                Err(Error::Throttled) => 't',
                Err(Error::Unavailable(_)) => 'f',
                Err(_) => 'u',
            });
        }
        let Taken { failed, throttled, unknown, lost, late, .. } = b.faults.taken();
        for (count, expected) in [(failed, 50), (throttled, 100), (unknown, 100), (lost, 50), (late, 100)] {
            assert!((expected / 2..expected * 2).contains(&count), "{:?}", b.faults.taken());
        }
        runs.push(outcomes);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn every_call_is_delayed_within_its_bounds() {
    let (delay_min, delay_max) = (Duration::from_millis(5), Duration::from_millis(50));
    let b = broken(Chances { delay_min, delay_max, ..Chances::default() }, 1);
    let mut slowest = Duration::ZERO;
    for n in 0..100 {
        let begun = Instant::now();
        b.put(&n.to_string()).await.unwrap();
        assert!(begun.elapsed() >= delay_min && begun.elapsed() <= delay_max + Duration::from_millis(1));
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest > delay_max / 2);
}

#[tokio::test(start_paused = true)]
async fn tails_and_sessions_break_the_same_way() {
    let faults = Faults::new(Chances::default(), 1);
    let tails = FaultyTails::new(Arc::new(MemoryTails::new(Limits::default())), faults.clone());
    let (stream, origin) = ("acme/chat/a".parse().unwrap(), "us-east-1".parse().unwrap());
    let entry = Entry { first: 1, last: 1, bytes: Bytes::new() };
    faults.next_write(Fault::Unknown);
    assert!(tails.append(&stream, &origin, entry.clone(), 0).await.is_err());
    assert_eq!(tails.append(&stream, &origin, entry, 0).await.unwrap(), Appended::Known(1));

    let sessions = FaultySessions::new(Arc::new(MemorySessions::new()), faults.clone());
    let session = Session {
        id: "s".into(),
        tenant: "acme".into(),
        user: "ana".parse().unwrap(),
        device: "phone".into(),
        gateway: "g".into(),
        opened_ms: 0,
        note: Bytes::new(),
    };
    faults.next_write(Fault::Lost);
    assert!(sessions.open(session.clone(), Duration::from_secs(9)).await.is_err());
    assert!(sessions.of_user("acme", &session.user).await.unwrap().is_empty());
    faults.set_down(true);
    assert!(sessions.of_user("acme", &session.user).await.is_err());
    assert!(tails.heads(&[stream]).await.is_err());
}

//! Fences by items with one writing region.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::faulty::{Chances, Fault, Faults, FaultyTable};
use crate::memory::{Delay, MemoryTable, Replication};

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn term(taken: Taken) -> u64 {
    match taken {
        Taken::Term { term, .. } => term,
        Taken::Outlived(later) => panic!("outlived by {later:?}"),
    }
}

#[test]
fn golden_items_never_change() {
    let incarnation = encode_incarnation(2, &region("eu-west-1"));
    assert_eq!(incarnation, "v=1 incarnation=2 witness=eu-west-1");
    let resume = Resume { term: 7, incarnation: 2 };
    assert_eq!(encode_resume(resume), "v=1 term=7 incarnation=2");
    assert_eq!(parse_resume(b"v=1 term=7 note=later incarnation=2").unwrap(), resume, "unknown fields");
    for corrupt in ["", "v=2 term=7 incarnation=2", "v=1 term=7", "v=1 term=x incarnation=2", "term=7 v=1"] {
        assert!(matches!(parse_resume(corrupt.as_bytes()), Err(Error::Corrupt(_))), "{corrupt}");
    }
    assert!(matches!(parse_incarnation(b"v=1 incarnation=0"), Err(Error::Corrupt(_))));
}

/// E1: the witness alone raises an incarnation; the others see it when it has arrived.
#[tokio::test(start_paused = true)]
async fn an_incarnation_is_raised_once_by_the_witness_and_arrives_everywhere() {
    let regions = [region("us-east-1"), region("eu-west-1")];
    let delay = Delay { min: Duration::from_secs(1), max: Duration::from_secs(1) };
    let replication = Replication::new(&regions, delay, 1);
    let [here, witness] = [0, 1].map(|at| replication.table(&regions[at]).unwrap());
    assert_eq!(incarnation(&*witness, &regions[0]).await.unwrap(), 1, "nobody ever raised it");
    let raise = async |witness_region: &Region, from| {
        raise_incarnation(&*witness, witness_region, &regions[0], from).await.unwrap()
    };
    assert_eq!(raise(&regions[0], 1).await, Raised::NotWitness);
    assert_eq!(raise(&regions[1], 1).await, Raised::Done(2));
    assert_eq!(raise(&regions[1], 1).await, Raised::Is(2), "asked again");
    assert_eq!(incarnation(&*here, &regions[0]).await.unwrap(), 1, "not here yet");
    tokio::time::advance(Duration::from_secs(1)).await;
    replication.step(tokio::time::Instant::now());
    assert_eq!(incarnation(&*here, &regions[0]).await.unwrap(), 2);
    assert_eq!(raise(&regions[1], 2).await, Raised::Done(3));
    assert_eq!(incarnation(&*here, &regions[1]).await.unwrap(), 1, "of another region");
}

/// E21: no two takers ever hold one term.
#[tokio::test(start_paused = true)]
async fn concurrent_takers_get_different_terms() {
    // Delays let the takers in between each other's read and put.
    let delays = Chances { delay_max: Duration::from_millis(5), ..Chances::default() };
    let faulty = FaultyTable::new(Arc::new(MemoryTable::new()), Faults::new(delays, 1));
    let table: Arc<dyn Table> = Arc::new(faulty);
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let table = table.clone();
        takers.spawn(async move {
            let mut terms = Vec::new();
            while terms.len() < 10 {
                match take_term(&*table, &region("us-east-1"), 3, 1).await {
                    Ok(taken) => terms.push(term(taken)),
                    Err(Error::Throttled) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            terms
        });
    }
    let mut terms = Vec::new();
    while let Some(taker) = takers.join_next().await {
        let taken = taker.unwrap();
        assert!(taken.is_sorted());
        terms.extend(taken);
    }
    terms.sort_unstable();
    assert_eq!(terms, (1..=80).collect::<Vec<_>>());
    let last = resume(&*table, &region("us-east-1"), 3).await.unwrap();
    assert_eq!(last, Some(Resume { term: 80, incarnation: 1 }));
    assert_eq!(resume(&*table, &region("us-east-1"), 4).await.unwrap(), None);
}

/// E1: what is left of an earlier life takes nothing.
#[tokio::test]
async fn an_earlier_incarnation_takes_no_term() {
    let table = MemoryTable::new();
    let us = region("us-east-1");
    assert_eq!(take_term(&table, &us, 3, 1).await.unwrap(), Taken::Term { term: 1, before: None });
    let before = Some(Resume { term: 1, incarnation: 1 });
    assert_eq!(take_term(&table, &us, 3, 2).await.unwrap(), Taken::Term { term: 2, before });
    let later = Resume { term: 2, incarnation: 2 };
    assert_eq!(take_term(&table, &us, 3, 1).await.unwrap(), Taken::Outlived(later));
    assert_eq!(resume(&table, &us, 3).await.unwrap(), Some(later));
}

/// Section 7: puts applied but reported failed, or landing 10 s late.
#[tokio::test(start_paused = true)]
async fn a_term_of_unknown_outcome_is_never_given_to_another() {
    let table: Arc<dyn Table> = Arc::new(MemoryTable::new());
    let faults = Faults::new(Chances::default(), 1);
    let faulty = FaultyTable::new(table.clone(), faults.clone());
    let us = region("us-east-1");
    for fault in [Fault::Unknown, Fault::Late, Fault::Lost] {
        let before = resume(&*table, &us, 3).await.unwrap().map_or(0, |resume| resume.term);
        faults.next_write(fault);
        let unknown = take_term(&faulty, &us, 3, 1).await;
        assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
        let next = term(take_term(&faulty, &us, 3, 1).await.unwrap());
        assert!(next > before);
        tokio::time::advance(Duration::from_secs(10)).await;
        faults.step(tokio::time::Instant::now()).await;
        let last = resume(&*table, &us, 3).await.unwrap().unwrap().term;
        assert_eq!(last, next, "a late put of an older version lands nowhere");
    }
}

#[tokio::test]
async fn a_taker_that_always_loses_gives_up() {
    struct AlwaysFaster(MemoryTable);
    #[async_trait::async_trait]
    impl Table for AlwaysFaster {
        async fn put(&self, key: crate::Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
            take_faster(&self.0).await;
            self.0.put(key, value, expect).await
        }
        async fn put_many(&self, writes: Vec<crate::Write>) -> Vec<Result<Put, Error>> {
            self.0.put_many(writes).await
        }
        async fn get(&self, keys: &[crate::Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
            self.0.get(keys, read).await
        }
        async fn query(&self, range: crate::Range) -> Result<crate::Page, Error> {
            self.0.query(range).await
        }
        async fn delete(&self, key: crate::Key, expect: Expect) -> Result<crate::table::Delete, Error> {
            self.0.delete(key, expect).await
        }
        async fn scan(&self, table: crate::Name, after: Option<crate::Token>) -> Result<crate::Page, Error> {
            self.0.scan(table, after).await
        }
    }
    async fn take_faster(table: &MemoryTable) {
        term(take_term(table, &region("us-east-1"), 3, 1).await.unwrap());
    }
    let table = AlwaysFaster(MemoryTable::new());
    let given_up = take_term(&table, &region("us-east-1"), 3, 1).await;
    assert!(matches!(given_up, Err(Error::Throttled)));
    let terms = resume(&table, &region("us-east-1"), 3).await.unwrap().unwrap().term;
    assert_eq!(terms, TAKE_TRIES as u64);
}

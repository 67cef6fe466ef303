//! A fence by an item with one writing region.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::memory::{Delay, Replication};

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

#[test]
fn golden_items_never_change() {
    let incarnation = encode_incarnation(2, &region("eu-west-1"));
    assert_eq!(incarnation, "v=1 incarnation=2 witness=eu-west-1");
    assert!(matches!(parse_incarnation(b"v=1 incarnation=0"), Err(Error::Corrupt(_))));
    let topics = encode_topics((0xab, u128::MAX));
    let text = "v=1 ingress=000000000000000000000000000000ab log=ffffffffffffffffffffffffffffffff";
    assert_eq!(topics, text);
    assert_eq!(parse_topics(&topics).unwrap(), (0xab, u128::MAX));
    assert!(matches!(parse_topics(b"v=1 ingress=0"), Err(Error::Corrupt(_))));
}

/// E1: a life's topics are those that it was first seen with, whoever asks later and with whatever.
#[tokio::test(start_paused = true)]
async fn the_first_that_see_a_lifes_topics_decide_which_they_are() {
    let table = crate::memory::MemoryTable::new();
    let origin: Origin = "us-east-1~2".parse().unwrap();
    assert_eq!(topics(&table, &origin, (1, 2)).await.unwrap(), (1, 2));
    assert_eq!(topics(&table, &origin, (3, 2)).await.unwrap(), (1, 2));
    let next: Origin = "us-east-1~3".parse().unwrap();
    assert_eq!(topics(&table, &next, (3, 4)).await.unwrap(), (3, 4), "another life's are its own");
}

/// E1: a life stands until a later one is raised, and does not before it is opened; the first needs no
/// opening.
#[tokio::test(start_paused = true)]
async fn a_life_may_go_on_from_its_opening_to_its_end() {
    let table = crate::memory::MemoryTable::new();
    let [first, second]: [Origin; 2] = ["us-east-1", "us-east-1~2"].map(|origin| origin.parse().unwrap());
    assert_eq!(standing(&table, &first).await.unwrap(), Standing::Present);
    assert_eq!(standing(&table, &second).await.unwrap(), Standing::Unopened);
    raise_incarnation(&table, &region("eu-west-1"), &region("us-east-1"), 1).await.unwrap();
    assert_eq!(standing(&table, &first).await.unwrap(), Standing::Ended(2));
    assert_eq!(standing(&table, &second).await.unwrap(), Standing::Unopened);
    open(&table, &second).await.unwrap();
    open(&table, &second).await.unwrap();
    assert_eq!(standing(&table, &second).await.unwrap(), Standing::Present);
}

/// E1, E24: a life is gathered where it was said so, each by itself and for good.
#[tokio::test(start_paused = true)]
async fn a_life_is_gathered_where_it_was_said_so() {
    let [here, there] = [(), ()].map(|()| crate::memory::MemoryTable::new());
    let lives: [Origin; 3] = ["us-east-1", "us-east-1~2", "eu-west-1"].map(|origin| origin.parse().unwrap());
    assert_eq!(gathered(&here, &lives).await.unwrap(), []);
    assert_eq!(gathered(&here, &[]).await.unwrap(), []);
    for _ in 0..2 {
        declare_gathered(&here, &lives[1]).await.unwrap();
        assert_eq!(gathered(&here, &lives).await.unwrap(), lives[1..2]);
    }
    assert_eq!(gathered(&there, &lives).await.unwrap(), []);
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

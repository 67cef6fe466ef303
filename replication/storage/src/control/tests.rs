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

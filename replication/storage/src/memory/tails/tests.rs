//! What memory tails promise beyond the suite: what Redis may do to its callers.

use bytes::Bytes;

use super::*;

const SMALL: Limits = Limits { entries: 4, bytes: 1_000, tails: 3 };

fn stream(name: &str) -> StreamId {
    StreamId::new("acme", "chat", name).unwrap()
}

fn here() -> Origin {
    "us-east-1".parse().unwrap()
}

async fn append(tails: &MemoryTails, name: &str, seq: u64, ensured: u64) -> Appended {
    let entry = Entry { first: seq, last: seq, bytes: Bytes::from_static(b"segment") };
    tails.append(&stream(name), &here(), entry, ensured).await.unwrap()
}

async fn head(tails: &MemoryTails, name: &str) -> u64 {
    tails.heads(&[stream(name)]).await.unwrap()[0].get(&here())
}

/// E15: a tail that went back does not go on with a hole in it.
#[tokio::test]
async fn lost_writes_take_the_head_back_and_the_next_append_is_a_gap() {
    let tails = MemoryTails::new(SMALL);
    for seq in 1..=4 {
        append(&tails, "a", seq, 0).await;
    }
    append(&tails, "b", 9, 0).await;
    tails.lose_last(3);
    assert_eq!((head(&tails, "a").await, head(&tails, "b").await), (2, 0));
    assert_eq!(append(&tails, "a", 5, 0).await, Appended::Gap(2));
    assert_eq!(append(&tails, "a", 3, 0).await, Appended::Done);
    tails.lose_last(99);
    assert!(tails.is_empty());
}

#[tokio::test]
async fn wiped_tails_start_anywhere() {
    let tails = MemoryTails::new(SMALL);
    append(&tails, "a", 1, 0).await;
    tails.wipe();
    assert_eq!(head(&tails, "a").await, 0);
    assert_eq!(append(&tails, "a", 7, 0).await, Appended::Done);
}

/// E20: beyond the bound of tails only those go that the table holds wholly.
#[tokio::test]
async fn the_longest_unused_ensured_tail_makes_room() {
    let tails = MemoryTails::new(SMALL);
    for name in ["a", "b", "c"] {
        append(&tails, name, 1, 0).await;
    }
    assert_eq!(append(&tails, "d", 1, 0).await, Appended::Full);
    tails.trim(&stream("c"), &here(), 1).await.unwrap();
    tails.trim(&stream("b"), &here(), 1).await.unwrap();
    assert_eq!(append(&tails, "d", 1, 0).await, Appended::Done);
    let mut heads = Vec::new();
    for name in ["a", "b", "c", "d"] {
        heads.push(head(&tails, name).await);
    }
    assert_eq!(heads, [1, 0, 1, 1], "b was ensured and unused for longest");
    assert_eq!(tails.len(), 3);
}

#[tokio::test]
async fn a_tail_is_bounded_in_bytes_too() {
    let tails = MemoryTails::new(SMALL);
    let entry = |seq| Entry { first: seq, last: seq, bytes: Bytes::from(vec![0; 600]) };
    tails.append(&stream("a"), &here(), entry(1), 0).await.unwrap();
    assert_eq!(tails.append(&stream("a"), &here(), entry(2), 0).await.unwrap(), Appended::Full);
    assert_eq!(tails.append(&stream("a"), &here(), entry(2), 1).await.unwrap(), Appended::Done);
    let parts = tails.read(&stream("a"), &Cursor::new(), usize::MAX).await.unwrap();
    assert_eq!((parts[0].floor, parts[0].head), (2, 2));
}

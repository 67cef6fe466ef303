#![allow(clippy::unwrap_used)]

use super::*;
use crate::digest::LogHash;
use crate::sequencer::takeover::Placed;

fn pos(term: u64, n: u64) -> LogPos {
    LogPos { term, n }
}

fn end(term: u64, n: u64) -> LogEnd {
    LogEnd { at: pos(term, n), hash: LogHash([n as u8; 32]), offset: n }
}

fn other(n: u64) -> Placed {
    Placed { n, what: Logged::Other { own: [n as u8; 32] } }
}

/// A checkpoint of `term` that names these numbers and ends at `log`.
fn named(term: u64, number: u64, log: LogEnd, index: impl IntoIterator<Item = u64>) -> (u16, Checkpoint) {
    (0, Checkpoint { term, number, resume: 0, log, index: index.into_iter().map(other).collect() })
}

/// In short: `1:4` a record, `2:5>1` a term's first, `=5` a proof, `<3` a way back.
fn told(steps: &[Step]) -> String {
    let told = |step: &Step| match step {
        Step::Back(end) => format!("<{}", end.at.n),
        Step::Record { pos, continues: None, .. } => format!("{}:{}", pos.term, pos.n),
        Step::Record { pos, continues: Some(term), .. } => format!("{}:{}>{term}", pos.term, pos.n),
        Step::Proof(end) => format!("={}", end.at.n),
    };
    steps.iter().map(told).collect::<Vec<_>>().join(" ")
}

/// E21: each record once, in order, with what the running hash is behind each checkpoint's last.
#[test]
fn checkpoints_name_each_record_once() {
    let items = [
        named(1, 0, end(0, 0), []),
        named(1, 1, end(1, 2), [1, 2]),
        named(1, 2, end(1, 2), []),
        named(1, 3, end(1, 4), [3, 4]),
    ];
    assert_eq!(told(&steps(pos(0, 0), items.clone())), "1:1>0 1:2 =2 1:3 1:4 =4");
    assert_eq!(told(&steps(pos(1, 3), items[1..].to_vec())), "1:4 =4");
    assert_eq!(told(&steps(pos(1, 4), items)), "");
}

/// E21: what a checkpoint that is not here yet would name is no step, nor is anything behind it.
#[test]
fn a_gap_ends_the_steps() {
    let items = [named(1, 1, end(1, 2), [1, 2]), named(1, 3, end(1, 6), [5, 6])];
    assert_eq!(told(&steps(pos(1, 1), items)), "1:2 =2");
}

/// E21: an opening names what the last term left unnamed, and ends what it does not continue, wherever the
/// older term's late checkpoints name more.
#[test]
fn a_newer_term_goes_on_where_its_opening_says() {
    let items = [
        named(1, 1, end(1, 2), [1, 2]),
        named(1, 2, end(1, 6), [3, 4, 5, 6]),
        named(2, 0, end(1, 4), [3, 4]),
        named(3, 0, end(1, 4), []),
        named(3, 1, end(3, 6), [5, 6]),
    ];
    assert_eq!(told(&steps(pos(1, 2), items.clone())), "1:3 1:4 =4 3:5>1 3:6 =6");
    assert_eq!(told(&steps(pos(1, 6), items.clone())), "<4 3:5>1 3:6 =6", "it was counted too far");
    let unknown = [items[0].clone(), items[4].clone()];
    assert_eq!(told(&steps(pos(1, 2), unknown)), "", "whose opening is not here yet");
}

/// E21: a part names more of its own checkpoint's term, an opening's too, and proves nothing by itself.
#[test]
fn parts_are_taken_together() {
    let (_, more) = named(2, 0, end(1, 2), [3, 4]);
    let items =
        [named(1, 1, end(1, 1), [1]), named(2, 0, end(1, 2), [2]), (1, more), named(3, 0, end(2, 5), [5])];
    assert_eq!(told(&steps(pos(1, 1), items)), "1:2 =2 2:3>1 2:4 2:5 =5");
}

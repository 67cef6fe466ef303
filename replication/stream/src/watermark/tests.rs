#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn pos(term: u64, n: u64) -> LogPos {
    LogPos { term, n }
}

fn own(term: u64, n: u64) -> [u8; 32] {
    LogHash::of_bytes(&[term.to_be_bytes(), n.to_be_bytes()].concat())
}

/// A log as a partition's sequencers wrote it, zombies included, and the chain that counts.
#[derive(Clone, Debug)]
struct Written {
    log: Vec<Counted>,
    /// (record, running hash after it) of the chain, in order of n.
    chain: Vec<(Counted, LogHash)>,
}

impl Written {
    /// Terms of `lens` records each; term k + 1 goes on from `back` records before the end of what term k
    /// wrote, and `late` of the abandoned ones reach the log only after its first record. Every third record
    /// is a mark.
    fn new(terms: &[(u64, u64, usize)]) -> Self {
        let mut written = Self { log: Vec::new(), chain: Vec::new() };
        for (k, &(len, back, late)) in terms.iter().enumerate() {
            let term = k as u64 + 1;
            let mine = written.chain.iter().rev().take_while(|(r, _)| r.pos.term + 1 == term).count();
            let back = if k == 0 { 0 } else { (back as usize).min(mine) };
            let keep = written.chain.len() - back;
            let abandoned: Vec<Counted> = written.chain.split_off(keep).into_iter().map(|(r, _)| r).collect();
            let late = abandoned[back - late.min(back)..].to_vec();
            written.log.truncate(written.log.len() - late.len());
            for at in 0..len {
                written.write(term, at == 0);
                if at == 0 {
                    written.log.extend(&late);
                }
            }
        }
        written
    }

    fn write(&mut self, term: u64, first: bool) {
        let (last, hash) = self.chain.last().map_or((pos(0, 0), LogHash::START), |(r, hash)| (r.pos, *hash));
        let n = last.n + 1;
        let before = (n % 3 == 0).then_some(hash);
        let record =
            Counted { pos: pos(term, n), continues: first.then_some(last.term), own: own(term, n), before };
        self.log.push(record);
        self.chain.push((record, hash.extend(n, &record.own)));
    }

    fn end(&self) -> (LogPos, LogHash) {
        self.chain.last().map_or((pos(0, 0), LogHash::START), |(r, hash)| (r.pos, *hash))
    }
}

fn any_written() -> impl Strategy<Value = Written> {
    prop::collection::vec((1u64..12, 0u64..4, 0usize..4), 1..5).prop_map(|terms| Written::new(&terms))
}

/// What a mirror delivers: the log, with skipped stretches and jumps back.
fn any_delivery() -> impl Strategy<Value = (Written, Vec<usize>, bool)> {
    any_written().prop_flat_map(|written| {
        let len = written.log.len();
        let jumps = prop::collection::vec((0..len, 1..=len), 0..8);
        (Just(written), jumps, any::<bool>()).prop_map(move |(written, jumps, to_the_end)| {
            let mut delivered: Vec<usize> = Vec::new();
            for (from, count) in jumps {
                delivered.extend((from..len).take(count));
            }
            if to_the_end {
                delivered.extend(0..len);
            }
            (written, delivered, to_the_end)
        })
    })
}

/// Mirrored places that were delivered.
fn held(written: &Written, delivered: &[usize]) -> Vec<LogPos> {
    delivered.iter().map(|&at| written.log[at].pos).collect()
}

fn chain_up_to(written: &Written, at: LogPos) -> Vec<LogPos> {
    written.chain.iter().map(|(r, _)| r.pos).filter(|pos| *pos <= at).collect()
}

proptest! {
    /// E21: whatever a mirror skips, replays or delivers late, the watermark covers only what was delivered,
    /// and after one whole pass it stands at the end of the log, with the log's running hash.
    #[test]
    fn the_watermark_never_passes_a_hole((written, delivered, whole) in any_delivery()) {
        let mut watermark = Watermark::default();
        for at in 0..delivered.len() {
            let seen = watermark.seen(&written.log[delivered[at]]);
            prop_assert_ne!(seen, Seen::Differs);
            let held = held(&written, &delivered[..=at]);
            for (record, hash) in &written.chain {
                let covered = watermark.covers(record.pos);
                prop_assert!(!covered || held.contains(&record.pos), "{:?} is not held", record.pos);
                if record.pos == watermark.pos() {
                    prop_assert_eq!(watermark.hash(), *hash);
                    for below in chain_up_to(&written, record.pos) {
                        prop_assert!(held.contains(&below), "passed the hole at {:?}", below);
                    }
                }
            }
        }
        if whole {
            prop_assert_eq!((watermark.pos(), watermark.hash()), written.end());
            prop_assert_eq!(watermark.hole(), None);
        }
    }

    /// E21: replays and old marks change nothing; what an older term wrote on its own is never covered.
    #[test]
    fn replays_and_zombies_change_nothing(
        written in any_written(), again in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut watermark = Watermark::default();
        written.log.iter().for_each(|record| _ = watermark.seen(record));
        prop_assert_eq!((watermark.pos(), watermark.hash()), written.end());
        for pick in again {
            let record = &written.log[pick % written.log.len()];
            let counted = written.chain.iter().any(|(r, _)| r.pos == record.pos);
            let expected = if counted { Seen::Repeat } else { Seen::Older };
            prop_assert_eq!(watermark.seen(record), expected);
            prop_assert_eq!(watermark.covers(record.pos), counted);
            prop_assert_eq!((watermark.pos(), watermark.hash()), written.end());
        }
    }

    /// E21: a hole is closed by exactly the missing records and a later mark with the equal hash; one wrong
    /// byte in what was fetched closes nothing, and the right ones close it afterwards.
    #[test]
    fn a_hole_closes_only_over_the_right_records(
        len in 8u64..40, from in 1u64..10, gap in 1u64..12, wrong in prop::option::of(any::<usize>()),
    ) {
        let written = Written::new(&[(len, 0, 0)]);
        let (from, to) = (from.min(len - 5), (from.min(len - 5) + gap).min(len - 4));
        let mut watermark = Watermark::default();
        let missing = |r: &&Counted| from < r.pos.n && r.pos.n <= to;
        written.log.iter().filter(|r| !missing(r)).for_each(|r| _ = watermark.seen(r));
        prop_assert_eq!(watermark.hole(), Some(Hole { after: pos(1, from), before: pos(1, to + 1) }));

        let fetched: Vec<Counted> = written.log.iter().filter(missing).copied().collect();
        if let Some(wrong) = wrong {
            let mut forged = fetched.clone();
            let at = wrong % forged.len();
            forged[at].own[0] ^= 1;
            let filled: Vec<Filled> = forged.iter().map(|r| watermark.fill(r)).collect();
            prop_assert_eq!(filled.last(), Some(&Filled::Wrong));
            prop_assert_eq!(watermark.pos(), pos(1, from));
        }
        for (at, record) in fetched.iter().enumerate() {
            prop_assert_eq!(watermark.filled_to().n + 1, record.pos.n);
            let last = at + 1 == fetched.len();
            prop_assert_eq!(watermark.fill(record), if last { Filled::Closed } else { Filled::Kept });
        }
        prop_assert_eq!((watermark.pos(), watermark.hash()), written.end());
    }
}

/// E21: fetched records prove nothing by themselves: until a later mark comes the hole stays open and
/// alarmed.
#[test]
fn a_filled_hole_waits_for_a_later_mark() {
    let written = Written::new(&[(9, 0, 0)]);
    let mut watermark = Watermark::default();
    for n in [1, 2, 7, 8] {
        watermark.seen(&written.log[n - 1]);
    }
    for n in 3..=6 {
        assert_eq!(watermark.fill(&written.log[n - 1]), Filled::Kept);
    }
    assert_eq!(watermark.hole(), Some(Hole { after: pos(1, 2), before: pos(1, 7) }));
    assert_eq!(watermark.seen(&written.log[8]), Seen::Counted, "9 is a mark");
    assert_eq!((watermark.pos(), watermark.hash()), written.end());
}

/// E21: a checkpoint's hash proves what was fetched up to it, though no later mark has come; another hash
/// proves nothing, and the hole stays.
#[test]
fn a_checkpoints_hash_proves_what_was_fetched() {
    let written = Written::new(&[(12, 0, 0)]);
    let mut watermark = Watermark::default();
    for n in [1, 2, 8] {
        watermark.seen(&written.log[n - 1]);
    }
    let hash = |n: usize| written.chain[n - 1].1;
    let fill = |watermark: &mut Watermark, n: usize| watermark.fill(&written.log[n - 1]);
    assert_eq!(watermark.prove(pos(1, 2), hash(2)), Filled::NotNext, "nothing was fetched");
    (3..=5).for_each(|n| assert_eq!(fill(&mut watermark, n), Filled::Kept));
    assert_eq!(watermark.prove(pos(1, 4), hash(4)), Filled::NotNext, "that is not the last fetched");
    assert_eq!(watermark.prove(pos(1, 5), hash(4)), Filled::Wrong);
    assert_eq!((watermark.pos(), watermark.filled_to()), (pos(1, 2), pos(1, 2)), "all is forgotten");
    (3..=5).for_each(|n| _ = fill(&mut watermark, n));
    assert_eq!(watermark.prove(pos(1, 5), hash(5)), Filled::Closed);
    assert_eq!(watermark.hole(), Some(Hole { after: pos(1, 5), before: pos(1, 8) }), "the rest of it");
    (6..=7).for_each(|n| _ = fill(&mut watermark, n));
    assert_eq!(watermark.prove(pos(1, 7), hash(7)), Filled::Closed);
    assert_eq!((watermark.pos(), watermark.hash()), (pos(1, 8), hash(8)), "and what waited behind it");
}

/// E21: where a newer term's first record is missing its opening says how far to go back, though the hash
/// there is not remembered any more.
#[test]
fn a_term_whose_first_record_is_missing_is_entered_by_its_opening() {
    let written = Written::new(&[(6, 0, 0), (5, 2, 0)]);
    let (last, hash) = (&written.log[5], LogHash::START);
    let hash = written.log[..6].iter().fold(hash, |hash, record| hash.extend(record.pos.n, &record.own));
    let mut restarted = Watermark::at(last.pos, hash);
    let mut running = Watermark::default();
    written.log[..6].iter().for_each(|record| _ = running.seen(record));
    for watermark in [&mut restarted, &mut running] {
        let continued = (pos(1, 4), written.chain[3].1);
        assert!(!watermark.go_back(continued.0, continued.1), "there is no hole");
        watermark.seen(&written.log[10]);
        assert!(!watermark.go_back(pos(1, 6), hash), "that is not below it");
        assert!(watermark.go_back(continued.0, continued.1));
        assert_eq!((watermark.pos(), watermark.filled_to()), (pos(1, 6), pos(1, 4)), "not proven yet");
        let filled: Vec<Filled> = written.log[6..10].iter().map(|record| watermark.fill(record)).collect();
        assert_eq!(filled[..3], [Filled::Kept; 3]);
        assert_eq!(
            watermark.prove(pos(2, 8), written.chain[7].1),
            match filled[3] {
                Filled::Closed => Filled::NotNext,
                _ => Filled::Closed,
            }
        );
        assert_eq!((watermark.pos(), watermark.hash()), written.end());
    }
}

/// E21: a term's first record names where it goes on; what was counted beyond that point is counted no more.
#[test]
fn a_new_term_takes_back_what_it_does_not_continue() {
    let written = Written::new(&[(5, 0, 0), (2, 2, 0)]);
    let mut watermark = Watermark::default();
    for record in &written.log[..5] {
        assert_eq!(watermark.seen(record), Seen::Counted);
    }
    assert!(watermark.covers(pos(1, 5)));
    assert_eq!(watermark.seen(&written.log[5]), Seen::Counted);
    assert_eq!(watermark.pos(), pos(2, 4));
    assert!(watermark.covers(pos(1, 3)) && !watermark.covers(pos(1, 4)));
    assert!(!watermark.covers(pos(2, 3)), "there is no such record");
    watermark.seen(&written.log[6]);
    assert_eq!((watermark.pos(), watermark.hash()), written.end());
}

/// E21: a contradicting mark is an alarm and is not counted.
#[test]
fn a_mark_with_another_hash_is_an_alarm() {
    let written = Written::new(&[(4, 0, 0)]);
    let mut watermark = Watermark::default();
    watermark.seen(&written.log[0]);
    watermark.seen(&written.log[1]);
    let forged = Counted { before: Some(LogHash([7; 32])), ..written.log[2] };
    assert_eq!(watermark.seen(&forged), Seen::Differs);
    let malformed = Counted { continues: Some(2), ..written.log[2] };
    assert_eq!(watermark.seen(&malformed), Seen::Differs, "a term continues an older one");
    assert_eq!(watermark.pos(), pos(1, 2));
    assert_eq!(watermark.seen(&written.log[2]), Seen::Counted);
}

/// E21: from a checkpoint, everything up to it is held.
#[test]
fn it_goes_on_from_a_checkpoint() {
    let written = Written::new(&[(6, 0, 0), (6, 1, 1)]);
    let (record, hash) = written.chain[7];
    let mut watermark = Watermark::at(record.pos, hash);
    for record in &written.log {
        assert_ne!(watermark.seen(record), Seen::Differs);
    }
    assert_eq!((watermark.pos(), watermark.hash()), written.end());
}

/// E29: what waits above a hole is bounded; what did not fit is counted when it comes again.
#[test]
fn what_waits_above_a_hole_is_bounded() {
    let extra = 50;
    let len = limits::WATERMARK_AHEAD as u64 + 2 + extra;
    let written = Written::new(&[(len, 0, 0)]);
    let mut watermark = Watermark::default();
    watermark.seen(&written.log[0]);
    for record in &written.log[2..] {
        assert_eq!(watermark.seen(record), Seen::Ahead);
    }
    assert_eq!(watermark.ahead.len(), limits::WATERMARK_AHEAD);
    assert_eq!(watermark.seen(&written.log[1]), Seen::Counted);
    assert_eq!(watermark.pos(), pos(1, len - extra));
    written.log.iter().for_each(|record| _ = watermark.seen(record));
    assert_eq!((watermark.pos(), watermark.hash()), written.end());
    assert!(!watermark.proven.cut(pos(1, 5)), "hashes far below are forgotten");
}

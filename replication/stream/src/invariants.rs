//! The guarantees as functions over what was observed: one definition for property tests, the simulation, the
//! black-box checker and production's counters.
//!
//! Each returns the first violation it meets: the guarantee's id, what is wrong in words, and the numbers to
//! print. G6 to G8 are judged where steering, access and audit are.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};

use crate::digest::{Comparison, Prefix, compare};
use crate::hlc::Hlc;
use crate::limits::Limit;
use crate::map::Map;
use crate::order::{Entry, Equals, Place};
pub use tiling::Tiling;

#[cfg(test)]
mod tests;
mod tiling;

/// A guarantee that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// `G1` … `G9`.
    pub id: &'static str,
    /// What is wrong, as a sentence without numbers: also the label of the production counter.
    pub words: &'static str,
    /// What to print beside it: a name and a value each.
    pub numbers: Vec<(&'static str, String)>,
}

impl Violation {
    fn new(id: &'static str, words: &'static str) -> Self {
        Self { id, words, numbers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &impl Debug) -> Self {
        self.numbers.push((name, format!("{value:?}")));
        self
    }
}

/// `G4: a hole (at 3, seq 5)`.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.words)?;
        for (at, (name, value)) in self.numbers.iter().enumerate() {
            write!(f, "{}{name} {value}", if at == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.numbers.is_empty() { "" } else { ")" })
    }
}

/// G1: whatever was acked is in the ingress of the region that acked it, on every in-sync replica.
///
/// # Errors
/// Names the first that is not, and how many.
pub fn acked_is_durable<T: Ord + Debug>(acked: &BTreeSet<T>, ingress: &BTreeSet<T>) -> Result<(), Violation> {
    subset("G1", "an acked event is not in the ingress", acked, ingress)
}

/// G2: whatever was acked is shown, or named in an alarm, on one member's device.
///
/// # Errors
/// Names the first that is not, and how many.
pub fn acked_is_shown<T: Ord + Debug>(acked: &BTreeSet<T>, shown: &BTreeSet<T>) -> Result<(), Violation> {
    subset("G2", "an acked event is not shown", acked, shown)
}

/// G3: of what a device shows no event stands twice, and no publish that was sequenced twice.
///
/// # Errors
/// Names the first that does.
pub fn shown_once<'a>(shown: impl IntoIterator<Item = &'a Entry>) -> Result<(), Violation> {
    let mut numbers = BTreeSet::new();
    let mut publishes: Map<_, Equals> = Map::default();
    for entry in shown {
        let Place { origin, seq, .. } = &entry.place;
        if !numbers.insert((origin, seq)) {
            return Err(Violation::new("G3", "an event is shown twice")
                .with("origin", origin)
                .with("seq", seq));
        }
        let equals = publishes.entry(entry.publish()).or_default();
        if let Some(twin) = equals.add(&entry.place, entry.resend).first() {
            let violation = Violation::new("G3", "a twin is shown beside its original");
            return Err(violation.with("id", &entry.id).with("origin", &twin.origin).with("seq", &twin.seq));
        }
    }
    Ok(())
}

/// G4: within one (stream, origin) stamps rise with seqs.
///
/// # Errors
/// If `next`, the stamp right after `last`, is not greater.
pub fn stamps_rise(seq: u64, last: Hlc, next: Hlc) -> Result<(), Violation> {
    let violation = || Violation::new("G4", "a stamp does not rise").with("seq", &seq);
    if last < next { Ok(()) } else { Err(violation().with("last", &last).with("next", &next)) }
}

/// G4: an event's stamp is greater than any of its stream that its author had been shown, if that was
/// believable.
///
/// # Errors
/// If it is not.
pub fn causal(event: &Entry, author_was_shown: Hlc) -> Result<(), Violation> {
    let violation =
        || Violation::new("G4", "an event sorts before what its author had seen").with("id", &event.id);
    let stamp = event.place.hlc;
    if author_was_shown < stamp {
        return Ok(());
    }
    Err(violation().with("stamp", &stamp).with("seen", &author_was_shown))
}

/// G4: two devices, or regions, that hold the same events show the same.
///
/// # Errors
/// Names the first place where they differ.
pub fn display_equal(a: &[Place], b: &[Place]) -> Result<(), Violation> {
    let differs = (0..a.len().max(b.len())).find(|&at| a.get(at) != b.get(at));
    let Some(at) = differs else { return Ok(()) };
    let violation = Violation::new("G4", "two devices show different things").with("at", &at);
    Err(violation.with("one", &a.get(at)).with("other", &b.get(at)))
}

/// G5: two regions' copies of one origin's part of a stream, by table or by log, are equal.
///
/// # Errors
/// If one is shorter, or they differ.
pub fn digests_equal(ours: &[(u64, Prefix)], theirs: &[(u64, Prefix)]) -> Result<(), Violation> {
    match compare(ours, theirs) {
        Comparison::Equal(_) => Ok(()),
        Comparison::Missing { upto, ours, theirs } => {
            let violation = Violation::new("G5", "a region lacks events").with("equal up to", &upto);
            Err(violation.with("ours", &ours).with("theirs", &theirs))
        }
        Comparison::Fork { after, by } => {
            Err(Violation::new("G5", "different bytes under one key").with("after", &after).with("by", &by))
        }
    }
}

/// G9: a queue, cache or rate is within its limit.
///
/// # Errors
/// If `measured`, in the limit's unit, is above it.
pub fn within(limit: &Limit, measured: u64) -> Result<(), Violation> {
    if measured <= limit.value {
        return Ok(());
    }
    let violation = Violation::new("G9", "a bound is exceeded").with("limit", &limit.name);
    Err(violation.with("bound", &limit.value).with("measured", &measured))
}

fn subset<T: Ord + Debug>(
    id: &'static str,
    words: &'static str,
    part: &BTreeSet<T>,
    whole: &BTreeSet<T>,
) -> Result<(), Violation> {
    let mut missing = part.difference(whole);
    let Some(first) = missing.next() else { return Ok(()) };
    let count = 1 + missing.count();
    Err(Violation::new(id, words).with("first", first).with("missing", &count).with("of", &part.len()))
}

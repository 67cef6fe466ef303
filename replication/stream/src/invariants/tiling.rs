//! Events and gaps tile 1..head: what a device took of one (stream, origin), judged as it goes.

use std::collections::BTreeMap;

use super::Violation;

/// What one device took of one (stream, origin): each seq once, as an event or in a gap, in order (G4).
///
/// Feed it what the client *took*, after its rule 7 dropped what it had. Bounded by the number of open holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tiling {
    at: u64,
    events: u64,
    /// Holes that gaps told and pages have not filled: first → last seq.
    holes: BTreeMap<u64, u64>,
}

impl Tiling {
    /// A device whose cursor is `cursor`: what is at or below it was taken before.
    pub fn from(cursor: u64) -> Self {
        Self { at: cursor, ..Self::default() }
    }

    /// The device took the event `seq` from a stream.
    ///
    /// # Errors
    /// If it had it already, or something before it is missing and no gap told so.
    pub fn event(&mut self, seq: u64) -> Result<(), Violation> {
        if seq <= self.at {
            return Err(self.violation("an event was taken twice", seq));
        }
        if seq > self.at + 1 {
            return Err(self.violation("a hole that no gap told", seq));
        }
        self.at = seq;
        self.events += 1;
        Ok(())
    }

    /// The device took a gap `from` … `to`: seqs `from + 1 ..= to` will not come. Below the cursor it tells
    /// nothing.
    ///
    /// # Errors
    /// If the gap begins above the cursor: what lies between was neither told nor sent.
    pub fn gap(&mut self, from: u64, to: u64) -> Result<(), Violation> {
        if from > self.at && to > from {
            return Err(self.violation("a gap that leaves a hole before it", from));
        }
        if to > self.at {
            self.holes.insert(self.at + 1, to);
            self.at = to;
        }
        Ok(())
    }

    /// The device fetched the event `seq` of a hole by a page.
    ///
    /// # Errors
    /// If it is in no open hole: it was taken already, or no gap told of it.
    pub fn fetched(&mut self, seq: u64) -> Result<(), Violation> {
        let hole = self.holes.range(..=seq).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = hole.filter(|(_, last)| seq <= *last) else {
            return Err(self.violation("a page brought what was not missing", seq));
        };
        self.holes.remove(&first);
        if first < seq {
            self.holes.insert(first, seq - 1);
        }
        if seq < last {
            self.holes.insert(seq + 1, last);
        }
        self.events += 1;
        Ok(())
    }

    /// The cursor: everything up to here is an event that was taken or in a gap that was told.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Events taken, by stream or page.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Holes still open, (first, last) seq each.
    pub fn holes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.holes.iter().map(|(first, last)| (*first, *last))
    }

    /// At quiescence: the device is at the region's head.
    ///
    /// # Errors
    /// If it is not.
    pub fn ends_at(&self, head: u64) -> Result<(), Violation> {
        if self.at == head { Ok(()) } else { Err(self.violation("a device is not at the head", head)) }
    }

    fn violation(&self, words: &'static str, seq: u64) -> Violation {
        Violation::new("G4", words).with("at", &self.at).with("seq", &seq)
    }
}

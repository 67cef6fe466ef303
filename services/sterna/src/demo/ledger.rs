//! The demo's ledger: what was sent, what was acked, what every device showed and where, and whether that
//! keeps the promises (G1 to G4).
//!
//! It believes nobody: events are told apart by a label inside their payload, not by anything that the
//! service or the client's library made up. It judges and does nothing else.
//!
//! A run without an end is judged as it goes: of more than [`KEPT`] events the oldest that are settled are
//! judged for good and forgotten; only their number, and that they may not come again, is kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sterna_stream::StreamId;
use sterna_stream::order::Place;
use tokio::time::{Duration, Instant};

use super::latency::Latencies;

mod settled;

#[cfg(test)]
mod tests;

/// What an event is called in the ledger: unique in the run.
pub type Label = u64;
/// Which device.
pub type DeviceNumber = usize;
/// Which region, in the order of the run.
pub type RegionNumber = usize;

/// Everything that happened, as far as promises are concerned.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Whether there is another region for an event to be in (E9).
    several_regions: bool,
    rooms: BTreeMap<StreamId, Room>,
    events: BTreeMap<Label, Sent>,
    /// What has no answer yet or is not on every screen, by when it was sent.
    unsettled: BTreeSet<(Instant, Label)>,
    delivered: usize,
    invented: u64,
    reordered: u64,
    settled: settled::Settled,
    /// From sending to the first ack.
    pub ack: Latencies,
    /// From sending to showing, on devices other than the author's: from which region, in which.
    pub delivery: BTreeMap<(RegionNumber, RegionNumber), Latencies>,
}

#[derive(Debug, Default)]
struct Room {
    devices: BTreeMap<DeviceNumber, Screen>,
}

/// What a device shows of one room.
#[derive(Debug, Default)]
struct Screen {
    shown: BTreeMap<Place, Label>,
    /// How often each was put there.
    times: BTreeMap<Label, u32>,
}

#[derive(Debug)]
struct Sent {
    room: StreamId,
    by: DeviceNumber,
    region: RegionNumber,
    at: Instant,
    calm: bool,
    timed: bool,
    answer: Answer,
    /// Another region has it too.
    safe: bool,
    /// Members' devices that do not show it.
    missing: usize,
    /// Where it was shown first.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Acked,
    Refused,
    /// Its device was killed before it had stored it.
    Unsaved,
}

/// What the ledger comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Events that people sent.
    pub sent: u64,
    /// Of them, accepted for good.
    pub acked: u64,
    /// Of them, known to be in another region too: the second ack came.
    pub safe: u64,
    /// Of the acked ones, those without a second ack, where there are other regions.
    pub alone: u64,
    /// Of them, refused for good: the author was told.
    pub refused: u64,
    /// Of them, killed with their device before it had stored them, and never seen.
    pub unsaved: u64,
    /// Of them, never answered.
    pub unanswered: u64,
    /// Events shown, over all devices.
    pub delivered: u64,
    /// Acked events that a member's device does not show, over all devices.
    pub lost: u64,
    /// Events that a device showed again, over all devices.
    pub shown_twice: u64,
    /// Events shown that nobody sent to that room.
    pub invented: u64,
    /// Places at which two devices differ, or at which an event came in unannounced.
    pub reordered: u64,
    /// Of those sent, judged when they were settled and then forgotten.
    pub judged_early: u64,
}

// === impl Ledger ===

impl Ledger {
    /// The ledger of a run over so many regions.
    pub fn of(regions: usize) -> Self {
        Self { several_regions: regions > 1, ..Self::default() }
    }

    /// A room and the devices of its members.
    pub fn room(&mut self, room: StreamId, devices: impl IntoIterator<Item = DeviceNumber>) {
        let devices = devices.into_iter().map(|device| (device, Screen::default())).collect();
        self.rooms.insert(room, Room { devices });
    }

    /// Somebody begins to send an event to a room; `calm`: nothing is broken.
    pub fn sent(&mut self, label: Label, room: &StreamId, by: Author, at: Instant, calm: bool) {
        let missing = self.rooms.get(room).map_or(0, |room| room.devices.len());
        let Author { device: by, region } = by;
        let (answer, timed, safe, place) = (Answer::None, false, false, None);
        let sent = Sent { room: room.clone(), by, region, at, calm, timed, answer, safe, missing, place };
        self.events.insert(label, sent);
        self.settle(label);
        self.forget(KEPT);
    }

    /// Its first ack came; `calm`: nothing is broken.
    pub fn acked(&mut self, label: Label, now: Instant, calm: bool) {
        let Some(sent) = self.events.get_mut(&label) else { return };
        if !sent.timed {
            sent.timed = true;
            self.ack.add(now - sent.at, sent.calm && calm);
        }
        sent.answer = Answer::Acked;
        self.settle(label);
    }

    /// Its second ack came: another region has it too.
    pub fn safe(&mut self, label: Label) {
        if let Some(sent) = self.events.get_mut(&label) {
            sent.safe = true;
        }
    }

    /// It was refused for good.
    pub fn refused(&mut self, label: Label) {
        if let Some(sent) = self.events.get_mut(&label)
            && sent.answer == Answer::None
        {
            sent.answer = Answer::Refused;
        }
        self.settle(label);
    }

    /// A device was killed; of what it had not been answered, `stored` is all that it still knows of.
    pub fn killed(&mut self, device: DeviceNumber, stored: &BTreeSet<Label>) {
        for (label, sent) in &mut self.events {
            if sent.by == device && sent.answer == Answer::None && !stored.contains(label) {
                sent.answer = Answer::Unsaved;
                self.unsettled.remove(&(sent.at, *label));
            }
        }
    }

    /// A device shows an event.
    pub fn shown(&mut self, device: DeviceNumber, room: &StreamId, label: Label, shown: Shown) {
        if self.settled.shown_again(label) {
            return;
        }
        let screen = self.rooms.get_mut(room).and_then(|room| room.devices.get_mut(&device));
        let sent = self.events.get_mut(&label).filter(|sent| sent.room == *room);
        let (Some(screen), Some(sent)) = (screen, sent) else {
            self.invented += 1;
            return;
        };
        let above = screen.shown.last_key_value().is_some_and(|(last, _)| *last > shown.place);
        if above && !shown.late {
            self.reordered += 1;
        }
        let first = !screen.times.contains_key(&label);
        let times = screen.times.entry(label).or_default();
        *times += 1;
        if *times == 1 {
            sent.missing = sent.missing.saturating_sub(1);
            self.delivered += 1;
        }
        if first && device != sent.by {
            let pair = self.delivery.entry((sent.region, shown.region)).or_default();
            pair.add(shown.now - sent.at, sent.calm && shown.calm);
        }
        sent.place.get_or_insert_with(|| shown.place.clone());
        screen.shown.insert(shown.place, label);
        if device == sent.by {
            // Its author saw it come back: as good as an ack, where that was lost with a socket or a device.
            sent.answer = Answer::Acked;
        }
        self.settle(label);
    }

    /// A device took events off its screen again: later twins.
    pub fn hidden(&mut self, device: DeviceNumber, room: &StreamId, places: &[Place]) {
        let Some(screen) = self.rooms.get_mut(room).and_then(|room| room.devices.get_mut(&device)) else {
            return;
        };
        for place in places {
            if let Some(label) = screen.shown.remove(place)
                && let Some(times) = screen.times.get_mut(&label)
            {
                *times -= 1;
                if *times == 0
                    && let Some(sent) = self.events.get_mut(&label)
                {
                    sent.missing += 1;
                    self.delivered -= 1;
                }
            }
        }
    }

    fn settle(&mut self, label: Label) {
        let Some(sent) = self.events.get(&label) else { return };
        let open = match sent.answer {
            Answer::None => true,
            Answer::Acked => sent.missing > 0,
            Answer::Refused | Answer::Unsaved => false,
        };
        if open {
            self.unsettled.insert((sent.at, label));
        } else {
            self.unsettled.remove(&(sent.at, label));
        }
    }

    /// When the oldest event was sent that has no answer yet or is not on every screen.
    pub fn unsettled_since(&self) -> Option<Instant> {
        self.unsettled.first().map(|(at, _)| *at)
    }

    /// Whether everything has an answer and stands on every screen, in one order.
    pub fn is_settled(&self) -> bool {
        self.unsettled.is_empty() && self.rooms.values().all(|room| room.differences() == 0)
    }

    /// Sent, acked, shown so far, cheaply.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.events.len() + self.settled.sent(), self.ack.len(), self.delivered)
    }

    /// What it comes to now.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = self.settled.verdict();
        verdict.sent += self.events.len() as u64;
        verdict.invented += self.invented;
        verdict.reordered += self.reordered;
        for (label, sent) in &self.events {
            match sent.answer {
                Answer::None => verdict.unanswered += 1,
                Answer::Refused => verdict.refused += 1,
                Answer::Unsaved => verdict.unsaved += 1,
                Answer::Acked => {
                    verdict.acked += 1;
                    verdict.safe += u64::from(sent.safe);
                    verdict.alone += u64::from(self.several_regions && !sent.safe);
                    let screens = self.rooms[&sent.room].devices.values();
                    verdict.lost += screens
                        .filter(|screen| screen.times.get(label).is_none_or(|times| *times == 0))
                        .count() as u64;
                }
            }
        }
        for room in self.rooms.values() {
            verdict.reordered += room.differences();
            for times in room.devices.values().flat_map(|screen| screen.times.values()) {
                verdict.delivered += u64::from(*times > 0);
                verdict.shown_twice += u64::from(times.saturating_sub(1));
            }
        }
        verdict
    }
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// On this device.
    pub device: DeviceNumber,
    /// Which is connected there.
    pub region: RegionNumber,
}

/// How an event came to a screen.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Where it stands.
    pub place: Place,
    /// Where the device is connected.
    pub region: RegionNumber,
    /// Announced as a late insertion.
    pub late: bool,
    /// When.
    pub now: Instant,
    /// Nothing is broken.
    pub calm: bool,
}

// === impl Room ===

impl Room {
    /// Places at which not every device that shows the event, or anything there, shows the same.
    fn differences(&self) -> u64 {
        let mut labels: BTreeMap<&Place, BTreeSet<Label>> = BTreeMap::new();
        let mut places: BTreeMap<Label, BTreeSet<&Place>> = BTreeMap::new();
        for (place, label) in self.devices.values().flat_map(|screen| &screen.shown) {
            labels.entry(place).or_default().insert(*label);
            places.entry(*label).or_default().insert(place);
        }
        let two_labels = labels.values().filter(|labels| labels.len() > 1).count();
        let two_places = places.values().filter(|places| places.len() > 1).count();
        (two_labels + two_places) as u64
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether every promise was kept.
    pub fn holds(&self) -> bool {
        let Self { sent, alone, unanswered, lost, shown_twice, invented, reordered, .. } = *self;
        sent > 0 && alone + unanswered + lost + shown_twice + invented + reordered == 0
    }
}

/// Events that are kept to be judged at the end; see [`Ledger`]. A quarter of an hour of the demo's talk.
pub const KEPT: usize = 50_000;
/// How long the ledger is waited for, at the end, before what is open counts as broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

//! The express lane: own segments go to other regions' states as soon as they are read back from the own log,
//! ahead of the mirror, to whoever follows their streams there (E15, E19, E20); and to whoever begins to
//! follow, what was read back a moment before.
//!
//! Best effort, both ways. A sender that finds a lane's queue full drops the segment, a receiver that cannot
//! use one drops it, and the mirror brings it anyway: nothing here is counted in a watermark, deduplicated
//! against, or waited for. Everything that is shown on its account goes the way of a mirrored segment, into
//! the local table too. Reading order: [`outgoing`] (one lane to one peer instance), `recent` (what lanes are
//! given that begin to want a stream), [`incoming`] (one peer instance that sends); what is done with a
//! segment that came stands in `consume`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sterna_process::Link;
use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_stream::{Origin, Region};
use tokio::sync::mpsc;
use tokio::time::Instant;

use outgoing::{Lane, Offered};
use recent::Recent;

pub mod incoming;
pub mod outgoing;
mod recent;

/// How often each side of a lane says that it lives.
pub const BEAT: Duration = Duration::from_secs(1);
/// A lane whose other side says nothing for so long is given up: its network may be a black hole.
pub const SILENCE: Duration = Duration::from_secs(4);
/// Segments that came by express and wait for the consumer; further ones are dropped.
pub(crate) const ARRIVALS: usize = 1_024;

/// A state instance of another region.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is.
    pub region: Region,
    /// The way to it.
    pub link: Link,
}

/// What happened so far on the express lanes of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Own segments sent, each counted per lane.
    pub sent: u64,
    /// Own segments that a lane's queue had no room for.
    pub dropped: u64,
    /// Segments that came by express and were shown on its account.
    pub shown: u64,
    /// Segments that came when the mirror had brought them already.
    pub late: u64,
    /// Segments that came for a stream which nobody follows here any more, or whose partition is another
    /// instance's, or of a life that is not followed here yet.
    pub unwanted: u64,
    /// Segments that came and found no room to wait for those before them, or too much not yet in the table.
    pub shed: u64,
    /// Lanes that were ended because what came was not the caller's to send.
    pub refused: u64,
    /// Segments of which the mirror brought other bytes before the table had any (alarm; the mirror's count).
    /// Where the table had those of express by then it is a fork: [`crate::ensure::Counters::forks`].
    pub differing: u64,
}

/// The lanes of an instance.
pub(crate) struct Express {
    lanes: Vec<Lane>,
    /// Locked while lanes are offered something, and while one begins to want a stream: so that it gets what
    /// was read back before from here, and what comes after as it comes, and nothing is in between.
    recent: Mutex<Recent>,
    arrivals: mpsc::Sender<Stored>,
    counters: Mutex<Counters>,
}

impl Express {
    /// So many lanes, and where what comes by express is to be taken from.
    pub(crate) fn new(lanes: usize) -> (Self, mpsc::Receiver<Stored>) {
        let (arrivals, queue) = mpsc::channel(ARRIVALS);
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        (Self { lanes, recent: Mutex::default(), arrivals, counters: Mutex::default() }, queue)
    }

    /// An own segment was read back from the own log: to whoever wants it, at once or not at all (E19).
    pub(crate) fn offer(&self, own: &Origin, stored: &Stored) {
        if stored.segment.origin != *own || self.lanes.is_empty() {
            return;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.keep(stored, Instant::now());
        for lane in &self.lanes {
            self.counted(lane.offer(stored));
        }
    }

    /// The other side of a lane said what it wants. What was read back a moment ago of a stream that it did
    /// not want before is sent at once: what came while the news was on its way need not wait for the mirror.
    pub(crate) fn told(&self, at: usize, news: &v1::Carried) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.lanes[at].change(news);
        if begun.is_empty() {
            return;
        }
        for record in recent.of(&begun, Instant::now()) {
            self.counted(self.lanes[at].again(record));
        }
    }

    fn counted(&self, offered: Offered) {
        match offered {
            Offered::Unwanted => {}
            Offered::Sent => self.count().sent += 1,
            Offered::Dropped => self.count().dropped += 1,
        }
    }

    /// The counters, for one step.
    pub(crate) fn count(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

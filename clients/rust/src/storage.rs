//! What a device remembers: the port, the changes it takes and what it gives back at the start.
//!
//! A client keeps no truth in memory alone: what it would need after a crash is a [`Change`], stored before
//! its consequences are shown or sent. [`Snapshot::apply`] is the one meaning of every change, for every
//! storage.

use std::collections::{BTreeMap, VecDeque};

use sterna_protocol::frame::{Device, Endpoint, Event, GapReason};
use sterna_protocol::payload::Payload;
use sterna_stream::ids::EventKind;
use sterna_stream::{Cursor, EventId, Hlc, Origin, Region, StreamId};

pub use self::file::{FileStorage, Options as FileOptions};
pub use self::memory::MemoryStorage;

mod encoding;
mod file;
mod memory;

/// What a device remembers for good.
///
/// `apply` is one transaction: after it returns, all of the changes survive a crash; if it fails or the
/// process dies in it, none do or all do. `load` gives what the changes so far amount to. Calls block;
/// batches are small.
pub trait Storage: Send {
    /// What is stored.
    ///
    /// # Errors
    /// The medium failed, or holds what no version of this library wrote.
    fn load(&mut self) -> Result<Snapshot, Error>;

    /// Stores all of `changes` or none.
    ///
    /// # Errors
    /// The medium failed; nothing may be assumed, load again.
    fn apply(&mut self, changes: &[Change]) -> Result<(), Error>;
}

/// Why a storage failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The medium.
    #[error("the medium failed")]
    Io(#[from] std::io::Error),
    /// Bytes that were changed after they were written.
    #[error("corrupt at byte {0}")]
    Corrupt(u64),
}

/// One step of what is remembered.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An event arrived: it and its place in the cursor, together (P7).
    Event(StreamId, Event),
    /// The cursor moved over seqs that will not come (P8).
    Moved {
        /// The stream.
        stream: StreamId,
        /// What the cursor is at least from now on.
        cursor: Cursor,
        /// All holes of the stream from now on.
        holes: Vec<Hole>,
    },
    /// An event for the outbox, or what is known of one now.
    Queued(Queued),
    /// An event left the outbox.
    Released(Key),
    /// Where regions are and which one is home.
    Terms {
        /// Every region's address.
        endpoints: Vec<Endpoint>,
        /// The region last reached by the DNS name.
        home: Option<Region>,
    },
}

/// An event's name in the outbox, from the moment it is offered: its id is minted only when it is first sent
/// (E7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its name here; later ones are greater.
    pub key: Key,
    /// Where to.
    pub stream: StreamId,
    /// What sort of fact it is.
    pub kind: EventKind,
    /// The fact.
    pub payload: Payload,
    /// The newest stamp of the stream that was shown when it was written (P16).
    pub seen: Option<Hlc>,
    /// `Some` if it may have been sent.
    pub event_id: Option<EventId>,
    /// Whether a region has accepted it for good.
    pub accepted: bool,
}

/// Seqs that were skipped: (after, upto] of one origin (P8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Whose.
    pub origin: Origin,
    /// The seq before the first missing one.
    pub after: u64,
    /// The last missing seq.
    pub upto: u64,
    /// Why; [`GapReason::is_fetchable`] says whether REST has them.
    pub reason: GapReason,
}

/// What is remembered of one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// How far, without a gap that is not in `holes`.
    pub cursor: Cursor,
    /// What was skipped.
    pub holes: Vec<Hole>,
    /// The latest events by arrival, as many as the storage is told to keep.
    pub events: VecDeque<Event>,
}

/// Everything that is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Made with the storage, dies with it.
    pub device: Device,
    /// Stream by stream.
    pub streams: BTreeMap<StreamId, Remembered>,
    /// The outbox.
    pub outbox: BTreeMap<Key, Queued>,
    /// Where regions are.
    pub endpoints: Vec<Endpoint>,
    /// The region last reached by the DNS name.
    pub home: Option<Region>,
}

impl Snapshot {
    /// What a new device remembers.
    pub fn new(device: Device) -> Self {
        let (streams, outbox) = (BTreeMap::new(), BTreeMap::new());
        Self { device, streams, outbox, endpoints: Vec::new(), home: None }
    }

    /// Takes a change in, keeping at most `events_max` events per stream.
    pub fn apply(&mut self, change: &Change, events_max: usize) {
        match change {
            Change::Event(stream, event) => {
                let remembered = self.streams.entry(stream.clone()).or_default();
                remembered.cursor.advance(&event.origin, event.seq);
                remembered.events.push_back(event.clone());
                while remembered.events.len() > events_max {
                    remembered.events.pop_front();
                }
            }
            Change::Moved { stream, cursor, holes } => {
                let remembered = self.streams.entry(stream.clone()).or_default();
                remembered.cursor.merge(cursor);
                remembered.holes.clone_from(holes);
            }
            Change::Queued(queued) => {
                self.outbox.insert(queued.key, queued.clone());
            }
            Change::Released(key) => {
                self.outbox.remove(key);
            }
            Change::Terms { endpoints, home } => {
                self.endpoints.clone_from(endpoints);
                self.home.clone_from(home);
            }
        }
    }
}

//! A person with one device: sends, retries, follows, is cut off, comes back and goes on.
//!
//! The device keeps the client's rules of docs/protocol.md that matter here: 4 and 7 to 9 (cursors are moved
//! by events and gaps), 12 and 13 (ids at the first attempt, resends are marked and in order), 15, 18, 22
//! and 25, and the close codes of section 5. It keeps a [`Ledger`], which is also what it is judged by.
//! Anything that a correct region never does is written down as the ledger's `fault`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use sterna_process::ManualClock;
use sterna_protocol::Encoding;
use sterna_stream::{EventId, Hlc, Origin, StreamId};
use tokio::io::DuplexStream;
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::paths::Paths;
use crate::trace::Trace;

mod book;
mod device;
mod outbox;

pub use book::{Book, content};
pub use device::{addition, live, removal, suspension};
pub use outbox::Letter;

/// Wishes that may wait; the script's author gives fewer.
pub const WISHES: usize = 4_096;

/// How wrong a device's clock is at most, milliseconds: people set them by hand.
const SKEW_DAYS_MS: u64 = 3 * 24 * 3_600 * 1_000;

/// Opens a socket to some shard of the region with this number, with a buffer of this many bytes; `None`
/// while none takes it.
pub type Door = Rc<dyn Fn(&mut Dice, usize, Encoding, usize) -> Option<DuplexStream>>;

/// Rooms by number, once their owners have named them.
pub type Rooms = Rc<RefCell<Vec<Option<StreamId>>>>;

/// Who it is, for good.
#[derive(Clone, Debug)]
pub struct Card {
    /// The user's name, unique in the run.
    pub name: String,
    /// The device.
    pub device: u128,
    /// What it speaks.
    pub encoding: Encoding,
    /// Bytes between it and its shard.
    pub buffer: usize,
    /// How long it takes over each message; zero for people who can read.
    pub reading: Duration,
    /// How often it wants to be pinged.
    pub ping_ms: u32,
    /// Whether it stores its cursors, and asks now and then as if it had no other memory.
    pub stores: bool,
}

/// What a person is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Create the room.
    Create(usize),
    /// Let this user into the room.
    Add(usize, String),
    /// Put this user out of the room, for good.
    Remove(usize, String),
    /// Follow the room, for good.
    Follow(usize),
    /// Suspend this user in the tenant, or lift it.
    Suspend(String, bool),
    /// Say something of so many bytes in the room.
    Say(usize, usize),
    /// Lose the network, then be back after so long.
    Vanish(Duration),
    /// Go to the region with this number, and go on there.
    Cross(usize),
}

/// What a device knows; outlives its sockets.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What it holds of each stream.
    pub books: BTreeMap<StreamId, Book>,
    /// Rooms it follows.
    pub wanted: BTreeSet<usize>,
    /// What it sent and is not safe yet, oldest first.
    pub outbox: VecDeque<Letter>,
    /// What was acked.
    pub acked: BTreeSet<(StreamId, EventId)>,
    /// By which region.
    pub acked_by: BTreeSet<(usize, StreamId, EventId)>,
    /// What it had been shown of the stream, newest stamp, when it wrote each publish.
    pub seen: BTreeMap<(StreamId, EventId), Hlc>,
    /// What it did not send again after a refusal, by reason.
    pub given_up: BTreeMap<&'static str, u64>,
    /// Wishes not yet carried out.
    pub wishes: VecDeque<Wish>,
    /// Whether it was closed because all its access was revoked.
    pub revoked: bool,
    /// The first thing that must not happen.
    pub fault: Option<String>,
}

/// A person's handle. Clones are the same person.
#[derive(Clone)]
pub struct Person(Rc<Inner>);

/// See [`Person`].
pub struct Inner {
    /// Who it is.
    pub card: Card,
    /// What it knows.
    pub ledger: RefCell<Ledger>,
    /// Its own wall clock.
    pub clock: ManualClock,
    /// Signs tokens for it, valid until the given wall time.
    pub token: Box<dyn Fn(&str) -> String>,
    door: Door,
    rooms: Rooms,
    /// Regions that there are, and the one that it is in.
    regions: usize,
    at: Cell<usize>,
    /// Who the region said that it is, last.
    origin: RefCell<Option<Origin>>,
    /// Sockets opened so far.
    sockets: Cell<u64>,
    trace: Trace,
    paths: Paths,
    dice: RefCell<Dice>,
    wished: Notify,
    /// Everybody can read now.
    hurry: Cell<bool>,
}

/// What a person needs of the world.
pub struct Surroundings {
    /// The way in.
    pub door: Door,
    /// The rooms.
    pub rooms: Rooms,
    /// Where lines go.
    pub trace: Trace,
    /// Where rare paths are counted.
    pub paths: Paths,
    /// Its dice.
    pub dice: Dice,
    /// How many regions there are.
    pub regions: usize,
    /// Whether everything is well and nobody says anything new: no later event is to reveal a gap.
    pub quiet: Rc<Cell<bool>>,
}

/// How wrong the clock of the person of this number is, milliseconds. Most know the time.
pub fn skew_ms(seed: u64, number: usize) -> i64 {
    let most = if number % 8 == 7 { SKEW_DAYS_MS } else { 30_000 };
    Dice::new(seed, &format!("clock {number}")).between(0, 2 * most).cast_signed() - most.cast_signed()
}

impl Person {
    /// A person who knows nothing yet.
    pub fn new(
        card: Card,
        clock: ManualClock,
        token: Box<dyn Fn(&str) -> String>,
        around: Surroundings,
    ) -> Self {
        let Surroundings { door, rooms, trace, paths, mut dice, regions, .. } = around;
        let at = if regions == 1 { 0 } else { dice.index(regions) };
        Self(Rc::new(Inner {
            card,
            ledger: RefCell::default(),
            clock,
            token,
            door,
            rooms,
            regions,
            at: Cell::new(at),
            origin: RefCell::default(),
            sockets: Cell::new(0),
            trace,
            paths,
            dice: RefCell::new(dice),
            wished: Notify::new(),
            hurry: Cell::new(false),
        }))
    }

    /// Asks for something. Beyond [`WISHES`] waiting ones it is forgotten.
    pub fn wish(&self, wish: Wish) {
        let mut ledger = self.ledger.borrow_mut();
        if ledger.wishes.len() < WISHES {
            ledger.wishes.push_back(wish);
        }
        drop(ledger);
        self.wished.notify_one();
    }

    /// From now on nobody is slow.
    pub fn hurry(&self) {
        self.hurry.set(true);
    }

    /// Whether everything it meant to do is done and acked by some region.
    pub fn is_done(&self) -> bool {
        let ledger = self.ledger.borrow();
        ledger.wishes.is_empty() && ledger.outbox.iter().all(Letter::is_accepted)
    }

    /// The number of the region that it is in.
    pub fn at(&self) -> usize {
        self.at.get()
    }
}

impl std::ops::Deref for Person {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    pub(crate) fn line(&self, verb: &str, numbers: std::fmt::Arguments<'_>) {
        self.trace.line(&self.card.name, verb, numbers);
    }

    /// Writes down what must not happen.
    fn fault(&self, what: String) {
        self.line("met what must not happen:", format_args!("{what}"));
        self.ledger.borrow_mut().fault.get_or_insert(what);
    }

    fn room(&self, number: usize) -> Option<StreamId> {
        self.rooms.borrow().get(number).cloned().flatten()
    }
}

//! A person with one device: sends, retries, follows, is cut off, comes back and goes on.
//!
//! The device keeps the client's rules of docs/protocol.md that matter here: 4 and 7 to 9 (cursors are moved
//! by events and gaps), 12 and 13 (ids at the first attempt, resends are marked and in order), 15, 18, 22
//! and 25, and the close codes of section 5. It keeps a [`Ledger`], which is also what it is judged by.
//! Anything that a correct region never does is written down as the ledger's `fault`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use sterna_process::ManualClock;
use sterna_protocol::Encoding;
use sterna_stream::{EventId, Hlc, StreamId};
use tokio::io::DuplexStream;
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::paths::Paths;
use crate::trace::Trace;

mod book;
mod device;
mod outbox;

pub use book::{Book, content};
pub use device::live;
pub use outbox::Letter;

/// Wishes that may wait; the script's author gives fewer.
pub const WISHES: usize = 4_096;

/// Opens a socket to some shard, with a buffer of this many bytes; `None` while none takes it.
pub type Door = Rc<dyn Fn(&mut Dice, Encoding, usize) -> Option<DuplexStream>>;

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
    /// Say something of so many bytes in the room.
    Say(usize, usize),
    /// Lose the network, then be back after so long.
    Vanish(Duration),
}

/// What a device knows; outlives its sockets.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What it holds of each stream.
    pub books: BTreeMap<StreamId, Book>,
    /// Rooms it follows.
    pub wanted: BTreeSet<usize>,
    /// What it sent and has no ack for, oldest first.
    pub outbox: VecDeque<Letter>,
    /// What was acked, and where.
    pub acked: BTreeSet<(StreamId, EventId)>,
    /// What it had been shown of the stream, newest stamp, when it wrote each publish.
    pub seen: BTreeMap<(StreamId, EventId), Hlc>,
    /// What it did not send again after a refusal, by reason.
    pub given_up: BTreeMap<&'static str, u64>,
    /// Wishes not yet carried out.
    pub wishes: VecDeque<Wish>,
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
    trace: Trace,
    paths: Paths,
    dice: RefCell<Dice>,
    wished: Notify,
    /// Everybody can read now.
    hurry: std::cell::Cell<bool>,
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
}

impl Person {
    /// A person who knows nothing yet.
    pub fn new(
        card: Card,
        clock: ManualClock,
        token: Box<dyn Fn(&str) -> String>,
        around: Surroundings,
    ) -> Self {
        let Surroundings { door, rooms, trace, paths, dice } = around;
        Self(Rc::new(Inner {
            card,
            ledger: RefCell::default(),
            clock,
            token,
            door,
            rooms,
            trace,
            paths,
            dice: RefCell::new(dice),
            wished: Notify::new(),
            hurry: std::cell::Cell::new(false),
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

    /// Whether everything it meant to do is done and acked.
    pub fn is_done(&self) -> bool {
        let ledger = self.ledger.borrow();
        ledger.outbox.is_empty() && ledger.wishes.is_empty()
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

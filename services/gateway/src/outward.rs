//! A shard's way to the other roles: long-lived streams to every `state`, `messaging` and `notification`
//! instance.
//!
//! The shard asks without waiting ([`Upstream`]); tasks of the shard's process carry wishes out and answers
//! in, and reconnect for the shard's life. What is lost with a stream is asked again: interest by attaching
//! anew, pulls and pages by the shard's own retry, publishes by telling their authors that the outcome is
//! open.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sterna_process::{Link, Seeded};
use sterna_proto::v1;
use sterna_stream::limits::{SHARD_ASKS, SHARD_COMMANDS};
use sterna_stream::map::Map;
use sterna_stream::{Cursor, Hlc, Policy, StreamId, partition};
use tokio::sync::{Notify, mpsc};

use crate::outward::changes::Changes;
use crate::seams::{Ask, Upstream};
use crate::session::SessionId;

pub(crate) mod attach;
pub(crate) mod backlog;
pub(crate) mod changes;
mod compare;
pub(crate) mod publish;
pub mod sessions;
mod silence;

/// Streams named in one message to state.
const STREAMS_AT_ONCE: usize = 200;
/// Pause before a broken stream is opened again, drawn between these.
const PAUSE_MS: std::ops::Range<u64> = 20..250;

/// The links of one shard.
#[derive(Clone, Debug)]
pub struct Links {
    /// Every state instance.
    pub state: Vec<Link>,
    /// Every messaging instance.
    pub messaging: Vec<Link>,
    /// Any notification instance.
    pub notification: Link,
    /// Any persistence instance.
    pub persistence: Link,
}

/// What the shard's requests and the tasks that carry them share.
pub(crate) struct Outward {
    partitions: u16,
    /// Per state instance, what it must still be told.
    wishes: Vec<Wishes>,
    asks: mpsc::Sender<v1::Ask>,
    waiting: RefCell<Map<u64, Waiting>>,
    /// Questions that found no place; whoever asked is told once a second that there is nothing yet, and asks
    /// again.
    refused: RefCell<Vec<Waiting>>,
    /// Per messaging instance.
    commands: Vec<RefCell<mpsc::Sender<v1::PublishUp>>>,
    next_tag: Cell<u64>,
    /// Of each stream with a ring.
    passing: RefCell<Map<StreamId, Passing>>,
    /// Changes of members, while decisions are made.
    pub(crate) changes: Changes,
}

/// What came by of a stream.
#[derive(Default)]
struct Passing {
    /// The newest stamp that this region durably holds (E14).
    newest: Hlc,
    /// The member and access events that everybody on it here was authorised against, at least.
    settled: Policy,
}

#[derive(Default)]
struct Wishes {
    changed: RefCell<Changed>,
    wake: Notify,
}

#[derive(Default)]
struct Changed {
    /// Newest wish per stream, in the order they were first made.
    order: Vec<StreamId>,
    on: Map<StreamId, bool>,
    ephemeral: Vec<v1::Ephemeral>,
    /// Newest wish per stream.
    watch: BTreeMap<StreamId, bool>,
    /// Sessions opened (`true`) and closed, in order.
    sessions: Vec<(bool, v1::SessionRow)>,
    renewals: Vec<v1::SessionRow>,
}

/// Ephemerals that wait for one state instance; further ones are dropped, as ephemerals may be.
const EPHEMERALS: usize = 256;

/// What an answer from notification is for.
pub(crate) enum Waiting {
    Pull { stream: StreamId },
    Page { session: SessionId, stream: StreamId, from: Cursor },
}

/// The receiving ends, for the tasks.
pub(crate) struct Inlets {
    pub(crate) asks: mpsc::Receiver<v1::Ask>,
    pub(crate) commands: Vec<mpsc::Receiver<v1::PublishUp>>,
}

// === impl Outward ===

impl Outward {
    pub(crate) fn new(partitions: u16, links: &Links) -> (Rc<Self>, Inlets) {
        let (asks, asks_in) = mpsc::channel(SHARD_ASKS);
        let queue = |_| {
            let (commands, commands_in) = mpsc::channel(SHARD_COMMANDS);
            (RefCell::new(commands), commands_in)
        };
        let (commands, commands_in) = links.messaging.iter().map(queue).unzip();
        let outward = Self {
            partitions,
            wishes: links.state.iter().map(|_| Wishes::default()).collect(),
            asks,
            waiting: RefCell::default(),
            refused: RefCell::default(),
            commands,
            next_tag: Cell::new(1),
            passing: RefCell::default(),
            changes: Changes::default(),
        };
        (Rc::new(outward), Inlets { asks: asks_in, commands: commands_in })
    }

    /// A number that no other request of this shard has.
    pub(crate) fn tag(&self) -> u64 {
        self.next_tag.replace(self.next_tag.get() + 1)
    }

    /// Hands a command to its stream's [`Self::instance`]. `false`: that instance has too many.
    pub(crate) fn command(&self, instance: usize, up: v1::PublishUp) -> bool {
        self.commands.get(instance).is_some_and(|commands| commands.borrow().try_send(up).is_ok())
    }

    /// Commands for an instance go into a new queue from now on; those in the one before are lost.
    pub(crate) fn queue_anew(&self, instance: usize) -> mpsc::Receiver<v1::PublishUp> {
        let (commands, queue) = mpsc::channel(SHARD_COMMANDS);
        *self.commands[instance].borrow_mut() = commands;
        queue
    }

    /// The messaging instance that takes a stream's commands, all of them, so that their order is kept (E6).
    pub(crate) fn instance(&self, stream: &StreamId) -> usize {
        usize::from(partition::of(stream, self.partitions)) % self.commands.len().max(1)
    }

    /// Whether somebody here follows a stream.
    fn wants(&self, stream: &StreamId) -> bool {
        self.passing.borrow().contains_key(stream)
    }

    /// The newest stamp of a stream that came by here, of any origin; zero if its ring is not there.
    pub(crate) fn newest_stamp(&self, stream: &StreamId) -> Hlc {
        self.passing.borrow().get(stream).map_or(Hlc::ZERO, |passing| passing.newest)
    }

    /// A stamp came by.
    pub(crate) fn stamped(&self, stream: &StreamId, stamp: Hlc) {
        if let Some(passing) = self.passing.borrow_mut().get_mut(stream) {
            passing.newest = stamp.max(passing.newest);
        }
    }

    /// Everybody on a stream here was authorised against these events.
    pub(crate) fn settle(&self, stream: &StreamId, policy: &Policy) {
        if let Some(passing) = self.passing.borrow_mut().get_mut(stream) {
            passing.settled.merge(policy);
        }
    }

    /// Whether everybody on a stream here was authorised against these events.
    pub(crate) fn settled(&self, stream: &StreamId, policy: &Policy) -> bool {
        policy.ready(&Policy::default())
            || self.passing.borrow().get(stream).is_some_and(|passing| policy.ready(&passing.settled))
    }

    /// Sends an ephemeral to whoever fans it out.
    pub(crate) fn ephemeral(&self, ephemeral: &v1::Ephemeral) {
        for wishes in &self.wishes {
            let mut changed = wishes.changed.borrow_mut();
            if changed.ephemeral.len() < EPHEMERALS {
                changed.ephemeral.push(ephemeral.clone());
                wishes.wake.notify_one();
            }
        }
    }

    fn ask(&self, waiting: Waiting, ask: v1::Ask) {
        let tag = ask.tag;
        self.waiting.borrow_mut().insert(tag, waiting);
        if self.asks.try_send(ask).is_err() {
            self.refused.borrow_mut().extend(self.answered(tag));
        }
    }

    /// What the answer with this tag is for.
    pub(crate) fn answered(&self, tag: u64) -> Option<Waiting> {
        self.waiting.borrow_mut().remove(&tag)
    }

    /// Everything that was asked and will not be answered any more.
    pub(crate) fn give_up_asks(&self) -> Vec<Waiting> {
        let mut waiting: Vec<(u64, Waiting)> = self.waiting.borrow_mut().drain().collect();
        waiting.sort_unstable_by_key(|(tag, _)| *tag);
        waiting.into_iter().map(|(_, waiting)| waiting).collect()
    }

    /// Takes out what was refused since: questions that found no place in the queue.
    pub(crate) fn refused_asks(&self) -> Vec<Waiting> {
        self.refused.take()
    }
}

impl Upstream for Rc<Outward> {
    fn interest(&self, stream: &StreamId, on: bool) {
        if on {
            self.passing.borrow_mut().insert(stream.clone(), Passing::default());
        } else {
            self.passing.borrow_mut().remove(stream);
        }
        for wishes in &self.wishes {
            let mut changed = wishes.changed.borrow_mut();
            if changed.on.insert(stream.clone(), on).is_none() {
                changed.order.push(stream.clone());
            }
            wishes.wake.notify_one();
        }
    }

    fn pull(&self, stream: &StreamId, from: &Cursor, wanted: &Cursor) {
        let ask = v1::Ask {
            tag: self.tag(),
            stream: stream.to_string(),
            after: Some(from.into()),
            head: Some(wanted.into()),
            ..v1::Ask::default()
        };
        self.ask(Waiting::Pull { stream: stream.clone() }, ask);
    }

    fn backlog(&self, ask: Ask) {
        let message = v1::Ask {
            tag: self.tag(),
            stream: ask.stream.to_string(),
            after: Some((&ask.from).into()),
            tail: ask.tail.unwrap_or(0),
            head: Some((&ask.head).into()),
        };
        self.ask(Waiting::Page { session: ask.session, stream: ask.stream, from: ask.from }, message);
    }
}

/// Waits a while before a broken stream is opened again.
pub(crate) async fn pause(rng: &mut Seeded) {
    let ms = rand::RngExt::random_range(rng, PAUSE_MS);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

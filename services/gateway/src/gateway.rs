//! One shard as a service: sessions come in as sockets, and what they say goes to the other roles.
//!
//! [`Gateway`] ties the shard (who follows what), the conversations (what each session may and does) and the
//! outward streams together. All of it lives on one thread and under one process.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sterna_access::{Authorizer, GrantKey, Verifier};
use sterna_process::{End, Link, Process};
use sterna_proto::v1;
use sterna_protocol::frame::{self, Endpoint, ServerFrame};
use sterna_protocol::{Limits as Terms, Payload};
use sterna_stream::map::Map;
use sterna_stream::{Origin, Reason, Region, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use crate::conversation::Conversation;
use crate::encode::{self, Subprotocols};
use crate::held::Held;
use crate::leaving::Departure;
use crate::limits::Limits;
use crate::mine::{self, Mines};
use crate::outward::publish::Unanswered;
use crate::outward::{Inlets, Links, Outward, attach, backlog, publish};
use crate::presence::Rooms;
use crate::rest::Rest;
use crate::second_ack::SecondAcks;
use crate::session::SessionId;
use crate::shard::{Refused, Shard};
use crate::stored::{self, Stored};
use crate::tenant::Changed;
use crate::wire::{Encoding, Frames};

/// What a shard is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Unique in the region: `gateway-1/0`.
    pub name: String,
    /// The region.
    pub region: Region,
    /// Its origin in its present incarnation.
    pub origin: Origin,
    /// Partitions of all logs.
    pub partitions: u16,
    /// What `welcome` announces.
    pub terms: Terms,
    /// The regions' endpoints, as `welcome` names them.
    pub endpoints: Vec<Endpoint>,
    /// The shard's bounds; the streams that a session follows are bounded by `terms`.
    pub limits: Limits,
    /// How far a claim of `seen` may lead the wall, milliseconds.
    pub clock_bound_ms: u64,
    /// Whether other regions mirror this one's log, so that publishes get a second ack (E9).
    pub mirrored: bool,
}

/// What the role is made of.
pub struct Parts {
    /// The owner of its tasks.
    pub process: Process,
    /// Token to identity.
    pub verifier: Arc<dyn Verifier>,
    /// Identity, action, stream to grant.
    pub authorizer: Arc<dyn Authorizer>,
    /// Seals grants.
    pub grant_key: GrantKey,
    /// The other roles.
    pub links: Links,
}

/// Handle of one shard's service; clones name the same one.
pub struct Gateway<S>(pub(crate) Rc<Inner<S>>);

pub(crate) struct Inner<S> {
    pub(crate) config: Config,
    pub(crate) process: Process,
    pub(crate) shard: Shard<S>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) grant_key: GrantKey,
    pub(crate) outward: Rc<Outward>,
    pub(crate) conversations: RefCell<Map<SessionId, Conversation>>,
    /// Until when a hello must have come, in the order of time; of sessions that may be gone.
    pub(crate) hellos: RefCell<VecDeque<(Instant, SessionId)>>,
    /// When tokens end, wall milliseconds.
    pub(crate) due: RefCell<BTreeSet<(u64, SessionId)>>,
    pub(crate) unanswered: RefCell<Map<u64, Unanswered>>,
    pub(crate) second_acks: Rc<RefCell<SecondAcks>>,
    /// What waits until sessions are authorised again.
    pub(crate) held: RefCell<Map<StreamId, Held>>,
    /// Whom changes of tenants name, while others are authorised again.
    pub(crate) changed: RefCell<Changed>,
    /// Whose standing could not be decided: looked at again in the next second.
    pub(crate) undecided: RefCell<BTreeSet<SessionId>>,
    /// Who was asked to go elsewhere.
    pub(crate) departure: RefCell<Departure>,
    /// What devices say they have stored.
    pub(crate) stored: Stored,
    pub(crate) persistence: Link,
    /// Who follows all of theirs.
    pub(crate) mines: Mines,
    /// Who is where.
    pub(crate) rooms: Rooms,
    pub(crate) notification: Link,
    pub(crate) requests: Cell<u64>,
    /// What is asked without a session.
    pub(crate) rest: Rc<Rest>,
    /// A session ended or a command was answered.
    pub(crate) left: Notify,
}

impl<S> Clone for Gateway<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Gateway<S> {
    /// Starts a shard on this thread, in a `LocalRuntime`.
    pub fn start(config: Config, parts: Parts) -> Self {
        let (outward, Inlets { asks, commands }) = Outward::new(config.partitions, &parts.links);
        let limits = config.limits.on_terms(&config.terms);
        let shard = Shard::new(limits, Rc::new(Subprotocols), Rc::new(outward.clone()));
        let rest = Rc::new(Rest::new(&config, &parts));
        let inner = Rc::new(Inner {
            config,
            process: parts.process.clone(),
            shard: shard.clone(),
            verifier: parts.verifier,
            authorizer: parts.authorizer,
            grant_key: parts.grant_key,
            outward,
            conversations: RefCell::default(),
            hellos: RefCell::default(),
            due: RefCell::default(),
            unanswered: RefCell::default(),
            second_acks: rest.second_acks.clone(),
            held: RefCell::default(),
            changed: RefCell::default(),
            undecided: RefCell::default(),
            departure: RefCell::default(),
            stored: Stored::default(),
            mines: Mines::default(),
            rooms: Rooms::default(),
            notification: parts.links.notification.clone(),
            persistence: parts.links.persistence.clone(),
            requests: Cell::new(0),
            rest,
            left: Notify::new(),
        });
        let Links { state, messaging, notification, persistence } = parts.links;
        inner.spawn("a shard", shard.run());
        inner.spawn("a shard's seconds", seconds(inner.clone()));
        for (at, link) in state.into_iter().enumerate() {
            inner.spawn("an attachment", attach::run(inner.clone(), at, link));
        }
        for ((at, link), commands) in messaging.into_iter().enumerate().zip(commands) {
            inner.spawn("a stream of commands", publish::run(inner.clone(), at, commands, link));
        }
        inner.process.spawn_local("stored cursors", End::Expected, stored::run(inner.clone(), persistence));
        for _ in 0..mine::LISTINGS {
            inner.spawn("listing users' streams", mine::run(inner.clone()));
        }
        inner.spawn("a stream of asks", backlog::run(inner.clone(), asks, notification));
        inner.process.spawn_local("a shard's leaving", End::Expected, leave(inner.clone()));
        Self(inner)
    }

    /// Takes a socket on that speaks WebSocket frames of `encoding` from its first byte; `early` came with
    /// the upgrade.
    ///
    /// # Errors
    /// [`Refused::Sessions`], also while the process drains; the socket is dropped.
    pub fn accept(&self, socket: S, encoding: Encoding, early: Vec<u8>) -> Result<(), Refused> {
        let inner = self.0.clone();
        if inner.process.drain_signal().is_raised() {
            return Err(Refused::Sessions);
        }
        let reader = inner.shard.open(socket, encoding)?.with_early(early);
        inner.greet(reader.id(), encoding);
        let listen = async move {
            let id = reader.id();
            let handler = inner.clone();
            reader.run(move |id, message| handler.clone().hear(id, message)).await;
            inner.gone(id);
        };
        self.0.process.spawn_local("a session", End::Expected, listen);
        Ok(())
    }

    /// What answers requests without a session.
    pub(crate) fn rest(&self) -> Rc<Rest> {
        self.0.rest.clone()
    }

    /// What the shard counted so far.
    pub fn counters(&self) -> crate::Counters {
        self.0.shard.counters()
    }

    /// Whether another session finds a place; another task may take it before the caller does.
    pub(crate) fn has_room(&self) -> bool {
        self.sessions() < self.0.config.limits.sessions
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.0.conversations.borrow().len()
    }
}

/// When the process drains: every session is closed with 1012 `restart`, as soon as its commands are
/// answered; they come back, here or elsewhere, and resume.
async fn leave<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: Rc<Inner<S>>) {
    inner.process.drain_signal().raised().await;
    let mut ids: Vec<SessionId> = inner.conversations.borrow().keys().copied().collect();
    ids.sort_unstable();
    for id in ids {
        inner.restart(id);
    }
}

/// Once a second: late answers, late hellos, ended tokens.
async fn seconds<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: Rc<Inner<S>>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut passed = 0;
    loop {
        second.tick().await;
        inner.settle_late();
        inner.close_due();
        inner.close_departed();
        inner.store_due();
        inner.list_later();
        inner.tell_rooms();
        inner.renew_sessions(passed);
        inner.look_at_standings(passed);
        passed += 1;
        let forgotten = inner.second_acks.borrow_mut().take_forgotten();
        if forgotten > 0 {
            tracing::warn!(forgotten, "too many publishes wait for another region: these get no second ack");
        }
        inner.outward.refused_asks().into_iter().for_each(|waiting| inner.nothing_yet(waiting));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// Runs what the shard cannot do without, until the process drains and nobody is left to serve.
    fn spawn(self: &Rc<Self>, what: &'static str, work: impl Future<Output = ()> + 'static) {
        let inner = self.clone();
        self.process.spawn_local(what, End::Fatal, async move {
            tokio::select! {
                biased;
                () = inner.deserted() => {}
                () = work => {}
            }
        });
    }

    /// Returns once the process drains, no session is open and every command is answered.
    async fn deserted(&self) {
        self.process.drain_signal().raised().await;
        loop {
            let left = self.left.notified();
            if self.conversations.borrow().is_empty() && self.unanswered.borrow().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Sends one frame to a session, in what it speaks.
    pub(crate) fn send(&self, session: SessionId, frame: &ServerFrame) {
        let encoding = self.conversations.borrow().get(&session).map(|conversation| conversation.encoding);
        if let Some(encoding) = encoding {
            self.shard.deliver(session, encode::message(encoding, frame));
        }
    }

    /// The process drains: closes a session of which nothing is unanswered.
    pub(crate) fn restart(&self, session: SessionId) {
        let conversations = self.conversations.borrow();
        let answered = conversations.get(&session).is_some_and(|conversation| conversation.in_flight == 0);
        drop(conversations);
        if answered {
            self.shard.close(session, 1012, sterna_protocol::close::name(1012));
        }
    }

    /// An ephemeral from another session: to everybody here who follows its stream, but not back to its
    /// author. Encoded once, and offered: nobody is cut off over what may be left out (rule 23).
    pub(crate) fn ephemeral(&self, message: &v1::Ephemeral) {
        let (Ok(stream), Ok(user), Ok(kind)) =
            (message.stream.parse(), message.user.parse(), message.kind.parse())
        else {
            return;
        };
        let payload =
            (!message.payload.is_empty()).then(|| Payload::parse(message.payload.clone()).ok()).flatten();
        let frame = ServerFrame::Ephemeral(frame::Ephemeral { stream, user: Some(user), kind, payload });
        let ServerFrame::Ephemeral(ephemeral) = &frame else { return };
        let mut encoded: [Option<Frames>; 2] = [None, None];
        for session in self.shard.followers(&ephemeral.stream) {
            if self.is_by(session, ephemeral.user.as_ref()) {
                continue;
            }
            let encoding =
                self.conversations.borrow().get(&session).map(|conversation| conversation.encoding);
            if let Some(encoding) = encoding {
                let frames = &mut encoded[encoding.index()];
                let frames = frames.get_or_insert_with(|| encode::message(encoding, &frame).finish());
                self.shard.offer(session, frames);
            }
        }
    }

    /// A name for one request of one session, for the audit trail.
    pub(crate) fn request_id(&self) -> String {
        self.requests.set(self.requests.get() + 1);
        let mut id = String::with_capacity(self.config.name.len() + 21);
        id.push_str(&self.config.name);
        let _ = write!(id, "/{}", self.requests.get());
        id
    }

    /// Ends a session with an `error` frame and the close code that belongs to it.
    pub(crate) fn end(&self, session: SessionId, reason: Reason, detail: &str, code: u16) {
        self.send(session, &encode::error(frame::Error::new(reason).detail(detail)));
        self.shard.close(session, code, sterna_protocol::close::name(code));
    }
}

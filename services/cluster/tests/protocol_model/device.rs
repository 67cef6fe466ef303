//! A device of the model: the real client, its sockets, and what its user was shown.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rand::RngExt;
use rand::rngs::StdRng;
use sterna_client::machine::{Action, Input, Machine, Now, SocketId};
use sterna_client::storage::Snapshot;
use sterna_client::{Config, Notice, State, Wish};
use sterna_gateway::SessionId;
use sterna_protocol::frame::{self, ClientFrame, Endpoint, Move, Secret, ServerFrame, Welcome};
use sterna_protocol::{Limits, json};
use sterna_stream::Cursor;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::Instant;

use crate::regions::{ORIGINS, Regions, name};

const WALL_MS: u64 = 1_795_214_400_000;
/// What a client closes a socket with that brought a hole.
const HOLE_SEEN: u16 = 4400;

/// How often rare paths were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare(BTreeMap<&'static str, u64>);

struct Socket {
    region: usize,
    session: SessionId,
    stream: DuplexStream,
    held: Vec<u8>,
}

pub(crate) struct Device {
    /// Bytes that it reads at a time; the smaller, the slower.
    pub(crate) sip: usize,
    pub(crate) rare: Rare,
    machine: Machine,
    sockets: BTreeMap<SocketId, Socket>,
    /// The socket that was opened last.
    newest: Option<SocketId>,
    pipe: usize,
    tail: Option<u32>,
    began: Instant,
    /// How often each seq was shown, or fetched.
    got: BTreeMap<(String, u64), u32>,
    label: String,
}

// === impl Rare ===

impl Rare {
    fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| *self.0.entry(what).or_default() += count);
    }

    pub(crate) fn each_taken_at_least(&self, least: u64) {
        for what in ["cut", "slow", "move", "moved", "skipped", "fetched"] {
            let taken = self.0.get(what).copied().unwrap_or_default();
            assert!(taken >= least, "{what} was taken {taken} times: {self:?}");
        }
    }
}

// === impl Device ===

impl Device {
    pub(crate) fn new(seed: u64, number: usize, random: &mut StdRng) -> Self {
        let config = Config::new(url(random.random_range(0..3)));
        let mut state: u64 = random.random();
        let jitter = Box::new(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        });
        let device = frame::Device(number as u128 + 1);
        Self {
            sip: random.random_range(20..900),
            rare: Rare::default(),
            machine: Machine::new(config, Snapshot::new(device), jitter),
            sockets: BTreeMap::new(),
            newest: None,
            pipe: random.random_range(100..4_000),
            tail: random.random_bool(0.6).then(|| random.random_range(1..12)),
            began: Instant::now(),
            got: BTreeMap::new(),
            label: format!("seed {seed}: device {number}"),
        }
    }

    fn now(&self) -> Now {
        let mono_ms = 1 + u64::try_from(self.began.elapsed().as_millis()).unwrap();
        Now { mono_ms, wall_ms: WALL_MS + mono_ms }
    }

    /// Time has passed; whoever is not connected connects.
    pub(crate) fn tick(&mut self, regions: &Regions) {
        if matches!(self.machine.state(), State::Idle) {
            let wish = Wish { tail: self.tail, presence: false };
            self.give(regions, Input::Follow(regions.stream.clone(), wish));
            self.give(regions, Input::Connect);
        }
        self.give(regions, Input::Tick);
    }

    fn give(&mut self, regions: &Regions, input: Input) {
        let actions = self.machine.handle(self.now(), input);
        let mut stored = false;
        for action in actions {
            match action {
                Action::Open(id, to) => self.open(regions, id, &to),
                Action::Send(id, frame) => self.send(regions, id, frame),
                Action::Close(id, code) => {
                    assert_ne!(code, HOLE_SEEN, "{}: a hole came", self.label);
                    self.sockets.remove(&id);
                }
                Action::Store(_) => stored = true,
                Action::NeedToken => self.give(regions, Input::Token(Some(Secret::new("token")))),
                Action::Tell(notice) => self.told_of(notice),
            }
        }
        if stored {
            self.give(regions, Input::Stored);
        }
    }

    fn told_of(&mut self, notice: Notice) {
        match notice {
            Notice::Shown { event, .. } => self.got(event.origin.as_str(), event.seq),
            Notice::Skipped(..) => self.rare.one("skipped"),
            Notice::State(State::Moving) => self.rare.one("move"),
            Notice::Stopped { end, .. } => panic!("{}: stopped by {end:?}", self.label),
            _ => {}
        }
    }

    fn got(&mut self, origin: &str, seq: u64) {
        let times = self.got.entry((origin.to_owned(), seq)).or_default();
        *times += 1;
        assert_eq!(*times, 1, "{}: {origin} {seq} again", self.label);
    }

    // === its sockets ===

    fn open(&mut self, regions: &Regions, id: SocketId, to: &str) {
        let region = (0..3).find(|at| url(*at) == to).unwrap();
        let (stream, session) = regions.connect(region, self.pipe);
        self.sockets.insert(id, Socket { region, session, stream, held: Vec::new() });
        if self.newest.replace(id).is_some_and(|before| self.sockets.contains_key(&before)) {
            self.rare.one("moved");
        }
        self.give(regions, Input::Opened(id));
    }

    /// The part of the gateway that is not modelled: greeting, and handing on what is asked for.
    fn send(&mut self, regions: &Regions, id: SocketId, frame: ClientFrame) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let (region, session) = (socket.region, socket.session);
        match frame {
            ClientFrame::Hello(_) => {
                let welcome = Box::new(welcome(region));
                self.give(regions, Input::Frame(id, Box::new(ServerFrame::Welcome(welcome))));
            }
            ClientFrame::Subscribe(subscribe) => {
                for one in subscribe.streams {
                    regions.follow(region, session, one.cursor.unwrap_or_default(), one.tail.or(Some(1_000)));
                }
            }
            ClientFrame::Ping => self.give(regions, Input::Frame(id, Box::new(ServerFrame::Pong))),
            // Any byte counts as life.
            ClientFrame::Pong => {
                let pong = [0x8a, 0x80, 0, 0, 0, 0];
                let mut context = Context::from_waker(Waker::noop());
                let _ = Pin::new(&mut socket.stream).poll_write(&mut context, &pong);
            }
            _ => {}
        }
    }

    /// The line is cut: what was on its way is lost.
    pub(crate) fn cut(&mut self) {
        let Some(id) = self.newest.filter(|id| self.sockets.remove(id).is_some()) else { return };
        self.rare.one("cut");
        let actions = self.machine.handle(self.now(), Input::Closed(id, 1006));
        self.newest = None;
        for action in actions {
            match action {
                Action::Tell(notice) => self.told_of(notice),
                Action::Close(id, _) => drop(self.sockets.remove(&id)),
                other => assert!(!matches!(other, Action::Open(..)), "{}: no back-off", self.label),
            }
        }
    }

    pub(crate) fn ask_to_move(&mut self, regions: &Regions, random: &mut StdRng) {
        let Some(id) = self.newest.filter(|_| self.machine.state() == State::Live) else { return };
        let deadline_ms = random.random_range(500..20_000);
        let to = name(random.random_range(0..3)).region();
        let asked = Move { to, after_ms: 0, deadline_ms, reason: "evacuation".into(), ticket: None };
        self.give(regions, Input::Frame(id, Box::new(ServerFrame::Move(asked))));
    }

    /// Reads at most so many bytes of each socket, if there are any, and takes in what they complete.
    pub(crate) fn read(&mut self, regions: &Regions, most: usize) {
        let ids: Vec<SocketId> = self.sockets.keys().copied().collect();
        for id in ids {
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            let ended = socket.sip(most);
            while let Some((opcode, payload)) = self.sockets.get_mut(&id).and_then(Socket::whole) {
                match opcode {
                    1 => {
                        let frame = json::decode_server(&payload).unwrap();
                        self.give(regions, Input::Frame(id, Box::new(frame)));
                    }
                    8 => {
                        let code = u16::from_be_bytes([payload[0], payload[1]]);
                        self.rare.one(if code == 4001 { "slow" } else { "closed" });
                        self.sockets.remove(&id);
                        self.give(regions, Input::Closed(id, code));
                    }
                    _ => {}
                }
            }
            if ended && self.sockets.remove(&id).is_some() {
                self.give(regions, Input::Closed(id, 1006));
            }
        }
    }

    // === holes ===

    /// Fetches a page of the first hole, from any region's table; what is left of it stays a hole.
    pub(crate) fn fetch(&mut self, regions: &Regions, random: &mut StdRng) {
        let Some(hole) = self.machine.holes(&regions.stream).first().cloned() else { return };
        let missing = |seq: &u64| !self.got.contains_key(&(hole.origin.to_string(), *seq));
        let after = (hole.after + 1..=hole.upto).find(missing).map_or(hole.upto, |seq| seq - 1);
        let (at, most) = (random.random_range(0..3), random.random_range(1..6));
        for seq in regions.fetch(at, &hole.origin, after, hole.upto, most) {
            // Two holes that became one ask for more than is missing.
            if !self.got.contains_key(&(hole.origin.to_string(), seq)) {
                self.got(hole.origin.as_str(), seq);
            }
        }
        let missing = |seq: u64| !self.got.contains_key(&(hole.origin.to_string(), seq));
        if !(hole.after + 1..=hole.upto).any(missing) {
            self.rare.one("fetched");
            self.give(regions, Input::Fetched(regions.stream.clone(), hole));
        }
    }

    // === how it stands ===

    fn cursor(&self, regions: &Regions) -> Cursor {
        self.machine.cursor(&regions.stream).cloned().unwrap_or_default()
    }

    pub(crate) fn is_done(&self, regions: &Regions) -> bool {
        let (cursor, heads) = (self.cursor(regions), regions.heads());
        let current = (0..3).all(|origin| cursor.get(&name(origin)) >= heads[origin]);
        current && self.machine.holes(&regions.stream).is_empty()
    }

    pub(crate) fn has_everything(&self, regions: &Regions) {
        for (origin, head) in ORIGINS.iter().zip(regions.heads()) {
            for seq in 1..=head {
                let times = self.got.get(&((*origin).to_owned(), seq)).copied().unwrap_or_default();
                assert_eq!(times, 1, "{}: {origin} {seq} of {head}", self.label);
            }
        }
    }

    pub(crate) fn told(&self) -> String {
        let stream = "acme/chat/model".parse().unwrap();
        let cursor = self.machine.cursor(&stream);
        format!("{}: {:?} at {cursor:?}, {:?}", self.label, self.machine.state(), self.machine.holes(&stream))
    }
}

// === impl Socket ===

impl Socket {
    /// Reads at most so many bytes, without waiting; whether the other side has ended.
    fn sip(&mut self, most: usize) -> bool {
        let mut buffer = vec![0; most];
        let mut read = ReadBuf::new(&mut buffer);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut read) {
            Poll::Pending => false,
            Poll::Ready(Err(_)) => true,
            Poll::Ready(Ok(())) => {
                self.held.extend_from_slice(read.filled());
                read.filled().is_empty()
            }
        }
    }

    /// The next whole frame: its opcode and payload.
    fn whole(&mut self) -> Option<(u8, Vec<u8>)> {
        let (start, length) = match *self.held.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes([*self.held.get(2)?, *self.held.get(3)?]))),
            length => (2, usize::from(length)),
        };
        if self.held.len() < start + length {
            return None;
        }
        let frame: Vec<u8> = self.held.drain(..start + length).collect();
        Some((frame[0] & 0xf, frame[start..].to_vec()))
    }
}

fn url(region: usize) -> String {
    format!("wss://{}.example.com/v1/connect", ORIGINS[region])
}

fn welcome(region: usize) -> Welcome {
    let endpoint = |at: usize| Endpoint { region: name(at).region(), url: url(at).into() };
    Welcome {
        session: "s".into(),
        region: name(region).region(),
        origin: Some(name(region)),
        tenant: "acme".into(),
        user: "ana".parse().unwrap(),
        time_unix_ms: WALL_MS,
        token_expires_in_ms: 24 * 3_600_000,
        ping_interval_ms: 25_000,
        limits: Limits::default(),
        endpoints: (0..3).map(endpoint).collect(),
    }
}

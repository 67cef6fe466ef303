//! The machine against a scripted server, in pure time: nothing here waits.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use bytes::Bytes;
use sterna_protocol::Limits;
use sterna_protocol::frame::{
    Ack, Durability, Endpoint, Ephemeral, Error, Event, Events, Gap, Head, Move, Publish, ServerFrame,
    Subscribed, Subscription, Welcome,
};
use sterna_protocol::payload::Payload;
use sterna_stream::{EventId, Reason};

use super::*;
use crate::storage::{Key, MemoryStorage, Storage};

mod connection;
mod following;
mod moves;
mod publishing;
mod tiling;

pub(super) const US: &str = "us-east-1";
pub(super) const EU: &str = "eu-west-1";
pub(super) const CHAT: &str = "acme/chat/general";
pub(super) const WALL_MS: u64 = 1_795_214_400_000;

/// A machine, its storage, and what it asked for.
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: Now,
    pub(super) storage: MemoryStorage,
    pub(super) opened: Vec<(SocketId, String)>,
    pub(super) sent: VecDeque<(SocketId, ClientFrame)>,
    pub(super) closed: Vec<(SocketId, u16)>,
    pub(super) notices: Vec<Notice>,
    /// What is answered to `NeedToken`; `None` leaves it unanswered.
    pub(super) token: Option<&'static str>,
    pub(super) tokens_asked: u32,
}

pub(super) fn config() -> Config {
    Config { keep_until: Some(KeepUntil::Global), ..Config::new("wss://rt.example.com/v1/connect") }
}

/// Reproducible and spread: a SplitMix64.
pub(super) fn random(seed: u64) -> Box<dyn Random> {
    let mut state = seed;
    Box::new(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(config(), MemoryStorage::new(Device(7)))
    }

    pub(super) fn with(config: Config, mut storage: MemoryStorage) -> Self {
        let machine = Machine::new(config, storage.load().unwrap(), random(1));
        Self {
            machine,
            now: Now { mono_ms: 1_000, wall_ms: WALL_MS },
            storage,
            opened: Vec::new(),
            sent: VecDeque::new(),
            closed: Vec::new(),
            notices: Vec::new(),
            token: Some("token"),
            tokens_asked: 0,
        }
    }

    /// Gives an input and carries out what follows from it.
    pub(super) fn give(&mut self, input: Input) {
        let actions = self.machine.handle(self.now, input);
        let mut stored = false;
        for action in actions {
            match action {
                Action::Open(id, url) => self.opened.push((id, url.into())),
                Action::Send(id, frame) => self.sent.push_back((id, frame)),
                Action::Close(id, code) => self.closed.push((id, code)),
                Action::Store(change) => {
                    self.storage.apply(&[change]).unwrap();
                    stored = true;
                }
                Action::NeedToken => {
                    self.tokens_asked += 1;
                    if let Some(token) = self.token {
                        self.give(Input::Token(Some(Secret::new(token))));
                    }
                }
                Action::Tell(notice) => self.notices.push(notice),
            }
        }
        if stored {
            self.give(Input::Stored);
        }
    }

    pub(super) fn frame(&mut self, id: SocketId, frame: ServerFrame) {
        self.give(Input::Frame(id, Box::new(frame)));
    }

    /// Lets time pass on both clocks, with every deadline met on its way.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        for _ in 0..10_000 {
            let due = self.machine.deadline().filter(|due| *due <= end);
            let Some(due) = due else {
                self.to(end);
                return;
            };
            self.to(due.max(self.now.mono_ms));
            self.give(Input::Tick);
        }
        panic!("the machine spins in {:?}", self.machine.state());
    }

    fn to(&mut self, mono_ms: u64) {
        self.now.wall_ms += mono_ms - self.now.mono_ms;
        self.now.mono_ms = mono_ms;
    }

    /// Connects until the first socket is asked for.
    pub(super) fn open(&mut self) -> SocketId {
        if matches!(self.machine.state(), State::Idle | State::Stopped) {
            self.give(Input::Connect);
        }
        let before = self.opened.len();
        while self.opened.len() == before {
            let due = self.machine.deadline().unwrap();
            self.pass(due.saturating_sub(self.now.mono_ms));
        }
        self.opened.last().unwrap().0
    }

    /// Connects to `region` and is welcomed there.
    pub(super) fn welcome(&mut self, region: &str) -> SocketId {
        let id = self.open();
        self.give(Input::Opened(id));
        self.frame(id, welcome(region));
        id
    }

    /// Connects to `region` until live, with every followed stream at its place.
    pub(super) fn live(&mut self, region: &str) -> SocketId {
        let id = self.welcome(region);
        self.answer(id);
        assert!(matches!(self.machine.state(), State::Live), "{:?}", self.machine.state());
        id
    }

    /// Answers every `subscribe` on the socket with what the client has.
    pub(super) fn answer(&mut self, id: SocketId) {
        for asked in self.subscriptions(id) {
            let cursor = asked.cursor.unwrap_or_default();
            self.frame(id, subscribed(asked.stream.as_str(), &cursor, &cursor));
        }
    }

    /// Takes what was subscribed to on a socket.
    pub(super) fn subscriptions(&mut self, id: SocketId) -> Vec<Subscription> {
        let take = |(to, frame): &(SocketId, ClientFrame)| match frame {
            ClientFrame::Subscribe(subscribe) if *to == id => subscribe.streams.clone(),
            _ => Vec::new(),
        };
        let asked = self.sent.iter().flat_map(take).collect();
        self.sent.retain(|(to, frame)| *to != id || !matches!(frame, ClientFrame::Subscribe(_)));
        asked
    }

    /// Takes what was published on a socket.
    pub(super) fn published(&mut self, id: SocketId) -> Vec<Publish> {
        let mut published = Vec::new();
        self.sent.retain(|(to, frame)| match frame {
            ClientFrame::Publish(publish) if *to == id => {
                published.push(publish.clone());
                false
            }
            _ => true,
        });
        published
    }

    pub(super) fn follow(&mut self, name: &str) {
        self.give(Input::Follow(name.parse().unwrap(), Wish::default()));
    }

    pub(super) fn publish(&mut self, key: u64, text: &str) {
        self.give(Input::Publish(Key(key), draft(CHAT, text)));
    }

    pub(super) fn outcomes(&self, key: u64) -> Vec<Outcome> {
        let of = |notice: &Notice| match notice {
            Notice::Published { key: one, outcome, .. } if *one == Key(key) => Some(outcome.clone()),
            _ => None,
        };
        self.notices.iter().filter_map(of).collect()
    }

    pub(super) fn shown(&self) -> Vec<(String, u64)> {
        let of = |notice: &Notice| match notice {
            Notice::Shown { event, .. } => Some((event.origin.to_string(), event.seq)),
            _ => None,
        };
        self.notices.iter().filter_map(of).collect()
    }

    pub(super) fn state(&self) -> State {
        self.machine.state()
    }

    /// Whether the storage and the machine agree about a cursor.
    pub(super) fn stored_cursor(&mut self, name: &str) -> Cursor {
        self.storage.load().unwrap().streams[&name.parse().unwrap()].cursor.clone()
    }
}

pub(super) fn draft(stream: &str, text: &str) -> Draft {
    Draft { stream: stream.parse().unwrap(), kind: "message".parse().unwrap(), payload: payload(text) }
}

pub(super) fn payload(text: &str) -> Payload {
    Payload::parse(Bytes::from(format!("\"{text}\""))).unwrap()
}

pub(super) fn welcome_with(region: &str, change: impl FnOnce(&mut Welcome)) -> ServerFrame {
    let url = |region: &str| format!("wss://{region}.example.com/v1/connect").into();
    let mut welcome = Welcome {
        session: "s-1".into(),
        region: region.parse().unwrap(),
        origin: Some(region.parse().unwrap()),
        tenant: "acme".into(),
        user: "ana".parse().unwrap(),
        time_unix_ms: WALL_MS,
        token_expires_in_ms: 900_000,
        ping_interval_ms: 8_000,
        limits: Limits::default(),
        endpoints: [US, EU].map(|one| Endpoint { region: one.parse().unwrap(), url: url(one) }).into(),
    };
    change(&mut welcome);
    ServerFrame::Welcome(Box::new(welcome))
}

pub(super) fn welcome(region: &str) -> ServerFrame {
    welcome_with(region, |_| {})
}

pub(super) fn cursor(text: &str) -> Cursor {
    text.parse().unwrap()
}

pub(super) fn subscribed(stream: &str, head: &Cursor, known: &Cursor) -> ServerFrame {
    let stream = stream.parse().unwrap();
    ServerFrame::Subscribed(Subscribed {
        streams: vec![Head { stream, head: head.clone(), known: known.clone() }],
    })
}

/// An event of bo's, stamped by its seq.
pub(super) fn event(origin: &str, seq: u64) -> Event {
    Event {
        origin: origin.parse().unwrap(),
        seq,
        hlc: sterna_stream::Hlc::at(WALL_MS + seq),
        event_id: EventId::mint(WALL_MS, u128::from(seq) << 64 | origin.len() as u128),
        author: "bo".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: payload("hi"),
        erased: false,
        resend: false,
    }
}

/// What becomes of a publish that `origin` sequences as `seq`.
pub(super) fn sequenced(publish: &Publish, origin: &str, seq: u64) -> Event {
    Event {
        event_id: publish.event_id,
        author: "ana".parse().unwrap(),
        kind: publish.kind.clone(),
        payload: publish.payload.clone(),
        resend: publish.resend,
        ..event(origin, seq)
    }
}

pub(super) fn events(stream: &str, events: Vec<Event>) -> ServerFrame {
    ServerFrame::Events(Events { stream: stream.parse().unwrap(), events })
}

pub(super) fn gap(stream: &str, reason: &str, from: &str, to: &str) -> ServerFrame {
    let (stream, reason) = (stream.parse().unwrap(), reason.parse().unwrap());
    ServerFrame::Gap(Gap { stream, reason, from: cursor(from), to: cursor(to) })
}

pub(super) fn ack(ids: &[EventId], region: &str, durability: Durability) -> ServerFrame {
    ServerFrame::Ack(Ack { event_ids: ids.to_vec(), region: region.parse().unwrap(), durability })
}

pub(super) fn refusal(reason: Reason, id: EventId, retry_after_ms: Option<u32>) -> ServerFrame {
    let error = Error { retry_after_ms, ..Error::new(reason).of_event(&id.to_string()) };
    ServerFrame::Error(Box::new(error))
}

pub(super) fn asked_to_move(to: &str, after_ms: u32, deadline_ms: u32) -> ServerFrame {
    ServerFrame::Move(Move {
        to: to.parse().unwrap(),
        after_ms,
        deadline_ms,
        reason: "evacuation".into(),
        ticket: Some(Secret::new("mv1.ticket")),
    })
}

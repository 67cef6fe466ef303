//! Changes as bytes, for the file: numbers big-endian, texts and lists with their length before them.
//!
//! Decoding accepts exactly what encoding writes; anything else is `None`. The format is private to this
//! library and versioned by the file's first bytes.

use bytes::Bytes;
use sterna_protocol::frame::{Endpoint, Event};
use sterna_protocol::payload::Payload;
use sterna_stream::{Cursor, EventId, Hlc};

use super::{Change, Hole, Key, Queued};

const EVENT: u8 = 1;
const MOVED: u8 = 2;
const QUEUED: u8 = 3;
const RELEASED: u8 = 4;
const TERMS: u8 = 5;

/// Appends `change` to `out`.
pub(super) fn encode(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Event(stream, event) => {
            out.push(EVENT);
            text(stream.as_str(), out);
            self::event(event, out);
        }
        Change::Moved { stream, cursor, holes } => {
            out.push(MOVED);
            text(stream.as_str(), out);
            text(&cursor.to_string(), out);
            number(holes.len() as u64, out);
            for hole in holes {
                text(hole.origin.as_str(), out);
                number(hole.after, out);
                number(hole.upto, out);
                text(hole.reason.as_str(), out);
            }
        }
        Change::Queued(queued) => {
            out.push(QUEUED);
            self::queued(queued, out);
        }
        Change::Released(key) => {
            out.push(RELEASED);
            number(key.0, out);
        }
        Change::Terms { endpoints, home } => {
            out.push(TERMS);
            text(home.as_ref().map_or("", |home| home.as_str()), out);
            number(endpoints.len() as u64, out);
            for endpoint in endpoints {
                text(endpoint.region.as_str(), out);
                text(&endpoint.url, out);
            }
        }
    }
}

fn event(event: &Event, out: &mut Vec<u8>) {
    text(event.origin.as_str(), out);
    number(event.seq, out);
    number(event.hlc.0, out);
    out.extend_from_slice(&event.event_id.to_bytes());
    text(event.author.as_str(), out);
    text(event.kind.as_str(), out);
    block(event.payload.as_bytes(), out);
    out.push(u8::from(event.erased) | u8::from(event.resend) << 1);
}

fn queued(queued: &Queued, out: &mut Vec<u8>) {
    number(queued.key.0, out);
    text(queued.stream.as_str(), out);
    text(queued.kind.as_str(), out);
    block(queued.payload.as_bytes(), out);
    number(queued.seen.map_or(0, |seen| seen.0), out);
    out.extend_from_slice(&queued.event_id.map_or([0; 16], EventId::to_bytes));
    out.push(u8::from(queued.accepted));
}

fn number(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&n.to_be_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    block(text.as_bytes(), out);
}

fn block(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// All changes of a record; `None` if it is not exactly a list of them.
pub(super) fn decode(record: &[u8]) -> Option<Vec<Change>> {
    let mut reader = Reader(record);
    let mut changes = Vec::new();
    while !reader.0.is_empty() {
        changes.push(reader.change()?);
    }
    Some(changes)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn change(&mut self) -> Option<Change> {
        Some(match self.take(1)?[0] {
            EVENT => Change::Event(self.value()?, self.event()?),
            MOVED => {
                let (stream, cursor) = (self.value()?, self.value::<Cursor>()?);
                let holes = (0..self.number()?).map(|_| self.hole()).collect::<Option<_>>()?;
                Change::Moved { stream, cursor, holes }
            }
            QUEUED => Change::Queued(self.queued()?),
            RELEASED => Change::Released(Key(self.number()?)),
            TERMS => {
                let home = self.text()?;
                let home = if home.is_empty() { None } else { Some(home.parse().ok()?) };
                let endpoints = (0..self.number()?).map(|_| self.endpoint()).collect::<Option<_>>()?;
                Change::Terms { endpoints, home }
            }
            _ => return None,
        })
    }

    fn hole(&mut self) -> Option<Hole> {
        Some(Hole {
            origin: self.value()?,
            after: self.number()?,
            upto: self.number()?,
            reason: self.value()?,
        })
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        Some(Endpoint { region: self.value()?, url: self.text()?.into() })
    }

    fn event(&mut self) -> Option<Event> {
        let (origin, seq, hlc) = (self.value()?, self.number()?, Hlc(self.number()?));
        let event_id = EventId::from_bytes(self.take(16)?).ok()?;
        let (author, kind, payload) = (self.value()?, self.value()?, self.payload()?);
        let flags = self.take(1)?[0];
        let (erased, resend) = (flags & 1 != 0, flags & 2 != 0);
        Some(Event { origin, seq, hlc, event_id, author, kind, payload, erased, resend })
    }

    fn queued(&mut self) -> Option<Queued> {
        let key = Key(self.number()?);
        let (stream, kind, payload) = (self.value()?, self.value()?, self.payload()?);
        let seen = Some(self.number()?).filter(|seen| *seen > 0).map(Hlc);
        let id = self.take(16)?;
        let event_id = if id == [0; 16] { None } else { Some(EventId::from_bytes(id).ok()?) };
        let accepted = self.take(1)?[0] != 0;
        Some(Queued { key, stream, kind, payload, seen, event_id, accepted })
    }

    fn payload(&mut self) -> Option<Payload> {
        Payload::parse(Bytes::copy_from_slice(self.block()?)).ok()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn value<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.block()?).ok()
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

//! Who publishes: new events, resends of old ones, resends that overtake their original, re-used ids, bursts.

use bytes::Bytes;

use super::random::Random;
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::{EventId, StreamId};
use crate::policy::Policy;
use crate::sequencer::exchange::{Known, Record};

/// What makes an event one event (E4).
pub(super) type Event = (StreamId, EventId, ContentHash);

#[derive(Debug)]
pub(super) struct Authors {
    streams: Vec<StreamId>,
    /// Everything ever published.
    sent: Vec<Event>,
    /// Originals that are still on their way, while a resend of theirs has arrived.
    late: Vec<Event>,
    ids: u128,
}

/// The body of an event: id, content, mark, padding.
fn body(event: &Event, resend: bool, padding: u64) -> Bytes {
    let mut bytes = event.1.to_bytes().to_vec();
    bytes.extend(event.2.0);
    bytes.push(u8::from(resend));
    bytes.resize(bytes.len() + padding as usize, 0);
    bytes.into()
}

/// What [`body`] wrote.
pub(in crate::sequencer) fn peek(body: &Bytes) -> Option<Known> {
    let id = EventId::from_bytes(body.get(..16)?).ok()?;
    let content = ContentHash(body.get(16..32)?.try_into().ok()?);
    Some(Known { id, content, resend: *body.get(32)? == 1 })
}

/// The same record, as a new incarnation finds it in the old ingress (E1).
pub(super) fn resent(record: &Record) -> Record {
    let event = (record.stream.clone(), record.id, record.content);
    Record { resend: true, body: body(&event, true, 3), ..record.clone() }
}

impl Authors {
    pub(super) fn new(random: &mut Random) -> Self {
        let count = random.from(1, 6);
        let streams = (0..count).map(|n| StreamId::new("acme", "chat", &format!("room-{n}")).unwrap());
        Self { streams: streams.collect(), sent: Vec::new(), late: Vec::new(), ids: 0 }
    }

    pub(super) fn streams(&self) -> &[StreamId] {
        &self.streams
    }

    /// The next publishes to arrive: one, or a burst of one stream.
    pub(super) fn publish(&mut self, wall_ms: u64, random: &mut Random) -> Vec<Record> {
        let stream = self.streams[random.below(self.streams.len() as u64) as usize].clone();
        let count = if random.chance(8) { random.from(10, 60) } else { random.from(1, 3) };
        (0..count).map(|_| self.one(&stream, wall_ms, random)).collect()
    }

    fn one(&mut self, stream: &StreamId, wall_ms: u64, random: &mut Random) -> Record {
        let (event, resend) = match random.below(100) {
            0..15 if !self.sent.is_empty() => (self.old(random), true),
            15..20 if !self.sent.is_empty() => (self.reused(random), random.chance(50)),
            20..30 => {
                let event = self.mint(stream, wall_ms, random);
                self.late.push(event.clone());
                (event, true)
            }
            30..40 if !self.late.is_empty() => {
                (self.late.swap_remove(random.below(self.late.len() as u64) as usize), false)
            }
            _ => (self.mint(stream, wall_ms, random), false),
        };
        self.sent.push(event.clone());
        let mut policy = Policy::default();
        policy.member.advance(&"us-east-1".parse().unwrap(), random.below(4));
        Record {
            offset: 0,
            stream: event.0.clone(),
            id: event.1,
            content: event.2,
            resend,
            member: random.chance(5),
            seen: if random.chance(20) { Hlc::at(wall_ms + random.below(50_000)) } else { Hlc::ZERO },
            policy,
            body: body(&event, resend, random.below(60)),
        }
    }

    /// An event minted a while ago, or by a clock that is ahead.
    fn mint(&mut self, stream: &StreamId, wall_ms: u64, random: &mut Random) -> Event {
        let age = if random.chance(20) { random.below(3_600_000) } else { random.below(60_000) };
        let time = (wall_ms + random.below(290_000)).min(wall_ms + 290_000) - age.min(wall_ms);
        self.ids += 1;
        let content = ContentHash([random.below(3) as u8; 16]);
        (stream.clone(), EventId::mint(time, self.ids << 20), content)
    }

    /// One of those sent before, recent ones more often.
    fn old(&mut self, random: &mut Random) -> Event {
        let count = self.sent.len() as u64;
        let back = if random.chance(50) { random.below(count.min(8)) } else { random.below(count) };
        self.sent[(count - 1 - back) as usize].clone()
    }

    /// The id of an event sent before, with other content: another event (E4).
    fn reused(&mut self, random: &mut Random) -> Event {
        let (stream, id, _) = self.old(random);
        self.ids += 1;
        let mut content = [7; 16];
        content[..8].copy_from_slice(&(self.ids as u64).to_be_bytes());
        (stream, id, ContentHash(content))
    }
}

//! The verdict: first whether everything has come to rest, then whether what is left is right.
//!
//! [`unfinished`] names what is still missing, in words; with no new event to reveal a gap, whatever it names
//! for too long is lost. [`verdict`] reads the stores behind the faults and the people's ledgers, and applies
//! the invariants that property tests use as well.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use sterna_log::{Log, Record};
use sterna_proto::record::{self, Body, Stored};
use sterna_proto::v1;
use sterna_storage::{Name, Table};
use sterna_stream::invariants::{acked_is_durable, acked_is_shown, causal, display_equal, shown_once};
use sterna_stream::order::{Entry, Place};
use sterna_stream::sequencer::invariants;
use sterna_stream::{ContentHash, EventId, Hlc, Origin, StreamId};

use crate::paths::Path;
use crate::person::Book;
use crate::person::Person;
use crate::script::name;
use crate::world::World;

mod copies;

/// Bytes of a log that are read at once.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// A stamp is never further ahead of the wall than what people may claim, and the clock's steps.
const AHEAD_MS: u64 = 10 * 60 * 1_000;

/// What the table holds of one region.
pub struct Chains {
    /// Per (stream, origin), segments in seq order.
    pub segments: BTreeMap<(StreamId, Origin), Vec<Stored>>,
    /// Per stream, its events as devices see them, in seq order.
    pub events: BTreeMap<StreamId, Vec<Entry>>,
    /// Per stream, (user, seq) of each removal.
    pub removals: BTreeMap<StreamId, Vec<(String, u64)>>,
}

/// The first thing that is not done yet.
pub async fn unfinished(world: &World) -> Option<String> {
    for person in &world.people {
        if !person.is_done() {
            let ledger = person.ledger.borrow();
            let (unacked, wishes) = (ledger.outbox.len(), ledger.wishes.len());
            return Some(format!("{} has {unacked} unacked and {wishes} wishes", person.card.name));
        }
    }
    if let Some(waiting) = unsequenced(world).await {
        return Some(waiting);
    }
    let chains = match Chains::read(world).await {
        Ok(chains) => chains,
        Err(what) => return Some(what),
    };
    let rooms = world.rooms.borrow().clone();
    for (number, room) in world.script.rooms.iter().enumerate() {
        let Some(stream) = rooms.get(number).cloned().flatten() else {
            return Some(format!("room {number} was not created"));
        };
        let head = chains.events.get(&stream).and_then(|events| events.last()).map_or(0, |e| e.place.seq);
        for member in room.members.difference(&room.removed) {
            let person = &world.people[*member];
            let at = person.ledger.borrow().books.get(&stream).map_or(0, at);
            if at < head {
                let name = &person.card.name;
                return Some(format!("{name} is at {at} of {head} in room {number} {stream}"));
            }
        }
    }
    None
}

fn at(book: &Book) -> u64 {
    book.tilings.values().map(|tiling| tiling.at()).max().unwrap_or_default()
}

async fn unsequenced(world: &World) -> Option<String> {
    let topic = world.topic(true);
    let group = "sterna-sequencers".parse().expect("a group's name");
    let described = world.stores.log.describe(&topic, Some(&group)).await.ok()?;
    for (partition, extent) in (0..).zip(&described.partitions) {
        let from = extent.committed.unwrap_or(extent.earliest);
        let page = world.stores.log.read(&topic, partition, from, PAGE_BYTES).await;
        let left = page.map_or(0, |page| page.entries.len());
        if left > 0 {
            return Some(format!(
                "{left} records of ingress partition {partition} from {from} on are not settled"
            ));
        }
    }
    None
}

/// The first thing that is wrong.
///
/// # Errors
/// What it is, in words.
pub async fn verdict(world: &World) -> Result<(), String> {
    if let Some(undead) = &world.seen.lock().expect("nobody panicked").undead {
        return Err(undead.clone());
    }
    if let Some(broken) = &world.broken {
        return Err(format!("a role ended by itself: {broken}"));
    }
    for person in &world.people {
        if let Some(fault) = &person.ledger.borrow().fault {
            return Err(format!("{}: {fault}", person.card.name));
        }
    }
    let chains = Chains::read(world).await?;
    for (stream, events) in &chains.events {
        shown_once(events).map_err(|violation| format!("the table of {stream}: {violation}"))?;
    }
    copies::log_follows_table(world, &chains).await?;
    let ingress = copies::ingress(world).await;
    total(world, &chains, &ingress)?;
    for person in &world.people {
        device(world, &chains, &ingress, person).map_err(|what| format!("{}: {what}", person.card.name))?;
    }
    Ok(())
}

/// E5, E13: every record of the ingress is an event or a proven duplicate, and nothing comes from nowhere.
fn total(world: &World, chains: &Chains, ingress: &[(StreamId, EventId, ContentHash)]) -> Result<(), String> {
    let mut events = BTreeSet::new();
    let mut count = 0;
    for stored in chains.segments.values().flatten() {
        for (_, stamp, body) in stored.segment.events() {
            let known = record::peek(body).ok_or("a body in the table cannot be read")?;
            events.insert((stored.segment.stream.clone(), known.id, known.content.0));
            count += 1;
            if stamp.wall_ms() > world.latest_wall_ms() + AHEAD_MS {
                return Err(format!("E14: {} has a stamp far ahead of every clock", known.id));
            }
        }
    }
    let accepted: BTreeSet<(StreamId, EventId, [u8; 16])> =
        ingress.iter().map(|(stream, id, content)| (stream.clone(), *id, content.0)).collect();
    if let Some((stream, id, _)) = accepted.difference(&events).next() {
        return Err(format!("E5: {id} of {stream} is in the ingress and is no event"));
    }
    if let Some((stream, id, _)) = events.difference(&accepted).next() {
        return Err(format!("E5: {id} of {stream} is an event and came from nowhere"));
    }
    if count != events.len() {
        return Err(format!("E13: {count} events, of which {} differ", events.len()));
    }
    world.paths.add(Path::Duplicate, (ingress.len() - events.len()) as u64);
    Ok(())
}

/// What one device was shown.
fn device(
    world: &World,
    chains: &Chains,
    ingress: &[(StreamId, EventId, ContentHash)],
    person: &Person,
) -> Result<(), String> {
    let ledger = person.ledger.borrow();
    let durable: BTreeSet<(StreamId, EventId)> =
        ingress.iter().map(|(stream, id, _)| (stream.clone(), *id)).collect();
    acked_is_durable(&ledger.acked, &durable).map_err(|violation| violation.to_string())?;
    let rooms = world.rooms.borrow();
    for (stream, book) in &ledger.books {
        let name_of = |what: String| format!("{stream}: {what}");
        shown_once(&book.shown).map_err(|violation| name_of(violation.to_string()))?;
        let room = rooms.iter().position(|room| room.as_ref() == Some(stream));
        let Some(room) = room.map(|number| &world.script.rooms[number]) else { continue };
        let events = chains.events.get(stream).map(Vec::as_slice).unwrap_or_default();
        let user = &person.card.name;
        if room.removed.iter().any(|removed| name(*removed) == *user) {
            kept_out(world, chains, stream, user, book)?;
        } else {
            everything(events, book).map_err(name_of)?;
            all_acked(world, events, stream)?;
        }
    }
    for (stream, events) in &chains.events {
        let own = events.iter().filter(|event| event.author.as_str() == person.card.name);
        for event in own {
            let shown = person.seen_at(stream, event.id);
            causal(event, shown).map_err(|violation| violation.to_string())?;
        }
    }
    Ok(())
}

/// G2 and G4: the device shows what the table has, in the same order; what it lacks, a gap told.
fn everything(events: &[Entry], book: &Book) -> Result<(), String> {
    let holes: Vec<(u64, u64)> = book.tilings.values().flat_map(|tiling| tiling.holes()).collect();
    let told = |seq: u64| holes.iter().any(|(first, last)| (*first..=*last).contains(&seq));
    let head = events.last().map_or(0, |event| event.place.seq);
    for tiling in book.tilings.values() {
        tiling.ends_at(head).map_err(|violation| violation.to_string())?;
    }
    let places = |entries: &mut dyn Iterator<Item = &Entry>| {
        let mut places: Vec<Place> = entries.map(|entry| entry.place.clone()).collect();
        places.sort();
        places
    };
    let theirs = places(&mut events.iter().filter(|event| !told(event.place.seq)));
    let ours = places(&mut book.shown.iter());
    display_equal(&ours, &theirs).map_err(|violation| violation.to_string())?;
    let by_seq: BTreeMap<u64, &Entry> = events.iter().map(|event| (event.place.seq, event)).collect();
    for shown in &book.shown {
        let same = by_seq.get(&shown.place.seq).is_some_and(|event| *event == shown);
        if !same {
            return Err(format!("seq {} is shown otherwise than it is stored", shown.place.seq));
        }
    }
    Ok(())
}

/// G2: what anybody was acked in this stream is in what every member is shown.
fn all_acked(world: &World, events: &[Entry], stream: &StreamId) -> Result<(), String> {
    let there: BTreeSet<EventId> = events.iter().map(|event| event.id).collect();
    for author in &world.people {
        let ledger = author.ledger.borrow();
        let acked = ledger.acked.iter().filter(|(of, _)| of == stream).map(|(_, id)| *id).collect();
        acked_is_shown(&acked, &there).map_err(|violation| violation.to_string())?;
    }
    Ok(())
}

/// E24: who was put out saw nothing that was said after.
fn kept_out(
    world: &World,
    chains: &Chains,
    stream: &StreamId,
    user: &str,
    book: &Book,
) -> Result<(), String> {
    let removals = chains.removals.get(stream);
    let removal = removals.into_iter().flatten().filter(|(who, _)| who == user).map(|(_, seq)| *seq).min();
    let Some(removal) = removal else { return Err(format!("{stream}: the removal of {user} is not there")) };
    if let Some(later) = book.shown.iter().find(|entry| entry.place.seq > removal) {
        let seq = later.place.seq;
        return Err(format!("E24: {stream}: shown seq {seq} after being put out by seq {removal}"));
    }
    world.paths.took(Path::KeptOut);
    Ok(())
}

impl Chains {
    /// Reads the table behind the faults.
    ///
    /// # Errors
    /// The first chain that is none.
    pub async fn read(world: &World) -> Result<Self, String> {
        let mut all: BTreeMap<(StreamId, Origin, u64), Stored> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = world.stores.table.scan(Name::Events, after).await.map_err(|e| e.to_string())?;
            for item in page.items {
                let stored =
                    Stored::decode(item.value).map_err(|error| format!("{}: {error}", item.key.sort))?;
                let segment = &stored.segment;
                all.insert((segment.stream.clone(), segment.origin.clone(), segment.first), stored);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut chains =
            Self { segments: BTreeMap::new(), events: BTreeMap::new(), removals: BTreeMap::new() };
        for ((stream, origin, _), stored) in all {
            chains.segments.entry((stream, origin)).or_default().push(stored);
        }
        for ((stream, origin), stored) in &chains.segments {
            let end = invariants::chain(stored.iter().map(|stored| &stored.segment));
            end.map_err(|broken| format!("the chain of {stream} {origin}: {broken}"))?;
        }
        chains.decode()?;
        Ok(chains)
    }

    fn decode(&mut self) -> Result<(), String> {
        for ((stream, origin), stored) in &self.segments {
            for segment in stored.iter().map(|stored| &stored.segment) {
                for (seq, hlc, body) in segment.events() {
                    let body = Body::decode(body).map_err(|error| format!("{stream} {seq}: {error}"))?;
                    if let Some(user) = removed(&body) {
                        self.removals.entry(stream.clone()).or_default().push((user, seq));
                    }
                    let place = Place { hlc, origin: origin.clone(), seq };
                    self.events.entry(stream.clone()).or_default().push(entry(place, &body));
                }
            }
        }
        Ok(())
    }
}

fn entry(place: Place, body: &Body) -> Entry {
    let content = crate::person::content(body.kind.as_str(), &body.payload);
    Entry { place, author: body.author.clone(), id: body.id, content, resend: body.resend }
}

/// Whom a member event puts out.
fn removed(body: &Body) -> Option<String> {
    let payload =
        (body.kind.as_str() == "member").then(|| sterna_access::members::payload::parse(&body.payload))?;
    let payload = payload?;
    matches!(payload.change, sterna_stream::member::Change::Remove(_)).then(|| payload.user.to_string())
}

/// What an ingress record says that it is.
fn accepted(entry: &Record) -> Option<(StreamId, EventId, ContentHash)> {
    let message = v1::IngressRecord::decode(entry.value.clone()).ok()?;
    let known = record::peek(&message.body)?;
    Some((message.stream.parse().ok()?, known.id, known.content))
}

/// The stamp below everything.
const NOTHING: Hlc = Hlc::ZERO;

impl Person {
    /// The newest stamp of `stream` that it had been shown when it wrote `id`.
    pub fn seen_at(&self, stream: &StreamId, id: EventId) -> Hlc {
        let ledger = self.ledger.borrow();
        ledger.seen.get(&(stream.clone(), id)).copied().unwrap_or(NOTHING)
    }
}

//! The verdict: first whether everything has come to rest, then whether what is left is right.
//!
//! [`unfinished`] names what is still missing, in words; with no new event to reveal a gap, whatever it names
//! for too long is lost. [`verdict`] reads the stores behind the faults and the people's ledgers, and applies
//! the invariants that property tests use as well.
//!
//! Reading order: this page, [`chains`] (a region's table), `copies` (its log and ingress), `regions` (what
//! regions have of each other), `device` (what a device was shown).

use std::collections::BTreeSet;

use prost::Message;
use sterna_log::Record;
use sterna_proto::record;
use sterna_proto::v1;
use sterna_stream::invariants::shown_once;
use sterna_stream::{ContentHash, EventId, Hlc, StreamId, fixed};

use crate::paths::Path;
use crate::person::{Person, addition, content, removal};
use crate::script::name;
use crate::site::Site;
use crate::world::World;

pub mod chains;
mod copies;
mod device;
mod kept;
mod lives;
mod regions;
mod rest;

pub use chains::Chains;
pub use kept::kept;
pub use regions::honest;
pub use rest::unfinished;

/// Bytes of a log that are read at once.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// A stamp is never further ahead of the wall than what people may claim, and the clock's steps.
const AHEAD_MS: u64 = 10 * 60 * 1_000;

/// What somebody is to a room in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Member,
    PutOut,
    /// Never let in: the owner's word was refused for good.
    Stranger,
}

impl World {
    /// What the script, as far as it came true, made of a person in a room.
    fn standing(&self, chains: &Chains, room: usize, stream: &StreamId, person: usize) -> Standing {
        let room = &self.script.rooms[room];
        let user = name(person);
        let came_true = |what: String| {
            let content = content("member", what.as_bytes());
            chains.events.get(stream).into_iter().flatten().any(|event| event.content == content)
        };
        if !room.members.contains(&person) || (person != room.owner && !came_true(addition(&user))) {
            return Standing::Stranger;
        }
        if came_true(removal(&user)) { Standing::PutOut } else { Standing::Member }
    }

    /// Whether somebody was suspended in the tenant, and it came true.
    fn is_suspended(&self, chains: &Chains, person: usize) -> bool {
        let user = name(person);
        self.script.suspended == Some(person) && chains.suspensions.iter().any(|(who, ..)| *who == user)
    }
}

/// What a region accepted, in its ingress' order.
pub type Accepted = Vec<(StreamId, EventId, ContentHash)>;

/// The first thing that is wrong.
///
/// # Errors
/// What it is, in words.
pub async fn verdict(world: &World) -> Result<(), String> {
    for site in &world.sites {
        let seen = site.seen.lock().expect("nobody panicked");
        if let Some(wrong) = seen.undead.as_ref().or(seen.hasty.as_ref()) {
            return Err(wrong.clone());
        }
    }
    if let Some(broken) = &world.broken {
        return Err(format!("a role ended by itself: {broken}"));
    }
    if let Some(dishonest) = &world.dishonest {
        return Err(dishonest.clone());
    }
    for person in &world.people {
        if let Some(fault) = &person.ledger.borrow().fault {
            return Err(format!("{}: {fault}", person.card.name));
        }
    }
    regions::walls(world)?;
    let chains = regions::equal_tables(world).await?;
    let mut accepted: Vec<Accepted> = Vec::new();
    for site in &world.sites {
        let region = &site.plan.region;
        let within = |what: String| format!("in {region}: {what}");
        let own = chains.of(&site.origin());
        copies::log_follows_table(site, &own).await.map_err(within)?;
        let mut ingress = copies::ingress(site, &site.topic(true)).await;
        total(world, site, &own, &ingress).map_err(within)?;
        for former in &site.former {
            ingress.extend(lives::ended(site, former, &chains).await.map_err(within)?);
        }
        accepted.push(ingress);
    }
    regions::mirrors(world).await?;
    for (stream, events) in &chains.events {
        let shown = chains::timeline(events);
        shown_once(shown.shown()).map_err(|violation| format!("the table of {stream}: {violation}"))?;
        world.paths.add(Path::Twin, (events.len() - shown.shown().count()) as u64);
    }
    let access = fixed::access("acme").map_err(|refusal| refusal.to_string())?;
    let events = chains.events.get(&access).map(Vec::as_slice).unwrap_or_default();
    device::all_acked(world, &chains, events, &access)?;
    lives::outlived(world, &chains, &access);
    for number in 0..world.people.len() {
        device::judge(world, &chains, &accepted, number)
            .map_err(|what| format!("{}: {what}", name(number)))?;
    }
    Ok(())
}

/// E5, E13: every record of the ingress is an event or a proven duplicate, and nothing comes from nowhere.
fn total(world: &World, site: &Site, own: &Chains, ingress: &Accepted) -> Result<(), String> {
    let latest_ms = world.sites.iter().map(Site::wall_ms).max().unwrap_or_default();
    let mut events = BTreeSet::new();
    let mut count = 0;
    for stored in own.segments.values().flatten() {
        for (_, stamp, body) in stored.segment.events() {
            let known = record::peek(body).ok_or("a body in the table cannot be read")?;
            events.insert((stored.segment.stream.clone(), known.id, known.content.0));
            count += 1;
            if stamp.wall_ms() > latest_ms + AHEAD_MS {
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
    site.paths.add(Path::Duplicate, (ingress.len() - events.len()) as u64);
    Ok(())
}

/// What a region has accepted in its present life, as far as its ingress still holds it.
pub async fn accepted_so_far(site: &Site) -> Accepted {
    copies::ingress(site, &site.topic(true)).await
}

/// What an ingress record says that it is.
fn accepted(entry: &Record) -> Option<(StreamId, EventId, ContentHash)> {
    let message = v1::IngressRecord::decode(entry.value.clone()).ok()?;
    let known = record::peek(&message.body)?;
    Some((message.stream.parse().ok()?, known.id, known.content))
}

impl Person {
    /// The newest stamp of `stream` that it had been shown when it wrote `id`.
    pub fn seen_at(&self, stream: &StreamId, id: EventId) -> Hlc {
        let ledger = self.ledger.borrow();
        ledger.seen.get(&(stream.clone(), id)).copied().unwrap_or(Hlc::ZERO)
    }
}

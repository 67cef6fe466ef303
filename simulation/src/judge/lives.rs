//! What became of lives that ended (E1): what they accepted is known to the judge alone, if it was destroyed.

use std::collections::BTreeSet;

use sterna_cluster::stores::ingress;
use sterna_proto::record::{self, Stored};
use sterna_stream::order::{Entry, Place};
use sterna_stream::policy::access_of;
use sterna_stream::{ContentHash, EventId, Origin, StreamId};

use super::{Accepted, Chains, Standing, copies};
use crate::paths::Path;
use crate::site::{Former, Site};
use crate::world::World;

/// All that an ended life accepted: what was noted before the loss, and what is still there.
///
/// # Errors
/// An event of it that came from nowhere; one that its ingress still holds and that is nowhere.
pub(super) async fn ended(site: &Site, former: &Former, chains: &Chains) -> Result<Accepted, String> {
    let left = copies::ingress(site, &ingress(&former.origin)).await;
    let mut accepted = former.accepted.clone();
    accepted.extend(left.iter().cloned());
    let known: BTreeSet<&(StreamId, EventId, ContentHash)> = accepted.iter().collect();
    for stored in chains.of(&former.origin).segments.values().flatten() {
        for (_, _, body) in stored.segment.events() {
            let event = record::peek(body).ok_or("a body in the table cannot be read")?;
            let event = (stored.segment.stream.clone(), event.id, event.content);
            if !known.contains(&event) {
                return Err(format!("E5: {} of {} is an event and came from nowhere", event.1, event.0));
            }
        }
    }
    let events = chains.events.iter();
    let there: BTreeSet<(&StreamId, EventId)> =
        events.flat_map(|(stream, events)| events.iter().map(move |event| (stream, event.id))).collect();
    match left.iter().find(|(stream, id, _)| !there.contains(&(stream, *id))) {
        Some((stream, id, _)) => {
            Err(format!("E1: {id} of {stream} is in an ended life's ingress and no event"))
        }
        None => Ok(accepted),
    }
}

impl World {
    /// Whether a place may have been lost with the region that gave it: it is of a life that was destroyed,
    /// and behind all that is left of that.
    pub(super) fn is_lost(&self, chains: &Chains, stream: &StreamId, place: &Place) -> bool {
        let destroyed = |former: &Former| former.destroyed && former.origin == place.origin;
        self.sites.iter().any(|site| site.former.iter().any(destroyed))
            && place.seq > chains.head(stream).get(&place.origin)
    }

    /// Whether what a destroyed life had accepted is gone with it for good: its author was put out of the
    /// stream, or suspended, and is refused when they offer it again.
    pub(super) fn is_silenced(&self, chains: &Chains, stream: &StreamId, author: &str, id: EventId) -> bool {
        let had = |former: &Former| {
            former.destroyed && former.accepted.iter().any(|(of, event, _)| of == stream && *event == id)
        };
        let room = self.rooms.borrow().iter().position(|room| room.as_ref() == Some(stream));
        let person = self.people.iter().position(|person| person.card.name == author);
        let (Some(room), Some(person)) = (room, person) else { return false };
        self.sites.iter().any(|site| site.former.iter().any(had))
            && (self.standing(chains, room, stream, person) == Standing::PutOut
                || self.is_suspended(chains, person))
    }
}

/// Counts what rests on an access event that was lost with its region, and is shown all the same (E24).
pub(super) fn outlived(world: &World, chains: &Chains, access: &StreamId) {
    let head = chains.head(access);
    let destroyed: BTreeSet<&Origin> = world
        .sites
        .iter()
        .flat_map(|site| &site.former)
        .filter(|former| former.destroyed)
        .map(|former| &former.origin)
        .collect();
    let lost = |(origin, seq): (&Origin, u64)| destroyed.contains(origin) && seq > head.get(origin);
    let rests = |stored: &&Stored| access_of(&stored.segment).is_some_and(|needed| needed.iter().any(lost));
    let count = chains.segments.values().flatten().filter(rests).count();
    world.paths.add(Path::Outlived, count as u64);
}

/// What a device was shown, without what was lost since. Each of that must be there again, from its author's
/// outbox; hostile clients keep none, and who was put out or suspended since is refused.
///
/// # Errors
/// The first that is not.
pub(super) fn without_lost(
    world: &World,
    chains: &Chains,
    stream: &StreamId,
    shown: &[Entry],
) -> Result<Vec<Entry>, String> {
    let events = chains.events.get(stream).map(Vec::as_slice).unwrap_or_default();
    let (lost, left): (Vec<&Entry>, Vec<&Entry>) =
        shown.iter().partition(|entry| world.is_lost(chains, stream, &entry.place));
    let keeps = |author: &str| world.people.iter().any(|person| person.card.name == author);
    for entry in lost.into_iter().filter(|entry| keeps(entry.author.as_str())) {
        let same = |again: &&Entry| {
            (&again.author, again.id, again.content) == (&entry.author, entry.id, entry.content)
        };
        if world.is_silenced(chains, stream, entry.author.as_str(), entry.id) {
            world.paths.took(Path::Silenced);
            continue;
        }
        if !events.iter().filter(same).any(|again| again.resend || entry.resend) {
            return Err(format!("E9: {} was shown, was lost, and was not offered again", entry.id));
        }
        world.paths.took(Path::OfferedAgain);
    }
    Ok(left.into_iter().cloned().collect())
}

//! What one device was shown, against what was accepted and what is stored.

use std::collections::{BTreeMap, BTreeSet};

use sterna_stream::invariants::{acked_is_durable, acked_is_shown, causal, display_equal, shown_once};
use sterna_stream::order::{Entry, Place};
use sterna_stream::{EventId, Hlc, Origin, StreamId};

use super::chains::timeline;
use super::{Accepted, Chains, Standing, lives};
use crate::paths::Path;
use crate::person::Book;
use crate::world::World;

/// Judges the device of the person of this number; `accepted` is by region.
pub(super) fn judge(
    world: &World,
    chains: &Chains,
    accepted: &[Accepted],
    number: usize,
) -> Result<(), String> {
    let person = &world.people[number];
    let ledger = person.ledger.borrow();
    let durable: BTreeSet<(usize, StreamId, EventId)> = accepted
        .iter()
        .enumerate()
        .flat_map(|(at, ingress)| ingress.iter().map(move |(stream, id, _)| (at, stream.clone(), *id)))
        .collect();
    acked_is_durable(&ledger.acked_by, &durable).map_err(|violation| violation.to_string())?;
    let suspended = world.is_suspended(chains, number);
    if suspended != ledger.revoked {
        let told = if ledger.revoked { "was" } else { "was not" };
        return Err(format!("A8: suspended: {suspended}, and {told} closed with 1008"));
    }
    let rooms = world.rooms.borrow();
    for (stream, book) in &ledger.books {
        let name_of = |what: String| format!("{stream}: {what}");
        shown_once(timeline(&book.shown).shown()).map_err(|violation| name_of(violation.to_string()))?;
        let room = rooms.iter().position(|room| room.as_ref() == Some(stream));
        let Some(room) = room else { continue };
        let events = chains.events.get(stream).map(Vec::as_slice).unwrap_or_default();
        if suspended && shut_out(chains, (stream, events), &person.card.name, book)? {
            world.paths.took(Path::ShutOut);
        }
        match world.standing(chains, room, stream, number) {
            Standing::PutOut => kept_out(world, chains, stream, &person.card.name, book)?,
            Standing::Member if suspended => {}
            Standing::Member => {
                everything(world, chains, (stream, events), book).map_err(name_of)?;
                all_acked(world, chains, events, stream)?;
            }
            Standing::Stranger if book.shown.is_empty() => {}
            Standing::Stranger => return Err(format!("A8: {stream}: shown to somebody never let in")),
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
fn everything(
    world: &World,
    chains: &Chains,
    (stream, events): (&StreamId, &[Entry]),
    book: &Book,
) -> Result<(), String> {
    let holes: BTreeMap<&Origin, Vec<(u64, u64)>> =
        book.tilings.iter().map(|(origin, tiling)| (origin, tiling.holes().collect())).collect();
    let told = |place: &Place| {
        let holes = holes.get(&place.origin).map(Vec::as_slice).unwrap_or_default();
        holes.iter().any(|(first, last)| (*first..=*last).contains(&place.seq))
    };
    let head = chains.head(stream);
    let end = |origin: &Origin, seq| Place { hlc: Hlc::ZERO, origin: origin.clone(), seq };
    for (origin, tiling) in &book.tilings {
        if world.is_lost(chains, stream, &end(origin, tiling.at())) {
            continue;
        }
        tiling.ends_at(head.get(origin)).map_err(|violation| violation.to_string())?;
    }
    let stored: Vec<Entry> = events.iter().filter(|event| !told(&event.place)).cloned().collect();
    let shown = lives::without_lost(world, chains, stream, &book.shown)?;
    let (theirs, ours) = (timeline(&stored), timeline(&shown));
    let places = |of: &sterna_stream::order::Timeline| -> Vec<Place> {
        of.shown().map(|entry| entry.place.clone()).collect()
    };
    display_equal(&places(&ours), &places(&theirs)).map_err(|violation| violation.to_string())?;
    let by_place: BTreeMap<&Place, &Entry> = events.iter().map(|event| (&event.place, event)).collect();
    for shown in &shown {
        if by_place.get(&shown.place).is_none_or(|event| *event != shown) {
            return Err(format!("{:?} is shown otherwise than it is stored", shown.place));
        }
    }
    Ok(())
}

/// G2: what anybody was acked in this stream is in what every member is shown; not what was lost with its
/// region and is refused now, because its author was put out or suspended.
pub(super) fn all_acked(
    world: &World,
    chains: &Chains,
    events: &[Entry],
    stream: &StreamId,
) -> Result<(), String> {
    let there: BTreeSet<EventId> = events.iter().map(|event| event.id).collect();
    for author in &world.people {
        let ledger = author.ledger.borrow();
        let acked = ledger.acked.iter().filter(|(of, _)| of == stream).map(|(_, id)| *id);
        let silenced =
            |id: &EventId| !there.contains(id) && world.is_silenced(chains, stream, &author.card.name, *id);
        let (gone, acked): (BTreeSet<EventId>, BTreeSet<EventId>) = acked.partition(silenced);
        world.paths.add(Path::Silenced, gone.len() as u64);
        acked_is_shown(&acked, &there).map_err(|violation| violation.to_string())?;
    }
    Ok(())
}

/// E24: who was suspended saw nothing that was said with that known, wherever it was known first. Whether
/// anything was.
fn shut_out(
    chains: &Chains,
    (stream, events): (&StreamId, &[Entry]),
    user: &str,
    book: &Book,
) -> Result<bool, String> {
    let rests_on = |Place { origin, seq, .. }: &Place| {
        let access = chains.policy(stream, origin, *seq).access;
        let rests = |(who, by, at): &&(String, Origin, u64)| who == user && access.get(by) >= *at;
        chains.suspensions.iter().find(rests)
    };
    for Entry { place, .. } in &book.shown {
        if let Some((_, by, at)) = rests_on(place) {
            let Place { origin, seq, .. } = place;
            return Err(format!("E24: {stream}: shown {origin} {seq} after being suspended by {by} {at}"));
        }
    }
    Ok(events.iter().rev().any(|event| rests_on(&event.place).is_some()))
}

/// E24: who was put out saw nothing that was said with the removal known.
fn kept_out(
    world: &World,
    chains: &Chains,
    stream: &StreamId,
    user: &str,
    book: &Book,
) -> Result<(), String> {
    let removals: Vec<(&Origin, u64)> = chains
        .removals
        .get(stream)
        .into_iter()
        .flatten()
        .filter(|(who, ..)| who == user)
        .map(|(_, origin, seq)| (origin, *seq))
        .collect();
    if removals.is_empty() {
        return Err(format!("{stream}: the removal of {user} is not there"));
    }
    for shown in &book.shown {
        let Place { origin, seq, .. } = &shown.place;
        let policy = chains.policy(stream, origin, *seq);
        let rests = |(by, removal): &&(&Origin, u64)| {
            (*by == origin && removal < seq) || (*by != origin && policy.member.get(by) >= *removal)
        };
        if let Some((by, removal)) = removals.iter().find(rests) {
            return Err(format!("E24: {stream}: shown {origin} {seq} after being put out by {by} {removal}"));
        }
    }
    world.paths.took(Path::KeptOut);
    Ok(())
}

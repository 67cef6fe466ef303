//! Whether anything is still missing. Asked twice a second, so what is cheap is asked first.

use sterna_log::Log;
use sterna_stream::Cursor;

use super::{Chains, PAGE_BYTES, Standing, regions};
use crate::person::Book;
use crate::site::Site;
use crate::world::World;

/// The first thing that is not done yet.
pub async fn unfinished(world: &World) -> Option<String> {
    for person in &world.people {
        if !person.is_done() {
            let ledger = person.ledger.borrow();
            let unacked = ledger.outbox.iter().filter(|letter| !letter.is_accepted()).count();
            let (name, wishes) = (&person.card.name, ledger.wishes.len());
            return Some(format!("{name} has {unacked} unacked letters and {wishes} wishes"));
        }
        let unsafe_letter = person.unsafe_letter().filter(|_| world.is_steady(person.at()));
        if let Some(letter) = unsafe_letter {
            let (name, region) = (&person.card.name, person.at());
            return Some(format!("E9: {letter} of {name} in region {region} has no second ack"));
        }
    }
    for site in &world.sites {
        if let Some(waiting) = unsequenced(site).await {
            return Some(format!("in {}: {waiting}", site.plan.region));
        }
    }
    if let Some(behind) = regions::behind(world).await {
        return Some(behind);
    }
    let chains = match regions::equal_tables(world).await {
        Ok(chains) => chains,
        Err(what) => return Some(what),
    };
    shown(world, &chains)
}

fn shown(world: &World, chains: &Chains) -> Option<String> {
    let rooms = world.rooms.borrow().clone();
    for (number, room) in world.script.rooms.iter().enumerate() {
        let Some(stream) = rooms.get(number).cloned().flatten() else {
            return Some(format!("room {number} was not created"));
        };
        let head = chains.head(&stream);
        for member in &room.members {
            if world.standing(chains, number, &stream, *member) != Standing::Member
                || world.is_suspended(chains, *member)
            {
                continue;
            }
            let person = &world.people[*member];
            let at = person.ledger.borrow().books.get(&stream).map_or_else(Cursor::new, Book::cursor);
            if !at.covers(&head) {
                let name = &person.card.name;
                return Some(format!("{name} is at {at} of {head} in room {number} {stream}"));
            }
        }
    }
    None
}

async fn unsequenced(site: &Site) -> Option<String> {
    let topic = site.topic(true);
    let group = "sterna-sequencers".parse().expect("a group's name");
    let described = site.stores.log.describe(&topic, Some(&group)).await.ok()?;
    for (partition, extent) in (0..).zip(&described.partitions) {
        let from = extent.committed.unwrap_or(extent.earliest);
        let page = site.stores.log.read(&topic, partition, from, PAGE_BYTES).await;
        let left = page.map_or(0, |page| page.entries.len());
        if left > 0 {
            return Some(format!(
                "{left} records of ingress partition {partition} from {from} on are not settled"
            ));
        }
    }
    None
}

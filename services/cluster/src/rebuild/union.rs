//! What some tables have of a region's ended lives and others lack is put there: the lives' own log may be
//! gone, so that no mirror will bring it, and replication sends an item to each region once (E1, E20).
//!
//! Reads the events table of each region once, page by page.

use sterna_storage::{Consistency, Expect, Item, Key, Name, Put, Table, layout};

use super::{Error, Rebuild};

/// Items that are looked for at once.
pub(super) const ITEMS_AT_ONCE: usize = 100;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct United {
    /// Items that a table lacked, and was given.
    pub given: u64,
    /// Items of which two tables hold different bytes: left as they are (E23).
    pub forks: u64,
}

pub(super) async fn unite(rebuild: &Rebuild) -> Result<United, Error> {
    let tables: Vec<&dyn Table> = rebuild.tables().collect();
    let mut united = United::default();
    for (at, source) in tables.iter().enumerate() {
        let mut after = None;
        loop {
            let page = source.scan(Name::Events, after).await?;
            let of_ended = |item: &Item| {
                layout::parse_segment(&item.key.sort).is_some_and(|(origin, _)| rebuild.has_ended(&origin))
            };
            let items: Vec<Item> = page.items.into_iter().filter(of_ended).collect();
            for (other, table) in tables.iter().enumerate().filter(|(other, _)| *other != at) {
                for items in items.chunks(ITEMS_AT_ONCE) {
                    give(*table, items, other > at, &mut united).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(united)
}

/// Gives a table what it lacks of these. Forks are met from both sides, and counted from one.
pub(super) async fn give(
    table: &dyn Table,
    items: &[Item],
    counts: bool,
    united: &mut United,
) -> Result<(), Error> {
    let keys: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
    let found = table.get(&keys, Consistency::Consistent).await?;
    for (item, found) in items.iter().zip(found) {
        let found = match found {
            Some(found) => found,
            None => match table.put(item.key.clone(), item.value.clone(), Expect::Absent).await? {
                Put::Found(found) => found,
                Put::Done(_) | Put::Missing => {
                    united.given += 1;
                    continue;
                }
            },
        };
        if found.value != item.value && counts {
            united.forks += 1;
            tracing::error!(
                stream = %item.key.hash, segment = %item.key.sort,
                "alarm: two regions hold different segments under one key; both are left as they are"
            );
        }
    }
    Ok(())
}

//! Ensure: makes segments of any origin readable in this region's table (E20).
//!
//! Replication of the table usually brings them; after a grace time this region puts the identical bytes
//! itself. Both ways end in the same item, so either alone is enough. Other bytes under the key are a fork:
//! reported, never touched.

use std::time::Duration;

use sterna_proto::v1;
use sterna_storage::table::GET_KEYS_MAX;
use sterna_storage::{Consistency, Expect, Item, Key, Put, Table};
use sterna_stream::Region;

use crate::append::key;
use crate::chain::Error;
use crate::touched::touch;

/// How often the table is asked during the grace time.
const POLL: Duration = Duration::from_millis(50);

/// One result per item, in order, as `Ensured` numbers.
///
/// # Errors
/// [`Error`] if an item is malformed.
pub async fn ensure(
    table: &dyn Table,
    region: &Region,
    items: Vec<v1::Item>,
    grace_ms: u32,
) -> Result<Vec<i32>, Error> {
    let keys: Vec<Key> = items.iter().map(key).collect::<Result<_, Error>>()?;
    let deadline = tokio::time::Instant::now() + Duration::from_millis(grace_ms.into());
    let mut results = vec![v1::Ensured::Unspecified; items.len()];
    for (item, result) in items.iter().zip(&mut results) {
        // Replication may bring the other region's items of the index later than the segment.
        if let Err(error) = touch(table, region, &item.record).await {
            tracing::warn!(%error, "the index of users' streams did not take a segment's members");
            *result = v1::Ensured::Unknown;
        }
    }
    loop {
        look(table, &keys, &items, &mut results).await;
        let open = results.contains(&v1::Ensured::Unspecified);
        if !open || tokio::time::Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + POLL)).await;
    }
    for ((key, item), result) in keys.into_iter().zip(items).zip(&mut results) {
        if *result == v1::Ensured::Unspecified {
            *result = put(table, key, item).await;
        }
    }
    Ok(results.into_iter().map(Into::into).collect())
}

async fn look(table: &dyn Table, keys: &[Key], items: &[v1::Item], results: &mut [v1::Ensured]) {
    for (at, keys) in keys.chunks(GET_KEYS_MAX).enumerate() {
        let Ok(found) = table.get(keys, Consistency::Consistent).await else { continue };
        for (offset, found) in found.into_iter().enumerate() {
            let index = at * GET_KEYS_MAX + offset;
            if let Some(found) = found.filter(|_| results[index] != v1::Ensured::Unknown) {
                results[index] = compare(&items[index], &found);
            }
        }
    }
}

async fn put(table: &dyn Table, key: Key, item: v1::Item) -> v1::Ensured {
    match table.put(key, item.record.clone(), Expect::Absent).await {
        Ok(Put::Done(_)) => v1::Ensured::Held,
        Ok(Put::Found(found)) => compare(&item, &found),
        Ok(Put::Missing) | Err(_) => v1::Ensured::Unknown,
    }
}

fn compare(item: &v1::Item, found: &Item) -> v1::Ensured {
    if item.record == found.value {
        return v1::Ensured::Held;
    }
    tracing::error!(
        stream = item.stream,
        origin = item.origin,
        first = item.first,
        "fork: two segments claim one place"
    );
    v1::Ensured::Fork
}

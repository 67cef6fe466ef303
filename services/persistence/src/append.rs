//! Append: puts segments that must not exist yet (E11, E12).
//!
//! It never resolves anything itself: who finds another segment in the place gets its bytes and adopts it.

use sterna_proto::v1;
use sterna_proto::v1::appended::Outcome;
use sterna_storage::{Expect, Key, Put, Table, Write, layout};

use crate::chain::Error;

/// One result per item, in order; the items are independent.
///
/// # Errors
/// [`Error`] if an item is malformed; then nothing was put. What the table does per item is a
/// result, not an error.
pub async fn append(table: &dyn Table, items: Vec<v1::Item>) -> Result<Vec<v1::Appended>, Error> {
    let writes: Vec<Write> = items.into_iter().map(write).collect::<Result<_, Error>>()?;
    let results = table.put_many(writes).await;
    Ok(results.into_iter().map(|result| v1::Appended { outcome: Some(outcome(result)) }).collect())
}

fn outcome(result: Result<Put, sterna_storage::Error>) -> Outcome {
    match result {
        Ok(Put::Done(_)) => Outcome::Stored(true),
        Ok(Put::Found(item)) => Outcome::Found(item.value),
        Ok(Put::Missing) => Outcome::Unknown(true),
        Err(error) => {
            tracing::warn!(%error, "a segment's put has no known outcome");
            Outcome::Unknown(true)
        }
    }
}

fn write(item: v1::Item) -> Result<Write, Error> {
    Ok(Write { key: key(&item)?, value: item.record, expect: Expect::Absent })
}

/// Where an item belongs.
pub(crate) fn key(item: &v1::Item) -> Result<Key, Error> {
    Ok(layout::segment(&item.stream.parse()?, &item.origin.parse()?, item.first))
}

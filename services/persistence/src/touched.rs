//! Which streams a user may be in: an index beside the segments that change members.
//!
//! Whoever becomes the subject of a member event gets an item (user, stream) before the segment is put. Items
//! are never taken away and say nothing of the outcome, so they need no order and cannot contradict the
//! stream: they are a superset, and whoever reads them asks the stream's fold (docs/engine.md, E24). Each
//! region writes items of its own, for every segment that it puts or makes sure of.

use std::collections::BTreeSet;

use bytes::Bytes;
use sterna_access::members::member_events;
use sterna_proto::record::{Stored, may_change_members};
use sterna_proto::v1;
use sterna_storage::table::PUT_ITEMS_MAX;
use sterna_storage::{Expect, Range, Table, Write, layout};
use sterna_stream::limits::TOUCHED_STREAMS;
use sterna_stream::{Region, StreamId, UserId};

use crate::chain::Error;

/// Puts the items of a segment's member events. An error leaves some of them out: put the segment later.
///
/// # Errors
/// The table's.
pub async fn touch(table: &dyn Table, region: &Region, record: &Bytes) -> Result<(), sterna_storage::Error> {
    if !may_change_members(record) {
        return Ok(());
    }
    // Boxed: of the events that pass here few change members, and all would carry what those need.
    Box::pin(touch_subjects(table, region, record)).await
}

async fn touch_subjects(
    table: &dyn Table,
    region: &Region,
    record: &Bytes,
) -> Result<(), sterna_storage::Error> {
    // What is no segment is refused where it is put.
    let Ok(stored) = Stored::decode(record.clone()) else { return Ok(()) };
    let segment = &stored.segment;
    let subjects: BTreeSet<UserId> = member_events(segment).map(|(event, _)| event.subject).collect();
    let write = |user: UserId| Write {
        key: layout::touched(&user, &segment.stream, region),
        value: Bytes::new(),
        expect: Expect::Absent,
    };
    let writes: Vec<Write> = subjects.into_iter().map(write).collect();
    for writes in writes.chunks(PUT_ITEMS_MAX) {
        for put in table.put_many(writes.to_vec()).await {
            put?;
        }
    }
    Ok(())
}

/// A page of the streams in which a user was ever the subject of a member event, ascending.
///
/// # Errors
/// [`Error`]: a name is none, or the table did not answer.
pub async fn touched(table: &dyn Table, request: &v1::TouchedRequest) -> Result<v1::TouchedAnswer, Error> {
    let user: UserId = request.user.parse()?;
    let after: Option<StreamId> = (!request.after.is_empty()).then(|| request.after.parse()).transpose()?;
    let most = match request.limit as usize {
        0 => TOUCHED_STREAMS,
        limit => limit.min(TOUCHED_STREAMS),
    };
    let range = layout::touched_by(&request.tenant, &user, &request.kind, after.as_ref());
    let mut rest: Option<Range> = Some(range);
    let mut streams: Vec<String> = Vec::new();
    while let Some(range) = rest.take() {
        let page = table.query(range.clone()).await?;
        for item in &page.items {
            let Some(stream) = layout::parse_touched(&item.key.sort) else { continue };
            if streams.last().is_some_and(|last| last == stream.as_str()) {
                continue;
            }
            if streams.len() == most {
                return Ok(v1::TouchedAnswer { streams, more: true });
            }
            streams.push(stream.to_string());
        }
        rest = page.next.map(|token| range.after(token));
    }
    Ok(v1::TouchedAnswer { streams, more: false })
}

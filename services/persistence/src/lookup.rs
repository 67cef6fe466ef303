//! Lookup: where an event is, by its author and id (E7, E13).
//!
//! An id minted at time t can only stand in segments whose stamps are at least t less the bound on clocks, so
//! each origin is read backwards from its head to there and no further.

use sterna_proto::record::Body;
use sterna_proto::v1;
use sterna_storage::{Consistency, Table};
use sterna_stream::limits::{CLOCK_BOUND_MS, ID_LEAD_MS};
use sterna_stream::{Cursor, EventId, Hlc, Segment, StreamId, UserId};

use crate::chain::{Chain, Error, origins};

/// Every place where the event stands, in display order.
///
/// # Errors
/// [`Error`]: the request is malformed, the table did not answer, or what it holds is damaged.
pub async fn lookup(table: &dyn Table, request: v1::LookupRequest) -> Result<v1::LookupAnswer, Error> {
    let stream: StreamId = request.stream.parse()?;
    let author: UserId = request.author.parse()?;
    let id = EventId::from_bytes(&request.event_id)?;
    let since = Hlc::at(id.time_ms().saturating_sub(CLOCK_BOUND_MS + ID_LEAD_MS));
    let newest = origins(table, &stream).await?;
    let mut places = Vec::new();
    let mut seen = Cursor::new();
    for head in &newest {
        let origin = head.segment.origin.clone();
        let chain = Chain { stream: stream.clone(), origin, read: Consistency::Consistent };
        let upto = search(table, &chain, since, |segment| collect(segment, id, &author, &mut places)).await?;
        seen.advance(&chain.origin, upto);
    }
    places.sort_by(|a: &v1::Place, b| (a.hlc, &a.origin, a.seq).cmp(&(b.hlc, &b.origin, b.seq)));
    Ok(v1::LookupAnswer { places, seen: sterna_proto::convert::cursor_field(&seen) })
}

/// Visits what an origin's chain holds since then, newest first; says up to which seq it has no hole: what is
/// not readable yet was not searched (E17).
async fn search(
    table: &dyn Table,
    chain: &Chain,
    since: Hlc,
    mut visit: impl FnMut(&Segment),
) -> Result<u64, Error> {
    let mut walk = chain.down(table, u64::MAX);
    let (mut dense, mut below) = (0, None);
    while let Some(stored) = walk.next().await? {
        let segment = &stored.segment;
        if below.is_none_or(|below| segment.last() < below) {
            dense = segment.last();
        }
        if segment.max_hlc() < since {
            return Ok(dense);
        }
        visit(segment);
        below = Some(segment.first - 1);
    }
    Ok(if below.is_none_or(|below| below == 0) { dense } else { 0 })
}

fn collect(segment: &Segment, id: EventId, author: &UserId, places: &mut Vec<v1::Place>) {
    for (seq, hlc, body) in segment.events() {
        let found = Body::decode(body).is_ok_and(|body| body.id == id && body.author == *author);
        if found {
            places.push(v1::Place { origin: segment.origin.to_string(), seq, hlc: hlc.0 });
        }
    }
}

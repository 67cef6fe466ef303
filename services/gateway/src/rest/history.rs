//! `GET …/events`: a hole, page by page. Paging is its own state: the answer carries what remains.
//!
//! A page is shown under a decision that knows every member and access event which the page holds or rests
//! on, and stops, per origin, before the first that it does not know (E24). Of access events of a life that
//! has ended it has to know what is left: notification says of which lives it looked that up.
//!
//! What was lost with a life that is gathered is passed by the page that begins with it, which says so (E17).

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use sterna_access::{Identity, View};
use sterna_proto::record::{Body, Stored};
use sterna_proto::{convert, v1};
use sterna_protocol::json::encode_event;
use sterna_protocol::rest::{Taken, bad};
use sterna_stream::limits::{CURSOR_ORIGINS, REST_BYTES, REST_ITEMS};
use sterna_stream::order::Place;
use sterna_stream::policy::{Ends, access_of};
use sterna_stream::{Cursor, Origin, Reason, Segment, StreamId};

use super::Rest;
use super::page::{Hole, Order, Taken as Next};
use super::query::Query;
use super::reply::{Reply, cursor};
use crate::encode;

/// Events of a page that asks for no number.
const PAGE: usize = 100;
/// Bytes of an answer that are kept for what is around its events: four cursors at their longest.
const AROUND_BYTES: usize = 4 * CURSOR_ORIGINS * 96 + 1024;
/// When to ask again for what is not readable here yet, milliseconds.
const WAITING_MS: u32 = 1_000;

/// The events at one end of a hole, as far as they may be shown.
struct End {
    segments: Vec<Segment>,
    waiting: Vec<Origin>,
    ends: Ends,
    /// What was lost where reading begins.
    lost: Hole,
}

/// Answers one page.
pub(super) async fn page(rest: &Rest, who: &Identity, stream: &StreamId, query: &Query) -> Taken<Reply> {
    let order = match query.get("order") {
        None | Some("newest") => Order::Newest,
        Some("oldest") => Order::Oldest,
        Some(_) => return Err(bad("order", "an order is newest or oldest")),
    };
    let limit = query.limit(PAGE, REST_ITEMS)?;
    let form = "a cursor is <origin>:<seq>, comma separated, each origin once, at most 32";
    let from: Cursor = query.value("from", form)?.unwrap_or_default();
    let to: Option<Cursor> = query.value("to", form)?;
    // Nobody learns from a read that they may not make whether there is anything to read.
    let view = rest.view(who, stream).await?;
    let to = match to {
        Some(to) => to,
        None => rest.held(stream).await?.head,
    };
    let mut hole = Hole::new(from, to);
    let mut waits = false;
    let (mut events, mut lost) = (Vec::new(), Hole::default());
    if !hole.is_done() {
        let end = read(rest, stream, &hole, order, limit).await?;
        let (view, end) = authorised(rest, who, stream, view, end).await?;
        let before = hole.clone();
        hole.pass(order, &end.lost);
        shown(&mut hole, order, limit, (who, &view, &end), &mut events);
        waits = hole == before;
        lost = told(order, (who, &view), end);
    }
    Ok(Reply::raw(StatusCode::OK, body(stream, events, (&hole, &lost), waits)))
}

async fn read(rest: &Rest, stream: &StreamId, hole: &Hole, order: Order, limit: usize) -> Taken<End> {
    let request = v1::HistoryRequest {
        stream: stream.to_string(),
        from: convert::cursor_field(&hole.from),
        to: convert::cursor_field(&hole.to),
        newest: order == Order::Newest,
        limit: limit.try_into().unwrap_or(u32::MAX),
    };
    let answer = rest.history(request).await?;
    let segments =
        answer.records.into_iter().map(|record| Stored::decode(record).map(|stored| stored.segment));
    let segments = segments.collect::<Result<_, _>>();
    let waiting = answer.waiting.iter().map(|origin| origin.parse()).collect::<Result<_, _>>();
    let life = |ended: v1::Ended| ended.origin.parse().map(|origin| (origin, ended.last));
    let ends = answer.ended.into_iter().map(life).collect::<Result<_, _>>();
    let lost = [&answer.lost_from, &answer.lost_to].map(|cursor| convert::cursor(cursor.as_ref()));
    match (segments, waiting, ends, lost) {
        (Ok(segments), Ok(waiting), Ok(ends), [Ok(from), Ok(to)]) => {
            Ok(End { segments, waiting, ends, lost: Hole { from, to } })
        }
        _ => Err(Reason::Internal.because("stored events are damaged").into()),
    }
}

/// A decision that knows what these events hold and rest on, and those of them that it knows.
async fn authorised(
    rest: &Rest,
    who: &Identity,
    stream: &StreamId,
    view: View,
    mut end: End,
) -> Taken<(View, End)> {
    if end.segments.iter().all(|segment| knows(&view, segment, &end.ends)) {
        return Ok((view, end));
    }
    let mut access = Cursor::new();
    end.segments.iter().filter_map(access_of).for_each(|needed| access.merge(needed));
    rest.authorizer.must_know(stream, &end.ends.lower(&access));
    let view = rest.view_anew(who, stream).await?;
    let End { segments, waiting, ends, .. } = &mut end;
    segments.retain(|segment| {
        let known = knows(&view, segment, ends);
        if !known && !waiting.contains(&segment.origin) {
            waiting.push(segment.origin.clone());
        }
        known
    });
    Ok((view, end))
}

fn knows(view: &View, segment: &Segment, ends: &Ends) -> bool {
    let known = view.fold.members.cursor();
    let members = segment.members.iter().map(|index| segment.first + u64::from(*index));
    known.covers(&segment.policy.member)
        && access_of(segment).is_none_or(|access| ends.enough(&view.grant.policy().access, access))
        && members.max().is_none_or(|last| known.get(&segment.origin) >= last)
}

/// Writes a page of the hole, comma separated, and leaves in the hole what remains.
fn shown(
    hole: &mut Hole,
    order: Order,
    limit: usize,
    (who, view, end): (&Identity, &View, &End),
    out: &mut Vec<u8>,
) {
    let members = &view.fold.members;
    let mut left = limit;
    hole.cut(order, &end.segments, &end.waiting, |place, segment, index| {
        if members.hides(&who.user, view.history, place) {
            return Next::Hidden;
        }
        let body = Body::decode(&segment.bodies[index]).ok();
        let before = out.len();
        if before > 0 {
            out.push(b',');
        }
        encode_event(out, &encode::event(segment, place.seq, place.hlc, &body));
        if left == 0 || out.len() + AROUND_BYTES > REST_BYTES {
            out.truncate(before);
            return Next::Full;
        }
        left -= 1;
        Next::Shown
    });
}

/// What the reader is told of as lost. What stands below something that is hidden from them is hidden, too.
fn told(order: Order, (who, view): (&Identity, &View), end: End) -> Hole {
    let End { segments, lost: Hole { from, to }, .. } = end;
    let is_hidden = |origin: &Origin, seq: u64| {
        let next = segments.iter().find(|s| s.origin == *origin && s.last() > seq).and_then(|segment| {
            segment.events().find(|(at, ..)| *at > seq).map(|(seq, hlc, _)| Place {
                hlc,
                origin: origin.clone(),
                seq,
            })
        });
        next.is_some_and(|next| view.fold.members.hides(&who.user, view.history, &next))
    };
    let told = |(origin, upto): &(&Origin, u64)| order == Order::Newest || !is_hidden(origin, *upto);
    let to: Cursor = to.iter().filter(told).map(|(origin, upto)| (origin.clone(), upto)).collect();
    let from = from.iter().filter(|(origin, _)| to.get(origin) > 0);
    Hole { from: from.map(|(origin, after)| (origin.clone(), after)).collect(), to }
}

fn body(stream: &StreamId, events: Vec<u8>, (hole, lost): (&Hole, &Hole), waits: bool) -> Bytes {
    let mut out = Vec::with_capacity(events.len() + AROUND_BYTES);
    out.extend_from_slice(format!(r#"{{"stream":{},"events":["#, Value::from(stream.as_str())).as_bytes());
    out.extend_from_slice(&events);
    let (from, to) = (cursor(&hole.from), cursor(&hole.to));
    out.extend_from_slice(format!(r#"],"from":{from},"to":{to}"#).as_bytes());
    if !lost.is_done() {
        let (from, to) = (cursor(&lost.from), cursor(&lost.to));
        out.extend_from_slice(format!(r#","lost":{{"from":{from},"to":{to}}}"#).as_bytes());
    }
    if waits {
        out.extend_from_slice(format!(r#","retry_after_ms":{WAITING_MS}"#).as_bytes());
    }
    out.push(b'}');
    out.into()
}

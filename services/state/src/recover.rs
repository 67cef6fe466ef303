//! What a tail holds of other regions and the table does not: an instance showed it on account of express and
//! died before it put it there (E20). Whoever answers for the stream next shows it to its own shards and puts
//! it into the table after the grace time; no mirror may ever bring it.
//!
//! Asked for when a stream that nobody followed here is followed: express brings followed streams alone. It
//! does not look for tails of streams that nobody follows any more, and it takes nothing from a tail that is
//! already in hand.

use sterna_proto::record::{LogRecord, Stored};
use sterna_storage::tails::{HEADS_STREAMS_MAX, Part};
use sterna_stream::{Cursor, StreamId, partition};
use tokio::time::Instant;

use crate::Inner;
use crate::ensure::{From, GRACE, Job, OPEN_MAX, Ticket};

/// Each stream comes with what the table holds of it. A tail that cannot be read is left to the mirrors.
pub(crate) async fn recover(role: &Inner, streams: &[(&StreamId, &Cursor)]) {
    if !role.config.express || streams.is_empty() {
        return;
    }
    for streams in streams.chunks(HEADS_STREAMS_MAX) {
        let names: Vec<StreamId> = streams.iter().map(|(stream, _)| (*stream).clone()).collect();
        let Ok(heads) = role.tails.heads(&names).await else { return };
        for ((stream, held), head) in streams.iter().zip(heads) {
            let further = |(origin, seq): (&_, u64)| *origin != role.config.origin && seq > held.get(origin);
            if head.iter().any(further) {
                one(role, stream, held).await;
            }
        }
    }
}

async fn one(role: &Inner, stream: &StreamId, held: &Cursor) {
    let Ok(parts) = role.tails.read(stream, held, usize::MAX).await else { return };
    role.hub.lock().held(stream, held, Instant::now());
    // A tail that begins later was begun anew: what is between comes by mirror, and this behind it.
    let follows = |part: &Part| part.floor <= held.get(&part.origin) + 1;
    for part in parts.into_iter().filter(|part| part.origin != role.config.origin && follows(part)) {
        for entry in part.entries.into_iter().take(OPEN_MAX) {
            let Ok(LogRecord::Segment(stored)) = LogRecord::decode(entry.bytes) else { break };
            // A member segment is in no tail before it is in the table (E24).
            if !stored.segment.members.is_empty() {
                break;
            }
            again(role, stored);
        }
    }
}

/// Shows a segment and sees to it that it comes into the table, unless it came meanwhile.
fn again(role: &Inner, stored: Stored) {
    let segment = &stored.segment;
    let mut hub = role.hub.lock();
    if hub.next(&segment.stream, &segment.origin).is_none_or(|next| segment.last() < next) {
        return;
    }
    hub.arrived(segment);
    let partition = partition::of(&segment.stream, role.config.partitions);
    let ticket = Ticket { partition, generation: 0, from: From::Tail, number: 0 };
    role.ensure.add(Job::new(ticket, &stored), Instant::now() + GRACE);
    role.ensure.count().recovered += 1;
    hub.push(stored.segment, stored.bytes, Instant::now());
}

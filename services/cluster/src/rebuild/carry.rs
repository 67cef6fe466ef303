//! What a region's ended lives accepted and did not sequence is produced again, marked `resend`, into the new
//! life's ingress, as far as it can still be read (E1).
//!
//! Order is kept within each partition. What the ended lives' chains, or the new one's, already hold is
//! left out; what is carried twice, because a rebuild was interrupted, is a proven duplicate (E13). The
//! policy that a record was authorised against may name member events, of its stream and of its tenant's
//! access stream, that were lost with the table: it is lowered to the newest that the region still has,
//! because nobody will ever hold more, and whatever those said was lost with them.

use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sterna_log::{Description, Entry, Error as LogError, Offset, Record, Topic};
use sterna_persistence::chain::{self, Chain};
use sterna_proto::record::{Body, peek};
use sterna_proto::{convert, v1};
use sterna_storage::Consistency;
use sterna_stream::{ContentHash, Cursor, EventId, Hlc, Origin, Policy, StreamId, fixed, limits};

use super::{Error, Rebuild};
use crate::stores;

/// Bytes of an old ingress that are read at once.
const PAGE_BYTES: usize = 1024 * 1024;
/// How far before its id's time an event's stamp may be, milliseconds (E13).
const MARGIN_MS: u64 = limits::CLOCK_BOUND_MS + limits::ID_LEAD_MS;
/// Attempts of one produce whose outcome is unknown.
const TRIES: u32 = 5;
/// Between two questions about an ingress that is answered to be missing.
const MISSING_AGAIN: Duration = Duration::from_secs(1);

/// What became of the ended lives' ingress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Records that were produced again.
    pub records: u64,
    /// Records whose events the region has already.
    pub sequenced: u64,
    /// Records that no version of ours wrote.
    pub unreadable: u64,
}

/// An accepted event.
struct Accepted {
    message: v1::IngressRecord,
    stream: StreamId,
    id: EventId,
    content: ContentHash,
}

/// What the region's chains of a stream hold.
#[derive(Default)]
struct Held {
    /// Events, from a time on.
    events: BTreeSet<(EventId, ContentHash)>,
    /// The newest member event of each life.
    members: Cursor,
}

pub(super) async fn carry(rebuild: &Rebuild, to: &Origin) -> Result<Carried, Error> {
    let mut carried = Carried::default();
    for life in rebuild.ended() {
        let ingress = stores::ingress(&life);
        let Some(described) = described(rebuild, &ingress).await? else { continue };
        for (partition, extent) in (0..).zip(&described.partitions) {
            let mut next: Offset = extent.earliest;
            loop {
                let page = rebuild.log.read(&ingress, partition, next, PAGE_BYTES).await?;
                if page.entries.is_empty() {
                    break;
                }
                next = page.next;
                self::page(rebuild, to, partition, page.entries, &mut carried).await?;
            }
        }
    }
    Ok(carried)
}

/// The ingress of an ended life; `None` if it is gone. A moment's answer that it is missing proves nothing
/// (L11), and to believe it would lose all that it holds.
async fn described(rebuild: &Rebuild, ingress: &Topic) -> Result<Option<Description>, Error> {
    for miss in 0..limits::TOPIC_MISSES {
        if miss > 0 {
            tokio::time::sleep(MISSING_AGAIN).await;
        }
        match rebuild.log.describe(ingress, None).await {
            Err(LogError::MissingTopic(..)) => {
                tracing::warn!(topic = %ingress, miss, "an ended life's ingress is missing: asked again");
            }
            described => return Ok(Some(described?)),
        }
    }
    tracing::warn!(topic = %ingress, "an ended life's ingress is gone: nothing of it is carried");
    Ok(None)
}

async fn page(
    rebuild: &Rebuild,
    to: &Origin,
    partition: u16,
    entries: Vec<Entry>,
    carried: &mut Carried,
) -> Result<(), Error> {
    let read = entries.len();
    let accepted: Vec<Accepted> = entries.into_iter().filter_map(accepted).collect();
    carried.unreadable += (read - accepted.len()) as u64;
    let mut since: BTreeMap<&StreamId, u64> = BTreeMap::new();
    for one in &accepted {
        let first = since.entry(&one.stream).or_insert(u64::MAX);
        *first = one.id.time_ms().min(*first);
    }
    let (mut streams, mut tenants) = (BTreeMap::new(), BTreeMap::new());
    for (stream, first_ms) in since {
        let since = Hlc::at(first_ms.saturating_sub(MARGIN_MS));
        streams.insert(stream.clone(), held(rebuild, to, stream, since).await?);
        if let Vacant(place) = tenants.entry(access(stream)?) {
            let members = members(rebuild, to, place.key()).await?;
            place.insert(members);
        }
    }
    for one in accepted {
        let held = &streams[&one.stream];
        if held.events.contains(&(one.id, one.content)) {
            carried.sequenced += 1;
            continue;
        }
        let value = resent(rebuild, one.message, &held.members, &tenants[&access(&one.stream)?])?;
        let record = Record {
            topic: stores::ingress(to),
            partition,
            key: Bytes::copy_from_slice(one.stream.as_str().as_bytes()),
            value,
            headers: Default::default(),
            timestamp_ms: rebuild.wall_ms,
        };
        produce(rebuild, record).await?;
        carried.records += 1;
    }
    Ok(())
}

/// Produces a record. One that is produced twice is recognised by its mark.
async fn produce(rebuild: &Rebuild, record: Record) -> Result<(), Error> {
    for _ in 1..TRIES {
        match rebuild.log.produce(record.clone()).await {
            Ok(_) => return Ok(()),
            Err(LogError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rebuild.log.produce(record).await?;
    Ok(())
}

fn accepted(entry: Entry) -> Option<Accepted> {
    let message = v1::IngressRecord::decode(entry.record.value).ok()?;
    let known = peek(&message.body)?;
    let stream = message.stream.parse().ok()?;
    Some(Accepted { message, stream, id: known.id, content: known.content })
}

/// The region's chains of a stream: the ended lives' and the new one's.
fn chains(rebuild: &Rebuild, to: &Origin, stream: &StreamId) -> impl Iterator<Item = Chain> {
    let origins = rebuild.ended().chain([to.clone()]);
    origins.map(move |origin| Chain { stream: stream.clone(), origin, read: Consistency::Consistent })
}

/// The newest member event of each of the region's lives in a stream: its chains' heads name them.
async fn members(rebuild: &Rebuild, to: &Origin, stream: &StreamId) -> Result<Cursor, Error> {
    let mut members = Cursor::new();
    for chain in chains(rebuild, to, stream) {
        if let Some(head) = chain.at(&*rebuild.table, u64::MAX).await.map_err(unread)? {
            members.advance(&chain.origin, head.segment.member_last());
        }
    }
    Ok(members)
}

/// What the region's chains of a stream hold; events with stamps from `since` on.
async fn held(rebuild: &Rebuild, to: &Origin, stream: &StreamId, since: Hlc) -> Result<Held, Error> {
    let mut held = Held::default();
    for chain in chains(rebuild, to, stream) {
        let mut newest_first = chain.down(&*rebuild.table, u64::MAX);
        while let Some(stored) = newest_first.next().await.map_err(unread)? {
            let segment = &stored.segment;
            held.members.advance(&chain.origin, segment.member_last());
            if segment.stamps.last().is_some_and(|last| *last < since) {
                break;
            }
            for (_, _, body) in segment.events() {
                held.events.extend(peek(body).map(|event| (event.id, event.content)));
            }
        }
    }
    Ok(held)
}

fn unread(error: chain::Error) -> Error {
    match error {
        chain::Error::Table(error) => Error::Table(error),
        other => Error::Unreadable(format!("a chain of events ({other})")),
    }
}

/// The access stream of a stream's tenant.
fn access(stream: &StreamId) -> Result<StreamId, Error> {
    fixed::access(stream.tenant()).map_err(|_| Error::Unreadable(format!("the tenant of {stream}")))
}

/// The record as a repeat, resting on nothing that the ended lives lost.
fn resent(
    rebuild: &Rebuild,
    message: v1::IngressRecord,
    members: &Cursor,
    access: &Cursor,
) -> Result<Bytes, Error> {
    let unreadable = |what: &str| Error::Unreadable(format!("{what} of an ingress record"));
    let mut body = Body::decode(&message.body).map_err(|_| unreadable("the body"))?;
    body.resend = true;
    let policy = convert::policy(message.policy.as_ref()).map_err(|_| unreadable("the policy"))?;
    let lowered = |named: &Cursor, held: &Cursor| -> Cursor {
        let ended = |origin: &Origin, seq: u64| held.get(origin).min(seq);
        let low = |origin, seq| if rebuild.has_ended(origin) { ended(origin, seq) } else { seq };
        named.iter().map(|(origin, seq)| (origin.clone(), low(origin, seq))).collect()
    };
    let (member, access) = (lowered(&policy.member, members), lowered(&policy.access, access));
    let policy = convert::policy_field(&Policy { access, member });
    Ok(v1::IngressRecord { body: body.encode(), policy, ..message }.encode_to_vec().into())
}

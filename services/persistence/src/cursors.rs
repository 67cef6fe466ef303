//! Cursors: what devices have stored of their streams, merged by the greater of each origin
//! (docs/protocol.md, rule 4).
//!
//! Each region writes its own items; a reader merges those of all regions, which may be late and are never
//! ahead of what the device said. A device that was not seen for [`FORGOTTEN_MS`] begins like a new one: what
//! it had stored before its new beginning counts no more, in whichever region it lies.

use futures_util::{StreamExt, TryStreamExt, stream};
use prost::Message;
use sterna_proto::{convert, v1};
use sterna_storage::table::GET_KEYS_MAX;
use sterna_storage::{Consistency, Expect, Item, Key, Put, Table, Write, layout};
use sterna_stream::limits::{
    CURSOR_DEVICES, CURSOR_ORIGINS, CURSOR_STREAMS, DEVICE_BYTES, DEVICE_FORGOTTEN_DAYS,
};
use sterna_stream::{Cursor, Region, StreamId, UserId};

use crate::chain::Error;

/// After so long unseen a device is forgotten, milliseconds.
pub const FORGOTTEN_MS: u64 = DEVICE_FORGOTTEN_DAYS * DAY_MS;
/// How often an item is written again because somebody else wrote it in between.
const TRIES: usize = 4;
/// Streams that are read at once.
const READS: usize = 16;
/// That a device was seen is written at most so often, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Whose cursors.
struct Device {
    tenant: String,
    user: UserId,
    device: String,
}

/// When a device was seen last and when it began, by all regions.
#[derive(Clone, Copy, Default)]
struct Life {
    seen_ms: u64,
    born_ms: u64,
    known: bool,
}

/// Stores these cursors as `region`'s.
///
/// # Errors
/// [`Error`]: a name is none, there are too many, or the table did not answer.
pub async fn store(
    table: &dyn Table,
    region: &Region,
    request: v1::StoreCursorsRequest,
) -> Result<(), Error> {
    if request.devices.len() > CURSOR_DEVICES {
        return Err(Error::Request(convert::Malformed::Field("devices")));
    }
    let now_ms = request.now_unix_ms;
    for device in &request.devices {
        let who = Device::of(&device.tenant, &device.user, &device.device)?;
        let streams = parsed(&device.streams)?;
        let life = who.life(table).await?.seen_at(now_ms);
        who.touch(table, region, life, now_ms).await?;
        for streams in streams.chunks(GET_KEYS_MAX) {
            who.merge(table, region, streams, life.born_ms, now_ms).await?;
        }
    }
    Ok(())
}

/// What the device stored last of each stream, in order; an empty cursor where it has stored nothing.
///
/// # Errors
/// As [`store`].
pub async fn read(
    table: &dyn Table,
    region: &Region,
    request: v1::CursorsRequest,
) -> Result<Vec<v1::Cursor>, Error> {
    if request.streams.len() > CURSOR_STREAMS {
        return Err(Error::Request(convert::Malformed::Field("streams")));
    }
    let who = Device::of(&request.tenant, &request.user, &request.device)?;
    let streams: Vec<StreamId> =
        request.streams.iter().map(|stream| stream.parse()).collect::<Result<_, _>>()?;
    let before = who.life(table).await?;
    let life = before.seen_at(request.now_unix_ms);
    if before.known {
        who.touch(table, region, life, request.now_unix_ms).await?;
    }
    let (who, born_ms) = (&who, life.born_ms);
    let merged = |stream: StreamId| async move { who.merged(table, &stream, born_ms).await };
    let cursors: Vec<Cursor> =
        stream::iter(streams.into_iter().map(merged)).buffered(READS).try_collect().await?;
    Ok(cursors.iter().map(v1::Cursor::from).collect())
}

// === impl Life ===

impl Life {
    /// The same of a device that is seen now: it goes on, or begins anew.
    fn seen_at(self, now_ms: u64) -> Self {
        let forgotten = self.known && now_ms >= self.seen_ms.saturating_add(FORGOTTEN_MS);
        if forgotten { Self { born_ms: now_ms, ..self } } else { self }
    }
}

// === impl Device ===

impl Device {
    fn of(tenant: &str, user: &str, device: &str) -> Result<Self, Error> {
        let fits = !tenant.is_empty() && !device.is_empty() && device.len() <= DEVICE_BYTES;
        if !fits {
            return Err(Error::Request(convert::Malformed::Field("device")));
        }
        Ok(Self { tenant: tenant.to_owned(), user: user.parse()?, device: device.to_owned() })
    }

    async fn life(&self, table: &dyn Table) -> Result<Life, Error> {
        let mut life = Life::default();
        let mut rest = Some(layout::devices_seen(&self.tenant, &self.user, &self.device));
        while let Some(range) = rest.take() {
            let page = table.query(range.clone()).await?;
            for item in &page.items {
                let seen: v1::DeviceSeen = decode(item)?;
                life.seen_ms = life.seen_ms.max(seen.seen_unix_ms);
                life.born_ms = life.born_ms.max(seen.born_unix_ms);
                life.known = true;
            }
            rest = page.next.map(|token| range.after(token));
        }
        Ok(life)
    }

    /// Writes that it was seen, and its new beginning, unless that is known for a day.
    async fn touch(&self, table: &dyn Table, region: &Region, life: Life, now_ms: u64) -> Result<(), Error> {
        if life.known && life.born_ms != now_ms && now_ms < life.seen_ms.saturating_add(DAY_MS) {
            return Ok(());
        }
        let seen = v1::DeviceSeen { seen_unix_ms: now_ms, born_unix_ms: life.born_ms };
        let key = layout::device_seen(&self.tenant, &self.user, &self.device, region);
        table.put(key, seen.encode_to_vec().into(), Expect::Any).await?;
        Ok(())
    }

    fn key(&self, stream: &StreamId, region: &Region) -> Key {
        layout::cursor(&self.tenant, &self.user, &self.device, stream, region)
    }

    /// Merges cursors into this region's items.
    async fn merge(
        &self,
        table: &dyn Table,
        region: &Region,
        streams: &[(StreamId, Cursor)],
        born_ms: u64,
        now_ms: u64,
    ) -> Result<(), Error> {
        let mut open: Vec<&(StreamId, Cursor)> = streams.iter().collect();
        for _ in 0..TRIES {
            let keys: Vec<Key> = open.iter().map(|(stream, _)| self.key(stream, region)).collect();
            let found = table.get(&keys, Consistency::Consistent).await?;
            let (mut writes, mut written) = (Vec::new(), Vec::new());
            for ((key, one), found) in keys.into_iter().zip(open).zip(found) {
                if let Some(write) = merged_write(key, &one.1, found, born_ms, now_ms)? {
                    writes.push(write);
                    written.push(one);
                }
            }
            let results = table.put_many(writes).await;
            open = Vec::new();
            for (one, result) in written.into_iter().zip(results) {
                match result? {
                    Put::Done(_) => {}
                    Put::Found(_) | Put::Missing => open.push(one),
                }
            }
            if open.is_empty() {
                return Ok(());
            }
        }
        // Others write all the time: the next report stores it.
        Ok(())
    }

    /// What all regions hold of one stream.
    async fn merged(&self, table: &dyn Table, stream: &StreamId, born_ms: u64) -> Result<Cursor, Error> {
        let mut merged = Cursor::new();
        let mut rest = Some(layout::cursors_of(&self.tenant, &self.user, &self.device, stream));
        while let Some(range) = rest.take() {
            let page = table.query(range.clone()).await?;
            for item in &page.items {
                let stored: v1::StoredCursor = decode(item)?;
                if stored.stored_unix_ms >= born_ms {
                    merge(&mut merged, &convert::cursor(stored.cursor.as_ref())?);
                }
            }
            rest = page.next.map(|token| range.after(token));
        }
        Ok(merged)
    }
}

/// The put that makes an item hold `cursor` too; `None` if it does already.
fn merged_write(
    key: Key,
    cursor: &Cursor,
    found: Option<Item>,
    born_ms: u64,
    now_ms: u64,
) -> Result<Option<Write>, Error> {
    let (mut merged, mut expect) = (Cursor::new(), Expect::Absent);
    if let Some(item) = &found {
        expect = Expect::Version(item.version);
        let stored: v1::StoredCursor = decode(item)?;
        if stored.stored_unix_ms >= born_ms {
            merged = convert::cursor(stored.cursor.as_ref())?;
            if merged.covers(cursor) {
                return Ok(None);
            }
        }
    }
    merge(&mut merged, cursor);
    let stored = v1::StoredCursor { cursor: convert::cursor_field(&merged), stored_unix_ms: now_ms };
    Ok(Some(Write { key, value: stored.encode_to_vec().into(), expect }))
}

/// Merges by the greater; a further origin beyond the bound is left out, which is as if it were late.
fn merge(into: &mut Cursor, other: &Cursor) {
    for (origin, seq) in other.iter() {
        if into.get(origin) > 0 || into.len() < CURSOR_ORIGINS {
            into.advance(origin, seq);
        }
    }
}

fn parsed(streams: &[v1::StreamCursor]) -> Result<Vec<(StreamId, Cursor)>, Error> {
    if streams.len() > CURSOR_STREAMS {
        return Err(Error::Request(convert::Malformed::Field("streams")));
    }
    let one = |s: &v1::StreamCursor| Ok((s.stream.parse()?, convert::cursor(s.cursor.as_ref())?));
    let mut parsed: Vec<(StreamId, Cursor)> = streams.iter().map(one).collect::<Result<_, Error>>()?;
    parsed.sort_by(|(a, _), (b, _)| a.cmp(b));
    // One item is written once: what is said twice of a stream is merged before.
    parsed.dedup_by(|(later, cursor), (stream, kept)| {
        let same = later == stream;
        if same {
            merge(kept, cursor);
        }
        same
    });
    Ok(parsed)
}

fn decode<M: Message + Default>(item: &Item) -> Result<M, Error> {
    M::decode(item.value.clone()).map_err(|error| Error::Request(error.into()))
}

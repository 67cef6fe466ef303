//! The topics, read behind the faults: the log has what the table has, in order and without a hole.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sterna_log::{Entry, Log, Topic};
use sterna_proto::record::{LOG_POS, LogRecord, Placed};
use sterna_stream::watermark::{Seen, Watermark};
use sterna_stream::{ContentHash, EventId, Segment, StreamId};

use super::{Chains, PAGE_BYTES, accepted};
use crate::paths::Path;
use crate::site::Site;

/// A segment's name: its stream and first seq. They are all of the region's own origin.
type Named = (StreamId, u64);

/// E12, E21: every segment of the table is in the log, byte for byte; repeats dropped, a stream's segments
/// are in seq order; positions are dense.
///
/// # Errors
/// The first thing that is otherwise.
pub(super) async fn log_follows_table(site: &Site, chains: &Chains) -> Result<(), String> {
    let stored: BTreeMap<Named, &Bytes> = chains
        .segments
        .values()
        .flatten()
        .map(|stored| ((stored.segment.stream.clone(), stored.segment.first), &stored.bytes))
        .collect();
    let mut logged: BTreeSet<Named> = BTreeSet::new();
    for partition in 0..site.plan.partitions {
        let mut ends: BTreeMap<StreamId, u64> = BTreeMap::new();
        for Logged { at, counts, segment, bytes } in segments(site, partition).await? {
            let (first, last) = (segment.first, segment.last());
            let named = (segment.stream, first);
            let wrong = |what| Err(format!("E12: log {partition} at {at}: {} {first} {what}", named.0));
            match stored.get(&named) {
                Some(same) if **same == bytes => {}
                Some(_) => return wrong("differs from the table"),
                None => return wrong("is not in the table"),
            }
            let end = ends.entry(named.0.clone()).or_default();
            let next = (named.0.clone(), first.min(*end + 1));
            let mut before = stored.range(next..named.clone()).map(|(named, _)| named);
            if counts && !before.all(|named| logged.contains(named)) {
                return wrong("comes before what precedes it");
            }
            *end = (*end).max(if counts { last } else { 0 });
            site.paths.add(Path::Uncounted, u64::from(!counts));
            if !logged.insert(named) {
                site.paths.took(Path::Reproduced);
            }
        }
    }
    match stored.keys().find(|named| !logged.contains(*named)) {
        Some((stream, first)) => Err(format!("E12: {stream} {first} is in the table and not in the log")),
        None => Ok(()),
    }
}

/// A segment as a partition's log has it.
struct Logged {
    at: u64,
    /// Whether it counts for a mirror's reader: it was not produced by an older term behind the position that
    /// the next one continues.
    counts: bool,
    segment: Segment,
    bytes: Bytes,
}

/// The segments of a partition, by offset. A segment that nobody knew the fate of may stand behind later
/// ones, but then those do not count.
async fn segments(site: &Site, partition: u16) -> Result<Vec<Logged>, String> {
    let mut watermark = Watermark::default();
    let mut segments = Vec::new();
    for entry in all(site, &site.topic(false), partition).await {
        let at = entry.offset;
        let wrong = |what: String| format!("log {partition} at {at}: {what}");
        let header = entry.record.header(LOG_POS).cloned();
        let bytes = entry.record.value;
        let record = LogRecord::decode(bytes.clone()).map_err(|error| wrong(error.to_string()))?;
        let Some(header) = header else {
            // State's own marks are not numbered (E22).
            match record {
                LogRecord::Mark(_) => continue,
                _ => return Err(wrong("no position".into())),
            }
        };
        let placed = Placed::decode(&header).map_err(|error| wrong(error.to_string()))?;
        let differs = watermark.seen(&record.counted(&bytes, placed)) == Seen::Differs;
        if differs {
            return Err(wrong(format!("E21: {:?} is not what it must be", placed.pos)));
        }
        if let LogRecord::Segment(stored) = record {
            segments.push((placed.pos, at, stored.segment, bytes));
        }
    }
    if let Some(hole) = watermark.hole() {
        return Err(format!("E21: log {partition} has a hole: {hole:?}"));
    }
    let counted = segments.into_iter().map(|(pos, at, segment, bytes)| {
        let counts = watermark.covers(pos);
        Logged { at, counts, segment, bytes }
    });
    Ok(counted.collect())
}

/// Everything that an ingress holds, in its order.
pub(super) async fn ingress(site: &Site, topic: &Topic) -> Vec<(StreamId, EventId, ContentHash)> {
    let mut records = Vec::new();
    for partition in 0..site.plan.partitions {
        let entries = all(site, topic, partition).await;
        records.extend(entries.iter().filter_map(|entry| accepted(&entry.record)));
    }
    records
}

pub(super) async fn all(site: &Site, topic: &Topic, partition: u16) -> Vec<Entry> {
    let (mut entries, mut from) = (Vec::new(), 0);
    while let Ok(page) = site.stores.log.read(topic, partition, from, PAGE_BYTES).await {
        if page.entries.is_empty() {
            break;
        }
        from = page.next;
        entries.extend(page.entries);
    }
    entries
}

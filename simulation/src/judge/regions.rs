//! What regions have of each other: equal tables, and each other's logs without a hole.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sterna_process::Clock;
use sterna_proto::record::{LOG_POS, LogRecord, Placed};
use sterna_storage::{Consistency, Name, Table, layout};
use sterna_stream::watermark::Watermark;
use sterna_stream::{LogPos, Origin, limits};

use super::{Chains, copies};
use crate::paths::Path;
use crate::site::Site;
use crate::world::World;

/// G5: every region's table holds the same bytes under the same keys. Gives what that is.
///
/// # Errors
/// The first key at which two differ, or a chain that is none.
pub(super) async fn equal_tables(world: &World) -> Result<Chains, String> {
    let first = items(&world.sites[0]).await?;
    for site in &world.sites[1..] {
        let (here, there) = (&world.sites[0].plan.region, &site.plan.region);
        let other = items(site).await?;
        if let Some(key) = first.keys().find(|key| !other.contains_key(*key)) {
            return Err(format!("G5: {there} lacks {key:?}, which {here} has"));
        }
        if let Some(key) = other.keys().find(|key| first.get(*key) != other.get(*key)) {
            return Err(format!("G5: {there} has at {key:?} what {here} has not"));
        }
    }
    Chains::read(&world.sites[0]).await
}

async fn items(site: &Site) -> Result<BTreeMap<(String, String), Bytes>, String> {
    let (mut items, mut after) = (BTreeMap::new(), None);
    loop {
        let page = site.stores.table.scan(Name::Events, after).await.map_err(|e| e.to_string())?;
        let pairs = page
            .items
            .into_iter()
            .map(|item| ((item.key.hash.to_string(), item.key.sort.to_string()), item.value));
        items.extend(pairs);
        after = page.next;
        if after.is_none() {
            return Ok(items);
        }
    }
}

/// How far a log's last segment is, per partition; marks come every second and are never all counted.
async fn ends(site: &Site) -> BTreeMap<u16, LogPos> {
    let mut ends = BTreeMap::new();
    for partition in 0..site.plan.partitions {
        for entry in copies::all(site, &site.topic(false), partition).await {
            let placed = entry.record.header(LOG_POS).and_then(|header| Placed::decode(header).ok());
            let segment = matches!(LogRecord::decode(entry.record.value), Ok(LogRecord::Segment(_)));
            if let Some(placed) = placed.filter(|_| segment) {
                let end: &mut LogPos = ends.entry(partition).or_default();
                *end = placed.pos.max(*end);
            }
        }
    }
    ends
}

/// The first region that has not counted all of another's log, as its own marks say (E21, E22).
pub(super) async fn behind(world: &World) -> Option<String> {
    if world.sites.len() == 1 {
        return None;
    }
    for from in &world.sites {
        let ends = ends(from).await;
        for to in world.sites.iter().filter(|to| to.origin() != from.origin()) {
            for (partition, end) in &ends {
                let at = watermark(to, &from.origin(), *partition).await;
                if at < *end {
                    let (from, to) = (&from.plan.region, &to.plan.region);
                    return Some(format!(
                        "{to} has counted {from}'s log {partition} up to {at:?} of {end:?}"
                    ));
                }
            }
        }
    }
    None
}

/// How far a region says that it has another's log.
async fn watermark(site: &Site, of: &Origin, partition: u16) -> LogPos {
    let mut newest = LogPos::default();
    for entry in copies::all(site, &site.topic(false), partition).await {
        let Ok(LogRecord::Mark(mark)) = LogRecord::decode(entry.record.value) else { continue };
        for watermark in mark.watermarks.iter().filter(|watermark| watermark.origin == of.as_str()) {
            newest = newest.max(LogPos { term: watermark.term, n: watermark.n });
        }
    }
    newest
}

/// E21: no region says that it has more of another's log than what its mirror and, where that has a hole,
/// its table hold; of a mark nothing is held. Told from the bytes alone: whoever counts here must not be whom
/// this judges.
///
/// # Errors
/// The first that does.
pub async fn honest(world: &World, (from, to): (usize, usize)) -> Result<(), String> {
    let (from, to) = (&world.sites[from], &world.sites[to]);
    for partition in 0..from.plan.partitions {
        let said = watermark(to, &from.origin(), partition).await;
        let mirrored = copies::all(to, &to.mirror_of(from), partition).await;
        let mirrored: BTreeSet<Bytes> = mirrored.into_iter().map(|entry| entry.record.value).collect();
        // Of several records with one number the newest term's counts.
        let mut counted: BTreeMap<u64, (u64, Bytes)> = BTreeMap::new();
        for entry in copies::all(from, &from.topic(false), partition).await {
            let placed = entry.record.header(LOG_POS).and_then(|header| Placed::decode(header).ok());
            let Some(LogPos { term, n }) = placed.map(|placed| placed.pos) else { continue };
            let newest = counted.get(&n).is_none_or(|(before, _)| *before < term);
            if n <= said.n && term <= said.term && newest {
                counted.insert(n, (term, entry.record.value));
            }
        }
        for (n, (_, bytes)) in counted.iter().filter(|(_, (_, bytes))| !mirrored.contains(bytes)) {
            if !in_table(to, bytes).await {
                let (from, to) = (&from.plan.region, &to.plan.region);
                return Err(format!("E21: {to} says {said:?} of {from}'s log {partition} and lacks {n}"));
            }
        }
    }
    Ok(())
}

/// Whether a region's table holds a log record, if it is a segment.
async fn in_table(site: &Site, bytes: &Bytes) -> bool {
    let Ok(LogRecord::Segment(stored)) = LogRecord::decode(bytes.clone()) else { return true };
    let segment = &stored.segment;
    let key = layout::segment(&segment.stream, &segment.origin, segment.first);
    let got = site.stores.table.get(&[key], Consistency::Consistent).await;
    got.is_ok_and(|items| items.into_iter().flatten().any(|item| item.value == *bytes))
}

/// How far a region's wall may be from what the others prove: marks come each second, over the WAN.
const WALL_MS: i64 = 5_000;

/// E14: where at most one of three clocks is wrong, no region's wall is; and who is wrong says so.
///
/// # Errors
/// The first region whose wall is, or that says otherwise.
pub(super) fn walls(world: &World) -> Result<(), String> {
    let skews: Vec<i64> = world.sites.iter().map(|site| site.clock.skew_ms()).collect();
    let wrong = skews.iter().filter(|skew| skew.abs() > 1_000).count();
    if world.sites.len() < 3 || wrong > 1 {
        return Ok(());
    }
    for (site, skew) in world.sites.iter().zip(skews) {
        let (region, wall) = (&site.plan.region, site.wall());
        let off = wall.wall_ms().cast_signed() - world.true_ms().cast_signed();
        if off.abs() > WALL_MS {
            return Err(format!("E14: {region}'s wall is {off} ms off, its clock {skew} ms"));
        }
        let bound = limits::CLOCK_BOUND_MS.cast_signed() / 2;
        let clear = (skew.abs() - bound).abs() > WALL_MS;
        if clear && wall.is_apart() != (skew.abs() > bound) {
            return Err(format!("E14: {region}'s clock is {skew} ms off and it says {:?}", wall.standing()));
        }
    }
    Ok(())
}

/// Each mirror holds its source's records and none of anybody else's; counts the holes that were met.
///
/// # Errors
/// A record that its source does not have.
pub(super) async fn mirrors(world: &World) -> Result<(), String> {
    for from in &world.sites {
        for to in world.sites.iter().filter(|to| to.origin() != from.origin()) {
            for partition in 0..from.plan.partitions {
                mirror(from, to, partition).await?;
                let counted = watermark(to, &from.origin(), partition).await > LogPos::default();
                world.paths.add(Path::LifeFollowed, u64::from(!from.former.is_empty() && counted));
            }
        }
    }
    Ok(())
}

async fn mirror(from: &Site, to: &Site, partition: u16) -> Result<(), String> {
    let source: BTreeSet<Bytes> = copies::all(from, &from.topic(false), partition)
        .await
        .into_iter()
        .map(|entry| entry.record.value)
        .collect();
    let mut watermark = Watermark::default();
    let mut holes = 0;
    for entry in copies::all(to, &to.mirror_of(from), partition).await {
        let (header, bytes) = (entry.record.header(LOG_POS).cloned(), entry.record.value);
        if !source.contains(&bytes) {
            let (from, to) = (&from.plan.region, &to.plan.region);
            return Err(format!("E20: {to}'s mirror of {from}'s log {partition} has what that has not"));
        }
        let Some(placed) = header.and_then(|header| Placed::decode(&header).ok()) else { continue };
        let Ok(record) = LogRecord::decode(bytes.clone()) else { continue };
        let before = watermark.hole().is_some();
        watermark.seen(&record.counted(&bytes, placed));
        holes += u64::from(!before && watermark.hole().is_some());
    }
    to.paths.add(Path::WatermarkHole, holes);
    Ok(())
}

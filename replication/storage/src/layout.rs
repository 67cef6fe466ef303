//! Which item stands under which key: every key of the engine is made here, and nowhere else.
//!
//! Numbers have fixed width, so that byte order is number order: `u64` 20 digits, `u16` 5. Parts are joined
//! with `#`, which no region, origin, stream or tenant contains. Golden-tested: these texts are stored for
//! ever.

use std::sync::Arc;

use smallvec::SmallVec;
use sterna_stream::{Origin, Region, StreamId, UserId};

use crate::key::{Key, Name};
use crate::table::Range;

#[cfg(test)]
mod tests;

/// Of the segment of (stream, origin) that begins with seq `first` (E2).
pub fn segment(stream: &StreamId, origin: &Origin, first: u64) -> Key {
    Key::new(Name::Events, stream.shared(), numbered(origin.as_str(), first))
}

/// Origin and first seq of a segment's sort key; `None` if it is not one.
pub fn parse_segment(sort: &str) -> Option<(Origin, u64)> {
    let (origin, first) = sort.split_once('#')?;
    Some((origin.parse().ok()?, parse_u64(first)?))
}

/// The segments of (stream, origin) that begin at seq `first` or later, ascending.
pub fn segments_from(stream: &StreamId, origin: &Origin, first: u64) -> Range {
    let (from, to) = (numbered(origin.as_str(), first), numbered(origin.as_str(), u64::MAX));
    Range::new(Name::Events, stream.as_str()).from(from).to(to)
}

/// The one segment of (stream, origin) with the greatest first seq ≤ `seq`: where a read after cursor `seq -
/// 1` starts (E17), and with `u64::MAX` the newest segment (E10).
pub fn segment_at(stream: &StreamId, origin: &Origin, seq: u64) -> Range {
    let (from, to) = (numbered(origin.as_str(), 0), numbered(origin.as_str(), seq));
    Range::new(Name::Events, stream.as_str()).from(from).to(to).reverse().limit(1)
}

/// The newest segment of the greatest origin below `origin` (`None`: of the greatest origin). Asked again
/// with the origin it finds, it walks all origins of a stream without reading their segments.
pub fn segment_of_origin_below(stream: &StreamId, origin: Option<&Origin>) -> Range {
    let range = Range::new(Name::Events, stream.as_str()).reverse().limit(1);
    match origin {
        None => range,
        Some(origin) => range.to(format!("{origin}#")),
    }
}

/// Of the cursor that `device` stored for `stream` while its session was in `region`.
pub fn cursor(tenant: &str, user: &UserId, device: &str, stream: &StreamId, region: &Region) -> Key {
    Key::new(Name::Cursors, device_hash(tenant, user, device), format!("{stream}#{region}"))
}

/// All cursors that a device stored.
pub fn cursors(tenant: &str, user: &UserId, device: &str) -> Range {
    Range::new(Name::Cursors, device_hash(tenant, user, device))
}

/// The cursors that a device stored for `stream`, one of each region that held its sessions.
pub fn cursors_of(tenant: &str, user: &UserId, device: &str, stream: &StreamId) -> Range {
    cursors(tenant, user, device).from(format!("{stream}#")).to(format!("{stream}#~"))
}

/// Of when `region` last saw a device. No stream's name is so short of slashes.
pub fn device_seen(tenant: &str, user: &UserId, device: &str, region: &Region) -> Key {
    Key::new(Name::Cursors, device_hash(tenant, user, device), format!("seen#{region}"))
}

/// When each region last saw a device.
pub fn devices_seen(tenant: &str, user: &UserId, device: &str) -> Range {
    cursors(tenant, user, device).from("seen#").to("seen#~")
}

/// Of the fact that `user` was the subject of a member event of `stream`, which `region` put. A superset of a
/// user's streams: whether they are in one the stream's fold says.
pub fn touched(user: &UserId, stream: &StreamId, region: &Region) -> Key {
    Key::new(Name::Members, format!("{}#{user}", stream.tenant()), format!("{stream}#{region}"))
}

/// The streams of a kind (empty: of any) in which a user was the subject of a member event, behind `after`,
/// ascending; one item for each region.
pub fn touched_by(tenant: &str, user: &UserId, kind: &str, after: Option<&StreamId>) -> Range {
    let within = if kind.is_empty() { format!("{tenant}/") } else { format!("{tenant}/{kind}/") };
    let from = after.map_or_else(|| within.clone(), |after| format!("{after}#~").max(within.clone()));
    Range::new(Name::Members, format!("{tenant}#{user}")).from(from).to(format!("{within}~"))
}

/// The stream of such an item's sort key; `None` if it is not one.
pub fn parse_touched(sort: &str) -> Option<StreamId> {
    sort.split_once('#')?.0.parse().ok()
}

/// Of one part of a partition's checkpoint (E21). The origin carries the incarnation: a rebuilt region whose
/// table lags may take a term that its former life had taken too.
pub fn checkpoint(origin: &Origin, partition: u16, term: u64, second: u64, part: u16) -> Key {
    let sort = format!("{partition:05}#{term:020}#{second:020}#{part:05}");
    Key::new(Name::Checkpoints, origin.as_str(), sort)
}

/// Partition, term, second and part of a checkpoint's sort key; `None` if it is not one.
pub fn parse_checkpoint(sort: &str) -> Option<(u16, u64, u64, u16)> {
    let mut parts = sort.split('#');
    let parsed = (
        parse_u16(parts.next()?)?,
        parse_u64(parts.next()?)?,
        parse_u64(parts.next()?)?,
        parse_u16(parts.next()?)?,
    );
    parts.next().is_none().then_some(parsed)
}

/// A partition's checkpoints from (term, second) on, ascending.
pub fn checkpoints_from(origin: &Origin, partition: u16, term: u64, second: u64) -> Range {
    let from = format!("{partition:05}#{term:020}#{second:020}#");
    Range::new(Name::Checkpoints, origin.as_str()).from(from).to(format!("{partition:05}#~"))
}

/// A partition's checkpoints of one term from `second` on, ascending.
pub fn checkpoints_of(origin: &Origin, partition: u16, term: u64, second: u64) -> Range {
    checkpoints_from(origin, partition, term, second).to(format!("{partition:05}#{term:020}#~"))
}

/// A partition's checkpoints, newest first.
pub fn checkpoints_latest(origin: &Origin, partition: u16) -> Range {
    checkpoints_from(origin, partition, 0, 0).reverse()
}

/// Of a region's control item, by name.
pub fn control(region: &Region, item: &str) -> Key {
    Key::new(Name::Control, region.as_str(), item)
}

/// Of a region's incarnation, written by its witness only (E1).
pub fn incarnation(region: &Region) -> Key {
    control(region, "incarnation")
}

/// Of the fact that a life of a region was opened, written by the region itself (E1).
pub fn opened(origin: &Origin) -> Key {
    control(&origin.region(), &format!("opened#{:010}", origin.incarnation()))
}

/// Of the fact that all that is left of an ended life stands in every region's table, in each of which a
/// rebuild puts it (E1, E24).
pub fn gathered(origin: &Origin) -> Key {
    control(&origin.region(), &format!("gathered#{:010}", origin.incarnation()))
}

/// Of the identities of a life's ingress and log, written by the region itself (E1).
pub fn topics(origin: &Origin) -> Key {
    control(&origin.region(), &format!("topics#{:010}", origin.incarnation()))
}

// The device stands before the user, who may contain anything, so it alone must be kept free of the
// separator.
fn device_hash(tenant: &str, user: &UserId, device: &str) -> String {
    let device = device.replace('%', "%25").replace('#', "%23");
    format!("{tenant}#{device}#{user}")
}

fn numbered(prefix: &str, number: u64) -> Arc<str> {
    let (mut rest, mut digits) = (number, [b'0'; 20]);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut text = SmallVec::<[u8; 96]>::from_slice(prefix.as_bytes());
    text.push(b'#');
    text.extend_from_slice(&digits);
    std::str::from_utf8(&text).expect("a text and digits").into()
}

fn parse_u64(digits: &str) -> Option<u64> {
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn parse_u16(digits: &str) -> Option<u16> {
    (digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

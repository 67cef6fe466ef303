//! Reads stored records in the one form that this crate writes them in, straight from their bytes.
//!
//! Every segment is read by state, by each shard that follows its stream and by whoever reads history, and
//! each ingress record by its sequencer: through owned messages and strings that costs several times as much.
//! What is in any other form (other order, unknown or repeated fields, damage) is `None` here, and its
//! caller's general way says what it means.

use bytes::Bytes;
use prost::encoding::decode_varint;
use sterna_stream::digest::{ContentHash, Prefix};
use sterna_stream::sequencer::Known;
use sterna_stream::{EventId, Hlc, Origin, Policy, Position, Segment};

use super::{Body, Ingress};
use crate::fields::{Fields, policy};

/// A segment, unchecked against itself.
pub(super) fn segment(record: &Bytes) -> Option<Segment> {
    let mut fields = Fields(record);
    let mut message = Fields(fields.bytes(1)?);
    fields.end()?;
    let stream = message.text(1)?.parse().ok()?;
    let origin: Origin = message.text(2)?.parse().ok()?;
    let first = message.number(3).unwrap_or(0);
    let (stamps, rest) = message.bytes(4)?.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    let bodies = std::iter::from_fn(|| message.bytes(5)).map(|body| record.slice_ref(body)).collect();
    let from = position(message.bytes(6)?)?;
    let policy = message.bytes(7).map_or_else(|| Some(Policy::default()), policy)?;
    let prefix = Prefix(message.bytes(8)?.try_into().ok()?);
    let members = message.bytes(9).map_or_else(|| Some(Vec::new()), numbers)?;
    let member_before = message.number(10).unwrap_or(0);
    message.end()?;
    let stamps = stamps.iter().map(|stamp| Hlc(u64::from_le_bytes(*stamp))).collect();
    Some(Segment { stream, origin, first, stamps, bodies, from, policy, prefix, members, member_before })
}

/// The parts of an ingress record that its sequencer needs.
pub(super) fn ingress(record: &Bytes) -> Option<Ingress> {
    let mut fields = Fields(record);
    let stream = fields.text(1)?.parse().ok()?;
    let body = record.slice_ref(fields.bytes(2)?);
    let seen = Hlc(fields.fixed(3).unwrap_or(0));
    for tag in 4..=6 {
        if let Some(audited) = fields.bytes(tag) {
            std::str::from_utf8(audited).ok()?;
        }
    }
    let policy = fields.bytes(7).map_or_else(|| Some(Policy::default()), policy)?;
    let member = fields.number(8).is_some_and(|member| member != 0);
    fields.end()?;
    Some(Ingress { stream, body, seen, policy, member })
}

/// An event of a plain or encrypted payload.
pub(super) fn body(bytes: &Bytes) -> Option<Body> {
    let mut fields = Fields(bytes);
    let id = EventId::from_bytes(fields.bytes(1)?).ok()?;
    let (author, kind) = (fields.text(2)?.parse().ok()?, fields.text(3)?.parse().ok()?);
    let payload = fields.bytes(4).map_or_else(Bytes::new, |payload| bytes.slice_ref(payload));
    let content = ContentHash(fields.bytes(5)?.try_into().ok()?);
    let resend = fields.number(6).is_some_and(|resend| resend != 0);
    let key = fields.text(7).unwrap_or_default().to_owned();
    let deps = fields.bytes(8).map_or_else(|| Some(None), |deps| policy(deps).map(Some))?;
    fields.end()?;
    Some(Body { id, author, kind, payload, content, resend, key, deps })
}

/// What recognises an event in its body.
pub(super) fn known(body: &[u8]) -> Option<Known> {
    let mut body = Fields(body);
    let id = EventId::from_bytes(body.bytes(1)?).ok()?;
    let (_author, _kind) = (body.text(2)?, body.text(3)?);
    let _payload = body.bytes(4);
    let content = ContentHash(body.bytes(5)?.try_into().ok()?);
    let resend = body.number(6).is_some_and(|resend| resend != 0);
    let (_key, deps) = (body.text(7), body.bytes(8));
    deps.map_or_else(|| Some(Policy::default()), policy)?;
    body.end()?;
    Some(Known { id, content, resend })
}

fn position(message: &[u8]) -> Option<Position> {
    let mut fields = Fields(message);
    let incarnation = fields.number(1).unwrap_or(0).try_into().ok()?;
    let partition = fields.number(2).unwrap_or(0).try_into().ok()?;
    let offset = fields.number(3).unwrap_or(0);
    fields.end()?;
    Some(Position { incarnation, partition, offset })
}

fn numbers(mut packed: &[u8]) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    while !packed.is_empty() {
        numbers.push(decode_varint(&mut packed).ok()?.try_into().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::super::tests::{body, segment_of};
    use super::super::{LogRecord, Stored, general, ingress_generally, peek_generally};
    use super::*;

    /// E27: what is read straight from the bytes is what the general way reads.
    fn agree(bytes: &Bytes) {
        if let Some(read) = segment(bytes) {
            match general(bytes.clone()) {
                Ok(LogRecord::Segment(stored)) => assert_eq!(read, stored.segment),
                // Both ways check afterwards whether it contradicts itself.
                other => assert!(super::super::checked(read).is_err() && other.is_err(), "{other:?}"),
            }
        }
        if let Some(read) = known(bytes) {
            assert_eq!(Some(read), peek_generally(bytes));
        }
        if let Some(read) = super::body(bytes) {
            assert_eq!(Ok(read), Body::decode_generally(bytes));
        }
        if let Some(read) = ingress(bytes) {
            assert_eq!(Some(read), ingress_generally(bytes));
        }
    }

    fn accepted() -> crate::v1::IngressRecord {
        crate::v1::IngressRecord {
            stream: "acme/chat/general".into(),
            body: body("1").encode(),
            seen: 7 << 16,
            actor: "ana".into(),
            request_id: "gateway-0/12".into(),
            grant_id: "g1".into(),
            policy: crate::convert::policy_field(&segment_of(Vec::new()).policy),
            member: true,
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_never_read_otherwise(
            at in 0usize..400, to in any::<u8>(), cut in 0usize..400, what in 0..3,
        ) {
            let one = body("{}").encode();
            let whole = match what {
                0 => one,
                1 => accepted().encode_to_vec().into(),
                _ => Stored::new(segment_of(vec![one.clone(), one])).bytes,
            };
            let mut bytes = whole.to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            agree(&bytes.clone().into());
            bytes.truncate(bytes.len() - cut % bytes.len());
            agree(&bytes.into());
        }
    }

    /// Everything that this crate writes is in the form that is read here.
    #[test]
    fn what_we_write_is_read_straight() {
        let mut stored = segment_of((0..20).map(|n| body(&"x".repeat(n * 90)).encode()).collect());
        for members in [vec![], vec![0, 3, 19]] {
            stored.members = members;
            assert_eq!(segment(&Stored::new(stored.clone()).bytes), Some(stored.clone()));
            stored.policy = Policy::default();
            stored.member_before = 0;
        }
        let mut event = body("1");
        for resend in [false, true] {
            event.resend = resend;
            event.deps = resend.then(|| stored.policy.clone());
            event.key = if resend { "k1".into() } else { String::new() };
            let bytes = event.encode();
            assert_eq!(super::body(&bytes).as_ref(), Some(&event));
            let read = known(&bytes).unwrap();
            assert_eq!((read.id, read.content, read.resend), (event.id, event.content, resend));
        }
        let mut record = accepted();
        for _ in 0..2 {
            let bytes = Bytes::from(record.encode_to_vec());
            let read = ingress(&bytes);
            assert_eq!((read.is_some(), &read), (true, &ingress_generally(&bytes)));
            record =
                crate::v1::IngressRecord { stream: record.stream, body: record.body, ..Default::default() };
        }
    }

    /// E27: fields of a later version are no damage: the general way reads what it knows.
    #[test]
    fn another_form_is_left_to_the_general_way() {
        let stored = Stored::new(segment_of(vec![body("1").encode()]));
        let mut later = stored.bytes.to_vec();
        later.extend_from_slice(&[0xc2, 0x0c, 0x01, 0x00]);
        let later = Bytes::from(later);
        assert_eq!(segment(&later), None);
        assert_eq!(Stored::decode(later).unwrap().segment, stored.segment);
        let event = body("1");
        let mut later = event.encode().to_vec();
        later.extend_from_slice(&[0xc2, 0x0c, 0x01, 0x00]);
        let later = Bytes::from(later);
        assert_eq!((known(&later), super::body(&later), ingress(&later)), (None, None, None));
        assert_eq!(Body::decode(&later), Ok(event));
        assert_eq!(super::super::peek(&later), peek_generally(&later));
    }
}

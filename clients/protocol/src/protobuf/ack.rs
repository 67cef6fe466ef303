//! The ack of one event straight to its bytes: no message in between. A test compares with what the generated
//! code writes.

use prost::encoding::{encode_varint, encoded_len_varint};
use sterna_stream::EventId;

use crate::frame::{Ack, Durability};
use crate::json::event_id;

const FRAME_ACK: u8 = 9 << 3 | 2;
const EVENT_ID: u8 = 1 << 3 | 2;
const REGION: u8 = 3 << 3 | 2;
const DURABILITY: u8 = 4 << 3 | 2;
/// Bytes of an id as text.
const ID_BYTES: usize = 36;

/// Appends the ack if it is of one event alone, and says whether it was.
pub(super) fn write(ack: &Ack, out: &mut Vec<u8>) -> bool {
    let [one] = ack.event_ids[..] else { return false };
    // A client finds these always in the list.
    if ack.durability == Durability::Global {
        return false;
    }
    let (region, durability) = (ack.region.as_str(), ack.durability.as_str());
    let length = [ID_BYTES, region.len(), durability.len()].map(field_len).iter().sum::<usize>();
    out.push(FRAME_ACK);
    encode_varint(length as u64, out);
    id(out, one);
    text(out, REGION, region);
    text(out, DURABILITY, durability);
    true
}

fn id(out: &mut Vec<u8>, id: EventId) {
    out.extend_from_slice(&[EVENT_ID, ID_BYTES as u8]);
    event_id(out, id);
}

fn text(out: &mut Vec<u8>, key: u8, text: &str) {
    out.push(key);
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// What a delimited field of so many bytes takes, its one-byte key included.
fn field_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

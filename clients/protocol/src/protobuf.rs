//! Frames as protobuf: one `ClientFrame` or `ServerFrame` of `proto/sterna/v1/client.proto` per message.
//!
//! Exactly one field stands in it, as exactly one key stands in a JSON frame; a field number from the future
//! is an unknown frame. Unknown fields further in are ignored and, by protobuf's own rule, the last of a
//! repeated single field counts. Payloads are checked as JSON's are.

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use sterna_stream::limits::FRAME_BYTES;

use crate::check;
use crate::encoding::Encoding;
use crate::error::Rejection;
use crate::frame::{ClientFrame, ServerFrame};
use crate::payload::Malformed;
use crate::wire;

pub use self::events::encode_events;

mod ack;
mod events;
mod publish;

const NOT_PROTOBUF: Malformed = Malformed::Value("a message of the schema");

/// Reads what a client sent.
///
/// # Errors
/// See [`Rejection`].
pub fn decode_client(message: &[u8]) -> Result<ClientFrame, Rejection> {
    match publish::read(message) {
        Some(publish) => check::publish(publish, Encoding::Protobuf).map(ClientFrame::Publish),
        None => decode_generally(message),
    }
}

/// Reads any frame, by the generated code.
pub(crate) fn decode_generally(message: &[u8]) -> Result<ClientFrame, Rejection> {
    let number = only_field(message)?;
    let frame = wire::ClientFrame::decode(message).map_err(|_| NOT_PROTOBUF)?;
    check::client(frame.frame.ok_or_else(|| unknown(number))?, Encoding::Protobuf)
}

/// Reads what a server sent.
///
/// # Errors
/// [`Rejection::Bad`] or [`Rejection::Unknown`].
pub fn decode_server(message: &[u8]) -> Result<ServerFrame, Rejection> {
    let number = only_field(message)?;
    let frame = wire::ServerFrame::decode(message).map_err(|_| NOT_PROTOBUF)?;
    check::server(frame.frame.ok_or_else(|| unknown(number))?, Encoding::Protobuf)
}

/// Appends a client's frame to `out`.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    let frame = wire::ClientFrame { frame: Some(frame.into()) };
    frame.encode(out).expect("a vector grows");
}

/// Appends a server's frame to `out`.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    if let ServerFrame::Ack(ack) = frame
        && ack::write(ack, out)
    {
        return;
    }
    encode_generally(frame, out);
}

/// Writes any frame, by the generated code.
pub(crate) fn encode_generally(frame: &ServerFrame, out: &mut Vec<u8>) {
    let frame = wire::ServerFrame { frame: Some(frame.into()) };
    frame.encode(out).expect("a vector grows");
}

/// The number of the one field that `message` consists of.
fn only_field(message: &[u8]) -> Result<u32, Malformed> {
    if message.len() > FRAME_BYTES {
        return Err(Malformed::Value("at most 64 KiB"));
    }
    let mut rest = message;
    let (number, wire_type) = decode_key(&mut rest).map_err(|_| NOT_PROTOBUF)?;
    skip_field(wire_type, number, &mut rest, DecodeContext::default()).map_err(|_| NOT_PROTOBUF)?;
    if rest.is_empty() { Ok(number) } else { Err(Malformed::Value("a frame is one field")) }
}

fn unknown(number: u32) -> Rejection {
    Rejection::Unknown(format!("field {number}").into())
}

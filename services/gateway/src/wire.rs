//! WebSocket frames (RFC 6455), server side, without a socket.
//!
//! [`Decoder`] turns whatever bytes a client sent, split anywhere, into messages; it keeps bytes only for a
//! frame or a message that is not complete. [`Messages`] writes server frames (unmasked, never fragmented)
//! one after another into one buffer, so that a ring entry is a single slice. Headers are `soketto`'s; what
//! it leaves out (mask, minimal lengths, fragment order, UTF-8, close codes) is checked in `decode`.
//!
//! It negotiates nothing and knows no extension: reserved bits are errors.

use std::rc::Rc;

use soketto::base::{Codec, Header, OpCode};
use sterna_stream::limits::FRAME_BYTES;

mod decode;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, Message, Violation};

/// Encoded server frames, header and payload, shared by all sessions that are sent them.
pub type Frames = Rc<[u8]>;

/// Longest close reason, bytes: a control frame carries 125, two of them are the code.
const CLOSE_REASON_BYTES: usize = 123;

/// What a session speaks, chosen by its subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// `sterna.v1.json`: text messages.
    Json,
    /// `sterna.v1.protobuf`: binary messages.
    Protobuf,
}

/// Longest header of a server's frame: two bytes and a length of eight.
const HEADER_BYTES: usize = 10;

/// A buffer to which complete messages of one encoding are added.
#[derive(Debug)]
pub struct Messages {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl Encoding {
    /// Both, in the order of [`Encoding::index`].
    pub const ALL: [Self; 2] = [Self::Json, Self::Protobuf];

    /// 0 or 1.
    pub fn index(self) -> usize {
        self as usize
    }

    fn opcode(self) -> OpCode {
        match self {
            Self::Json => OpCode::Text,
            Self::Protobuf => OpCode::Binary,
        }
    }
}

// === impl Messages ===

impl Messages {
    /// An empty buffer for messages of `encoding`.
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new() }
    }

    /// What the messages are encoded in.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Adds one message. A payload above [`FRAME_BYTES`] is the caller's error: clients refuse it.
    pub fn add(&mut self, payload: &[u8]) {
        self.add_written(payload.len(), |out| out.extend_from_slice(payload));
    }

    /// Adds the message that `write` appends, of `about` so many bytes.
    pub fn add_written<R>(&mut self, about: usize, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let begins = self.bytes.len();
        self.bytes.reserve(HEADER_BYTES + about);
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        let result = write(&mut self.bytes);
        let payload = self.bytes.len() - begins - HEADER_BYTES;
        debug_assert!(payload <= FRAME_BYTES, "a message must fit one frame");
        let mut codec = Codec::new();
        let header = header(&mut codec, self.encoding.opcode(), payload);
        self.bytes[begins..begins + header.len()].copy_from_slice(header);
        // Nearly all headers are shorter than the longest one: the payload moves up to its own.
        self.bytes.drain(begins + header.len()..begins + HEADER_BYTES);
        result
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All that was added, as one shared slice.
    pub fn finish(self) -> Frames {
        Frames::from(self.bytes)
    }
}

/// A close frame with `code` and, as far as it fits, `reason`.
pub fn close(code: u16, reason: &str) -> Frames {
    let end = reason.floor_char_boundary(CLOSE_REASON_BYTES);
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    single(OpCode::Close, &payload)
}

/// The answer to a WebSocket ping; `payload` is the ping's.
pub fn pong(payload: &[u8]) -> Frames {
    single(OpCode::Pong, payload)
}

fn single(opcode: OpCode, payload: &[u8]) -> Frames {
    let mut codec = Codec::new();
    Frames::from([header(&mut codec, opcode, payload.len()), payload].concat())
}

fn header(codec: &mut Codec, opcode: OpCode, payload: usize) -> &[u8] {
    let mut header = Header::new(opcode);
    header.set_payload_len(payload);
    codec.encode_header(&header)
}

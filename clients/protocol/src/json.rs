//! Frames as JSON: an object with one key, the frame's name. Written by hand, because the canonical mapping
//! of protobuf would turn every seq into a string.
//!
//! Reading is one pass of the scanner into the schema's messages: unknown fields are skipped, duplicate keys
//! and deep nesting found wherever they stand, payloads cut out byte for byte. Writing leaves out what is
//! absent and keeps the order of docs/protocol.md, so that one frame has one text.

use sterna_stream::limits::{FRAME_BYTES, JSON_NESTING};

use crate::check;
use crate::encoding::Encoding;
use crate::error::{Rejection, echo};
use crate::frame::{ClientFrame, ServerFrame};
use crate::payload::Malformed;
use crate::wire::{ClientBody, ServerBody};

use self::scan::Scanner;

pub use self::events::{encode_event, encode_events};
pub(crate) use self::text::event_id;

mod events;
mod read;
pub(crate) mod scan;
mod text;
mod write;

/// Reads what a client sent.
///
/// # Errors
/// See [`Rejection`].
pub fn decode_client(text: &[u8]) -> Result<ClientFrame, Rejection> {
    check::client(frame(text, read::client)?, Encoding::Json)
}

/// Reads what a server sent.
///
/// # Errors
/// [`Rejection::Bad`] or [`Rejection::Unknown`].
pub fn decode_server(text: &[u8]) -> Result<ServerFrame, Rejection> {
    check::server(frame(text, read::server)?, Encoding::Json)
}

/// Appends a client's frame to `out`.
pub fn encode_client(frame: &ClientFrame, out: &mut Vec<u8>) {
    write::client(&ClientBody::from(frame), out);
}

/// Appends a server's frame to `out`.
pub fn encode_server(frame: &ServerFrame, out: &mut Vec<u8>) {
    write::server(&ServerBody::from(frame), out);
}

/// The body of the one frame that `text` is; `read` gives `None` for a name that it does not know.
fn frame<B>(
    text: &[u8],
    read: impl Fn(&mut Scanner<'_>, &str) -> Result<Option<B>, Malformed>,
) -> Result<B, Rejection> {
    if text.len() > FRAME_BYTES {
        return Err(Malformed::Value("at most 64 KiB").into());
    }
    let mut scanner = Scanner::new(text, JSON_NESTING)?;
    let mut names = 0;
    let mut body = None;
    let mut unknown = None;
    scanner.object(|s, name| {
        names += 1;
        body = read(s, name)?;
        if body.is_none() {
            unknown = Some(echo(name));
            s.skip()?;
        }
        Ok(())
    })?;
    scanner.end()?;
    match (names, body, unknown) {
        (1, Some(body), _) => Ok(body),
        (1, None, Some(name)) => Err(Rejection::Unknown(name)),
        _ => Err(Malformed::Value("a frame is an object with one key").into()),
    }
}

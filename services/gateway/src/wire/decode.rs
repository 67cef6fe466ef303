//! From client bytes to messages.
//!
//! Verdicts are those of `tungstenite` (a property test compares them on mutated input), with one rule more:
//! lengths must be encoded minimally, as RFC 6455 section 5.2 demands.

use std::borrow::Cow;
use std::mem;

use soketto::Parsing;
use soketto::base::{Codec, Error, Header, OpCode};
use sterna_stream::limits::FRAME_BYTES;

/// One thing a client said. Payloads that arrived whole are borrowed from the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message, valid UTF-8, at most [`FRAME_BYTES`].
    Text(Cow<'a, str>),
    /// A binary message, at most [`FRAME_BYTES`].
    Binary(Cow<'a, [u8]>),
    /// A WebSocket ping, to be answered with the same payload (≤ 125 bytes).
    Ping(Cow<'a, [u8]>),
    /// A WebSocket pong.
    Pong,
    /// The client closes, with its code if it gave one. Nothing follows.
    Close(Option<u16>),
}

/// Why a client's bytes end its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not WebSocket: close 1002.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// Text that is not UTF-8: close 1007.
    #[error("text is not UTF-8")]
    Text,
    /// A frame or message above the frame limit: close 1009.
    #[error("message exceeds the frame limit")]
    TooBig,
}

/// A client's bytes as messages. 32 bytes while no frame is incomplete.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame whose end has not arrived; at most one frame.
    rest: Vec<u8>,
    /// The message whose last fragment has not arrived; at most one, bounded by the frame limit.
    message: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    text: bool,
    bytes: Vec<u8>,
    /// How many of `bytes` are known to be UTF-8 (text only).
    valid: usize,
}

/// A header and its payload, unmasked.
type Frame<'a> = (Header, Cow<'a, [u8]>);

// === impl Violation ===

impl Violation {
    /// The close code that tells the client.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Text => 1007,
            Self::TooBig => 1009,
        }
    }

    /// The close reason: the code's name, and behind it which rule of WebSocket was broken, if one was.
    pub fn close_reason(self) -> String {
        let name = sterna_protocol::close::name(self.close_code());
        match self {
            Self::Protocol(what) => format!("{name}: {what}"),
            Self::Text | Self::TooBig => name.to_owned(),
        }
    }
}

// === impl Decoder ===

impl Decoder {
    /// Takes the next message off `input`, unmasking it in place. `None`: all of `input` was used, more is
    /// needed.
    ///
    /// # Errors
    /// The first [`Violation`]; after it, and after [`Message::Close`], the decoder must not be asked again.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Message<'a>>, Violation> {
        loop {
            let Some((header, payload)) = self.frame(input)? else {
                return Ok(None);
            };
            if let Some(message) = self.accept(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    /// Bytes held for an incomplete frame or message.
    pub fn held_bytes(&self) -> usize {
        self.rest.len() + self.message.as_ref().map_or(0, |message| message.bytes.len())
    }

    /// The next complete frame, unmasked.
    fn frame<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Frame<'a>>, Violation> {
        if !self.rest.is_empty() {
            return self.completed(input);
        }
        if let Parsing::Done { value: header, offset } = parse(input)? {
            let end = offset + header.payload_len();
            if end <= input.len() {
                let (frame, after) = mem::take(input).split_at_mut(end);
                *input = after;
                let payload = &mut frame[offset..];
                unmask(&header, payload);
                return Ok(Some((header, Cow::Borrowed(payload))));
            }
        }
        self.rest = mem::take(input).to_vec();
        Ok(None)
    }

    /// As [`Self::frame`], for a frame whose beginning is in `rest`: takes no byte beyond that frame.
    fn completed<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Frame<'a>>, Violation> {
        loop {
            let (missing, done) = match parse(&self.rest)? {
                Parsing::NeedMore(more) => (more, None),
                Parsing::Done { value, offset } => {
                    (offset + value.payload_len() - self.rest.len(), Some((value, offset)))
                }
            };
            let available = missing.min(input.len());
            let (taken, after) = mem::take(input).split_at_mut(available);
            *input = after;
            self.rest.extend_from_slice(taken);
            if taken.len() < missing {
                return Ok(None);
            }
            if let Some((header, offset)) = done {
                let mut payload = mem::take(&mut self.rest);
                payload.drain(..offset);
                unmask(&header, &mut payload);
                return Ok(Some((header, Cow::Owned(payload))));
            }
        }
    }

    fn accept<'a>(
        &mut self,
        header: &Header,
        payload: Cow<'a, [u8]>,
    ) -> Result<Option<Message<'a>>, Violation> {
        let text = match header.opcode() {
            OpCode::Ping => return Ok(Some(Message::Ping(payload))),
            OpCode::Pong => return Ok(Some(Message::Pong)),
            OpCode::Close => return close(&payload).map(|code| Some(Message::Close(code))),
            OpCode::Continue => return self.continued(header.is_fin(), &payload),
            opcode => opcode == OpCode::Text,
        };
        if self.message.is_some() {
            return Err(Violation::Protocol("a message inside another"));
        }
        if !header.is_fin() {
            let mut message = Fragments { text, bytes: payload.into_owned(), valid: 0 };
            message.check(false)?;
            self.message = Some(Box::new(message));
            return Ok(None);
        }
        if text { Ok(Some(Message::Text(utf8(payload)?))) } else { Ok(Some(Message::Binary(payload))) }
    }

    fn continued(&mut self, last: bool, payload: &[u8]) -> Result<Option<Message<'static>>, Violation> {
        let Some(message) = &mut self.message else {
            return Err(Violation::Protocol("a continuation of nothing"));
        };
        if payload.len() > FRAME_BYTES - message.bytes.len() {
            return Err(Violation::TooBig);
        }
        message.bytes.extend_from_slice(payload);
        message.check(last)?;
        if !last {
            return Ok(None);
        }
        let message = self.message.take().expect("it was there a moment ago");
        let bytes = Cow::Owned(message.bytes);
        Ok(Some(if message.text { Message::Text(utf8(bytes)?) } else { Message::Binary(bytes) }))
    }
}

// === impl Fragments ===

impl Fragments {
    /// Text must be UTF-8 as far as it goes; a character may be split, but not by the end of the message.
    fn check(&mut self, last: bool) -> Result<(), Violation> {
        if !self.text {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes[self.valid..]) {
            Ok(_) => self.valid = self.bytes.len(),
            Err(error) if error.error_len().is_some() || last => return Err(Violation::Text),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }
}

// === leaves ===

/// The header at the front of `bytes`, with all that can be said against it alone.
fn parse(bytes: &[u8]) -> Result<Parsing<Header, usize>, Violation> {
    let mut codec = Codec::new();
    codec.set_max_data_size(FRAME_BYTES);
    let parsed = codec.decode_header(bytes).map_err(|error| match error {
        Error::PayloadTooLarge { .. } => Violation::TooBig,
        Error::ReservedOpCode | Error::UnknownOpCode => Violation::Protocol("reserved opcode"),
        Error::InvalidReservedBit(_) => Violation::Protocol("reserved bit"),
        _ => Violation::Protocol("control frame fragmented or too long"),
    })?;
    if let Parsing::Done { value: header, .. } = &parsed {
        if !header.is_masked() {
            return Err(Violation::Protocol("a client's frame is not masked"));
        }
        let minimal = match bytes[1] & 0x7f {
            126 => header.payload_len() > 125,
            127 => header.payload_len() > usize::from(u16::MAX),
            _ => true,
        };
        if !minimal {
            return Err(Violation::Protocol("length is not minimal"));
        }
    }
    Ok(parsed)
}

fn unmask(header: &Header, payload: &mut [u8]) {
    let key = header.mask().to_be_bytes();
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

fn utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Violation> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Violation::Text),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Violation::Text),
    }
}

/// The code of a close frame: none, or one that may be sent, with a reason in UTF-8.
fn close(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol("half a close code")) };
    };
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::Text);
    }
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1013 | 3000..=4999) => Ok(Some(code)),
        _ => Err(Violation::Protocol("close code may not be sent")),
    }
}

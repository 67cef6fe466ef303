//! The protocol's promises, across modules: its own document, both encodings, hostile bytes, evolution,
//! golden bytes.

#![allow(clippy::unwrap_used)]

use crate::encoding::Encoding;
use crate::error::Rejection;
use crate::frame::{ClientFrame, ServerFrame};

mod document;
mod evolution;
mod generate;
mod golden;
mod hostile;
mod properties;
mod refused;
mod rings;
mod split;
mod straight;

/// A frame of either direction.
#[derive(Clone, Debug, PartialEq)]
enum Frame {
    Client(ClientFrame),
    Server(ServerFrame),
}

impl Frame {
    /// Reads a frame of the direction that knows its name.
    fn decode(encoding: Encoding, message: &[u8]) -> Result<Self, Rejection> {
        match encoding.decode_client(message) {
            Err(Rejection::Unknown(_)) => encoding.decode_server(message).map(Self::Server),
            client => client.map(Self::Client),
        }
    }

    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Client(frame) => encoding.encode_client(frame, &mut out),
            Self::Server(frame) => encoding.encode_server(frame, &mut out),
        }
        out
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Client(frame) => frame.name(),
            Self::Server(frame) => frame.name(),
        }
    }
}

pub(crate) use self::generate::json;

fn client(json: &str) -> Result<ClientFrame, Rejection> {
    Encoding::Json.decode_client(json.as_bytes())
}

fn server(json: &str) -> Result<ServerFrame, Rejection> {
    Encoding::Json.decode_server(json.as_bytes())
}

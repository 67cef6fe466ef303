//! The two encodings, which say the same, and how one is chosen.
//!
//! Whatever one encoding accepts the other can carry, and both sort what they do not accept into the same
//! three classes ([`Rejection`]).

use crate::error::Rejection;
use crate::frame::{ClientFrame, ServerFrame};
use crate::{json, protobuf};

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Text messages, one JSON object each.
    Json,
    /// Binary messages, one message of the schema each.
    Protobuf,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Json, Self::Protobuf];

    /// Its WebSocket subprotocol.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "sterna.v1.json",
            Self::Protobuf => "sterna.v1.protobuf",
        }
    }

    /// The first of a client's offers (`Sec-WebSocket-Protocol`, best first) that is spoken here.
    pub fn offered(header: &str) -> Option<Self> {
        let known = |offer: &str| Self::ALL.into_iter().find(|known| known.subprotocol() == offer);
        header.split(',').find_map(|offer| known(offer.trim_ascii()))
    }

    /// Reads what a client sent.
    ///
    /// # Errors
    /// See [`Rejection`].
    pub fn decode_client(self, message: &[u8]) -> Result<ClientFrame, Rejection> {
        match self {
            Self::Json => json::decode_client(message),
            Self::Protobuf => protobuf::decode_client(message),
        }
    }

    /// Reads what a server sent.
    ///
    /// # Errors
    /// [`Rejection::Bad`] or [`Rejection::Unknown`].
    pub fn decode_server(self, message: &[u8]) -> Result<ServerFrame, Rejection> {
        match self {
            Self::Json => json::decode_server(message),
            Self::Protobuf => protobuf::decode_server(message),
        }
    }

    /// Appends a client's frame to `out`.
    pub fn encode_client(self, frame: &ClientFrame, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_client(frame, out),
            Self::Protobuf => protobuf::encode_client(frame, out),
        }
    }

    /// Appends a server's frame to `out`.
    pub fn encode_server(self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::encode_server(frame, out),
            Self::Protobuf => protobuf::encode_server(frame, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_offer_that_is_known_is_taken() {
        assert_eq!(
            Encoding::offered("sterna.v9.json, sterna.v1.protobuf,sterna.v1.json"),
            Some(Encoding::Protobuf)
        );
        assert_eq!(Encoding::offered("sterna.v1.json"), Some(Encoding::Json));
        assert_eq!(Encoding::offered("graphql-ws, STERNA.V1.JSON"), None);
        assert_eq!(Encoding::offered(""), None);
    }
}

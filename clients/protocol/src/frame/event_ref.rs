//! An event by reference, for whoever encodes one from stored bytes.

use sterna_stream::{EventId, Hlc};

use super::Event;

/// An event whose parts lie elsewhere: what a gateway's ring encodes once per encoding and then shares.
///
/// The texts are ids and the payload is one that was checked when the event was published; nothing is checked
/// again.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    /// Who sequenced it.
    pub origin: &'a str,
    /// Its number within stream and origin, from 1.
    pub seq: u64,
    /// Its stamp.
    pub hlc: Hlc,
    /// Its author's id for it.
    pub event_id: EventId,
    /// Its author.
    pub author: &'a str,
    /// What sort of fact it is.
    pub kind: &'a str,
    /// The JSON text of the fact; `null` if erased.
    pub payload: &'a [u8],
    /// Whether its content was erased.
    pub erased: bool,
    /// Whether it was sent more than once (E7).
    pub resend: bool,
}

impl<'a> From<&'a Event> for EventRef<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            origin: event.origin.as_str(),
            seq: event.seq,
            hlc: event.hlc,
            event_id: event.event_id,
            author: event.author.as_str(),
            kind: event.kind.as_str(),
            payload: event.payload.as_bytes(),
            erased: event.erased,
            resend: event.resend,
        }
    }
}

//! What a device shows, in a form in which clients of two languages can be compared.

use std::collections::BTreeMap;

use serde_json::Value;
use sterna_protocol::frame::Event;

/// One event, everything of it that an application can see.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    /// (hlc, origin, seq): the display position.
    pub(crate) position: (String, String, u64),
    pub(crate) event_id: String,
    pub(crate) author: String,
    pub(crate) kind: String,
    pub(crate) payload: Value,
}

impl Shown {
    /// From the Rust client.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            position: (format!("{:016x}", event.hlc.0), event.origin.to_string(), event.seq),
            event_id: event.event_id.to_string(),
            author: event.author.to_string(),
            kind: event.kind.to_string(),
            payload: serde_json::from_slice(event.payload.as_bytes()).unwrap(),
        }
    }

    /// From what the Python client printed.
    pub(crate) fn parsed(event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        Self {
            position: (text("hlc"), text("origin"), event["seq"].as_u64().unwrap()),
            event_id: text("event_id"),
            author: text("author"),
            kind: text("kind"),
            payload: event["payload"].clone(),
        }
    }

    /// What was said, if it is a message.
    pub(crate) fn text(&self) -> Option<&str> {
        self.payload["text"].as_str()
    }
}

/// How often each text is shown.
pub(crate) fn times(shown: &[Shown]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    for text in shown.iter().filter_map(Shown::text) {
        *times.entry(text).or_default() += 1;
    }
    times
}

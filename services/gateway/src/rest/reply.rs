//! What a request is answered with, before it is HTTP.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};
use sterna_stream::Cursor;
use sterna_stream::order::Place;

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// JSON.
    pub(crate) body: Bytes,
    /// Where what was made is found.
    pub(crate) location: Option<String>,
    /// Whether a client may keep it and ask whether it has changed.
    pub(crate) tagged: bool,
}

impl Reply {
    /// An answer with a JSON body.
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::raw(status, Bytes::from(body.to_string()))
    }

    /// The same with a body that is JSON already.
    pub(super) fn raw(status: StatusCode, body: Bytes) -> Self {
        Self { status, body, location: None, tagged: false }
    }
}

/// A cursor as an object.
pub(super) fn cursor(cursor: &Cursor) -> Value {
    let entry = |(origin, seq): (&sterna_stream::Origin, u64)| (origin.to_string(), Value::from(seq));
    Value::Object(cursor.iter().map(entry).collect::<Map<_, _>>())
}

/// A place as an object.
pub(super) fn place(place: &Place) -> Value {
    json!({ "origin": place.origin.as_str(), "seq": place.seq, "hlc": place.hlc.to_string() })
}

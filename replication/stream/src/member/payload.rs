//! The payload of a `member` event: whose membership changes, and how.
//!
//! `{"user":"bo","add":"writer"}`, `{"user":"bo","remove":"writer"}`, `{"user":"bo","remove":"all"}`; a
//! creation may say `"history":"since_joined"`. Unknown fields are ignored. What is not understood is refused
//! before it is acked; where a later version took it, or an earlier one let it in, it denies what it touches
//! (E27): whom it names loses every role, as far as its author may take them, and one that names nobody
//! changes nothing.

use serde::{Deserialize, Serialize};

use super::{Change, Role};
use crate::ids::UserId;
use crate::kind::History;

/// A parsed payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Whose membership it changes.
    pub user: UserId,
    /// How.
    pub change: Change,
    /// What new members see; counts on a stream's creation only.
    pub history: Option<History>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    user: String,
}

/// What the payload of an event that was sequenced does; `None` if it names nobody.
pub fn read(json: &[u8]) -> Option<Payload> {
    parse(json).or_else(|| {
        let named: Named = serde_json::from_slice(json).ok()?;
        Some(Payload { user: named.user.parse().ok()?, change: Change::Remove(None), history: None })
    })
}

/// The payload in this JSON text; `None` if it is not understood.
pub fn parse(json: &[u8]) -> Option<Payload> {
    let form: Form = serde_json::from_slice(json).ok()?;
    let change = match (form.add.as_deref(), form.remove.as_deref()) {
        (Some(text), None) => Change::Add(role(text)?),
        (None, Some("all")) => Change::Remove(None),
        (None, Some(text)) => Change::Remove(Some(role(text)?)),
        _ => return None,
    };
    let history = match form.history.as_deref() {
        None => None,
        Some("all") => Some(History::All),
        Some("since_joined") => Some(History::SinceJoined),
        Some(_) => return None,
    };
    Some(Payload { user: form.user.parse().ok()?, change, history })
}

/// The JSON text of a payload.
pub fn json(payload: &Payload) -> String {
    let (add, remove) = match payload.change {
        Change::Add(role) => (Some(name(role)), None),
        Change::Remove(None) => (None, Some("all")),
        Change::Remove(Some(role)) => (None, Some(name(role))),
    };
    let history = payload.history.map(|history| match history {
        History::All => "all".to_owned(),
        History::SinceJoined => "since_joined".to_owned(),
    });
    let (add, remove) = (add.map(str::to_owned), remove.map(str::to_owned));
    let form = Form { user: payload.user.to_string(), add, remove, history };
    serde_json::to_string(&form).expect("strings become JSON")
}

/// The role with this name.
pub fn role(name: &str) -> Option<Role> {
    match name {
        "reader" => Some(Role::Reader),
        "writer" => Some(Role::Writer),
        "owner" => Some(Role::Owner),
        _ => None,
    }
}

/// A role's name.
pub fn name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Writer => "writer",
        Role::Owner => "owner",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn payloads_come_back_from_their_text() {
        for role in [Role::Reader, Role::Writer, Role::Owner] {
            for change in [Change::Add(role), Change::Remove(Some(role)), Change::Remove(None)] {
                let payload =
                    Payload { user: "bo".parse().unwrap(), change, history: Some(History::SinceJoined) };
                assert_eq!(parse(json(&payload).as_bytes()), Some(payload));
            }
        }
    }

    /// E27: an unknown role or a contradiction is not understood, and denies whom it names; if that is
    /// nobody, it does nothing.
    #[test]
    fn what_is_not_understood_denies_whom_it_names() {
        let names_bo = [
            r#"{"user":"bo"}"#,
            r#"{"user":"bo","add":"writer","remove":"all"}"#,
            r#"{"user":"bo","add":"emperor"}"#,
            r#"{"user":"bo","remove":"emperor"}"#,
            r#"{"user":"bo","add":"writer","history":"some"}"#,
            r#"{"user":"bo","add":7}"#,
        ];
        for json in names_bo {
            assert_eq!(parse(json.as_bytes()), None, "{json}");
            let denied = Payload { user: "bo".parse().unwrap(), change: Change::Remove(None), history: None };
            assert_eq!(read(json.as_bytes()), Some(denied), "{json}");
        }
        for json in ["{}", r#"{"user":"","add":"writer"}"#, r#"{"add":"writer"}"#, r#"{"user":7}"#, "null"] {
            assert_eq!((parse(json.as_bytes()), read(json.as_bytes())), (None, None), "{json}");
        }
        assert!(
            parse(br#"{"user":"bo","add":"writer","color":"red"}"#).is_some(),
            "unknown fields are ignored"
        );
    }
}

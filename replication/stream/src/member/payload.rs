//! The payload of a `member` event: whose membership changes, and how.
//!
//! `{"user":"bo","add":"writer"}`, `{"user":"bo","remove":"writer"}`, `{"user":"bo","remove":"all"}`; a
//! creation may say `"history":"since_joined"`. Unknown fields are ignored, unknown roles make the event one
//! that changes nothing.

use serde::{Deserialize, Serialize};
use sterna_stream::UserId;
use sterna_stream::kind::History;
use sterna_stream::member::{Change, Role};

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

/// The payload in this JSON text; `None` if it is none.
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

    /// An unknown role or a contradiction changes nothing, rather than something that nobody meant.
    #[test]
    fn what_is_not_understood_is_no_change() {
        let bad = [
            r#"{"user":"bo"}"#,
            r#"{"user":"bo","add":"writer","remove":"all"}"#,
            r#"{"user":"bo","add":"emperor"}"#,
            r#"{"user":"","add":"writer"}"#,
            r#"{"add":"writer"}"#,
            r#"{"user":"bo","add":"writer","history":"some"}"#,
            "null",
        ];
        for json in bad {
            assert_eq!(parse(json.as_bytes()), None, "{json}");
        }
        assert!(
            parse(br#"{"user":"bo","add":"writer","color":"red"}"#).is_some(),
            "unknown fields are ignored"
        );
    }
}

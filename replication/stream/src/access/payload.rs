//! The payload of a `suspension` event: whom it is about, and whether they may do nothing from now on.
//!
//! `{"v":1,"user":"bo","suspended":true,"not_before_ms":1795214400000}`, `{"v":1,"user":"bo",
//! "suspended":false}`, `{"v":1,"everyone":true,"suspended":true}`. Unknown fields are ignored. What is not
//! understood, another version included, is refused before it is acked; where a later version took it, it
//! denies what it touches (E27): whom it names is suspended, and one that names nobody changes nothing.

use serde::{Deserialize, Serialize};

use super::{Suspension, Whom};

/// The version of the form.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Form {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    everyone: bool,
    suspended: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    not_before_ms: u64,
}

#[derive(Deserialize)]
struct NamesUser {
    user: String,
}

#[derive(Deserialize)]
struct NamesEveryone {
    everyone: bool,
}

/// What an event of an access stream that was sequenced does, whatever its kind is called, unless it is a
/// member event; `None` if it names nobody.
pub fn read(json: &[u8]) -> Option<Suspension> {
    parse(json).or_else(|| {
        let user = serde_json::from_slice::<NamesUser>(json).ok().and_then(|named| named.user.parse().ok());
        let everyone = || serde_json::from_slice::<NamesEveryone>(json).is_ok_and(|named| named.everyone);
        let whom = user.map(Whom::User).or_else(|| everyone().then_some(Whom::Everyone))?;
        Some(Suspension { whom, suspended: true, not_before_ms: 0 })
    })
}

/// The payload in this JSON text; `None` if it is not understood.
pub fn parse(json: &[u8]) -> Option<Suspension> {
    let form: Form = serde_json::from_slice(json).ok()?;
    let whom = match (form.user, form.everyone) {
        (Some(user), false) => Whom::User(user.parse().ok()?),
        (None, true) => Whom::Everyone,
        _ => return None,
    };
    let sound = form.v == VERSION && (form.suspended || form.not_before_ms == 0);
    sound.then_some(Suspension { whom, suspended: form.suspended, not_before_ms: form.not_before_ms })
}

/// The JSON text of a payload.
pub fn json(suspension: &Suspension) -> String {
    let Suspension { whom, suspended, not_before_ms } = suspension;
    let (user, everyone) = match whom {
        Whom::User(user) => (Some(user.to_string()), false),
        Whom::Everyone => (None, true),
    };
    let form = Form { v: VERSION, user, everyone, suspended: *suspended, not_before_ms: *not_before_ms };
    serde_json::to_string(&form).expect("strings and numbers become JSON")
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bo() -> Whom {
        Whom::User("bo".parse().unwrap())
    }

    /// E27: these bytes are stored in access streams for ever.
    #[test]
    fn golden_bytes_of_suspensions() {
        let golden = [
            (
                Suspension { whom: bo(), suspended: true, not_before_ms: 1_795_214_400_000 },
                r#"{"v":1,"user":"bo","suspended":true,"not_before_ms":1795214400000}"#,
            ),
            (
                Suspension { whom: bo(), suspended: false, not_before_ms: 0 },
                r#"{"v":1,"user":"bo","suspended":false}"#,
            ),
            (
                Suspension { whom: Whom::Everyone, suspended: true, not_before_ms: 0 },
                r#"{"v":1,"everyone":true,"suspended":true}"#,
            ),
        ];
        for (suspension, text) in golden {
            assert_eq!(json(&suspension), text);
            assert_eq!(parse(text.as_bytes()), Some(suspension.clone()));
            assert_eq!(read(text.as_bytes()), Some(suspension));
        }
    }

    /// E27: another version, another form or another kind's payload denies whom it names, and changes nothing
    /// if that is nobody.
    #[test]
    fn what_is_not_understood_denies_whom_it_names() {
        for json in [
            r#"{"v":2,"user":"bo","suspended":false}"#,
            r#"{"user":"bo","suspended":false}"#,
            r#"{"v":1,"user":"bo"}"#,
            r#"{"v":1,"user":"bo","suspended":"no"}"#,
            r#"{"v":1,"user":"bo","suspended":false,"not_before_ms":5}"#,
            r#"{"v":1,"user":"bo","everyone":true,"suspended":false}"#,
            r#"{"user":"bo","bind":"emperor"}"#,
        ] {
            assert_eq!(parse(json.as_bytes()), None, "{json}");
            let denied = Suspension { whom: bo(), suspended: true, not_before_ms: 0 };
            assert_eq!(read(json.as_bytes()), Some(denied), "{json}");
        }
        let everyone = read(br#"{"v":9,"everyone":true,"suspended":false}"#).unwrap();
        assert_eq!((everyone.whom, everyone.suspended), (Whom::Everyone, true));
        for json in ["{}", "null", r#"{"v":1,"suspended":true}"#, r#"{"user":7}"#, r#"{"everyone":false}"#] {
            assert_eq!((parse(json.as_bytes()), read(json.as_bytes())), (None, None), "{json}");
        }
        assert!(parse(br#"{"v":1,"user":"bo","suspended":true,"why":"left"}"#).is_some());
    }
}

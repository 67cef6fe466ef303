#![allow(clippy::unwrap_used)]

use super::*;

/// A kind of stream that no product code knows: all of it is in this file (E31).
struct Poll;

impl Kind for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn check(&self, event_kind: &EventKind, payload: Payload<'_>) -> Result<Effect, Refusal> {
        match (event_kind.as_str(), payload.bytes()) {
            (MEMBER, _) => member_event(payload),
            ("vote", b"\"yes\"" | b"\"no\"") => Ok(Effect::None),
            ("vote", _) => Err(Reason::BadRequest.because("a vote is yes or no")),
            _ => Err(Reason::BadRequest.because("a poll takes votes only")),
        }
    }

    fn may_write(&self, event_kind: &EventKind, role: Role) -> bool {
        if event_kind.as_str() == MEMBER { role == Role::Owner } else { role >= Role::Reader }
    }

    fn retention(&self) -> Retention {
        Retention::Days(30)
    }

    fn history(&self) -> History {
        History::SinceJoined
    }
}

fn kind(name: &str) -> EventKind {
    name.parse().unwrap()
}

/// E31: a new kind is one file and one line; the others do not notice.
#[test]
fn adding_a_kind_touches_one_file() {
    let kinds = Kinds::standard().with(Poll);
    assert_eq!(kinds.names().collect::<Vec<_>>(), ["access", "chat", "poll"]);
    let poll = kinds.of(&"acme/poll/lunch".parse().unwrap()).unwrap();
    assert_eq!(poll.check(&kind("vote"), Payload::checked(b"\"yes\"")), Ok(Effect::None));
    assert_eq!(poll.check(&kind("vote"), Payload::checked(b"3")).unwrap_err().reason, Reason::BadRequest);
    assert_eq!(poll.check(&kind("message"), Payload::checked(b"3")).unwrap_err().reason, Reason::BadRequest);
    assert!(poll.may_write(&kind("vote"), Role::Reader));
    assert_eq!((poll.retention(), poll.history()), (Retention::Days(30), History::SinceJoined));
    assert_eq!(kinds.of(&"acme/chat/general".parse().unwrap()).unwrap().name(), "chat");
}

#[test]
fn an_unknown_kind_of_stream_is_refused() {
    let refusal = Kinds::standard().of(&"acme/poll/lunch".parse().unwrap()).err().unwrap();
    assert_eq!(refusal.reason, Reason::BadStream);
}

/// E31: chat takes what it does not know, except what is the engine's.
#[test]
fn chat_takes_unknown_event_kinds_and_refuses_reserved_ones() {
    for name in ["message", "edit", "from_the_future", "sternal", "members"] {
        assert_eq!(Chat.check(&kind(name), Payload::checked(b"{}")), Ok(Effect::None), "{name}");
        assert!(!is_reserved(&kind(name)));
        assert!(Chat.may_write(&kind(name), Role::Writer) && !Chat.may_write(&kind(name), Role::Reader));
    }
    for name in ["alias", "sterna.seal", "sterna."] {
        let refusal = Chat.check(&kind(name), Payload::checked(b"{}")).unwrap_err();
        assert_eq!(refusal.reason, Reason::BadRequest, "{name}");
        assert!(is_reserved(&kind(name)) && !Chat.may_write(&kind(name), Role::Owner));
    }
}

/// E24: members are events of the stream itself, and only owners write them.
#[test]
fn member_events_are_folded_and_written_by_owners_alone() {
    let add = Payload::checked(br#"{"user":"bo","add":"writer"}"#);
    assert_eq!(Chat.check(&kind(MEMBER), add), Ok(Effect::Member));
    assert!(is_reserved(&kind(MEMBER)) && Chat.may_write(&kind(MEMBER), Role::Owner));
    assert!(!Chat.may_write(&kind(MEMBER), Role::Writer));
}

/// E31: a member event that no fold would understand is refused before anybody could ack it.
#[test]
fn a_member_event_that_is_not_understood_is_refused() {
    for payload in
        ["{}", "[]", r#"{"user":"bo"}"#, r#"{"user":"bo","add":"emperor"}"#, r#"{"user":"","remove":"all"}"#]
    {
        let refusal = Chat.check(&kind(MEMBER), Payload::checked(payload.as_bytes())).unwrap_err();
        assert_eq!(refusal.reason, Reason::BadRequest, "{payload}");
    }
}

/// E31, E3: an access stream takes what it folds, from owners alone, and nobody creates one.
#[test]
fn an_access_stream_takes_what_it_folds_from_owners_alone() {
    let suspension = Payload::checked(br#"{"v":1,"user":"bo","suspended":true}"#);
    let member = Payload::checked(br#"{"user":"bo","add":"owner"}"#);
    assert_eq!(Access.check(&kind("suspension"), suspension), Ok(Effect::Access));
    assert_eq!(Access.check(&kind(MEMBER), member), Ok(Effect::Member));
    for (name, payload) in [
        ("suspension", r#"{"v":2,"user":"bo","suspended":true}"#),
        ("suspension", r#"{"v":1,"suspended":true}"#),
        ("message", r#"{"v":1,"user":"bo","suspended":true}"#),
        ("alias", "{}"),
        (MEMBER, "{}"),
    ] {
        let refusal = Access.check(&kind(name), Payload::checked(payload.as_bytes())).unwrap_err();
        assert_eq!(refusal.reason, Reason::BadRequest, "{name} {payload}");
    }
    for name in ["suspension", MEMBER] {
        assert!(Access.may_write(&kind(name), Role::Owner) && !Access.may_write(&kind(name), Role::Writer));
    }
    assert!(Access.is_fixed() && !Chat.is_fixed());
    assert_eq!(Access.retention(), Retention::Forever);
    let kinds = Kinds::standard();
    assert_eq!(kinds.of(&"acme/access/main".parse().unwrap()).unwrap().name(), "access");
}

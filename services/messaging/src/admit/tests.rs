//! Every refusal at its exact limit, and what is let in.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sterna_access::Permission::{Create, Leave, Manage, Publish, Read};

use super::*;
use crate::tests::{NOW, config, grant};

const EXPIRES: u64 = NOW + 60_000;
const ADD: &[u8] = br#"{"user":"bo","add":"writer"}"#;

fn up(id: EventId, kind: &str, payload: &[u8]) -> v1::PublishUp {
    v1::PublishUp {
        event_id: Bytes::copy_from_slice(&id.to_bytes()),
        kind: kind.to_owned(),
        payload: Bytes::copy_from_slice(payload),
        seen: 77,
        ..v1::PublishUp::default()
    }
}

fn id_at(ms: u64) -> EventId {
    EventId::mint(ms, 5)
}

fn decide(permission: Permission, stream: &str, up: &v1::PublishUp) -> Result<Admitted, Reason> {
    let (config, kinds) = (config(), Kinds::standard());
    let content = ContentKey::of_tenant(&config.content_secret, "acme");
    let rules = Rules { config: &config, kinds: &kinds, content: &content, now_ms: NOW };
    let grant = grant(permission, &stream.parse().unwrap(), EXPIRES);
    admit(&rules, &grant, up).map_err(|refusal| refusal.reason)
}

fn reason(permission: Permission, up: &v1::PublishUp) -> Option<Reason> {
    decide(permission, "acme/chat/a", up).err()
}

/// E5, E29: 60 KiB are let in and one byte more is not.
#[test]
fn a_payload_has_at_most_sixty_kibibytes() {
    let payload = |bytes: usize| up(id_at(NOW), "message", &vec![b'1'; bytes]);
    assert_eq!(reason(Publish, &payload(60 * 1024)), None);
    assert_eq!(reason(Publish, &payload(60 * 1024 + 1)), Some(Reason::PayloadTooLarge));
}

/// E5: an id is as old as the dedupe window at most, and leads the wall by five minutes at most.
#[test]
fn an_ids_age_and_lead_are_bounded_to_the_millisecond() {
    let (window, lead) = (24 * 60 * 60 * 1_000, 5 * 60 * 1_000);
    for (ms, expected) in [
        (NOW - window, None),
        (NOW - window - 1, Some(Reason::IdTooOld)),
        (0, Some(Reason::IdTooOld)),
        (NOW + lead, None),
        (NOW + lead + 1, Some(Reason::BadEventId)),
        ((1 << 48) - 1, Some(Reason::BadEventId)),
    ] {
        assert_eq!(reason(Publish, &up(id_at(ms), "message", b"1")), expected, "{ms}");
    }
}

/// E5: an id is 16 bytes of a UUIDv7 and nothing else.
#[test]
fn what_is_no_uuid_of_version_7_is_no_event_id() {
    let good = id_at(NOW).to_bytes();
    let (mut version, mut variant) = (good, good);
    version[6] = 0x4f;
    variant[8] = 0xff;
    for bytes in [&good[..15], &[], &version, &variant, &[&good[..], &[0]].concat()] {
        let up = v1::PublishUp { event_id: Bytes::copy_from_slice(bytes), ..up(id_at(NOW), "message", b"1") };
        assert_eq!(reason(Publish, &up), Some(Reason::BadEventId), "{bytes:?}");
    }
}

/// E5, E31: chat takes every kind that is an event kind and not the engine's own.
#[test]
fn reserved_and_malformed_event_kinds_are_refused() {
    let longest = "k".repeat(32);
    for kind in ["message", "app.reaction_2-b", longest.as_str()] {
        assert_eq!(reason(Publish, &up(id_at(NOW), kind, b"1")), None, "{kind}");
    }
    let too_long = "k".repeat(33);
    for kind in ["", "Message", "a b", too_long.as_str(), "alias", "sterna.seal", "sterna."] {
        for permission in [Publish, Manage, Create] {
            let refused = reason(permission, &up(id_at(NOW), kind, b"1"));
            assert_eq!(refused, Some(Reason::BadRequest), "{kind} under {permission:?}");
        }
    }
}

/// E31: a stream of a kind that this build does not know takes nothing.
#[test]
fn an_unknown_kind_of_stream_takes_nothing() {
    let refused = decide(Publish, "acme/chess/a", &up(id_at(NOW), "message", b"1"));
    assert_eq!(refused.unwrap_err(), Reason::BadStream);
}

/// E5, E32: what a grant allows is what it is for: every permission against every effect.
#[test]
fn each_permission_allows_its_own_effect_and_no_other() {
    for (permission, event, member) in [
        (Read, Some(Reason::Forbidden), Some(Reason::Forbidden)),
        (Publish, None, Some(Reason::Forbidden)),
        (Manage, Some(Reason::Forbidden), None),
        (Create, Some(Reason::Forbidden), Some(Reason::Forbidden)),
        (Leave, Some(Reason::Forbidden), Some(Reason::Forbidden)),
    ] {
        assert_eq!(reason(permission, &up(id_at(NOW), "message", b"1")), event, "{permission:?}");
        assert_eq!(reason(permission, &up(id_at(NOW), "member", ADD)), member, "{permission:?}");
    }
}

/// A5, E32: who may leave may take from themselves, and from nobody else, and give nothing.
#[test]
fn a_grant_to_leave_takes_from_its_subject_alone() {
    let decide = |payload: &str| reason(Leave, &up(id_at(NOW), "member", payload.as_bytes()));
    assert_eq!(decide(r#"{"user":"ana","remove":"all"}"#), None);
    assert_eq!(decide(r#"{"user":"ana","remove":"writer"}"#), None);
    for other in [r#"{"user":"bo","remove":"all"}"#, r#"{"user":"ana","add":"owner"}"#] {
        assert_eq!(decide(other), Some(Reason::Forbidden), "{other}");
    }
}

/// E3: a creation is the member event whose author and id give the stream its name; no other event is.
#[test]
fn a_creation_is_let_in_only_where_the_name_follows_from_it() {
    let ana = "ana".parse().unwrap();
    let stream = created::stream("acme", "chat", &ana, id_at(NOW)).unwrap();
    let decide = |up: &v1::PublishUp| decide(Create, stream.as_str(), up).map(|a| a.member);
    assert_eq!(decide(&up(id_at(NOW), "member", ADD)), Ok(true));
    assert_eq!(decide(&up(id_at(NOW - 1), "member", ADD)), Err(Reason::Forbidden), "another id");
    assert_eq!(decide(&up(id_at(NOW), "message", b"{}")), Err(Reason::Forbidden), "no member event");
}

/// E31: a member event that no fold would understand is refused before it is acked.
#[test]
fn a_member_event_that_is_not_understood_is_refused() {
    for payload in [&b"{}"[..], br#"{"user":"bo","add":"emperor"}"#] {
        assert_eq!(reason(Manage, &up(id_at(NOW), "member", payload)), Some(Reason::BadRequest));
    }
}

/// E4, E24, E27: the body names what was decided: the author is the grant's, the content hash is keyed, and a
/// member event carries what its decision rested on.
#[test]
fn an_admitted_event_is_what_the_grant_and_the_command_say() {
    let config = config();
    let hash = |kind: &str, payload: &[u8]| {
        let key = ContentKey::of_tenant(&config.content_secret, "acme");
        key.hash(&"ana".parse().unwrap(), &kind.parse().unwrap(), payload)
    };
    let command = v1::PublishUp { resend: true, ..up(id_at(NOW), "message", b"{\"text\":1}") };
    let admitted = decide(Publish, "acme/chat/a", &command).unwrap();
    let body = Body {
        id: id_at(NOW),
        author: "ana".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Bytes::from_static(b"{\"text\":1}"),
        content: hash("message", b"{\"text\":1}"),
        resend: true,
        key: String::new(),
        deps: None,
    };
    assert_eq!(admitted, Admitted { body, seen: Hlc(77), member: false });

    let admitted = decide(Manage, "acme/chat/a", &up(id_at(NOW), "member", ADD)).unwrap();
    assert_eq!(admitted.body.deps.unwrap().member, "us-east-1:4".parse().unwrap());
    assert_eq!((admitted.member, admitted.body.content), (true, hash("member", ADD)));
    assert!(!admitted.body.resend);
}

/// E3, E31: a tenant's access stream begins with its founding, under the grant of a region's own start and no
/// other; then whoever administers it suspends, and nobody writes anything else.
#[test]
fn an_access_stream_is_founded_by_the_regions_start_alone() {
    let (config, kinds) = (config(), Kinds::standard());
    let content = ContentKey::of_tenant(&config.content_secret, "acme");
    let rules = Rules { config: &config, kinds: &kinds, content: &content, now_ms: NOW };
    let founding = Grant::founding("us", "acme", NOW).unwrap();
    let decide_founding = |kind: &str, payload: &[u8]| {
        admit(&rules, &founding, &up(id_at(NOW), kind, payload)).map_err(|refusal| refusal.reason)
    };
    let owner = br#"{"user":"ops","add":"owner"}"#;
    let admitted = decide_founding("member", owner).unwrap();
    assert_eq!((admitted.member, admitted.body.author.as_str()), (true, fixed::PROVISIONER));
    assert_eq!(decide_founding("member", ADD).unwrap_err(), Reason::Forbidden);
    let suspension = br#"{"v":1,"user":"bo","suspended":true}"#;
    assert_eq!(decide_founding("suspension", suspension).unwrap_err(), Reason::Forbidden);

    let decide =
        |permission, kind, payload| decide(permission, "acme/access/main", &up(id_at(NOW), kind, payload));
    assert_eq!(decide(Create, "member", &owner[..]).unwrap_err(), Reason::Forbidden);
    assert_eq!(decide(Publish, "suspension", suspension).unwrap_err(), Reason::Forbidden);
    assert_eq!(decide(Manage, "message", b"1").unwrap_err(), Reason::BadRequest);
    let admitted = decide(Manage, "suspension", suspension).unwrap();
    assert!(admitted.member && admitted.body.deps.is_some(), "it is folded, and says what it had seen");
}

/// A7: `not_before_ms` outlives the suspension, so one from the future, which no token reaches for as long as
/// it says, is refused; what a clock may be ahead by is not.
#[test]
fn a_suspension_makes_no_future_tokens_void() {
    let decide = |not_before_ms: u64| {
        let whom = r#""v":1,"everyone":true,"suspended":true"#;
        let suspension = format!("{{{whom},\"not_before_ms\":{not_before_ms}}}");
        let up = up(id_at(NOW), "suspension", suspension.as_bytes());
        decide(Manage, "acme/access/main", &up).map(drop)
    };
    for good in [0, 1, NOW, NOW + limits::ID_LEAD_MS] {
        assert_eq!(decide(good), Ok(()), "{good}");
    }
    for far in [NOW + limits::ID_LEAD_MS + 1, NOW * 1_000, u64::MAX] {
        assert_eq!(decide(far), Err(Reason::BadRequest), "{far}");
    }
}

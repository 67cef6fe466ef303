#![allow(clippy::unwrap_used)]

use super::*;

/// The close codes of the protocol's section 5 that a limit may end a connection with.
const CLOSE_CODES: [u16; 8] = [1009, 4001, 4100, 4101, 4102, 4103, 4300, 4301];

/// E29: a constant that nobody listed is red, and so is a line without a constant, or out of the page's
/// order.
#[test]
fn every_constant_has_its_line_in_the_table() {
    let page = include_str!("../limits.rs");
    let constants = page.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'));
    let constants = constants.map(|(name, _)| name);
    let names: Vec<&str> = ALL.iter().map(|limit| limit.name).collect();
    assert_eq!(constants.collect::<Vec<_>>(), names);
}

/// E29: each limit has a unit that its name agrees with, a named answer and an owner.
#[test]
fn every_limit_says_what_happens_and_where() {
    for limit in ALL {
        assert!(limit.value > 0, "{limit:?}");
        let unit = match limit.unit {
            Unit::Bytes => limit.name.ends_with("_BYTES"),
            Unit::Ms => limit.name.contains("_MS"),
            Unit::PerSecond => limit.name.ends_with("_PER_S"),
            Unit::Days => limit.name.ends_with("_DAYS"),
            Unit::Ppm => limit.name.ends_with("_PPM"),
            Unit::Count => !["_BYTES", "_MS", "_PER_S", "_DAYS"].iter().any(|end| limit.name.ends_with(end)),
        };
        assert!(unit, "{limit:?}");
        match limit.hit {
            Hit::Refused(reason) => assert_ne!(reason, Reason::Internal, "{limit:?}"),
            Hit::Closed(code) => assert!(CLOSE_CODES.contains(&code), "{limit:?}"),
            Hit::Handled(words) => assert!(words.contains(' '), "{limit:?}"),
        }
        let parts: Vec<&str> = limit.owner.split("::").collect();
        assert!(parts.iter().all(|part| !part.is_empty()) && parts.len() <= 2, "{limit:?}");
    }
}

/// The protocol's announced defaults, which later versions may raise and never lower.
#[test]
fn announced_defaults_are_the_protocols() {
    let announced = [
        ("FRAME_BYTES", 65_536),
        ("PAYLOAD_BYTES", 61_440),
        ("MAX_IN_FLIGHT", 32),
        ("PUBLISHES_PER_S", 20),
        ("PUBLISHES_BURST", 60),
        ("EPHEMERAL_PER_S", 5),
        ("EPHEMERAL_BYTES", 1_024),
        ("MAX_SUBSCRIPTIONS", 500),
        ("MAX_BACKLOG", 1_000),
        ("DEDUPE_WINDOW_MS", 86_400_000),
        ("SESSIONS_PER_DEVICE", 3),
        ("SESSIONS_PER_USER", 20),
        ("PRESENCE_USERS", 500),
    ];
    for (name, least) in announced {
        let limit = ALL.iter().find(|limit| limit.name == name).unwrap();
        assert!(limit.value >= least, "{name} was promised to be at least {least}");
    }
}

/// Protocol rule 18, from the shortest to the longest interval that a client may ask for.
#[test]
fn silence_is_twice_the_ping_and_a_grace_but_at_least_a_minute() {
    assert_eq!(silence_ms(PING_INTERVAL_MS_MIN), 60_000);
    assert_eq!(silence_ms(PING_INTERVAL_MS), 60_000);
    assert_eq!(silence_ms(PING_INTERVAL_MS_MAX), 250_000);
}

/// E29: what fits one way in fits everywhere: payload, body with envelope, segment with header, frame.
#[test]
fn a_largest_event_fits_a_segment_and_a_frame() {
    const ENVELOPE: usize = USER_BYTES + KIND_BYTES + 16 + 16 + 64;
    const { assert!(SEGMENT_BODY_BYTES + SEGMENT_HEADER_BYTES == FRAME_BYTES) };
    const { assert!(PAYLOAD_BYTES + ENVELOPE + SEGMENT_EVENT_BYTES <= SEGMENT_BODY_BYTES) };
    const { assert!(REGION_BYTES * CURSOR_ORIGINS < FRAME_BYTES) };
    const { assert!(BACKLOG_READ_BYTES + FRAME_BYTES <= BACKLOG_PAGE_BYTES) };
}

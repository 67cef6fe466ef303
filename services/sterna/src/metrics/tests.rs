//! What the page says, and of which count it says it.

use sterna_cluster::figures::Position;

use super::*;

fn shard_counts() -> sterna_gateway::Counters {
    sterna_gateway::Counters {
        entered: 101,
        old: 102,
        unwanted: 103,
        evicted: 104,
        pulls: 105,
        asked: 106,
        bad_pages: 107,
        joins: 108,
        slow: 109,
        silent: 110,
        held_back: 114,
        writes: 111,
        bytes: 112,
        blocked: 113,
    }
}

fn edge_counts() -> edge::Counters {
    edge::Counters {
        connections: 201,
        connections_refused: 202,
        connections_failed: 203,
        upgrades: 204,
        upgrades_refused: 205,
    }
}

fn pushes() -> PushCounters {
    PushCounters {
        pushed: 301,
        unwanted: 302,
        repeated: 303,
        overflows: 304,
        waited: 305,
        given_up: 306,
        shed: 307,
    }
}

fn ensured() -> EnsureCounters {
    EnsureCounters { held: 401, forks: 402, recovered: 403 }
}

fn express() -> ExpressCounters {
    ExpressCounters {
        sent: 501,
        dropped: 502,
        shown: 503,
        late: 504,
        unwanted: 505,
        shed: 506,
        refused: 507,
        differing: 508,
    }
}

fn mirrors() -> MirrorCounters {
    MirrorCounters {
        holes: 601,
        closed: 602,
        rounds: 603,
        limited: 604,
        lacking: 605,
        wrong: 606,
        fetched: 607,
        strange: 608,
        unknown: 609,
    }
}

fn sequencer_counts() -> sequencer::Counters {
    sequencer::Counters {
        events: 701,
        segments: 702,
        lost_puts: 703,
        found_own: 704,
        adopted: 705,
        reproduced: 706,
        replayed: 707,
        duplicates: 708,
        late_originals: 709,
        reused_ids: 710,
        looks: 711,
        overflows: 712,
        skipped: 713,
        rereads: 714,
        unloaded: 715,
        pauses: 716,
        unreadable: 717,
        unexpected: 718,
    }
}

/// A region in which no two counts are equal, but for its two shards.
fn everything() -> Seen {
    let figures = Figures { sessions: 7, shard: shard_counts(), edge: edge_counts() };
    let of = [(Of::Own, 91), (Of::Covered, 92), (Of::Peer("eu-west-1".to_owned()), 93)];
    let positions = of.map(|(of, n)| Position { partition: 3, of, n }).into();
    let (clock, mirrors) = (ClockStanding::Proven, mirrors());
    let state =
        StateFigures { pushes: pushes(), ensured: ensured(), express: express(), mirrors, clock, positions };
    let messaging = RoleFigures::Messaging(vec![(3, sequencer_counts())], 1);
    Seen {
        shards: vec![(0, figures), (1, figures)],
        roles: vec![(Place::State(0), RoleFigures::State(Box::new(state))), (Place::Messaging(1), messaging)],
        bounds: Bounds { sessions: 10, connections: 20, push_queue: 30 },
    }
}

/// The page of documents has a row for each metric, with its type and meaning, and no other.
#[test]
fn every_metric_stands_in_the_document() {
    let document = include_str!("../../../../docs/metrics.md");
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `sterna_")).collect();
    let page = page(&everything());
    let expected: Vec<String> =
        page.families().map(|(name, kind, help)| format!("| `{name}` | {kind} | {help} |")).collect();
    assert_eq!(rows, expected, "put this into docs/metrics.md:\n{}", expected.join("\n"));
}

#[test]
fn names_say_what_they_are_by_the_conventions() {
    for (name, kind, help) in page(&everything()).families() {
        assert!(
            name.starts_with("sterna_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
    }
}

/// Each count stands under its own name, whichever two are exchanged.
#[test]
fn each_metric_has_the_count_of_its_name() {
    let [of_shard, of_state, of_sequencer] =
        [r#"{shard="0"}"#, r#"{instance="0"}"#, r#"{instance="1",partition="3"}"#];
    let position = r#"{instance="0",partition="3"}"#;
    let text = page(&everything()).text();
    for (name, labels, value) in [
        ("gateway_sessions_limit", "", 10),
        ("edge_connections_limit", "", 20),
        ("state_push_queue_limit", "", 30),
        ("gateway_sessions", of_shard, 7),
        ("gateway_sessions", r#"{shard="1"}"#, 7),
        ("clock_proven", of_state, 1),
        ("clock_apart", of_state, 0),
        ("log_position", position, 91),
        ("log_covered_position", position, 92),
        ("watermark_position", r#"{instance="0",partition="3",origin="eu-west-1"}"#, 93),
        ("sequencer_alarms", r#"{instance="1"}"#, 1),
    ] {
        assert!(text.contains(&format!("\nsterna_{name}{labels} {value}\n")), "{name}: {text}");
    }
    let counts = [(of_shard, SHARD_COUNTS), (of_state, STATE_COUNTS), (of_sequencer, SEQUENCER_COUNTS)];
    for (labels, counts) in counts {
        for (value, name) in counts {
            let sample = format!("\nsterna_{name}_total{labels} {value}\n");
            assert!(text.contains(&sample), "{sample}: {text}");
        }
    }
    let counters = page(&everything()).families().filter(|(_, kind, _)| *kind == "counter").count();
    let named: usize = counts.iter().map(|(_, counts)| counts.len()).sum();
    assert_eq!(counters, named, "each has its row here");
}

const SHARD_COUNTS: &[(u64, &str)] = &[
    (101, "gateway_segments_entered"),
    (102, "gateway_segments_old"),
    (103, "gateway_segments_unwanted"),
    (104, "gateway_ring_evicted"),
    (105, "gateway_gap_pulls"),
    (106, "gateway_backlog_pages_asked"),
    (107, "gateway_backlog_pages_bad"),
    (108, "gateway_joins"),
    (109, "gateway_slow_closed"),
    (110, "gateway_silent_closed"),
    (114, "gateway_reads_held_back"),
    (111, "gateway_writes"),
    (112, "gateway_written_bytes"),
    (113, "gateway_writes_blocked"),
    (201, "edge_connections"),
    (202, "edge_connections_refused"),
    (203, "edge_connections_failed"),
    (204, "edge_upgrades"),
    (205, "edge_upgrades_refused"),
];

const STATE_COUNTS: &[(u64, &str)] = &[
    (301, "state_segments_pushed"),
    (302, "state_segments_unwanted"),
    (303, "state_segments_repeated"),
    (304, "state_push_overflows"),
    (305, "state_gate_waited"),
    (306, "state_gate_given_up"),
    (307, "state_ephemerals_shed"),
    (401, "table_held"),
    (402, "table_forks"),
    (403, "table_recovered"),
    (501, "express_sent"),
    (502, "express_dropped"),
    (503, "express_shown"),
    (504, "express_late"),
    (505, "express_unwanted"),
    (506, "express_shed"),
    (507, "express_refused"),
    (508, "express_differing"),
    (601, "mirror_holes"),
    (602, "mirror_holes_closed"),
    (603, "mirror_fill_rounds"),
    (604, "mirror_fill_limited"),
    (605, "mirror_fill_lacking"),
    (606, "mirror_fill_wrong"),
    (607, "mirror_fill_segments"),
    (608, "mirror_marks_strange"),
    (609, "log_records_unknown"),
];

const SEQUENCER_COUNTS: &[(u64, &str)] = &[
    (701, "sequencer_events"),
    (702, "sequencer_segments"),
    (703, "sequencer_puts_lost"),
    (704, "sequencer_puts_found_own"),
    (705, "sequencer_adopted"),
    (706, "sequencer_reproduced"),
    (707, "sequencer_replayed"),
    (708, "sequencer_duplicates"),
    (709, "sequencer_late_originals"),
    (710, "sequencer_ids_reused"),
    (711, "sequencer_looks"),
    (712, "sequencer_queue_overflows"),
    (713, "sequencer_skipped"),
    (714, "sequencer_rereads"),
    (715, "sequencer_unloaded"),
    (716, "sequencer_pauses"),
    (717, "sequencer_unreadable"),
    (718, "sequencer_unexpected"),
];

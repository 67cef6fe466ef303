//! Every metric of a region: its name, type, labels and what it means, in one place (docs/metrics.md lists
//! them, and a test holds the two together).
//!
//! Roles count for themselves, in structs of their own; here the counts get names. Each struct is taken apart
//! whole, so that a new count without a name does not compile. Labels have few values: shards, instances,
//! partitions, origins, never users or streams.

use sterna_cluster::figures::{
    ByPlace, ClockStanding, EnsureCounters, ExpressCounters, Figures as RoleFigures, MirrorCounters, Of,
    PushCounters, StateFigures,
};
use sterna_cluster::region::Place;
use sterna_gateway::edge;
use sterna_stream::sequencer;

use self::text::{Labels, Page};
use crate::shards::Figures;

#[cfg(test)]
mod tests;
pub mod text;

/// What a shard counts.
const SHARD: [(&str, &str); 14] = [
    ("sterna_gateway_segments_entered_total", "Segments entered into rings."),
    ("sterna_gateway_segments_old_total", "Segments dropped because the ring had them (G3)."),
    ("sterna_gateway_segments_unwanted_total", "Segments of streams that nobody follows here."),
    ("sterna_gateway_ring_evicted_total", "Entries pushed out of a full ring (G9)."),
    ("sterna_gateway_gap_pulls_total", "Pulls because of a gap, repeats included (G4)."),
    ("sterna_gateway_backlog_pages_asked_total", "Backlog pages asked for."),
    ("sterna_gateway_backlog_pages_bad_total", "Pages not used: too large, or with a hole (G2)."),
    ("sterna_gateway_joins_total", "Joins completed: a device goes on live."),
    ("sterna_gateway_slow_closed_total", "Sessions closed with 4001: too slow, they resume (G9)."),
    ("sterna_gateway_silent_closed_total", "Sessions closed with 4100: nothing was heard of them."),
    (
        "sterna_gateway_reads_held_back_total",
        "Seconds in which a session was not read: too many frames (G9).",
    ),
    ("sterna_gateway_writes_total", "Writes to sockets that took bytes."),
    ("sterna_gateway_written_bytes_total", "Bytes written to sockets."),
    ("sterna_gateway_writes_blocked_total", "Writes that left something behind: the socket was full."),
];

/// What a shard's edge counts.
const EDGE: [(&str, &str); 5] = [
    ("sterna_edge_connections_total", "Connections taken on."),
    (
        "sterna_edge_connections_refused_total",
        "Connections beyond their bound, while none was silent, which may ask for health only (G9).",
    ),
    (
        "sterna_edge_connections_failed_total",
        "Connections that were cut, malformed, too slow, or silent where others needed their places (G9).",
    ),
    ("sterna_edge_upgrades_total", "Sockets handed to the shard."),
    ("sterna_edge_upgrades_refused_total", "Handshakes refused, for whatever reason."),
];

/// What becomes of segments on their way to shards.
const PUSHES: [(&str, &str); 7] = [
    ("sterna_state_segments_pushed_total", "Segments pushed, each counted per shard."),
    ("sterna_state_segments_unwanted_total", "Segments that no shard wanted."),
    ("sterna_state_segments_repeated_total", "Segments that were consumed before (G3)."),
    ("sterna_state_push_overflows_total", "Shards cut off because their queue was full: a resync (E15)."),
    ("sterna_state_gate_waited_total", "Segments that waited for what they rest on (E24)."),
    ("sterna_state_gate_given_up_total", "Segments that waited too long and were left to the backlog (E24)."),
    ("sterna_state_ephemerals_shed_total", "Ephemerals that a queue had no room for."),
];

/// What becomes of other regions' segments on their way into the table.
const ENSURED: [(&str, &str); 3] = [
    (
        "sterna_table_held_total",
        "Other regions' segments that the table holds, counted per way they came (E20).",
    ),
    ("sterna_table_forks_total", "Segments in whose place the table has other bytes: an alarm (E23)."),
    ("sterna_table_recovered_total", "Segments of express that a dead instance had only in its tail (E20)."),
];

/// What happens on the express lanes.
const EXPRESS: [(&str, &str); 8] = [
    ("sterna_express_sent_total", "Own segments sent, each counted per lane."),
    ("sterna_express_dropped_total", "Own segments that a lane had no room for; the mirror brings them."),
    ("sterna_express_shown_total", "Segments that express brought first."),
    ("sterna_express_late_total", "Segments that the mirror had brought already."),
    ("sterna_express_unwanted_total", "Segments of streams, or of lives, that nobody follows here."),
    ("sterna_express_shed_total", "Segments that found no room here; the mirror brings them."),
    ("sterna_express_refused_total", "Lanes ended: what came was not the caller's to send."),
    ("sterna_express_differing_total", "Segments of which the mirror brought other bytes: an alarm (E23)."),
];

/// A gauge of what a region may claim about its clock, and when it is 1.
type OfClock = (&'static str, &'static str, fn(ClockStanding) -> bool);
/// What a region may claim about its clock.
const CLOCK: [OfClock; 2] = [
    (
        "sterna_clock_proven",
        "1: the region's clock agrees with what other regions' marks prove; a region alone stays at 0 (E14).",
        |clock| matches!(clock, ClockStanding::Proven),
    ),
    (
        "sterna_clock_apart",
        "1: the region's clock contradicts the other regions': an alarm, nobody is to be sent here (E14).",
        |clock| matches!(clock, ClockStanding::Apart { .. }),
    ),
];

/// What was met in the mirrors and in the own log.
const MIRRORS: [(&str, &str); 9] = [
    ("sterna_mirror_holes_total", "Holes of mirrors that stayed beyond their time: an alarm (E21)."),
    ("sterna_mirror_holes_closed_total", "Holes of those that were closed: the running hash is led to."),
    ("sterna_mirror_fill_rounds_total", "Rounds in which the table was asked for what a mirror lacks."),
    ("sterna_mirror_fill_limited_total", "Rounds that a limit ended; the next goes on (G9)."),
    ("sterna_mirror_fill_lacking_total", "Rounds that led nowhere, for the table lacks it, too: an alarm."),
    (
        "sterna_mirror_fill_wrong_total",
        "Times that what the table holds led to another hash: an alarm (E21).",
    ),
    ("sterna_mirror_fill_segments_total", "Segments taken from the table in place of a mirror."),
    (
        "sterna_mirror_marks_strange_total",
        "Marks of another region or partition than their log's: an alarm, ignored.",
    ),
    ("sterna_log_records_unknown_total", "Records of a kind that this version does not know: skipped (E27)."),
];

/// How often a sequencer took which path.
const SEQUENCER: [(&str, &str); 18] = [
    ("sterna_sequencer_events_total", "Events sequenced."),
    ("sterna_sequencer_segments_total", "Segments stored."),
    ("sterna_sequencer_puts_lost_total", "Puts of unknown outcome that were put again (E12)."),
    ("sterna_sequencer_puts_found_own_total", "Puts that found an earlier attempt applied (E12)."),
    ("sterna_sequencer_adopted_total", "Segments of another writer that were adopted (E12)."),
    ("sterna_sequencer_reproduced_total", "Segments produced to the log again (E12)."),
    ("sterna_sequencer_replayed_total", "Ingress records that a segment covered already (G3)."),
    ("sterna_sequencer_duplicates_total", "Proven duplicates (E13)."),
    ("sterna_sequencer_late_originals_total", "Duplicates whose original came after its resend (E13)."),
    ("sterna_sequencer_ids_reused_total", "Events whose id another one had, with other content (E4)."),
    ("sterna_sequencer_looks_total", "Ranges read because the window could not tell (E13)."),
    ("sterna_sequencer_queue_overflows_total", "Times that a stream's queue was full (E8)."),
    ("sterna_sequencer_skipped_total", "Records skipped and read again later (E8)."),
    ("sterna_sequencer_rereads_total", "Pages of ingress read again (E8)."),
    ("sterna_sequencer_unloaded_total", "Streams dropped from memory."),
    ("sterna_sequencer_pauses_total", "Times that feeding was paused."),
    ("sterna_sequencer_unreadable_total", "Stored bodies whose id could not be read."),
    ("sterna_sequencer_unexpected_total", "Answers that nothing had asked for: a mistake of ours."),
];

/// All that is known of a region at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Each shard by its number.
    pub shards: Vec<(usize, Figures)>,
    /// The other roles that count.
    pub roles: ByPlace,
    /// What a gauge is to be held against.
    pub bounds: Bounds,
}

/// The region's limits, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Sessions of one shard.
    pub sessions: usize,
    /// Connections of one shard that speak HTTP at a time.
    pub connections: usize,
    /// Messages that wait for one shard at an instance of state.
    pub push_queue: usize,
}

/// The page that says all of it.
pub fn page(seen: &Seen) -> Page {
    let mut page = Page::default();
    let Bounds { sessions, connections, push_queue } = seen.bounds;
    for (name, help, bound) in [
        ("sterna_gateway_sessions_limit", "Sessions that one shard takes on.", sessions),
        (
            "sterna_edge_connections_limit",
            "Connections that one shard speaks HTTP with at a time.",
            connections,
        ),
        (
            "sterna_state_push_queue_limit",
            "Messages that may wait for one shard; it is cut off beyond.",
            push_queue,
        ),
    ] {
        page.gauge(name, help, &[], bound as u64);
    }
    for (number, figures) in &seen.shards {
        shard(&mut page, &[("shard", &number.to_string())], figures);
    }
    for (place, figures) in &seen.roles {
        let number = match place {
            Place::Gateway(n) | Place::Messaging(n) | Place::State(n) => n.to_string(),
            Place::Notification | Place::Persistence => "0".to_owned(),
        };
        match figures {
            RoleFigures::State(figures) => state(&mut page, &number, figures),
            RoleFigures::Messaging(partitions, alarms) => messaging(&mut page, &number, partitions, *alarms),
        }
    }
    page
}

/// Counters that share their labels, each with its name and what it means.
fn counters<const N: usize>(
    page: &mut Page,
    labels: Labels<'_>,
    names: &[(&'static str, &'static str); N],
    values: [u64; N],
) {
    for ((name, help), value) in names.iter().zip(values) {
        page.counter(name, help, labels, value);
    }
}

fn shard(page: &mut Page, labels: Labels<'_>, figures: &Figures) {
    let Figures { sessions, shard, edge } = *figures;
    page.gauge("sterna_gateway_sessions", "Sessions that are open.", labels, sessions as u64);
    let sterna_gateway::Counters {
        entered,
        old,
        unwanted,
        evicted,
        pulls,
        asked,
        bad_pages,
        joins,
        slow,
        silent,
        held_back,
        writes,
        bytes,
        blocked,
    } = shard;
    counters(
        page,
        labels,
        &SHARD,
        [
            entered, old, unwanted, evicted, pulls, asked, bad_pages, joins, slow, silent, held_back, writes,
            bytes, blocked,
        ],
    );
    let edge::Counters { connections, connections_refused, connections_failed, upgrades, upgrades_refused } =
        edge;
    counters(
        page,
        labels,
        &EDGE,
        [connections, connections_refused, connections_failed, upgrades, upgrades_refused],
    );
}

fn state(page: &mut Page, number: &str, figures: &StateFigures) {
    let StateFigures { pushes, ensured, express, mirrors, clock, positions } = figures;
    let labels = &[("instance", number)][..];
    let PushCounters { pushed, unwanted, repeated, overflows, waited, given_up, shed } = *pushes;
    counters(page, labels, &PUSHES, [pushed, unwanted, repeated, overflows, waited, given_up, shed]);
    let EnsureCounters { held, forks, recovered } = *ensured;
    counters(page, labels, &ENSURED, [held, forks, recovered]);
    let ExpressCounters { sent, dropped, shown, late, unwanted, shed, refused, differing } = *express;
    counters(page, labels, &EXPRESS, [sent, dropped, shown, late, unwanted, shed, refused, differing]);
    let MirrorCounters { holes, closed, rounds, limited, lacking, wrong, fetched, strange, unknown } =
        *mirrors;
    counters(
        page,
        labels,
        &MIRRORS,
        [holes, closed, rounds, limited, lacking, wrong, fetched, strange, unknown],
    );
    for (name, help, standing) in CLOCK {
        page.gauge(name, help, labels, u64::from(standing(*clock)));
    }
    for position in positions {
        let partition = position.partition.to_string();
        let labels = [("instance", number), ("partition", &partition)];
        match &position.of {
            Of::Own => {
                page.gauge(
                    "sterna_log_position",
                    "Newest record of the own log that was consumed.",
                    &labels,
                    position.n,
                );
            }
            Of::Covered => {
                let help = "Furthest record of the own log that another region has (second acks, E9).";
                page.gauge("sterna_log_covered_position", help, &labels, position.n);
            }
            Of::Peer(origin) => {
                let labels = [labels[0], labels[1], ("origin", origin.as_str())];
                let help = "Watermark: highest contiguous record of another region's log (E21).";
                page.gauge("sterna_watermark_position", help, &labels, position.n);
            }
        }
    }
}

fn messaging(page: &mut Page, number: &str, partitions: &[(u16, sequencer::Counters)], alarms: usize) {
    let help = "Partitions that nothing sequences: an alarm, accepted events wait in the ingress (E10).";
    page.gauge("sterna_sequencer_alarms", help, &[("instance", number)], alarms as u64);
    for (partition, figures) in partitions {
        let partition = partition.to_string();
        partition_of(page, &[("instance", number), ("partition", &partition)], figures);
    }
}

fn partition_of(page: &mut Page, labels: Labels<'_>, figures: &sequencer::Counters) {
    /// The struct taken apart whole, as a list of what it counts.
    macro_rules! listed {
        ($($name:ident),* $(,)?) => {{
            let sequencer::Counters { $($name),* } = *figures;
            [$($name),*]
        }};
    }
    let all = listed![
        events,
        segments,
        lost_puts,
        found_own,
        adopted,
        reproduced,
        replayed,
        duplicates,
        late_originals,
        reused_ids,
        looks,
        overflows,
        skipped,
        rereads,
        unloaded,
        pauses,
        unreadable,
        unexpected,
    ];
    counters(page, labels, &SEQUENCER, all);
}

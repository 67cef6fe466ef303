//! What goes wrong inside one region: roles die and stop, stores fail in every way they may.

use sterna_cluster::region::Place;
use sterna_log::faulty::ProduceFault;
use sterna_storage::faulty::Fault as StoreFault;

use crate::dice::Dice;
use crate::setting::Shape;

mod happen;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Who is there dies at its n-th poll from now and is started again after a while.
    Dies {
        /// Where.
        place: Place,
        /// Which poll.
        poll: u64,
        /// How long nobody is there, milliseconds.
        down_ms: u64,
    },
    /// Who is there stops, as a VM does, and goes on later with all that it had fetched.
    Sleeps {
        /// Where.
        place: Place,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The table is slow for a second, so that puts are under way when who is there stops; it goes on after
    /// somebody else has taken over.
    Zombie {
        /// Where.
        place: Place,
        /// How long, milliseconds.
        ms: u64,
    },
    /// All roles die at once.
    PowerLoss {
        /// How long nobody is there, milliseconds.
        down_ms: u64,
    },
    /// The next writes to the table go wrong in this way.
    Writes {
        /// How.
        fault: StoreFault,
        /// How many.
        times: u64,
    },
    /// Some of all the table's calls go wrong, of a thousand.
    TableFlaky {
        /// Throttled calls.
        throttled: u32,
        /// Writes applied and reported unknown.
        unknown: u32,
        /// Writes reported unknown that land late.
        late: u32,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The table answers nobody.
    TableDown {
        /// How long, milliseconds.
        ms: u64,
    },
    /// The next produces to the ingress (or the log) go wrong in this way.
    Produces {
        /// How.
        fault: ProduceFault,
        /// Whether to the ingress; else to the log.
        ingress: bool,
        /// How many.
        times: u64,
    },
    /// Half of the log's calls take up to half a second longer.
    LogSlow {
        /// How long, milliseconds.
        ms: u64,
    },
    /// The log answers nobody.
    LogDown {
        /// How long, milliseconds.
        ms: u64,
    },
    /// Too few replicas are in sync for a durable produce.
    FewReplicas {
        /// How long, milliseconds.
        ms: u64,
    },
    /// All tails are gone.
    TailsWiped,
    /// The last appends to tails are gone.
    TailsLost {
        /// How many.
        writes: usize,
    },
    /// What a group has committed is forgotten; somebody of it dies, so that it is asked for.
    OffsetsForgotten {
        /// Whether the sequencers'; else state's.
        sequencers: bool,
    },
    /// The next pushes from state to shards are lost without a trace but for the hole in their numbers.
    PushesLost {
        /// How many.
        pushes: u64,
    },
    /// For a while all pushes of the region's own words are lost in this way, the last ones too: the healing
    /// does not end it, because whatever is said behind a lost push reveals the hole anyway.
    LastPushesLost {
        /// How long, milliseconds.
        ms: u64,
    },
    /// The region's clock jumps.
    ClockSteps {
        /// By so many milliseconds.
        by_ms: i64,
    },
    /// The next puts of segments are caught and their writers die; each lands when the successor, which has
    /// read the head without it, puts in its place.
    DeadWritersPut {
        /// How many.
        puts: usize,
        /// How long nobody is there, milliseconds.
        down_ms: u64,
    },
}

/// One of them, for a region of this shape.
pub fn draw(dice: &mut Dice, shape: &Shape) -> Inside {
    match dice.index(22) {
        20.. => Inside::Zombie {
            place: Place::Messaging(dice.index(shape.plan.messaging)),
            ms: shape.session.as_millis() as u64 + dice.between(2_000, 8_000),
        },
        0..=3 => Inside::Dies {
            place: place(dice, shape),
            poll: dice.between(0, 60),
            down_ms: dice.between(10, 4_000),
        },
        4..=6 => Inside::Sleeps { place: place(dice, shape), ms: dice.between(300, 25_000) },
        7 => Inside::PowerLoss { down_ms: dice.between(50, 2_000) },
        8..=9 => Inside::Writes {
            fault: *dice.pick(&[StoreFault::Unknown, StoreFault::Late, StoreFault::Lost]),
            times: dice.between(1, 12),
        },
        10 => Inside::TableFlaky {
            throttled: dice.between(0, 400) as u32,
            unknown: dice.between(0, 200) as u32,
            late: dice.between(0, 100) as u32,
            ms: dice.between(1_000, 10_000),
        },
        11 => Inside::TableDown { ms: dice.between(200, 6_000) },
        12..=14 => Inside::Produces {
            fault: *dice.pick(&[
                ProduceFault::Unavailable,
                ProduceFault::Refused,
                ProduceFault::Applied,
                ProduceFault::Lost,
                ProduceFault::Late,
            ]),
            ingress: dice.chance(500),
            times: dice.between(1, 8),
        },
        15 => Inside::LogSlow { ms: dice.between(1_000, 8_000) },
        16 => {
            let three =
                [Inside::LogDown { ms: 3_000 }, Inside::FewReplicas { ms: 2_000 }, Inside::TailsWiped];
            dice.pick(&three).clone()
        }
        17 => Inside::TailsLost { writes: dice.between(1, 40) as usize },
        18 => Inside::OffsetsForgotten { sequencers: dice.chance(500) },
        _ => Inside::ClockSteps { by_ms: dice.between(0, 120_000).cast_signed() - 60_000 },
    }
}

/// Mostly those that write: they have the most to lose.
fn place(dice: &mut Dice, shape: &Shape) -> Place {
    let plan = &shape.plan;
    match dice.index(8) {
        0..=2 => Place::Messaging(dice.index(plan.messaging)),
        3..=4 => Place::State(dice.index(plan.state)),
        5 => Place::Gateway(dice.index(plan.shards)),
        6 => Place::Persistence,
        _ => Place::Notification,
    }
}

//! What the roles of a region counted, for whoever watches it.

use sterna_messaging::Messaging;
use sterna_state::State;
pub use sterna_state::ensure::Counters as EnsureCounters;
pub use sterna_state::express::Counters as ExpressCounters;
pub use sterna_state::hub::Counters as PushCounters;
pub use sterna_state::marks::Counters as MirrorCounters;
pub use sterna_state::positions::{Of, Position};
pub use sterna_stream::clock_watch::Standing as ClockStanding;
use sterna_stream::sequencer;

use crate::region::Place;

/// What one role instance counted since it started.
#[derive(Clone, Debug)]
pub enum Figures {
    /// An instance of state.
    State(Box<StateFigures>),
    /// An instance of messaging: each partition that it sequences, since its term began, and whether an alarm
    /// stands.
    Messaging(Vec<(u16, sequencer::Counters)>, usize),
}

/// What an instance of state counted.
#[derive(Clone, Debug, Default)]
pub struct StateFigures {
    /// Pushes and what kept them.
    pub pushes: PushCounters,
    /// What became of other regions' segments on their way into the table.
    pub ensured: EnsureCounters,
    /// The express lanes.
    pub express: ExpressCounters,
    /// What was met in the mirrors and in the own log.
    pub mirrors: MirrorCounters,
    /// What the region may claim about its clock.
    pub clock: ClockStanding,
    /// How far logs are consumed and covered.
    pub positions: Vec<Position>,
}

pub(crate) fn of_state(state: &State) -> Figures {
    Figures::State(Box::new(StateFigures {
        pushes: state.pushes(),
        express: state.express(),
        ensured: state.ensured(),
        mirrors: state.mirrors(),
        clock: state.clock(),
        positions: state.positions(),
    }))
}

pub(crate) fn of_messaging(messaging: &Messaging) -> Figures {
    Figures::Messaging(messaging.counters(), messaging.alarms().count())
}

/// Figures by the place they are of.
pub type ByPlace = Vec<(Place, Figures)>;

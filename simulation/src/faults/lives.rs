//! What ends a region's life: it loses its stores, its log or its ingress, and is rebuilt as another origin
//! (E1).
//!
//! Only where there are several regions: who is alone has nobody to raise its incarnation, and its people's
//! devices keep nothing that it acked. And not in a region that is an hour ahead of the only other one:
//! nobody can tell which of two is right, and the other would not take the ids that its people mint by its
//! clock (E14).

use crate::dice::Dice;
use crate::setting::Setting;

/// Such faults begin between these, milliseconds of the run: what follows takes a while.
const WITHIN_MS: (u64, u64) = (8_000, 38_000);
/// Runs of a thousand that have one.
const RUNS: u32 = 700;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All stores are gone; the other regions' tables lack the newest items.
    Destroyed {
        /// How many items each lacks at most.
        behind: u64,
        /// Whether its mirrors stop before, so that what is newest goes by express alone.
        express_alone: bool,
    },
    /// The log is made anew.
    LogRecreated,
    /// The log loses its end.
    LogTruncated,
    /// The ingress is made anew.
    IngressRecreated,
    /// The ingress loses its end.
    IngressTruncated,
}

/// One region's life ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeEnds {
    /// The region's number.
    pub region: usize,
    /// How.
    pub loss: Loss,
    /// How long others fall behind before, milliseconds.
    pub behind_ms: u64,
    /// How long until a sequencer starts over what is left, milliseconds.
    pub again_ms: u64,
    /// How long until it is rebuilt, milliseconds.
    pub rebuilt_ms: u64,
}

/// What follows, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It happens.
    Lose(LifeEnds),
    /// Whoever sequences has had the time to notice; then one of them is started again.
    Again(LifeEnds),
    /// It is rebuilt.
    Rebuild(LifeEnds),
}

/// The one of a seed, if it has one, and when.
pub fn draw(seed: u64, setting: &Setting) -> Option<(u64, LifeEnds)> {
    let dice = &mut Dice::new(seed, "lives");
    let regions = setting.regions.len();
    if regions == 1 || !setting.lives || !dice.chance(RUNS) {
        return None;
    }
    let region = dice.index(regions);
    let right = |at: &usize| regions > 2 || setting.regions[*at].ahead_ms == 0;
    let region = (region..regions).chain(0..region).find(right)?;
    let behind = dice.between(0, 150);
    let express_alone = Dice::new(seed, "express alone").chance(400);
    let loss = match dice.index(8) {
        0..=3 => Loss::Destroyed { behind, express_alone },
        4 => Loss::LogRecreated,
        5 => Loss::LogTruncated,
        6 => Loss::IngressRecreated,
        _ => Loss::IngressTruncated,
    };
    let (first, last) = WITHIN_MS;
    let life = LifeEnds {
        region,
        loss,
        behind_ms: dice.between(2_000, 6_000),
        again_ms: dice.between(4_000, 9_000),
        rebuilt_ms: dice.between(500, 6_000),
    };
    Some((dice.between(first, last), life))
}

impl LifeEnds {
    /// Under which name it is counted.
    pub fn name(&self) -> &'static str {
        match self.loss {
            Loss::Destroyed { express_alone: true, .. } => {
                "express on with the mirror cut, then the origin destroyed and rebuilt"
            }
            Loss::Destroyed { .. } => "a region destroyed and rebuilt, its table k items behind",
            Loss::LogRecreated => "a log recreated, then rebuilt",
            Loss::LogTruncated => "a log truncated, then rebuilt",
            Loss::IngressRecreated => "an ingress recreated, then rebuilt",
            Loss::IngressTruncated => "an ingress truncated, then rebuilt",
        }
    }
}

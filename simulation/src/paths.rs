//! How often the rare paths were taken. A suite whose runs never meet them shows nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Least often that each required path is taken over the default seeds.
pub const LEAST: u64 = 10;

/// A path that an ordinary run hardly takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// A segment's put was answered: nobody knows.
    LostPut,
    /// A put found its own bytes: an attempt before it had been applied.
    FoundOwn,
    /// A put found another writer's segment.
    Adoption,
    /// A segment stands in the log twice.
    Reproduced,
    /// A segment stands in the log where no watermark counts it.
    Uncounted,
    /// Ingress records were delivered to a sequencer again.
    Replay,
    /// A partition got another sequencer.
    Takeover,
    /// A commit of a former owner was refused.
    Fenced,
    /// The ingress was read again from the first skipped offset.
    Reread,
    /// A proven duplicate: the ingress has it twice, the table once.
    Duplicate,
    /// A device fell out of a ring (4001).
    RingOverflow,
    /// A state instance was assigned a partition anew: shards compare heads.
    Resync,
    /// A device resumed with a cursor.
    Resume,
    /// Something landed long after it was given up.
    LateLanding,
    /// A removed member was kept out.
    KeptOut,
    /// A suspended person was kept out of a room in which was said what rests on that.
    ShutOut,
    /// A dead writer's put landed between its successor's reading of the head and the successor's put.
    Ambushed,
    /// A device asked as if it had no memory, and went on from the cursor that it had stored.
    Forgot,
    /// A device went to another region.
    Crossing,
    /// Another region's watermark covers a publish, and its author was told.
    SecondAck,
    /// One publish was sequenced in two regions.
    Twin,
    /// A mirror brought a record before which others are missing.
    WatermarkHole,
    /// A region put another's segment into its own table before replication brought it.
    Repair,
    /// Express brought a segment, and it was shown on its account.
    Express,
    /// Express brought what its region had already: a segment twice, late, or after the mirror.
    ExpressLate,
    /// A state put into the table what express had brought to one before it.
    Recovered,
    /// What express alone had brought when its state died stood in the table before any other way brought it.
    ExpressKept,
    /// A region was rebuilt and went on as another origin.
    NewIncarnation,
    /// A peer counts a partition of a new life's log.
    LifeFollowed,
    /// What an ended life had accepted and not sequenced was produced again.
    Carried,
    /// A table was given a segment of an ended life that it lacked.
    United,
    /// Somebody was shown what was lost with its region since, and it is there again.
    OfferedAgain,
    /// What was lost with its region stays lost: its author was put out of the stream, or suspended,
    /// meanwhile.
    Silenced,
    /// A segment rests on an access event that was lost with its region, and was shown.
    Outlived,
}

/// Paths that must be taken, in runs of any number of regions.
const WITHIN: [Path; 10] = [
    Path::Forgot,
    Path::ShutOut,
    Path::LostPut,
    Path::Adoption,
    Path::Replay,
    Path::RingOverflow,
    Path::Resync,
    Path::Duplicate,
    Path::Reread,
    Path::Ambushed,
];

/// Those between regions: a run of one region cannot take them.
const BETWEEN: [Path; 7] = [
    Path::SecondAck,
    Path::Twin,
    Path::WatermarkHole,
    Path::Repair,
    Path::Express,
    Path::ExpressLate,
    Path::Recovered,
];

/// Paths that only a region's end opens.
const LIVES: [Path; 2] = [Path::NewIncarnation, Path::LifeFollowed];

/// Paths that must be taken; those between regions only where `several` regions are in some run, those after
/// a region's end only if `lives` could end there, too.
pub fn required(several: bool, lives: bool) -> impl Iterator<Item = Path> {
    let between = BETWEEN.into_iter().filter(move |_| several);
    WITHIN.into_iter().chain(between).chain(LIVES.into_iter().filter(move |_| several && lives))
}

/// Counts per path. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Paths(Arc<Mutex<BTreeMap<Path, u64>>>);

impl Paths {
    /// A path was taken.
    pub fn took(&self, path: Path) {
        self.add(path, 1);
    }

    /// A path was taken this often.
    pub fn add(&self, path: Path, times: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default() += times;
    }

    /// The counts.
    pub fn counts(&self) -> BTreeMap<Path, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The counts of all runs as a table, and the required paths that were taken less than [`LEAST`] times; those
/// between regions only if there were `several` in some run, those after a region's end only if `lives` could
/// end there, too.
pub fn table(counts: &BTreeMap<Path, u64>, several: bool, lives: bool) -> (String, Vec<Path>) {
    let rows = counts.iter().map(|(path, times)| {
        let needed = if required(true, true).any(|one| one == *path) {
            format!("at least {LEAST}")
        } else {
            String::new()
        };
        format!("  {:<14}{times:>9}  {needed}", format!("{path:?}"))
    });
    let rare = required(several, lives).filter(|path| counts.get(path).is_none_or(|times| *times < LEAST));
    (rows.collect::<Vec<_>>().join("\n"), rare.collect())
}

//! What goes wrong, when, and how it is made good again.
//!
//! Faults are drawn before the run; each lasts for a while and is undone by its own [`Undo`]. At the end of
//! the traffic everything is healed, whatever is still under way. Each has a name under which it is counted;
//! [`WAITING`] names those that the product cannot take yet.
//!
//! A new kind of fault draws from dice of a name of its own: one more draw from dice that are here already
//! would change what every known seed does.
//!
//! Reading order: [`inside`] one region, [`between`] regions, what goes ahead by [`express`], and what ends a
//! region's [`lives`].

use sterna_cluster::region::Place;
use sterna_process::Process;

use crate::dice::Dice;
use crate::overtaken::Overtaken;
use crate::script::HEAL_AT_MS;
use crate::setting::{REGIONS, Setting};
use crate::world::World;

pub mod between;
pub mod express;
pub mod inside;
pub mod lives;

pub use between::Between;
pub use express::Express;
pub use inside::Inside;

/// Faults begin here, milliseconds of the run: people have met by then.
const FROM_MS: u64 = 5_000;

/// How far a clock steps that is far off, milliseconds.
const FAR_MS: i64 = 5 * 60_000;

/// Faults that no run injects yet, and what each waits for.
pub const WAITING: [(&str, &str); 3] = [
    ("one alias made in two regions", "aliases in the access stream (E3)"),
    ("HTTP/2 links between roles", "a builder that links roles by pipes"),
    ("a device whose queued event is too old to be sent again", "devices that ask over HTTP, too (E7)"),
];

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Inside the region with this number.
    Inside(usize, Inside),
    /// Between regions.
    Between(Between),
    /// With express.
    Express(Express),
    /// A region's life ends.
    Life(lives::LifeEnds),
}

/// How a fault is made good.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Whoever belongs there is started.
    Start(usize, Vec<Place>),
    /// The table is well again, and this one stops for so many milliseconds.
    Stop(usize, Place, u64),
    /// It goes on.
    Wake(Process),
    /// The region's table is well.
    Table(usize),
    /// The region's log is well.
    Log(usize),
    /// All replicas are in sync.
    Replicas(usize),
    /// What is between regions.
    Between(between::Undo),
    /// What goes ahead by express.
    Express(express::Undo),
    /// What follows the end of a life; the world itself sees to it.
    Life(lives::Next),
}

/// The faults of a seed, in order of time.
pub fn schedule(seed: u64, setting: &Setting) -> Vec<(u64, Fault)> {
    let (dice, place) = (&mut Dice::new(seed, "faults"), &mut Dice::new(seed, "where"));
    let mut faults = Vec::new();
    for _ in 0..setting.faults {
        let at = dice.between(FROM_MS, HEAL_AT_MS - 3_000);
        let region = place.index(setting.regions.len());
        faults.push((at, Fault::Inside(region, inside::draw(dice, &setting.regions[region]))));
    }
    let more = &mut Dice::new(seed, "more faults");
    if more.chance(500) {
        let region = more.index(setting.regions.len());
        let (puts, down_ms) = (more.between(1, 3) as usize, more.between(50, 1_500));
        let fault = Inside::DeadWritersPut { puts, down_ms };
        faults.push((more.between(FROM_MS, HEAL_AT_MS - 12_000), Fault::Inside(region, fault)));
    }
    let last = &mut Dice::new(seed, "last");
    if last.chance(400) {
        // Whoever was behind comes back to a region that has to know by its table what there is.
        let region = last.index(setting.regions.len());
        faults.push((HEAL_AT_MS - 2, Fault::Inside(region, Inside::PowerLoss { down_ms: 50 })));
        faults.push((HEAL_AT_MS - 1, Fault::Inside(region, Inside::TailsWiped)));
    }
    let clocks = &mut Dice::new(seed, "clocks");
    if setting.regions.len() > 1 && clocks.chance(250) {
        let region = clocks.index(setting.regions.len());
        let by_ms = if clocks.chance(500) { FAR_MS } else { -FAR_MS };
        let at = clocks.between(FROM_MS, HEAL_AT_MS - 3_000);
        faults.push((at, Fault::Inside(region, Inside::ClockSteps { by_ms })));
    }
    let pushes = &mut Dice::new(seed, "pushes");
    // Other regions' progress is pushed to every shard each second: the next number shows the hole.
    if setting.regions.len() > 1 && pushes.chance(600) {
        let (region, count) = (pushes.index(setting.regions.len()), pushes.between(1, 20));
        let at = HEAL_AT_MS - pushes.between(1_000, 12_000);
        faults.push((at, Fault::Inside(region, Inside::PushesLost { pushes: count })));
    }
    faults.extend(last_pushes(seed, setting));
    faults.extend(comebacks(seed, setting));
    let between = &mut Dice::new(seed, "cuts");
    for _ in 0..setting.cuts {
        let at = between.between(FROM_MS, HEAL_AT_MS - 3_000);
        faults.push((at, Fault::Between(between::draw(between, setting.regions.len()))));
    }
    faults.extend(express::schedule(seed, setting));
    let holes = &mut Dice::new(seed, "holes");
    if setting.regions.len() > 1 && holes.chance(500) {
        let at = holes.between(FROM_MS, HEAL_AT_MS - 3_000);
        faults.push((at, Fault::Between(between::draw_hole(holes, setting.regions.len()))));
    }
    faults.extend(Overtaken::draw(seed, setting).iter().flat_map(Overtaken::faults));
    faults.extend(lives::draw(seed, setting).map(|(at, life)| (at, Fault::Life(life))));
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// What is said last is not pushed in the region whose shards compare heads least often: the number of the
/// next message that is no push has to tell them.
fn last_pushes(seed: u64, setting: &Setting) -> Option<(u64, Fault)> {
    let dice = &mut Dice::new(seed, "last pushes");
    if setting.regions.len() == 1 || !dice.chance(400) {
        return None;
    }
    let rarely = setting.regions.iter().enumerate().max_by_key(|(_, shape)| shape.plan.limits.compare_s);
    let (region, ms) = (rarely.map_or(0, |(region, _)| region), dice.between(8_000, 20_000));
    Some((HEAL_AT_MS - dice.between(0, 3_000), Fault::Inside(region, Inside::LastPushesLost { ms })))
}

/// Everybody in a region comes back while the last words of others are said that its table does not hold yet:
/// only what the streams' heads say tells them.
fn comebacks(seed: u64, setting: &Setting) -> Vec<(u64, Fault)> {
    let (dice, regions) = (&mut Dice::new(seed, "comebacks"), setting.regions.len());
    if regions == 1 || !dice.chance(400) {
        return Vec::new();
    }
    let (region, at) = (dice.index(regions), HEAL_AT_MS - dice.between(200, 2_000));
    let others = (0..regions).filter(|from| *from != region);
    let table = |from| Fault::Between(Between::TablePaused { way: (from, region), ms: 5_000 });
    let mut faults: Vec<_> = others.map(|from| (at - 1_000, table(from))).collect();
    for shard in 0..setting.regions[region].plan.shards {
        let (place, down_ms) = (Place::Gateway(shard), dice.between(10, 400));
        faults.push((at, Fault::Inside(region, Inside::Dies { place, poll: 0, down_ms })));
    }
    faults
}

impl Fault {
    /// Under which name it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inside(_, fault) => fault.name(),
            Self::Between(fault) => fault.name(),
            Self::Express(fault) => fault.name(),
            Self::Life(fault) => fault.name(),
        }
    }

    /// Makes it happen; says how it is undone, and after how long.
    pub fn happen(&self, world: &mut World) -> Option<(u64, Undo)> {
        match self {
            Self::Inside(region, fault) => fault.happen(world, *region),
            Self::Between(fault) => {
                fault.happen(world).map(|(after_ms, undo)| (after_ms, Undo::Between(undo)))
            }
            Self::Express(fault) => {
                fault.happen(world).map(|(after_ms, undo)| (after_ms, Undo::Express(undo)))
            }
            Self::Life(life) => world.life_ends(life),
        }
    }
}

impl Undo {
    /// Makes it good.
    pub fn happen(&self, world: &mut World) {
        match self {
            Self::Start(region, places) => places.iter().for_each(|place| world.start(*region, *place)),
            Self::Stop(region, place, ms) => {
                let site = &world.sites[*region];
                site.table_faults.set_chances(site.table_chances());
                if let Some(process) = site.process(*place) {
                    process.pause(true);
                    world.later(*ms, Self::Wake(process));
                }
            }
            Self::Wake(process) => process.pause(false),
            Self::Table(region) => {
                let site = &world.sites[*region];
                site.table_faults.set_chances(site.table_chances());
                site.table_faults.set_down(false);
            }
            Self::Log(region) => world.sites[*region].log_faults.heal(),
            Self::Replicas(region) => world.sites[*region].stores.log.set_in_sync(3),
            Self::Between(undo) => undo.happen(world),
            Self::Express(undo) => undo.happen(world),
            Self::Life(_) => {}
        }
    }

    /// Whether something is wrong inside this region until then.
    pub fn is_inside(&self, region: usize) -> bool {
        match self {
            Self::Start(at, _)
            | Self::Stop(at, ..)
            | Self::Table(at)
            | Self::Log(at)
            | Self::Replicas(at) => *at == region,
            Self::Wake(process) => process.name().split('/').next() == Some(REGIONS[region]),
            Self::Life(lives::Next::Lose(life) | lives::Next::Again(life) | lives::Next::Rebuild(life)) => {
                life.region == region
            }
            Self::Between(_) | Self::Express(_) => false,
        }
    }
}

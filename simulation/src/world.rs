//! The world of one run: regions behind witnesses and faults, what is between them, people at their doors,
//! and time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sterna_access::DevelopmentIssuer;
use sterna_cluster::Between;
use sterna_cluster::between::{Direction, Mirror, Replication};
use sterna_cluster::region::{Place, token_secret};
use sterna_gateway::wire;
use sterna_process::{Clock, End, ManualClock, Process};
use sterna_protocol::Encoding;
use sterna_regions::RoundTrips;
use sterna_stream::Region;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dice::Dice;
use crate::faults::between::Way;
use crate::faults::{self, Express, Fault, Undo};
use crate::hostile::Hostile;
use crate::judge;
use crate::paths::Paths;
use crate::person::{self, Card, Door, Person, Rooms, Surroundings, Wish};
use crate::script::{HEAL_AT_MS, Script, name};
use crate::setting::{Asked, Setting};
use crate::site::Site;
use crate::trace::Trace;

mod lives;

/// The wall time at which every run begins: Unix milliseconds.
const BEGIN_MS: u64 = 1_795_214_400_000;
/// How long regions are up before anybody comes: until they have heard of each other, each goes by its own
/// clock, and one that is an hour ahead accepts what it refuses afterwards (E14).
const ALONE: Duration = Duration::from_secs(4);

/// See the file's head.
pub struct World {
    /// What it looks like.
    pub setting: Setting,
    /// Who does what.
    pub script: Script,
    /// The regions, by number.
    pub sites: Vec<Site>,
    /// What happened.
    pub trace: Trace,
    /// Which rare paths were taken.
    pub paths: Paths,
    /// The people of the script, by number.
    pub people: Vec<Person>,
    /// The rooms, by number.
    pub rooms: Rooms,
    /// The first role that ended otherwise than by a fault.
    pub broken: Option<String>,
    /// The first region that said that it has more than it had, or kept less than it must, looked at before a
    /// way is opened again.
    pub dishonest: Option<String>,
    /// How often which fault happened.
    pub happened: BTreeMap<&'static str, u64>,
    /// Regions in which push streams may have ended.
    unsteady: BTreeSet<usize>,
    /// When something last went wrong inside each region, milliseconds of the run.
    shaken: BTreeMap<usize, u64>,
    between: Between,
    distances: RoundTrips,
    /// Right time: the regions' and the devices' clocks are beside it.
    clock: ManualClock,
    /// Owner of what belongs to nobody in a region: people, the network.
    outside: Process,
    undos: BTreeMap<(u64, usize), Undo>,
    faults: usize,
    quiet: Rc<Cell<bool>>,
    /// When people came: from then on script and faults count.
    started: Instant,
}

/// What happens next.
enum Step {
    Wish(usize, Wish),
    Fault(Fault),
}

impl World {
    /// The world of a seed, before anything happened; `asked` as in [`Setting::of`].
    pub fn new(seed: u64, asked: Asked, trace: &Trace, paths: &Paths) -> Self {
        let setting = Setting::of(seed, asked);
        trace.line("seed", &seed.to_string(), format_args!("{setting}"));
        let script = Script::of(seed, &setting, &guests(&setting));
        let clock = ManualClock::new(BEGIN_MS);
        let outside = Process::new("outside", seed, Arc::new(clock.clone()));
        let distances = RoundTrips::typical();
        let mut plans: Vec<_> = setting.regions.iter().map(|shape| shape.plan.clone()).collect();
        let between = Between::new(&mut plans, &distances, &(Arc::new(clock.clone()) as _));
        let site = |(plan, shape): (sterna_cluster::Plan, &crate::setting::Shape)| {
            let stores = between.stores[&plan.region].clone();
            Site::start((plan, shape.clone()), stores, clock.beside(), &outside, (trace, paths))
        };
        let sites = plans.into_iter().zip(&setting.regions).map(site).collect();
        let rooms = Rc::new(RefCell::new(vec![None; script.rooms.len()]));
        Self {
            script,
            sites,
            trace: trace.clone(),
            paths: paths.clone(),
            people: Vec::new(),
            rooms,
            broken: None,
            dishonest: None,
            happened: BTreeMap::new(),
            unsteady: BTreeSet::new(),
            shaken: BTreeMap::new(),
            between,
            distances,
            clock,
            outside,
            undos: BTreeMap::new(),
            faults: 0,
            quiet: Rc::default(),
            started: Instant::now(),
            setting,
        }
    }

    fn people_come(&mut self, seed: u64) {
        self.started = Instant::now();
        let door = self.door();
        let secret = token_secret(&self.sites[0].plan).clone();
        let around = |name: &str| Surroundings {
            door: door.clone(),
            rooms: self.rooms.clone(),
            trace: self.trace.clone(),
            paths: self.paths.clone(),
            dice: Dice::new(seed, name),
            regions: self.sites.len(),
            quiet: self.quiet.clone(),
        };
        let token = || -> Box<dyn Fn(&str) -> String> {
            let issuer = DevelopmentIssuer::new(&secret);
            Box::new(move |user| {
                let user = user.parse().expect("a user's name");
                issuer.issue("acme", &user, BEGIN_MS, 86_400_000).expect("it fits")
            })
        };
        let mut people = Vec::new();
        for number in 0..self.setting.people {
            let card = card(seed, number);
            let clock = self.clock.beside();
            clock.set_skew_ms(person::skew_ms(seed, number));
            let around = around(&card.name);
            people.push(Person::new(card, clock, token(), around));
        }
        for person in &people {
            self.outside.spawn_local("a person", End::Expected, person::live(person.clone()));
        }
        for guest in &guests(&self.setting) {
            let hostile = Hostile::new(guest.clone(), self.clock.beside(), token(), around(guest));
            self.outside.spawn_local("a hostile client", End::Expected, hostile.live());
        }
        self.people = people;
    }

    /// Leads to any shard of a region that takes sockets.
    fn door(&self) -> Door {
        let regions: Vec<_> = self.sites.iter().map(|site| (site.region.clone(), site.plan.shards)).collect();
        Rc::new(move |dice, at, encoding, buffer| {
            let (ours, theirs) = tokio::io::duplex(buffer);
            let spoken = match encoding {
                Encoding::Json => wire::Encoding::Json,
                Encoding::Protobuf => wire::Encoding::Protobuf,
            };
            let (region, shards) = &regions[at];
            let region = region.borrow();
            let gateway = region.gateway(dice.index(*shards))?;
            gateway.accept(theirs, spoken, Vec::new()).ok()?;
            Some(ours)
        })
    }

    /// Lets script and faults happen, until everything is to heal.
    pub async fn run(&mut self, seed: u64) {
        sleep(ALONE).await;
        self.people_come(seed);
        let mut steps: Vec<(u64, Step)> = Vec::new();
        for (at, who, wish) in std::mem::take(&mut self.script.wishes) {
            steps.push((at, Step::Wish(who, wish)));
        }
        for (at, fault) in faults::schedule(seed, &self.setting) {
            steps.push((at, Step::Fault(fault)));
        }
        steps.sort_by_key(|(at, _)| *at);
        for (at, step) in steps {
            self.undo_until(at).await;
            sleep_until(self.started + Duration::from_millis(at)).await;
            match step {
                Step::Wish(who, wish) => self.people[who].wish(wish),
                Step::Fault(fault) => self.fault(&fault),
            }
        }
        self.undo_until(HEAL_AT_MS).await;
        sleep_until(self.started + Duration::from_millis(HEAL_AT_MS)).await;
    }

    fn fault(&mut self, fault: &Fault) {
        self.trace.line("fault", "happens:", format_args!("{fault:?}"));
        *self.happened.entry(fault.name()).or_default() += 1;
        if let Fault::Inside(region, fault) = fault
            && fault.ends_pushes()
        {
            self.unsteady.insert(*region);
        }
        if let Fault::Express(Express::Dies { way, .. }) = fault {
            self.unsteady.insert(way.1);
        }
        if let Fault::Inside(region, _) = fault {
            self.shaken.insert(*region, self.trace.elapsed_ms());
        }
        if let Some((after, undo)) = fault.happen(self) {
            self.later(after, undo);
        }
    }

    /// Makes something good after so many milliseconds, or when everything heals.
    pub fn later(&mut self, after_ms: u64, undo: Undo) {
        self.faults += 1;
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.undos.insert((now_ms.saturating_add(after_ms), self.faults), undo);
    }

    async fn undo_until(&mut self, until: u64) {
        while let Some(((at, number), undo)) = self.undos.pop_first() {
            if at > until {
                self.undos.insert((at, number), undo);
                return;
            }
            sleep_until(self.started + Duration::from_millis(at)).await;
            self.trace.line("fault", "is over:", format_args!("{undo:?}"));
            use faults::between::Undo::{Again, Fill};
            let honest = match &undo {
                Undo::Between(Again(way) | Fill(way)) => judge::honest(self, *way).await,
                Undo::Express(faults::express::Undo::Bring(way, held)) => judge::kept(self, *way, held).await,
                Undo::Life(next) => self.life_goes_on(next).await,
                _ => Ok(()),
            };
            self.dishonest = self.dishonest.take().or(honest.err());
            undo.happen(self);
        }
    }

    /// Everything is well from now on.
    pub fn heal(&mut self) {
        self.trace.line("world", "heals", format_args!("{} faults under way", self.undos.len()));
        self.quiet.set(true);
        while let Some((_, undo)) = self.undos.pop_first() {
            undo.happen(self);
        }
        self.sites.iter().for_each(Site::heal_stores);
        let broke = self.sites.iter().find_map(Site::start_dead);
        self.broken = self.broken.take().or(broke);
        self.people.iter().for_each(Person::hurry);
    }

    /// Whether every event of the region comes to its shards by push, with its place in the log. One that
    /// comes by history instead, because a push stream ended, gets no second ack on that socket yet (E9).
    pub fn is_steady(&self, region: usize) -> bool {
        self.sites[region].plan.push_queue > 64 && !self.unsteady.contains(&region)
    }

    /// Whether nothing went wrong inside a region since, or still does.
    pub fn is_calm(&self, region: usize, since_ms: u64) -> bool {
        let shaken = self.shaken.get(&region).is_some_and(|at| *at >= since_ms);
        !shaken && !self.undos.values().any(|undo| undo.is_inside(region))
    }

    /// Whether everything is well for good.
    pub fn healed(&self) -> bool {
        self.quiet.get()
    }

    /// Starts whoever belongs into a place of a region.
    pub fn start(&mut self, region: usize, place: Place) {
        let broke = self.sites[region].start_again(place);
        self.broken = self.broken.take().or(broke);
    }

    /// Notes whoever ended otherwise than by being killed.
    pub fn look_at_all(&mut self) {
        let broke = self
            .sites
            .iter()
            .find_map(|site| site.places().into_iter().find_map(|place| site.look_at(place)));
        self.broken = self.broken.take().or(broke);
    }

    /// What time it is.
    pub fn true_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    /// The owner of what belongs to nobody in a region.
    pub fn outside(&self) -> &Process {
        &self.outside
    }

    // === between regions ===

    fn names(&self, (from, to): Way) -> (Region, Region) {
        let name = |site: usize| self.sites[site].plan.region.clone();
        (name(from), name(to))
    }

    /// The mirror of the first region's log in the second.
    ///
    /// # Panics
    /// If there are no two such regions.
    pub fn mirror(&self, way: Way) -> &Mirror {
        &self.between.mirrors[&self.names(way)]
    }

    /// How long that mirror takes one way.
    pub fn distance(&self, way: Way) -> Duration {
        let (from, to) = self.names(way);
        self.distances.one_way(&from, &to).unwrap_or_default()
    }

    /// Does something to the tables' replication from the first region to the second.
    pub fn tables(&self, way: Way, what: impl FnOnce(&Replication, &Region, &Region)) {
        let (from, to) = self.names(way);
        what(&self.between.tables, &from, &to);
    }

    /// What calls from the first region to the second go over, express among them.
    ///
    /// # Panics
    /// If there are no two such regions.
    pub fn wan(&self, way: Way) -> &Direction {
        &self.between.wan[&self.names(way)]
    }

    /// Cuts or opens a way, for log, table and calls.
    pub fn cut(&self, way: Way, on: bool) {
        let (from, to) = self.names(way);
        self.between.mirrors_of(&from, &to).for_each(|mirror| mirror.cut(on));
        self.wan(way).cut(on);
        self.tables(way, |tables, from, to| tables.pause(from, to, on));
    }
}

/// The names of the hostile.
fn guests(setting: &Setting) -> Vec<String> {
    (0..setting.hostile).map(|n| format!("x{n}")).collect()
}

fn card(seed: u64, number: usize) -> Card {
    let name = name(number);
    let dice = &mut Dice::new(seed, &format!("card {name}"));
    let slow = dice.chance(150);
    Card {
        device: 1 + number as u128,
        encoding: if dice.chance(500) { Encoding::Json } else { Encoding::Protobuf },
        buffer: if slow { 1_024 } else { 64 * 1024 },
        reading: Duration::from_millis(if slow { dice.between(50, 800) } else { 0 }),
        ping_ms: dice.between(5_000, 25_000) as u32,
        stores: dice.chance(250),
        name,
    }
}

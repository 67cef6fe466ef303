//! The world of one run: a region behind witnesses and faults, people at its doors, and time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use sterna_access::DevelopmentIssuer;
use sterna_cluster::region::{Place, token_secret};
use sterna_cluster::{MemoryStores, Region, Stores};
use sterna_gateway::wire;
use sterna_log::faulty::{Faults as LogFaults, FaultyLog};
use sterna_log::{Group, Topic};
use sterna_process::{Clock, End, Exit, ManualClock, Process, State};
use sterna_protocol::Encoding;
use sterna_storage::faulty::{Chances, Faults as TableFaults, FaultyTable};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep_until};

use crate::dice::Dice;
use crate::faults::{self, Fault, Undo};
use crate::hostile::Hostile;
use crate::paths::Paths;
use crate::person::{self, Card, Door, Person, Rooms, Surroundings, Wish};
use crate::script::{HEAL_AT_MS, Script, name};
use crate::setting::Setting;
use crate::trace::Trace;
use crate::witness::{Seen, Witness, WitnessLog, WitnessTable};

/// The wall time at which every run begins: Unix milliseconds.
const BEGIN_MS: u64 = 1_795_214_400_000;

/// See the file's head.
pub struct World {
    /// What it looks like.
    pub setting: Setting,
    /// Who does what.
    pub script: Script,
    /// The region.
    pub region: Rc<RefCell<Region<DuplexStream>>>,
    /// The stores behind the faults.
    pub stores: MemoryStores,
    /// What goes wrong with the log.
    pub log_faults: LogFaults,
    /// What goes wrong with the table.
    pub table_faults: Arc<TableFaults>,
    /// The region's wall clock.
    pub clock: ManualClock,
    /// What happened.
    pub trace: Trace,
    /// Which rare paths were taken.
    pub paths: Paths,
    /// What the witnesses know.
    pub seen: Arc<Mutex<Seen>>,
    /// The people of the script, by number.
    pub people: Vec<Person>,
    /// The rooms, by number.
    pub rooms: Rooms,
    /// The first role that ended otherwise than by a fault.
    pub broken: Option<String>,
    /// Owner of what belongs to nobody in the region: people, the network.
    outside: Process,
    undos: BTreeMap<(u64, usize), Undo>,
    faults: usize,
    started: Instant,
}

/// What happens next.
enum Step {
    Wish(usize, Wish),
    Fault(Fault),
}

impl World {
    /// The world of a seed, before anything happened.
    pub fn new(seed: u64, trace: &Trace, paths: &Paths) -> Self {
        let setting = Setting::of(seed);
        trace.line("seed", &seed.to_string(), format_args!("{setting}"));
        let guests: Vec<String> = (0..setting.hostile).map(|n| format!("x{n}")).collect();
        let script = Script::of(seed, &setting, &guests);
        let clock = ManualClock::new(BEGIN_MS);
        let outside = Process::new("outside", seed, Arc::new(clock.clone()));
        let stores = memory(&setting);
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let log_faults = LogFaults::new(seed);
        log_faults.set(|chances| chances.unknown_after = Duration::from_millis(500));
        let table_faults = TableFaults::new(chances(&setting), seed);
        let log = FaultyLog::new(stores.log.clone(), log_faults.clone());
        outside.spawn("late records", End::Expected, log.late());
        let late = table_faults.clone();
        outside.spawn("late writes", End::Expected, async move { late.run().await });
        let table = FaultyTable::new(stores.table.clone(), table_faults.clone());
        let broken = Stores { log: Arc::new(log), table: Arc::new(table), ..stores.stores() };
        let eye = (trace.clone(), paths.clone(), seen.clone());
        let lens = Arc::new(move |process: &Process, stores: &Stores| {
            let witness = Witness::new(process, &eye.0, &eye.1, &eye.2);
            let log = Arc::new(WitnessLog::new(stores.log.clone(), witness.clone()));
            let table = Arc::new(WitnessTable::new(stores.table.clone(), witness));
            Stores { log, table, ..stores.clone() }
        });
        let region = Region::start_behind(setting.plan.clone(), broken, Arc::new(clock.clone()), lens);
        let rooms = Rc::new(RefCell::new(vec![None; script.rooms.len()]));
        let mut world = Self {
            script,
            region: Rc::new(RefCell::new(region)),
            stores,
            log_faults,
            table_faults,
            clock,
            trace: trace.clone(),
            paths: paths.clone(),
            seen,
            people: Vec::new(),
            rooms,
            broken: None,
            outside,
            undos: BTreeMap::new(),
            faults: 0,
            started: Instant::now(),
            setting,
        };
        world.people_come(seed, &guests);
        world
    }

    fn people_come(&mut self, seed: u64, guests: &[String]) {
        let door = self.door();
        let secret = token_secret(&self.setting.plan).clone();
        let around = |name: &str| Surroundings {
            door: door.clone(),
            rooms: self.rooms.clone(),
            trace: self.trace.clone(),
            paths: self.paths.clone(),
            dice: Dice::new(seed, name),
        };
        let token = || -> Box<dyn Fn(&str) -> String> {
            let issuer = DevelopmentIssuer::new(&secret);
            Box::new(move |user| {
                let user = user.parse().expect("a user's name");
                issuer.issue("acme", &user, BEGIN_MS + 86_400_000).expect("it fits")
            })
        };
        let mut people = Vec::new();
        for number in 0..self.setting.people {
            let card = card(seed, number);
            let clock = self.clock.beside();
            clock.set_skew_ms(
                Dice::new(seed, &format!("clock {number}")).between(0, 60_000).cast_signed() - 30_000,
            );
            let around = around(&card.name);
            people.push(Person::new(card, clock, token(), around));
        }
        for person in &people {
            self.outside.spawn_local("a person", End::Expected, person::live(person.clone()));
        }
        for guest in guests {
            let hostile = Hostile::new(guest.clone(), self.clock.beside(), token(), around(guest));
            self.outside.spawn_local("a hostile client", End::Expected, hostile.live());
        }
        self.people = people;
    }

    /// Leads to any shard that takes sockets.
    fn door(&self) -> Door {
        let (region, shards) = (self.region.clone(), self.setting.plan.shards);
        Rc::new(move |dice, encoding, buffer| {
            let (ours, theirs) = tokio::io::duplex(buffer);
            let spoken = match encoding {
                Encoding::Json => wire::Encoding::Json,
                Encoding::Protobuf => wire::Encoding::Protobuf,
            };
            let region = region.borrow();
            let gateway = region.gateway(dice.index(shards))?;
            gateway.accept(theirs, spoken, Vec::new()).ok()?;
            Some(ours)
        })
    }

    /// Lets script and faults happen, until everything is to heal.
    pub async fn run(&mut self, seed: u64) {
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
        if let Some((after, undo)) = fault.happen(self) {
            self.later(after, undo);
        }
    }

    /// Makes something good after so many milliseconds, or when everything heals.
    pub fn later(&mut self, after_ms: u64, undo: Undo) {
        self.faults += 1;
        self.undos.insert((self.trace.elapsed_ms() + after_ms, self.faults), undo);
    }

    async fn undo_until(&mut self, until: u64) {
        while let Some(((at, number), undo)) = self.undos.pop_first() {
            if at > until {
                self.undos.insert((at, number), undo);
                return;
            }
            sleep_until(self.started + Duration::from_millis(at)).await;
            self.trace.line("fault", "is over:", format_args!("{undo:?}"));
            undo.happen(self);
        }
    }

    /// Everything is well from now on.
    pub fn heal(&mut self) {
        self.trace.line("world", "heals", format_args!("{} faults under way", self.undos.len()));
        while let Some((_, undo)) = self.undos.pop_first() {
            undo.happen(self);
        }
        Undo::Table.happen(self);
        Undo::Log.happen(self);
        Undo::Replicas.happen(self);
        let places: Vec<Place> = self.region.borrow().places().collect();
        for place in places {
            let dead = self.region.borrow().process(place).is_some_and(|p| p.state() == State::Dead);
            if dead {
                self.start(place);
            }
        }
        self.people.iter().for_each(Person::hurry);
    }

    /// Starts whoever belongs into a place, having looked at how the one before ended.
    pub fn start(&mut self, place: Place) {
        self.look_at(place);
        self.region.borrow_mut().restart(place);
    }

    /// Notes whoever ended otherwise than by being killed.
    pub fn look_at(&mut self, place: Place) {
        let region = self.region.borrow();
        let Some(process) = region.process(place) else { return };
        if let Some(exit @ (Exit::Ended(_) | Exit::Panicked(_))) = process.exited().now_or_never() {
            let what = format!("{} {exit:?}", process.name());
            self.trace.line(process.name(), "broke:", format_args!("{exit:?}"));
            self.broken.get_or_insert(what);
        }
    }

    /// What a group has committed is gone, and one of it dies.
    pub fn forget_offsets(&mut self, sequencers: bool) -> (u64, Undo) {
        let (group, place) = if sequencers {
            ("sterna-sequencers", Place::Messaging(0))
        } else {
            ("sterna-state", Place::State(0))
        };
        let group: Group = group.parse().expect("a group's name");
        self.stores.log.forget_offsets(&group);
        self.region.borrow_mut().kill(place);
        (100, Undo::Start(vec![place]))
    }

    /// The region's ingress, or its log.
    pub fn topic(&self, ingress: bool) -> Topic {
        let name = if ingress { "sterna-ingress" } else { "sterna-log" };
        name.parse().expect("a topic's name")
    }

    /// The chances of a healthy table.
    pub fn table_chances(&self) -> Chances {
        chances(&self.setting)
    }

    /// The wall time that a correct region shows at most, Unix milliseconds.
    pub fn latest_wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }
}

fn chances(setting: &Setting) -> Chances {
    let (delay_min, delay_max) = setting.table_latency;
    Chances { delay_min, delay_max, ..Chances::default() }
}

fn memory(setting: &Setting) -> MemoryStores {
    let stores = MemoryStores::new(&setting.plan);
    stores.log.tune(|config| {
        config.session_timeout = setting.session;
        config.produce_latency = setting.produce_latency;
        config.prefetch_records_max = setting.prefetch;
        config.leave_on_drop = false;
    });
    stores
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
        name,
    }
}

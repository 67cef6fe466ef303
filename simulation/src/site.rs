//! One region of the world: its roles behind witnesses, its stores behind faults, its clock.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use sterna_cluster::region::{Lens, Place, Reach};
use sterna_cluster::stores::{self, mirrored_log, own_log};
use sterna_cluster::{MemoryStores, Plan, Region, Stores, Wall};
use sterna_log::faulty::{Faults as LogFaults, FaultyLog};
use sterna_log::{Group, Log, Topic};
use sterna_process::{Clock, End, Exit, ManualClock, Process, State};
use sterna_storage::faulty::{Chances, Faults as TableFaults, FaultyTable};
use sterna_stream::Origin;
use tokio::io::DuplexStream;

use crate::ambush::Ambush;
use crate::judge::Accepted;
use crate::paths::{Path, Paths};
use crate::pushes::Pushes;
use crate::setting::Shape;
use crate::trace::Trace;
use crate::witness::{Commits, Seen, Witness, WitnessLog, WitnessTable};

/// See the file's head.
pub struct Site {
    /// Its plan, with its peers.
    pub plan: Plan,
    /// What it looks like.
    pub shape: Shape,
    /// The region.
    pub region: Rc<RefCell<Region<DuplexStream>>>,
    /// The stores behind the faults.
    pub stores: MemoryStores,
    /// What goes wrong with the log.
    pub log_faults: LogFaults,
    /// What goes wrong with the table.
    pub table_faults: Arc<TableFaults>,
    /// A dead writer's put that waits for its successor's.
    pub ambush: Ambush,
    /// Pushes that are to be lost.
    pub pushes: Pushes,
    /// Its wall clock.
    pub clock: ManualClock,
    /// What its witnesses know.
    pub seen: Arc<Mutex<Seen>>,
    /// Which rare paths were taken.
    pub paths: Paths,
    /// The lives that have ended.
    pub former: Vec<Former>,
    trace: Trace,
    /// Terms that its sequencers had opened at the mark.
    marked: u64,
}

/// A life of the region that has ended.
pub struct Former {
    /// Who it was.
    pub origin: Origin,
    /// What it had accepted when its stores were harmed, in the ingress' order.
    pub accepted: Accepted,
    /// Whether nothing is left of its stores.
    pub destroyed: bool,
}

impl Site {
    /// Starts a region of this shape over these stores; `outside` owns what belongs to none of its roles.
    pub fn start(
        (plan, shape): (Plan, Shape),
        stores: MemoryStores,
        clock: ManualClock,
        outside: &Process,
        (trace, paths): (&Trace, &Paths),
    ) -> Self {
        tune(&stores, &shape);
        clock.set_skew_ms(shape.ahead_ms);
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let ambush = Ambush::new(stores.table.clone(), trace, paths);
        let log_faults = LogFaults::new(plan.seed);
        log_faults.set(|chances| chances.unknown_after = Duration::from_millis(500));
        let table_faults = TableFaults::new(chances(&shape), plan.seed);
        let log = FaultyLog::new(stores.log.clone(), log_faults.clone());
        outside.spawn("late records", End::Expected, log.late());
        let late = table_faults.clone();
        outside.spawn("late writes", End::Expected, async move { late.run().await });
        let table = FaultyTable::new(stores.table.clone(), table_faults.clone());
        let broken = Stores { log: Arc::new(log), table: Arc::new(table), ..stores.stores() };
        let lens = lens((trace, paths), (&seen, &Commits::new(&stores)), &ambush);
        let pushes = Pushes::new(plan.region.clone());
        let losing = pushes.clone();
        let reach: Reach = Arc::new(move |place, routes| losing.before(place, routes));
        let clock_of_roles = Arc::new(clock.clone());
        let region = Region::start_between(plan.clone(), broken, clock_of_roles, (lens, reach));
        Self {
            plan,
            shape,
            region: Rc::new(RefCell::new(region)),
            stores,
            log_faults,
            table_faults,
            ambush,
            pushes,
            clock,
            seen,
            paths: paths.clone(),
            trace: trace.clone(),
            former: Vec::new(),
            marked: 0,
        }
    }

    /// Crashes everybody; says what had broken before.
    pub fn kill_all(&self) -> Option<String> {
        let broke = self.places().into_iter().find_map(|place| self.look_at(place));
        self.region.borrow_mut().kill_all();
        self.ambush.give_up();
        broke
    }

    /// What the killed had under way never lands.
    pub fn forget_late(&self) {
        self.table_faults.forget_late();
    }

    /// Its next life begins.
    pub fn begin(&mut self, origin: &Origin, peers: Vec<Origin>) {
        (self.plan.incarnation, self.plan.peers) = (origin.incarnation(), peers.clone());
        self.seen().new_life();
        self.region.borrow_mut().begin(origin, peers);
    }

    /// How many terms its sequencers have opened.
    pub fn openings(&self) -> u64 {
        self.seen().openings
    }

    /// What [`Site::opened_since_mark`] counts from.
    pub fn mark_openings(&mut self, openings: u64) {
        self.marked = openings;
    }

    /// Whether somebody opened a term since the mark.
    pub fn opened_since_mark(&self) -> bool {
        self.openings() > self.marked
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panicked")
    }

    /// Its origin.
    pub fn origin(&self) -> Origin {
        self.plan.origin()
    }

    /// What its roles take for the time.
    pub fn wall(&self) -> Arc<Wall> {
        self.region.borrow().wall().clone()
    }

    /// Every place of its plan.
    pub fn places(&self) -> Vec<Place> {
        self.region.borrow().places().collect()
    }

    /// Whoever is in a place.
    pub fn process(&self, place: Place) -> Option<Process> {
        self.region.borrow().process(place).cloned()
    }

    /// Crashes whoever is in a place.
    pub fn kill(&self, place: Place) {
        self.region.borrow_mut().kill(place);
    }

    /// Starts whoever belongs into a place, having looked at how the one before ended; says what broke.
    pub fn start_again(&self, place: Place) -> Option<String> {
        let broke = self.look_at(place);
        count_express(&self.region.borrow(), place, &self.paths);
        self.region.borrow_mut().restart(place);
        broke
    }

    /// Starts whoever is dead; says what broke.
    pub fn start_dead(&self) -> Option<String> {
        let dead = |place: &Place| self.process(*place).is_some_and(|p| p.state() == State::Dead);
        let places: Vec<Place> = self.places().into_iter().filter(dead).collect();
        places.into_iter().fold(None, |broke, place| broke.or(self.start_again(place)))
    }

    /// Counts what came by express to those who live.
    pub fn count_express(&self) {
        let region = self.region.borrow();
        self.places().into_iter().for_each(|place| count_express(&region, place, &self.paths));
    }

    /// Whether the one in this place ended otherwise than by being killed.
    pub fn look_at(&self, place: Place) -> Option<String> {
        let process = self.process(place)?;
        let Some(exit @ (Exit::Ended(_) | Exit::Panicked(_))) = process.exited().now_or_never() else {
            return None;
        };
        self.trace.line(process.name(), "broke:", format_args!("{exit:?}"));
        Some(format!("{} {exit:?}", process.name()))
    }

    /// Its ingress, or its log.
    pub fn topic(&self, ingress: bool) -> Topic {
        if !ingress {
            return own_log(&self.origin());
        }
        stores::ingress(&self.origin())
    }

    /// The mirror of another's log, here.
    pub fn mirror_of(&self, other: &Site) -> Topic {
        mirrored_log(&other.origin())
    }

    /// What a group has committed is gone, and one of it dies; says who.
    pub fn forget_offsets(&self, sequencers: bool) -> Place {
        let (group, place) = if sequencers {
            ("sterna-sequencers", Place::Messaging(0))
        } else {
            ("sterna-state", Place::State(0))
        };
        let group: Group = group.parse().expect("a group's name");
        self.stores.log.forget_offsets(&group);
        self.kill(place);
        place
    }

    /// The chances of a healthy table.
    pub fn table_chances(&self) -> Chances {
        chances(&self.shape)
    }

    /// Its stores are well.
    pub fn heal_stores(&self) {
        self.table_faults.set_chances(self.table_chances());
        self.table_faults.set_down(false);
        self.log_faults.heal();
        self.stores.log.set_in_sync(3);
        self.ambush.give_up();
        self.pushes.lose(0);
    }

    /// How often something landed long after it was given up.
    pub fn landed_late(&self) -> u64 {
        self.log_faults.counts().late + self.table_faults.taken().landed
    }

    /// The wall time that it shows, Unix milliseconds.
    pub fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    /// Whether an error of its log is one of the faults'. The log behind the faults never fails.
    pub fn log(&self) -> &dyn Log {
        &*self.stores.log
    }
}

/// Counts what came by express to whoever is in a place: once in its life, at its end.
pub fn count_express(region: &Region<DuplexStream>, place: Place, paths: &Paths) {
    let Place::State(number) = place else { return };
    let Some(state) = region.state(number) else { return };
    paths.add(Path::Express, state.express().shown);
    paths.add(Path::ExpressLate, state.express().late);
    paths.add(Path::Recovered, state.ensured().recovered);
}

fn lens(
    (trace, paths): (&Trace, &Paths),
    (seen, commits): (&Arc<Mutex<Seen>>, &Commits),
    ambush: &Ambush,
) -> Lens {
    let (trace, paths, ambush) = (trace.clone(), paths.clone(), ambush.clone());
    let (seen, commits) = (seen.clone(), commits.clone());
    Arc::new(move |process: &Process, stores: &Stores| {
        let witness = Witness::new(process, (&trace, &paths), (&seen, &commits));
        let log = Arc::new(WitnessLog::new(stores.log.clone(), witness.clone()));
        let table = Arc::new(ambush.before(stores.table.clone()));
        let table = Arc::new(WitnessTable::new(table, witness));
        Stores { log, table, ..stores.clone() }
    })
}

fn chances(shape: &Shape) -> Chances {
    let (delay_min, delay_max) = shape.table_latency;
    Chances { delay_min, delay_max, ..Chances::default() }
}

fn tune(stores: &MemoryStores, shape: &Shape) {
    stores.log.tune(|config| {
        config.session_timeout = shape.session;
        config.produce_latency = shape.produce_latency;
        config.prefetch_records_max = shape.prefetch;
        config.leave_on_drop = false;
    });
}

//! The demo's people on their way through it: they come, talk while things happen, and wait until all is
//! told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rand::RngExt;
use sterna_process::{Clock, Drain, ManualClock, Process, Seeded, SystemClock};
use sterna_protocol::frame::Secret;
use sterna_stream::{StreamId, UserId};
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::device::{Device, Person, Shared};
use super::ledger::{self, Ledger, RegionNumber};
use super::screen::Screen;
use super::script::{self, Scene};
use super::unrest::{Recovery, Unrest};
use super::world::World;
use super::{ARRIVAL, Error, Options};
use crate::founder::Founder;

/// People of one room, before everybody joins a second one.
const ROOM_PEOPLE: usize = 6;
/// How often it is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(50);
/// How long second acks are waited for at the end, before what has none counts as broken.
const SECOND_ACKS_WAIT: Duration = Duration::from_secs(20);
/// Once everything has happened, and nobody has said when to end, people talk so many times less.
const QUIETER: u32 = 12;

/// The regions, their people, and what they share.
pub(super) struct Stage {
    pub(super) world: Rc<World>,
    pub(super) devices: Vec<Device>,
    pub(super) shared: Shared,
    pub(super) rooms: Vec<StreamId>,
    /// Owns the doors; it ends with the run.
    _owner: Process,
    random: Seeded,
}

/// What talking came to.
pub(super) struct Talked {
    pub(super) length: Duration,
    pub(super) faults: Vec<Recovery>,
}

impl Stage {
    pub(super) async fn build(options: &Options) -> Result<Self, Error> {
        let clock = ManualClock::new(SystemClock.wall_ms());
        let owner = Process::new("demo", options.seed, std::sync::Arc::new(clock.clone()));
        let world = Rc::new(World::start(options, &clock, &owner)?);
        let shared = Shared {
            ledger: Rc::new(RefCell::new(Ledger::of(options.regions.len()))),
            calm: Rc::new(Cell::new(false)),
            world: world.clone(),
            clock,
            seed: options.seed,
            sabotage: options.sabotage,
        };
        let users: Vec<UserId> = (0..options.people).map(user).collect();
        let rooms = found(&shared, &users, &owner).await?;
        let mut devices = Vec::new();
        for (number, user) in users.into_iter().enumerate() {
            let token = world.token(&user)?;
            let joined = joined(number, rooms.len()).into_iter().map(|room| rooms[room].clone()).collect();
            let home = home(number, rooms.len(), world.names.len());
            devices.push(Device::new(Person { number, user, token, rooms: joined, home }, shared.clone()));
        }
        Ok(Self { world, devices, shared, rooms, random: owner.rng("people"), _owner: owner })
    }

    /// Everybody comes.
    pub(super) async fn arrive(&mut self) -> Result<(), Error> {
        self.devices.iter_mut().for_each(Device::start);
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let missing = self.devices.iter().filter(|device| !device.is_there()).count();
            if missing == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Arrival { missing, people: self.devices.len() });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// People talk while things happen, until it is time or `stop` is raised.
    pub(super) async fn talk(&mut self, options: &Options, stop: &Drain, screen: &Screen) -> Talked {
        let round = Duration::from_secs(options.round_s());
        let started = Instant::now();
        let mut scenes = script::scenes(round, self.world.names.len()).into_iter().peekable();
        let mut words = pace(options.rate);
        let mut quiet = false;
        let mut label = 0;
        let mut unrest = Unrest::new(started);
        while (started.elapsed() < round || options.is_open_ended()) && !stop.is_raised() {
            words.tick().await;
            while let Some((_, scene)) = scenes.next_if(|(at, _)| *at <= started.elapsed()) {
                let told = scene.told(&self.world.names);
                screen.say(&format!("{:5.1} s  {told}", started.elapsed().as_secs_f64()));
                self.play(scene);
                match scene.fault(&self.world.names) {
                    Some(fault) => unrest.breaks(fault, Instant::now()),
                    None => unrest.heals(Instant::now()),
                }
            }
            if started.elapsed() >= round && options.is_open_ended() && !quiet {
                quiet = true;
                words = pace((options.rate / QUIETER).max(1));
                screen.say("everything has happened; people talk on, more quietly: Ctrl-C ends it");
            }
            let unsettled = self.shared.ledger.borrow().unsettled_since();
            let all_live = self.devices.iter().all(Device::is_live);
            self.shared.calm.set(unrest.look(all_live, unsettled, Instant::now()));
            label += u64::from(self.somebody_speaks(label + 1));
            screen.progress(started.elapsed(), round, &self.shared.ledger.borrow());
        }
        let length = started.elapsed();
        // Whoever interrupts the demo does so at any point: what is broken is made whole before the end.
        scenes.filter(|(_, scene)| !scene.breaks()).for_each(|(_, scene)| self.play(scene));
        Talked { length, faults: unrest.into_recoveries() }
    }

    fn somebody_speaks(&mut self, label: u64) -> bool {
        let alive: Vec<&Device> = self.devices.iter().filter(|device| device.runs()).collect();
        let who = self.random.random_range(0..alive.len().max(1));
        let room = self.random.random::<u32>() as usize;
        let Some(device) = alive.get(who) else { return false };
        device.say(label, room);
        true
    }

    fn play(&mut self, scene: Scene) {
        match scene {
            Scene::Crash(region, place) => self.world.kill(region, place),
            Scene::Restart(region, place) => self.world.restart(region, place),
            Scene::CutOff(region) => self.world.cut_off(region, true),
            Scene::Heal(region) => self.world.cut_off(region, false),
            Scene::DropDevices => self.devices.iter_mut().step_by(3).for_each(Device::drop_it),
            Scene::ReviveDevices => {
                self.devices.iter_mut().filter(|device| !device.runs()).for_each(Device::start);
            }
        }
    }

    /// Until everything that was sent has an answer and is on every screen in one order, or patience ends;
    /// then until each ack was followed by the second, that another region has it.
    pub(super) async fn settle(&self) {
        self.wait(ledger::PATIENCE, Ledger::is_settled).await;
        self.wait(SECOND_ACKS_WAIT, |ledger| ledger.verdict().alone == 0).await;
    }

    async fn wait(&self, patience: Duration, is_so: impl Fn(&Ledger) -> bool) {
        let deadline = Instant::now() + patience;
        while !is_so(&self.shared.ledger.borrow()) && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Devices that are elsewhere than they began.
    pub(super) fn changed_region(&self) -> usize {
        self.devices.iter().filter(|device| device.region() != device.home()).count()
    }
}

fn pace(rate: u32) -> tokio::time::Interval {
    let mut words = tokio::time::interval(Duration::from_secs(1) / rate);
    words.set_missed_tick_behavior(MissedTickBehavior::Burst);
    words
}

/// A person's name.
pub(super) fn user(number: usize) -> UserId {
    format!("person-{number}").parse().expect("a user's name")
}

/// The rooms that a person is in.
fn joined(person: usize, rooms: usize) -> Vec<usize> {
    let (first, second) = (person % rooms, (person + 1) % rooms);
    if first == second { vec![first] } else { vec![first, second] }
}

/// Where a person lives: each room has people of every region.
pub(super) fn home(person: usize, rooms: usize, regions: usize) -> RegionNumber {
    person / rooms % regions
}

/// Makes the rooms, each by a host of its own, in turn in every region.
async fn found(shared: &Shared, users: &[UserId], owner: &Process) -> Result<Vec<StreamId>, Error> {
    let count = (users.len() / ROOM_PEOPLE).max(1);
    let mut rooms = Vec::new();
    for room in 0..count {
        let host: UserId = format!("host-{room}").parse().expect("a user's name");
        let url = shared.world.url(room % shared.world.names.len());
        let socket = shared.world.doors.knock(url).await.map_err(Error::Refused)?;
        let token = Secret::new(shared.world.token(&host)?);
        let mut founder = Founder::greet(socket, token, owner.rng(host.as_str())).await?;
        let members: Vec<usize> =
            (0..users.len()).filter(|person| joined(*person, count).contains(&room)).collect();
        let writers: Vec<UserId> = members.iter().map(|person| users[*person].clone()).collect();
        let stream = founder.create(&writers, &shared.clock).await?;
        founder.leave().await;
        shared.ledger.borrow_mut().room(stream.clone(), members);
        rooms.push(stream);
    }
    Ok(rooms)
}

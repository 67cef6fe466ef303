//! The demo: a region in memory, people who talk, roles that crash, and a ledger that says what came of it.
//!
//! Everything is real but the disks and the network: the roles, the edge, HTTP upgrades, the Rust client.
//! Time is tokio's throughout, so a test runs it in paused time and one seed gives one run.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rand::RngExt;
use sterna_access::DevelopmentIssuer;
use sterna_cluster::region::token_secret;
use sterna_cluster::{MemoryStores, Plan};
use sterna_gateway::edge::{Limits, Origins, bind};
use sterna_process::{Clock, Drain, End, ManualClock, Process, Seeded, SystemClock};
use sterna_protocol::frame::{Endpoint, Secret};
use sterna_stream::{StreamId, UserId};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, MissedTickBehavior};

use self::device::{Device, Shared};
use self::ledger::Ledger;
use self::report::Report;
use self::screen::Screen;
use self::script::Scene;
use crate::founder::{self, Founder};
use crate::site::Site;

mod device;
pub mod latency;
pub mod ledger;
mod options;
pub mod report;
pub mod screen;
pub mod script;

#[cfg(test)]
mod tests;

pub use options::{Invalid, Options};

/// The demo's tenant.
pub const TENANT: &str = "demo";
/// Its region. Several come next.
const REGION: &str = "us-east-1";
/// People of one room, before everybody joins a second one.
const ROOM_PEOPLE: usize = 6;
/// Connections that wait at the door.
const DOOR: usize = 256;
/// Longest that everybody may take to be there.
const ARRIVAL: Duration = Duration::from_secs(20);
/// How often it is looked whether something has come to pass.
const LOOK: Duration = Duration::from_millis(20);
/// After a fault, what everybody needs to be live for before latencies count as calm again.
const CALM_AFTER: Duration = Duration::from_millis(500);
/// How long tokens are good for.
const TOKEN_MS: u64 = 24 * 3_600_000;

/// What a connection of the demo is: a memory pipe, or TCP with `--listen`.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

/// Why there was no demo.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of `--listen`.
    #[error("cannot listen on {0}: choose a free address, or port 0 for any")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// No room could be made.
    #[error("the rooms could not be made")]
    Founding(#[from] founder::Error),
    /// The memory socket was refused.
    #[error("the region refused a connection: {0:?}")]
    Refused(sterna_client::machine::Failure),
    /// Not everybody was live in time.
    #[error("{missing} of {people} people did not get in within {} s", ARRIVAL.as_secs())]
    Arrival {
        /// How many.
        missing: usize,
        /// Of how many.
        people: usize,
    },
    /// A token.
    #[error("no token: {0:?}")]
    Token(sterna_stream::Refusal),
}

/// Runs the demo on this thread, in a `LocalRuntime`; raising `stop` ends the talking early.
///
/// # Errors
/// It could not begin. A promise that was broken is no error: it stands in the report.
pub async fn run(options: &Options, stop: &Drain, screen: &mut Screen) -> Result<Report, Error> {
    screen.say(&format!("one region, {REGION}, in memory and in this process: several regions come next"));
    let mut stage = Stage::build(options, screen).await?;
    stage.arrive().await?;
    screen.say(&format!("{} people in {} rooms, all connected", options.people, stage.rooms));
    let talked = stage.talk(options, stop, screen).await;
    stage.settle().await;
    let verdict = stage.shared.ledger.borrow().verdict();
    stage.devices.iter_mut().for_each(Device::leave);
    let cut = stage.site.drain(Duration::ZERO).await;
    let ledger = stage.shared.ledger.borrow();
    Ok(Report {
        regions: vec![REGION.to_owned()],
        people: options.people,
        rooms: stage.rooms,
        seconds: talked.as_secs_f64(),
        kept: verdict.holds() && cut.is_empty(),
        verdict,
        ack_calm: ledger.ack.calm(),
        ack: ledger.ack.all(),
        delivery_calm: ledger.delivery.calm(),
        delivery: ledger.delivery.all(),
        roles_cut_at_the_end: cut.iter().map(|place| place.role().to_owned()).collect(),
    })
}

/// The region, its people, and what they share.
struct Stage {
    site: Rc<Site<Box<dyn Socket>>>,
    devices: Vec<Device>,
    shared: Shared,
    rooms: usize,
    /// Owns the door; it ends with the run.
    _door: Process,
    random: Seeded,
}

impl Stage {
    async fn build(options: &Options, screen: &mut Screen) -> Result<Self, Error> {
        let clock = ManualClock::new(SystemClock.wall_ms());
        let mut plan = Plan::small(REGION.parse().expect("a region's name"), options.seed);
        let listener = match options.listen {
            Some(address) => Some(bind(address).map_err(|error| Error::Listen(address, error))?),
            None => None,
        };
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let host = address.map_or("demo.sterna".to_owned(), |address| address.to_string());
        let url = format!("ws://{host}/v1/connect");
        plan.endpoints = vec![Endpoint { region: plan.region.clone(), url: url.clone().into() }];
        let issuer = DevelopmentIssuer::new(token_secret(&plan));
        let expires_ms = clock.wall_ms() + TOKEN_MS;
        let token = |user: &UserId| issuer.issue(TENANT, user, expires_ms).map_err(Error::Token);
        let stores = MemoryStores::new(&plan).stores();
        let site = Rc::new(Site::<Box<dyn Socket>>::start(
            plan,
            stores,
            Arc::new(clock.clone()),
            Origins::Any,
            Limits::default(),
        ));
        let owner = Process::new("demo", options.seed, Arc::new(clock.clone()));
        let (door, mut knocks) = mpsc::channel::<DuplexStream>(DOOR);
        let inside = site.clone();
        owner.spawn_local("the door", End::Expected, async move {
            while let Some(socket) = knocks.recv().await {
                inside.edge().connect(Box::new(socket));
            }
        });
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let shared = Shared { ledger, calm: Rc::new(Cell::new(false)), door, clock, seed: options.seed };
        let users: Vec<UserId> = (0..options.people).map(user).collect();
        let rooms = found(&shared, &users, &owner, &token).await?;
        let mut devices = Vec::new();
        for (number, user) in users.into_iter().enumerate() {
            let joined = joined(number, rooms.len()).into_iter().map(|room| rooms[room].clone()).collect();
            let token = token(&user)?;
            devices.push(Device::new(number, user, token, joined, shared.clone()));
        }
        if let Some(listener) = listener {
            site.edge().listen(listener, |socket| Box::new(socket));
            screen.say(&format!("join them:\n  sterna chat --url {url} --stream {} \\", rooms[0]));
            screen.say(&format!("    --token {}", token(&user(0))?));
        }
        Ok(Self { site, devices, shared, rooms: rooms.len(), random: owner.rng("people"), _door: owner })
    }

    /// Everybody comes.
    async fn arrive(&mut self) -> Result<(), Error> {
        self.devices.iter_mut().for_each(Device::start);
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let missing = self.devices.iter().filter(|device| !device.is_live()).count();
            if missing == 0 {
                self.shared.calm.set(true);
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Arrival { missing, people: self.devices.len() });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// People talk while things happen; says for how long.
    async fn talk(&mut self, options: &Options, stop: &Drain, screen: &mut Screen) -> Duration {
        let length = Duration::from_secs(options.seconds);
        let started = Instant::now();
        let mut scenes = script::scenes(length).into_iter().peekable();
        let mut words = tokio::time::interval(Duration::from_secs(1) / options.rate);
        words.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut label = 0;
        let mut unrest = Unrest::default();
        while started.elapsed() < length && !stop.is_raised() {
            words.tick().await;
            while let Some((_, scene)) = scenes.next_if(|(at, _)| *at <= started.elapsed()) {
                screen.say(&format!("{:5.1} s  {}", started.elapsed().as_secs_f64(), scene.told()));
                self.play(scene);
                unrest.scene(scene);
            }
            unrest.look(self.devices.iter().all(Device::is_live));
            self.shared.calm.set(unrest.is_over());
            let alive: Vec<&Device> = self.devices.iter().filter(|device| device.runs()).collect();
            let (who, room) =
                (self.random.random_range(0..alive.len()), self.random.random::<u32>() as usize);
            if let Some(device) = alive.get(who) {
                label += 1;
                device.say(label, room);
            }
            screen.progress(started.elapsed(), length, &self.shared.ledger.borrow());
        }
        let talked = started.elapsed();
        // Whoever interrupts the demo does so at any point: what is broken is made whole before the end.
        scenes.filter(|(_, scene)| !scene.breaks()).for_each(|(_, scene)| self.play_if_due(scene));
        talked
    }

    fn play(&mut self, scene: Scene) {
        match scene {
            Scene::Crash(place) => self.site.kill(place),
            Scene::Restart(place) => self.site.restart(place),
            Scene::DropDevices => self.devices.iter_mut().step_by(3).for_each(Device::drop_it),
            Scene::ReviveDevices => self.revive(),
        }
    }

    /// Restores what an interrupted run left broken; what is whole stays as it is.
    fn play_if_due(&mut self, scene: Scene) {
        match scene {
            Scene::Restart(place) if !self.site.is_running(place) => self.site.restart(place),
            Scene::ReviveDevices => self.revive(),
            _ => {}
        }
    }

    fn revive(&mut self) {
        self.devices.iter_mut().filter(|device| !device.runs()).for_each(Device::start);
    }

    /// Until everything that was sent has an answer and is on every screen, or patience ends.
    async fn settle(&self) {
        let deadline = Instant::now() + ledger::PATIENCE;
        while self.shared.ledger.borrow().open() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether something is broken, or was a moment ago.
#[derive(Default)]
struct Unrest {
    broken: bool,
    whole_since: Option<Instant>,
}

impl Unrest {
    fn scene(&mut self, scene: Scene) {
        self.broken = scene.breaks();
        self.whole_since = None;
    }

    fn look(&mut self, all_live: bool) {
        if self.broken || !all_live {
            self.whole_since = None;
        } else {
            self.whole_since.get_or_insert_with(Instant::now);
        }
    }

    fn is_over(&self) -> bool {
        self.whole_since.is_some_and(|since| since.elapsed() >= CALM_AFTER)
    }
}

fn user(number: usize) -> UserId {
    format!("person-{number}").parse().expect("a user's name")
}

/// The rooms that a person is in.
fn joined(person: usize, rooms: usize) -> Vec<usize> {
    let (first, second) = (person % rooms, (person + 1) % rooms);
    if first == second { vec![first] } else { vec![first, second] }
}

/// Makes the rooms, each by a host of its own.
async fn found(
    shared: &Shared,
    users: &[UserId],
    owner: &Process,
    token: &impl Fn(&UserId) -> Result<String, Error>,
) -> Result<Vec<StreamId>, Error> {
    let count = (users.len() / ROOM_PEOPLE).max(1);
    let mut rooms = Vec::new();
    for room in 0..count {
        let host: UserId = format!("host-{room}").parse().expect("a user's name");
        let socket = device::knock(&shared.door, device::URL).await.map_err(Error::Refused)?;
        let mut founder =
            Founder::greet(socket, Secret::new(token(&host)?), owner.rng(host.as_str())).await?;
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

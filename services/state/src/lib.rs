//! State: who follows what, and live fan-out from the log to every shard that wants it.
//!
//! Each instance consumes partitions of the region's log, and of every mirror of another region's, and pushes
//! each segment once to each interested shard. A push stream is reliable or reset: what cannot be pushed ends
//! the stream, the shard attaches again and compares all heads (E15). Behind the push the segment goes into
//! the region's tail. Ahead of the mirrors, segments go from region to region by express.
//!
//! Reading order: [`hub`] (interest, joins and pushes; no I/O), [`attach`] (one shard), [`consume`] (the
//! log, and what came by express), [`handled`] and [`ensure`] (what may be committed), `recover`, [`marks`]
//! (how far the mirrors are counted), [`wall`] (what time it is), [`covered`] (what another region has),
//! [`express`] (the lanes between regions); beside them [`registry`] (sessions), [`presence`] (who is there)
//! and [`lives`] (which regions' logs there are). It authorises nothing and decodes no payload but that of
//! members.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::Stream;
use sterna_access::members::Folds;
use sterna_access::members::stored::StoredEvents;
use sterna_log::{Group, Log, Topic};
use sterna_process::{Caller, End, Link, Process};
use sterna_proto::v1;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::v1::state_server::{State as Service, StateServer};
use sterna_storage::{Sessions, Table, Tails};
use sterna_stream::clock_watch::Standing;
use sterna_stream::{Origin, limits};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

pub mod attach;
pub mod consume;
pub mod covered;
pub mod ensure;
pub mod express;
mod fill;
pub mod handled;
pub mod hub;
pub mod lives;
mod look;
pub mod marks;
pub mod positions;
pub mod presence;
mod recover;
pub mod registry;
#[cfg(test)]
mod tests;
pub mod wall;
mod watch;

/// What a region's state is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region's origin in its present incarnation.
    pub origin: Origin,
    /// Partitions of all logs.
    pub partitions: u16,
    /// The region's own log.
    pub log: Topic,
    /// The mirrors of the other regions' logs, in the lives that they were in when this was written; later
    /// ones are found ([`lives`]).
    pub mirrors: Vec<Mirror>,
    /// The consumer group of its instances.
    pub group: Group,
    /// Messages that may wait for one shard; at the bound its stream is ended (E15).
    pub push_queue: usize,
    /// Whether segments are sent, and taken, by express (E19).
    pub express: bool,
}

/// A copy of another region's log.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Whose log it is, in one of its lives.
    pub origin: Origin,
    /// Its topic here.
    pub topic: Topic,
}

/// What the role is made of.
pub struct Parts {
    /// The owner of its tasks.
    pub process: Process,
    /// The region's log, which also holds the mirrors.
    pub log: Arc<dyn Log>,
    /// The region's table, for its own counts.
    pub table: Arc<dyn Table>,
    /// The region's tails.
    pub tails: Arc<dyn Tails>,
    /// The region's sessions.
    pub sessions: Arc<dyn Sessions>,
    /// The way to persistence.
    pub persistence: Link,
    /// Every state instance of the other regions.
    pub peers: Vec<express::Peer>,
    /// The region's wall, which its marks feed.
    pub wall: Arc<wall::Wall>,
}

/// The role.
#[derive(Clone)]
pub struct State(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) process: Process,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) tails: Arc<dyn Tails>,
    pub(crate) persistence: PersistenceClient<Link>,
    pub(crate) hub: hub::Shared,
    pub(crate) ensure: ensure::Queue,
    pub(crate) express: express::Express,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) lanes: registry::Lanes,
    pub(crate) watch: watch::Shared,
    pub(crate) positions: positions::Positions,
    mirrors: Mutex<marks::Counters>,
    pub(crate) lives: lives::Lives,
    pub(crate) wall: Arc<wall::Wall>,
}

impl Config {
    /// The defaults for `origin`, without mirrors.
    ///
    /// # Panics
    /// Never: the topic and group names are constants.
    pub fn new(origin: Origin) -> Self {
        Self {
            partitions: 4,
            log: log_of(&origin),
            mirrors: Vec::new(),
            group: "sterna-state".parse().expect("a group's name"),
            push_queue: limits::PUSH_QUEUE,
            express: true,
            origin,
        }
    }
}

impl Mirror {
    /// The mirror of a region's log in this life, by its usual name (E1).
    ///
    /// # Panics
    /// Never: the topic's name is a constant.
    pub fn of(origin: Origin) -> Self {
        Self { topic: log_of(&origin).mirrored_from(&origin.region()), origin }
    }
}

/// The log's name at home, in one of its region's lives.
fn log_of(origin: &Origin) -> Topic {
    let log: Topic = "sterna-log".parse().expect("a topic's name");
    log.in_incarnation(origin.incarnation())
}

impl State {
    /// Starts the role: it joins the log's consumer group, and opens its express lanes.
    pub fn start(config: Config, parts: Parts) -> Self {
        let peers = if config.express { parts.peers } else { Vec::new() };
        let (express, arrivals) = express::Express::new(peers.len());
        let hub = hub::Shared::new(hub::Hub::new(config.partitions, config.push_queue));
        let (lanes, jobs) = registry::Lanes::new();
        let folds = Folds::new(StoredEvents::new(parts.persistence.clone()));
        let watch = watch::Shared::new(presence::Presence::new(config.mirrors.is_empty()));
        let lives = lives::Lives::new(&config.mirrors);
        let inner = Arc::new(Inner {
            config,
            sessions: parts.sessions,
            lanes,
            watch,
            lives,
            process: parts.process.clone(),
            log: parts.log,
            table: parts.table,
            tails: parts.tails,
            persistence: PersistenceClient::new(parts.persistence),
            hub,
            ensure: ensure::Queue::default(),
            positions: positions::Positions::default(),
            express,
            mirrors: Mutex::default(),
            wall: parts.wall,
        });
        let (asks, asked) = mpsc::channel(1);
        let (answers, rounds) = mpsc::channel(1);
        let filling = consume::Filling { asks, rounds, asking: false };
        parts.process.spawn("filling holes of mirrors", End::Fatal, fill::run(inner.clone(), asked, answers));
        parts.process.spawn("the table's second way", End::Fatal, ensure::run(inner.clone()));
        parts.process.spawn("other regions' lives", End::Fatal, lives::watch(inner.clone()));
        parts.process.spawn("presence", End::Fatal, watch::run(inner.clone(), folds));
        for jobs in jobs {
            parts.process.spawn("a lane of the registry", End::Fatal, registry::run(inner.clone(), jobs));
        }
        parts.process.spawn("the log consumer", End::Fatal, consume::run(inner.clone(), arrivals, filling));
        for (at, peer) in peers.into_iter().enumerate() {
            let lane = express::outgoing::run(inner.clone(), at, peer);
            parts.process.spawn("an express lane", End::Fatal, lane);
        }
        Self(inner)
    }

    /// What happened so far on its express lanes.
    pub fn express(&self) -> express::Counters {
        *self.0.express.count()
    }

    /// What became so far of segments of other regions.
    pub fn ensured(&self) -> ensure::Counters {
        *self.0.ensure.count()
    }

    /// What happened so far to its pushes.
    pub fn pushes(&self) -> hub::Counters {
        self.0.hub.lock().counters()
    }

    /// How far logs are consumed and covered, as of the last second.
    pub fn positions(&self) -> Vec<positions::Position> {
        self.0.positions.all()
    }

    /// What the region may claim about its clock (E14).
    pub fn clock(&self) -> Standing {
        self.0.wall.standing()
    }

    /// What it met in the mirrors and in the own log so far.
    pub fn mirrors(&self) -> marks::Counters {
        *self.0.mirrors()
    }

    /// Its services, to be served or linked directly.
    pub fn routes(&self) -> Routes {
        Routes::new(StateServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl Service for State {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<v1::AttachDown, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachUp>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let caller = Caller::of(&request)?;
        caller.must_be(&["gateway"])?;
        if caller.region() != self.0.config.origin.region().as_str() {
            return Err(Status::permission_denied("not a gateway of this region"));
        }
        let pushes = attach::attach(self.0.clone(), request.into_inner());
        Ok(Response::new(Box::pin(pushes)))
    }

    type ExpressStream = ReceiverStream<express::incoming::News>;

    /// The caller's own segments alone are taken, of any life of its region that is known here (E19).
    async fn express(
        &self,
        request: Request<Streaming<v1::Carry>>,
    ) -> Result<Response<Self::ExpressStream>, Status> {
        let caller = Caller::of(&request)?;
        caller.must_be(&["state"])?;
        let mut peers = self.0.config.mirrors.iter().map(|mirror| mirror.origin.region());
        let region = peers.find(|region| region.as_str() == caller.region());
        let region = region.ok_or_else(|| Status::permission_denied("not a peer region"))?;
        if !self.0.config.express {
            return Err(Status::failed_precondition("this region takes nothing by express"));
        }
        Ok(Response::new(express::incoming::receive(self.0.clone(), region, request.into_inner())))
    }
}

//! The demo's regions: each a whole one with its edge, in this process, and the WAN between them.
//!
//! People's devices come in through a region's door, a memory socket with a whole HTTP upgrade; with
//! `--listen` others come over TCP to the same edge.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use sterna_access::DevelopmentIssuer;
use sterna_client::machine::Failure;
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Connector, Opening, Transport};
use sterna_cluster::region::{Place, token_secret};
use sterna_cluster::{Between, Plan, Tenant};
use sterna_gateway::edge::{Limits, Origins};
use sterna_process::{Clock, End, ManualClock, Process};
use sterna_protocol::Encoding;
use sterna_protocol::frame::Endpoint;
use sterna_regions::RoundTrips;
use sterna_stream::{Region, UserId};
use tokio::io::{DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::ledger::RegionNumber;
use super::{Error, OWNER, Options, TENANT};
use crate::site::{self, Site};
use crate::socket::Socket;

/// Connections that wait at a door.
const DOOR: usize = 256;
/// Bytes that a memory socket holds, as the kernel's buffers would.
const SOCKET_BYTES: usize = 64 * 1024;
/// How long tokens are good for.
const TOKEN_MS: u64 = 24 * 3_600_000;
/// How often the WAN's delay is measured.
const PROBES: usize = 9;
/// How often tables are compared until they are equal.
const COMPARE_AGAIN: Duration = Duration::from_millis(200);

/// The regions of a run and what is between them.
pub struct World {
    /// The names, in the order of the run.
    pub names: Vec<Region>,
    /// How people reach them.
    pub doors: Doors,
    sites: Vec<Rc<Site>>,
    urls: Vec<Box<str>>,
    between: Between,
    distances: RoundTrips,
    issuer: DevelopmentIssuer,
    clock: ManualClock,
}

/// Where memory sockets go, by the address that a client was given.
#[derive(Clone)]
pub struct Doors(Arc<BTreeMap<Box<str>, mpsc::Sender<DuplexStream>>>);

/// Whose tenant it is: nobody who talks.
fn tenant() -> Tenant {
    Tenant { name: TENANT.to_owned(), owner: OWNER.parse().expect("a user's name") }
}

// === impl World ===

impl World {
    /// Starts all regions; `owner` owns the doors.
    ///
    /// # Errors
    /// An address to listen on is not to be had.
    pub fn start(options: &Options, clock: &ManualClock, owner: &Process) -> Result<Self, Error> {
        let names = options.regions.clone();
        let distances = RoundTrips::typical();
        let (listeners, urls) = listeners(options)?;
        let mut plans: Vec<Plan> = names.iter().map(|name| Plan::small(name.clone(), options.seed)).collect();
        for plan in &mut plans {
            plan.express = options.express;
            plan.tenants = vec![tenant()];
            plan.endpoints = nearest_first(&plan.region, &names, &urls, &distances);
        }
        let issuer = DevelopmentIssuer::new(token_secret(&plans[0]));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let between = Between::new(&mut plans, &distances, &shared);
        let (mut sites, mut doors) = (Vec::new(), BTreeMap::new());
        for ((plan, url), listener) in plans.into_iter().zip(&urls).zip(listeners) {
            let stores = between.stores[&plan.region].stores();
            let site = Rc::new(Site::start(plan, stores, shared.clone(), Origins::Any, Limits::default()));
            doors.insert(url.clone(), door(owner, site.clone()));
            if let Some(listener) = listener {
                site.edge().listen(listener, Socket::Tcp);
            }
            sites.push(site);
        }
        let doors = Doors(Arc::new(doors));
        Ok(Self { names, doors, sites, urls, between, distances, issuer, clock: clock.clone() })
    }

    /// How a region is reached.
    pub fn url(&self, region: RegionNumber) -> &str {
        &self.urls[region]
    }

    /// Which region this is.
    pub fn number(&self, region: &Region) -> Option<RegionNumber> {
        self.names.iter().position(|name| name == region)
    }

    /// A token that every region takes.
    ///
    /// # Errors
    /// No region would.
    pub fn token(&self, user: &UserId) -> Result<String, Error> {
        self.issuer.issue(TENANT, user, self.clock.wall_ms(), TOKEN_MS).map_err(Error::Token)
    }

    /// One way between two regions.
    pub fn one_way(&self, from: RegionNumber, to: RegionNumber) -> Duration {
        self.distances.one_way(&self.names[from], &self.names[to]).unwrap_or_default()
    }

    /// Crashes whoever is in a place of a region.
    pub fn kill(&self, region: RegionNumber, place: Place) {
        self.sites[region].kill(place);
    }

    /// Builds whoever belongs there anew, unless they are there.
    pub fn restart(&self, region: RegionNumber, place: Place) {
        if !self.sites[region].is_running(place) {
            self.sites[region].restart(place);
        }
    }

    /// Cuts a region off from all others, or heals that.
    pub fn cut_off(&self, region: RegionNumber, on: bool) {
        self.between.cut_off(&self.names[region], on);
    }

    /// Waits until all regions' tables hold the same events, at most so long. Says in how many items a region
    /// still differs from the first.
    pub async fn until_tables_are_equal(&self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        loop {
            let mut differences = 0;
            for other in &self.names[1..] {
                // What cannot be read is no equal table.
                differences += self.between.differences(&self.names[0], other).await.unwrap_or(1);
            }
            if differences == 0 || Instant::now() >= deadline {
                return differences;
            }
            tokio::time::sleep(COMPARE_AGAIN).await;
        }
    }

    /// Ends all regions in good order. Says which roles did not end by themselves.
    pub async fn end(&self) -> Vec<String> {
        let mut cut = Vec::new();
        for (name, site) in self.names.iter().zip(&self.sites) {
            let places = site.drain(Duration::ZERO, None).await;
            cut.extend(places.into_iter().map(|place| format!("{} of {name}", place.role())));
        }
        self.between.end();
        cut
    }
}

/// What one way takes when it is injected: timers end late, and what is measured is the lower bound of what
/// delivery can take here.
pub async fn injected(one_way: Duration) -> Duration {
    let mut took = Vec::new();
    for _ in 0..PROBES {
        let started = Instant::now();
        tokio::time::sleep(one_way).await;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took[PROBES / 2]
}

type Listeners = (Vec<Option<TcpListener>>, Vec<Box<str>>);

/// A listener for each region that is to have one, and the regions' addresses.
fn listeners(options: &Options) -> Result<Listeners, Error> {
    let (mut listeners, mut urls) = (Vec::new(), Vec::new());
    for (number, region) in options.regions.iter().enumerate() {
        let mut host = format!("{region}.demo.sterna");
        let mut listener = None;
        if let Some(address) = options.address(number) {
            let bound = site::claim(address).map_err(|error| Error::Listen(address, error))?;
            host = bound.local_addr().map_err(|error| Error::Listen(address, error))?.to_string();
            listener = Some(bound);
        }
        listeners.push(listener);
        urls.push(format!("ws://{host}/v1/connect").into());
    }
    Ok((listeners, urls))
}

/// What a region tells its clients: itself, then the others by distance. A client that loses one goes to the
/// next.
fn nearest_first(of: &Region, names: &[Region], urls: &[Box<str>], distances: &RoundTrips) -> Vec<Endpoint> {
    let mut order: Vec<(Duration, usize)> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (distances.one_way(of, name).unwrap_or(Duration::MAX), at))
        .collect();
    order.sort_unstable();
    let endpoint = |(_, at): (Duration, usize)| Endpoint { region: names[at].clone(), url: urls[at].clone() };
    order.into_iter().map(endpoint).collect()
}

fn door(owner: &Process, site: Rc<Site>) -> mpsc::Sender<DuplexStream> {
    let (door, mut knocks) = mpsc::channel::<DuplexStream>(DOOR);
    owner.spawn_local("a door", End::Expected, async move {
        while let Some(socket) = knocks.recv().await {
            site.edge().connect(Socket::Memory(socket));
        }
    });
    door
}

// === impl Doors ===

impl Doors {
    /// A new memory socket at `url`, upgraded.
    ///
    /// # Errors
    /// Nobody is there, or the upgrade was refused.
    pub async fn knock(&self, url: &str) -> Result<WebSocket<DuplexStream>, Failure> {
        let door = self.0.get(url).ok_or(Failure::Unreachable)?;
        let (ours, theirs) = duplex(SOCKET_BYTES);
        door.send(theirs).await.map_err(|_| Failure::Unreachable)?;
        WebSocket::upgrade(ours, url, Encoding::Json).await
    }
}

impl Connector for Doors {
    fn open(&mut self, url: &str) -> Opening {
        let (doors, url) = (self.clone(), url.to_owned());
        Box::pin(async move { Ok(Box::new(doors.knock(&url).await?) as Box<dyn Transport>) })
    }
}

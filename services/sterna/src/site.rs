//! A region with its edge in this process: what people connect to, and what can be crashed and ended.
//!
//! The edge is a process of its own: it tells health while the shard behind it is away or drains.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sterna_cluster::figures::ByPlace;
use sterna_cluster::region::{DRAIN, Place};
use sterna_cluster::shard::ShardSeed;
use sterna_cluster::{Plan, Region, Stores};
use sterna_gateway::edge::{Config as EdgeConfig, Edge, Limits, Origins, Parts, Standing, bind};
use sterna_gateway::leaving::Leaving;
use sterna_gateway::limits::CLOSE_S;
use sterna_process::{Clock, Exit, Process, State};
use tokio::net::TcpListener;

use crate::shards::{EDGE_DRAIN, Figures, Shard};
use crate::socket::Socket;

/// Longest that a shard may take to end in good order while others go on.
const SHARD_DRAIN: Duration = Duration::from_secs(10);

/// Longest wait for the shards' figures before an end: a thread that hangs holds up nothing.
const LOOK: Duration = Duration::from_secs(1);

/// The shard that shares its thread with the other roles.
const SHARD: usize = 0;

/// A listener on `address` that nobody else has. The edge's own way to bind lets shards share an address, so
/// that a second server of the same user would get every other connection unnoticed.
///
/// # Errors
/// The system's: the address is not ours, or taken.
pub fn claim(address: SocketAddr) -> io::Result<TcpListener> {
    drop(std::net::TcpListener::bind(address)?);
    bind(address)
}

/// Listeners beside `first`, on its address: the system gives each of them its part of the connections.
///
/// # Errors
/// The system's.
pub fn beside(first: &TcpListener, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let address = first.local_addr()?;
    (0..count).map(|_| bind(address)?.into_std()).collect()
}

/// One region of this process.
pub struct Site {
    region: Rc<RefCell<Option<Region<Socket>>>>,
    edge: Edge<Socket>,
    front: Process,
    /// What every edge of the region is told.
    config: EdgeConfig,
    seed: u64,
    further: RefCell<Vec<Rc<Shard>>>,
}

impl Site {
    /// Starts the region and its edge.
    ///
    /// # Panics
    /// As [`Region::start`].
    pub fn start(
        plan: Plan,
        stores: Stores,
        clock: Arc<dyn Clock>,
        origins: Origins,
        limits: Limits,
    ) -> Self {
        let seed = plan.seed;
        let (name, endpoints) = (plan.region.clone(), plan.endpoints.clone());
        let region = Region::start(plan, stores, clock);
        // The edge, and every shard of its own thread, read the wall that the region's roles read (E14).
        let front = Process::new(&format!("{name}/edge"), seed, region.wall().clone());
        let region = Rc::new(RefCell::new(Some(region)));
        let behind = region.clone();
        let gateway = move || behind.borrow().as_ref()?.gateway(SHARD).cloned();
        let parts = Parts { process: front.clone(), gateway: Rc::new(gateway) };
        let config = EdgeConfig { region: name, endpoints, origins, limits };
        let edge = Edge::new(config.clone(), parts);
        Self { region, edge, front, config, seed, further: RefCell::default() }
    }

    /// Starts one more shard on a thread of its own, with this listener.
    ///
    /// # Errors
    /// The system's: no thread, no runtime.
    pub async fn add_shard(&self, listener: std::net::TcpListener) -> io::Result<()> {
        let number = self.shards().last().map_or(SHARD, |last| last.number) + 1;
        let clock = self.front.clock().clone();
        let sow = |process: &Process| -> Option<ShardSeed> {
            Some(self.region.borrow_mut().as_mut()?.adopt_shard(number, process))
        };
        let shard = Shard::start(number, (listener, self.config.clone()), (self.seed, clock), sow).await?;
        self.further.borrow_mut().push(Rc::new(shard));
        Ok(())
    }

    /// Where connections come in.
    pub fn edge(&self) -> &Edge<Socket> {
        &self.edge
    }

    /// Whether the process in a place is alive.
    pub fn is_running(&self, place: Place) -> bool {
        let region = self.region.borrow();
        let process = region.as_ref().and_then(|region| region.process(place));
        process.is_some_and(|process| process.state() == State::Running)
    }

    /// Crashes whoever is in a place.
    pub fn kill(&self, place: Place) {
        if let Some(region) = self.region.borrow_mut().as_mut() {
            region.kill(place);
        }
    }

    /// Builds whoever belongs into a place anew, from the stores.
    pub fn restart(&self, place: Place) {
        if let Some(region) = self.region.borrow_mut().as_mut() {
            region.restart(place);
        }
    }

    /// Every role's process.
    pub fn processes(&self) -> Vec<(Place, Process)> {
        let region = self.region.borrow();
        let Some(region) = region.as_ref() else { return Vec::new() };
        region.places().filter_map(|place| Some((place, region.process(place)?.clone()))).collect()
    }

    /// What each shard counted, by its number; those that are gone are left out.
    pub async fn figures(&self) -> Vec<(usize, Figures)> {
        let mut all = Vec::new();
        if let Some(gateway) = self.region.borrow().as_ref().and_then(|region| region.gateway(SHARD)) {
            all.push((SHARD, Figures::of(gateway, &self.edge)));
        }
        for shard in self.shards() {
            all.extend(shard.figures().await.map(|figures| (shard.number, figures)));
        }
        all
    }

    /// What the roles behind the shards counted.
    pub fn role_figures(&self) -> ByPlace {
        self.region.borrow().as_ref().map(Region::figures).unwrap_or_default()
    }

    /// Those on threads of their own.
    fn shards(&self) -> Vec<Rc<Shard>> {
        self.further.borrow().clone()
    }

    /// The first role that is no longer whole by its own doing. A shard that was drained is none.
    pub async fn failed(&self) -> String {
        let watched: Vec<Process> = self.processes().into_iter().map(|(_, process)| process).collect();
        let exit = |process: &Process| {
            let process = process.clone();
            Box::pin(async move { (process.exited().await, process) })
        };
        let mut exits: Vec<_> = watched.iter().map(exit).collect();
        std::future::poll_fn(|context| {
            let mut failed = None;
            exits.retain_mut(|one| match one.as_mut().poll(context) {
                std::task::Poll::Ready((Exit::Drained, _)) => false,
                std::task::Poll::Ready((exit, process)) => {
                    failed = Some(format!("{}: {exit:?}", process.name()));
                    false
                }
                std::task::Poll::Pending => true,
            });
            failed.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }

    /// Ends one shard while the others go on: no further connection comes to it, its sessions are sent to the
    /// others, paced, and whoever stayed is closed with 1012. False: it was cut at its bound, or is not here.
    pub async fn drain_shard(&self, number: usize, leaving: Leaving) -> bool {
        let place = Place::Gateway(number);
        let found = |region: &Region<Socket>| region.process(place).cloned();
        let Some(process) = self.region.borrow().as_ref().and_then(found) else { return false };
        let shard = self.shards().into_iter().find(|shard| shard.number == number);
        match &shard {
            Some(shard) => {
                shard.close().await;
                shard.leave(leaving).await;
            }
            None => {
                self.front.drain(EDGE_DRAIN).await;
                let gateway =
                    self.region.borrow().as_ref().and_then(|region| region.gateway(number).cloned());
                if let Some(gateway) = gateway {
                    gateway.leave(leaving).await;
                }
            }
        }
        let whole = process.drain(SHARD_DRAIN).await.cut == 0;
        self.kill(place);
        if let Some(shard) = shard {
            self.further.borrow_mut().retain(|one| one.number != number);
            shard.end().await;
        }
        whole
    }

    /// How many sessions a drain would find, and how long it takes at the longest: the notice, then the last
    /// session's turn and patience, then each role's bound.
    pub async fn remaining(&self, notice: Duration, leaving: Option<&Leaving>) -> (usize, Duration) {
        let figures = tokio::time::timeout(LOOK, self.figures()).await.unwrap_or_default();
        let sessions = || figures.iter().map(|(_, figures)| figures.sessions);
        let shards = u32::try_from(self.shards().len() + 1).unwrap_or(u32::MAX);
        let moved = leaving.map_or(Duration::ZERO, |leaving| {
            let fullest = u32::try_from(sessions().max().unwrap_or_default()).unwrap_or(u32::MAX);
            let turns = Duration::from_secs(fullest.div_ceil((leaving.per_s / shards).max(1)).into());
            turns + leaving.patience + Duration::from_secs(CLOSE_S.into())
        });
        let roles = DRAIN * u32::try_from(self.processes().len()).unwrap_or(u32::MAX);
        // The edges of further shards end one after another, behind the first's.
        (sessions().sum(), notice + moved + roles + EDGE_DRAIN * shards)
    }

    /// Ends in good order. Health says so and no upgrade is taken, for `notice`; then, with `leaving`,
    /// sessions are sent to whoever else serves them, paced; then each role ends after those that ask it: the
    /// gateway once its commands are answered, messaging once its sequencers have committed, state and
    /// notification, persistence. Says which were cut at their bound.
    pub async fn drain(&self, notice: Duration, leaving: Option<&Leaving>) -> Vec<Place> {
        self.edge.stand(Standing::Stopping);
        let further = self.shards();
        for shard in &further {
            shard.stand(Standing::Stopping).await;
        }
        tokio::time::sleep(notice).await;
        if let Some(leaving) = leaving {
            self.leave(&further, leaving).await;
        }
        let region = self.region.borrow_mut().take();
        let cut = match region {
            Some(mut region) => region.drain().await,
            None => Vec::new(),
        };
        self.front.drain(EDGE_DRAIN).await;
        self.further.borrow_mut().clear();
        for shard in further {
            shard.end().await;
        }
        cut
    }

    /// Sends the sessions of all shards elsewhere, each shard at its part of the pace.
    async fn leave(&self, further: &[Rc<Shard>], leaving: &Leaving) {
        let shards = u32::try_from(further.len() + 1).unwrap_or(u32::MAX);
        let leaving = Leaving { per_s: (leaving.per_s / shards).max(1), ..leaving.clone() };
        let here = self.region.borrow().as_ref().map(|region| region.leave(&leaving));
        let mut all: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        all.extend(here.map(|here| Box::pin(here) as _));
        all.extend(further.iter().map(|shard| Box::pin(shard.leave(leaving.clone())) as _));
        futures_util::future::join_all(all).await;
    }
}

//! A region with its edge in this process: what people connect to, and what can be crashed and ended.
//!
//! The edge is a process of its own: it tells health while the shard behind it is away or drains.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sterna_cluster::region::Place;
use sterna_cluster::{Plan, Region, Stores};
use sterna_gateway::edge::{Config as EdgeConfig, Edge, Limits, Origins, Parts, Standing, bind};
use sterna_gateway::leaving::Leaving;
use sterna_process::{Clock, Process, State};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// The one shard that a site has: everything is on one thread.
const SHARD: usize = 0;
/// Longest that the edge may take to answer what it was asked.
const EDGE_DRAIN: Duration = Duration::from_secs(2);

/// A listener on `address` that nobody else has. The edge's own way to bind lets shards share an address, so
/// that a second server of the same user would get every other connection unnoticed.
///
/// # Errors
/// The system's: the address is not ours, or taken.
pub fn claim(address: SocketAddr) -> io::Result<TcpListener> {
    drop(std::net::TcpListener::bind(address)?);
    bind(address)
}

/// One region of this process. Its clients come over sockets of type `S`.
pub struct Site<S> {
    region: Rc<RefCell<Option<Region<S>>>>,
    edge: Edge<S>,
    front: Process,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Site<S> {
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
        let front = Process::new(&format!("{}/edge", plan.region), plan.seed, clock.clone());
        let (name, endpoints) = (plan.region.clone(), plan.endpoints.clone());
        let region = Rc::new(RefCell::new(Some(Region::start(plan, stores, clock))));
        let behind = region.clone();
        let gateway = move || behind.borrow().as_ref()?.gateway(SHARD).cloned();
        let parts = Parts { process: front.clone(), gateway: Rc::new(gateway) };
        let edge = Edge::new(EdgeConfig { region: name, endpoints, origins, limits }, parts);
        Self { region, edge, front }
    }

    /// Where connections come in.
    pub fn edge(&self) -> &Edge<S> {
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

    /// The first role that is no longer whole by its own doing.
    pub async fn failed(&self) -> String {
        let watched: Vec<Process> = self.processes().into_iter().map(|(_, process)| process).collect();
        let mut exits: Vec<_> = watched.iter().map(|process| Box::pin(process.exited())).collect();
        std::future::poll_fn(|context| {
            for (process, exit) in watched.iter().zip(&mut exits) {
                if let std::task::Poll::Ready(exit) = exit.as_mut().poll(context) {
                    return std::task::Poll::Ready(format!("{}: {exit:?}", process.name()));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Ends in good order. Health says so and no upgrade is taken, for `notice`; then, with `leaving`,
    /// sessions are sent to whoever else serves them, paced; then each role ends after those that ask it: the
    /// gateway once its commands are answered, messaging once its sequencers have committed, state and
    /// notification, persistence. Says which were cut at their bound.
    pub async fn drain(&self, notice: Duration, leaving: Option<&Leaving>) -> Vec<Place> {
        self.edge.stand(Standing::Stopping);
        tokio::time::sleep(notice).await;
        if let Some(leaving) = leaving {
            let left = self.region.borrow().as_ref().map(|region| region.leave(leaving));
            if let Some(left) = left {
                left.await;
            }
        }
        let region = self.region.borrow_mut().take();
        let cut = match region {
            Some(mut region) => region.drain().await,
            None => Vec::new(),
        };
        self.front.drain(EDGE_DRAIN).await;
        cut
    }
}

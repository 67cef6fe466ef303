//! Three regions of this process on loopback sockets, each with a door in front of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sterna::founder::Founder;
use sterna::site::Site;
use sterna::socket::Socket;
use sterna_access::DevelopmentIssuer;
use sterna_client::transport::websocket::WebSocket;
use sterna_cluster::Plan;
use sterna_cluster::between::Between;
use sterna_cluster::region::token_secret;
use sterna_gateway::edge::{Limits, Origins};
use sterna_process::{Clock, Process, Seeded, SystemClock};
use sterna_protocol::Encoding;
use sterna_protocol::frame::{Endpoint, Secret};
use sterna_regions::RoundTrips;
use sterna_stream::{Region, StreamId, UserId};
use tokio::net::TcpStream;

use crate::door::{self, Door};

pub(crate) const US: &str = "us-east-1";
pub(crate) const EU: &str = "eu-west-1";
pub(crate) const AP: &str = "ap-southeast-1";
const TENANT: &str = "demo";
const SEED: u64 = 1;
const TOKEN_MS: u64 = 3_600_000;

/// One region.
pub(crate) struct Place {
    /// Where it listens itself.
    pub(crate) address: SocketAddr,
    /// What `welcome` names.
    pub(crate) door: Door,
    /// The region.
    pub(crate) site: Site,
}

/// All of it.
pub(crate) struct World {
    pub(crate) places: BTreeMap<&'static str, Place>,
    pub(crate) between: Between,
    /// Owns every task of the test.
    pub(crate) owner: Process,
    issuer: DevelopmentIssuer,
}

impl World {
    /// Starts three regions that know each other.
    pub(crate) fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let owner = Process::new("test", SEED, clock.clone());
        let names = [US, EU, AP];
        let listeners = names.map(|_| door::free());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let doors = addresses.map(|address| Door::to(address, door::free(), &owner));
        let endpoint =
            |(name, door): (&&str, &Door)| Endpoint { region: region(name), url: door.url().into() };
        let endpoints: Vec<Endpoint> = names.iter().zip(&doors).map(endpoint).collect();
        let mut plans = names.map(|name| Plan::small(region(name), SEED)).to_vec();
        plans.iter_mut().for_each(|plan| plan.endpoints.clone_from(&endpoints));
        let issuer = DevelopmentIssuer::new(token_secret(&plans[0]));
        let between = Between::new(&mut plans, &RoundTrips::typical(), &clock);
        let mut places = BTreeMap::new();
        for (((name, plan), listener), door) in names.into_iter().zip(plans).zip(listeners).zip(doors) {
            let stores = between.stores[&plan.region].stores();
            let site = Site::start(plan, stores, clock.clone(), Origins::Any, Limits::default());
            let address = listener.local_addr().unwrap();
            site.edge().listen(listener, Socket::Tcp);
            places.insert(name, Place { address, door, site });
        }
        Self { places, between, owner, issuer }
    }

    /// A token that every region takes.
    pub(crate) fn token(&self, user: &str) -> String {
        let user: UserId = user.parse().unwrap();
        self.issuer.issue(TENANT, &user, SystemClock.wall_ms(), TOKEN_MS).unwrap()
    }

    /// A chat in `us-east-1` that `owner` makes, with `writers`.
    pub(crate) async fn found(&self, owner: &str, writers: &[&str]) -> StreamId {
        let address = self.places[US].address;
        let socket = TcpStream::connect(address).await.unwrap();
        let socket = WebSocket::upgrade(socket, &door::url(address), Encoding::Json).await.unwrap();
        let token = Secret::new(self.token(owner));
        let mut founder = Founder::greet(socket, token, Seeded::new(SEED, "founder")).await.unwrap();
        let writers: Vec<UserId> = writers.iter().map(|writer| writer.parse().unwrap()).collect();
        let stream = founder.create(&writers, &SystemClock).await.unwrap();
        founder.leave().await;
        stream
    }
}

pub(crate) fn region(name: &str) -> Region {
    name.parse().unwrap()
}

//! One region: every role a process of its own, linked to the others through places that survive restarts.
//!
//! [`Region::kill`] is the crash: from then on nothing of that instance runs or answers (E34).
//! [`Region::restart`] builds it anew from the stores, under the same name, in the same place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use sterna_access::GrantKey;
use sterna_gateway::gateway::Gateway;
use sterna_gateway::leaving::Leaving;
use sterna_gateway::outward::Links;
use sterna_messaging::{Config as MessagingConfig, Messaging, Parts as MessagingParts};
use sterna_notification::Notification;
use sterna_persistence::Persistence;
use sterna_process::{Caller, CallerKeys, Clock, Dial, End, Link, Process, Slot, require_caller, serve};
use sterna_state::express::Peer;
use sterna_state::wall::Wall;
use sterna_state::{Config as StateConfig, Mirror, Parts as StateParts, State};
use sterna_stream::Origin;
use sterna_stream::kind::Kinds;
use tokio::io::{AsyncRead, AsyncWrite};
pub use tonic::service::Routes;

use crate::figures::{self, ByPlace};
use crate::plan::Plan;
use crate::provision::Provisioner;
use crate::shard::ShardSeed;
use crate::stores::Stores;

/// Longest that one role may take to end in good order.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A place in the region's plan. Drained in this order: who is asked is drained after who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A gateway shard, by number.
    Gateway(usize),
    /// An instance of messaging.
    Messaging(usize),
    /// An instance of state.
    State(usize),
    /// Notification.
    Notification,
    /// Persistence.
    Persistence,
}

/// How a process sees the stores: for whoever watches what goes between them, or breaks it.
pub type Lens = Arc<dyn Fn(&Process, &Stores) -> Stores>;

/// How a role's services are reached by the other roles: for whoever loses what goes between them.
pub type Reach = Arc<dyn Fn(Place, Routes) -> Routes>;

/// A running region whose clients come over sockets of type `S`.
pub struct Region<S> {
    plan: Plan,
    stores: Stores,
    lens: Lens,
    reach: Reach,
    /// What all its roles take for the time.
    wall: Arc<Wall>,
    keys: CallerKeys,
    slots: BTreeMap<Place, Slot>,
    lives: BTreeMap<Place, (u32, Process)>,
    gateways: BTreeMap<usize, Gateway<S>>,
    states: BTreeMap<usize, State>,
    messagings: BTreeMap<usize, Messaging>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Region<S> {
    /// Starts all that the plan names.
    ///
    /// # Panics
    /// Outside a `LocalRuntime`, or if the plan's link secret is shorter than 16 bytes.
    pub fn start(plan: Plan, stores: Stores, clock: Arc<dyn Clock>) -> Self {
        Self::start_behind(plan, stores, clock, Arc::new(|_, stores| stores.clone()))
    }

    /// Starts all that the plan names; each process sees the stores through `lens`.
    ///
    /// # Panics
    /// As [`Region::start`].
    pub fn start_behind(plan: Plan, stores: Stores, clock: Arc<dyn Clock>, lens: Lens) -> Self {
        Self::start_between(plan, stores, clock, (lens, Arc::new(|_, routes| routes)))
    }

    /// The same; each role's services are reached as `reach` says.
    ///
    /// # Panics
    /// As [`Region::start`].
    pub fn start_between(
        plan: Plan,
        stores: Stores,
        clock: Arc<dyn Clock>,
        (lens, reach): (Lens, Reach),
    ) -> Self {
        let keys = CallerKeys::new(&[&plan.secrets.links]).expect("the plan's link secret is long enough");
        let mut places = vec![Place::Persistence, Place::Notification];
        places.extend((0..plan.state).map(Place::State));
        places.extend((0..plan.messaging).map(Place::Messaging));
        places.extend((0..plan.shards).map(Place::Gateway));
        let slots = places.iter().map(|place| (*place, Slot::new())).collect();
        let (lives, gateways, states) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (wall, messagings) = (Wall::new(clock), BTreeMap::new());
        let mut region =
            Self { plan, stores, lens, reach, wall, keys, slots, lives, gateways, states, messagings };
        for place in places {
            region.restart(place);
        }
        region
    }

    /// The shard with this number, if it runs.
    pub fn gateway(&self, shard: usize) -> Option<&Gateway<S>> {
        self.gateways.get(&shard)
    }

    /// The instance of state with this number, for its counters; a dead one until it is built anew.
    pub fn state(&self, instance: usize) -> Option<&State> {
        self.states.get(&instance)
    }

    /// What its roles take for the time: its own clock, clamped by other regions' marks (E14).
    pub fn wall(&self) -> &Arc<Wall> {
        &self.wall
    }

    /// The process in a place, if it was ever started.
    pub fn process(&self, place: Place) -> Option<&Process> {
        self.lives.get(&place).map(|(_, process)| process)
    }

    /// What the roles behind the shards counted since they started; a dead one's until it is built anew.
    pub fn figures(&self) -> ByPlace {
        let states = self.states.iter().map(|(&n, state)| (Place::State(n), figures::of_state(state)));
        let messagings = self.messagings.iter();
        let messagings = messagings.map(|(&n, role)| (Place::Messaging(n), figures::of_messaging(role)));
        messagings.chain(states).collect()
    }

    /// Every place of the plan.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.slots.keys().copied()
    }

    /// Crashes whoever is in a place.
    pub fn kill(&mut self, place: Place) {
        if let Some((_, process)) = self.lives.get(&place) {
            process.kill();
        }
        if let Place::Gateway(shard) = place {
            self.gateways.remove(&shard);
        }
    }

    /// Builds whoever belongs into a place anew, from the stores; who was there before is killed.
    pub fn restart(&mut self, place: Place) {
        self.kill(place);
        let life = self.lives.get(&place).map_or(0, |(life, _)| *life) + 1;
        let name = format!("{}/{}#{life}", self.plan.region, place.name());
        let process = Process::new(&name, self.plan.seed, self.wall.clone());
        self.lives.insert(place, (life, process.clone()));
        let stores = (self.lens)(&process, &self.stores);
        let routes = match place {
            Place::Persistence => Persistence::new(stores.table).routes(),
            Place::Notification => {
                let link = self.link(&process, place, Place::Persistence);
                Notification::new(stores.tails, link).routes()
            }
            Place::State(_) => self.start_state(&process, place, stores),
            Place::Messaging(number) => {
                let messaging = self.messaging(&process, place, stores);
                let routes = messaging.routes();
                self.messagings.insert(number, messaging);
                routes
            }
            Place::Gateway(shard) => {
                let gateway = self.shard(&process, shard).start();
                self.gateways.insert(shard, gateway);
                if shard == 0 {
                    self.provision(&process, place);
                }
                return;
            }
        };
        let routes = (self.reach)(place, require_caller(routes, &self.keys));
        self.slots[&place].fill(Link::direct(&process, routes));
    }

    /// Takes a shard into the plan that lives on another thread, in `process`: what it is to be built from
    /// there. It is drained with the others and before whom it asks; it is not restarted here.
    pub fn adopt_shard(&mut self, shard: usize, process: &Process) -> ShardSeed {
        let place = Place::Gateway(shard);
        self.slots.insert(place, Slot::new());
        self.lives.insert(place, (1, process.clone()));
        self.shard(process, shard)
    }

    /// Crashes everybody.
    pub fn kill_all(&mut self) {
        self.places().collect::<Vec<_>>().into_iter().for_each(|place| self.kill(place));
    }

    /// Starts everybody anew in the region's next life, in which its peers are these: what comes behind
    /// [`crate::rebuild`]. Whoever still runs is killed first. For a region whose shards all live on this
    /// thread.
    pub fn begin(&mut self, origin: &Origin, peers: Vec<Origin>) {
        self.kill_all();
        (self.plan.incarnation, self.plan.peers) = (origin.incarnation(), peers);
        // Who is asked is started before who asks.
        self.places().collect::<Vec<_>>().into_iter().rev().for_each(|place| self.restart(place));
    }

    /// Who it is now.
    pub fn origin(&self) -> Origin {
        self.plan.origin()
    }

    /// Sends every session of every shard of this thread elsewhere, paced; those that stay meet the drain.
    /// Returns when nobody is left who may still go. The region is not borrowed meanwhile.
    pub fn leave(&self, leaving: &Leaving) -> impl Future<Output = ()> + use<S> {
        let gateways: Vec<Gateway<S>> = self.gateways.values().cloned().collect();
        // Each shard has its part of the pace.
        let per_s = leaving.per_s / u32::try_from(gateways.len()).unwrap_or(1).max(1);
        let leaving = Leaving { per_s: per_s.max(1), ..leaving.clone() };
        async move {
            let all = gateways.iter().map(|gateway| Box::pin(gateway.leave(leaving.clone())));
            let mut all: Vec<_> = all.collect();
            std::future::poll_fn(|context| {
                all.retain_mut(|one| one.as_mut().poll(context).is_pending());
                if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
    }

    /// Ends the region in good order: each role after those that ask it. Says which were cut at their bound.
    pub async fn drain(&mut self) -> Vec<Place> {
        let mut cut = Vec::new();
        for (place, (_, process)) in std::mem::take(&mut self.lives) {
            if process.drain(DRAIN).await.cut > 0 {
                cut.push(place);
            }
        }
        self.gateways.clear();
        cut
    }

    fn link(&self, caller: &Process, from: Place, to: Place) -> Link {
        let identity = Caller::new(from.role(), self.plan.region.as_str()).expect("a role's name fits");
        self.slots[&to].link().called_by(caller, &identity, &self.keys)
    }

    fn links(&self, caller: &Process, from: Place, to: impl Fn(usize) -> Place, count: usize) -> Vec<Link> {
        (0..count).map(|n| self.link(caller, from, to(n))).collect()
    }

    fn start_state(&mut self, process: &Process, place: Place, stores: Stores) -> Routes {
        let (partitions, push_queue) = (self.plan.partitions, self.plan.push_queue);
        let mirrors = self.plan.peers.iter().cloned().map(Mirror::of).collect();
        let express = self.plan.express;
        let config =
            StateConfig { partitions, push_queue, mirrors, express, ..StateConfig::new(self.plan.origin()) };
        let identity = Caller::new(place.role(), self.plan.region.as_str()).expect("a role's name fits");
        let peer = |(region, dial): &(sterna_stream::Region, Arc<dyn Dial>)| {
            let there = Uri::try_from(format!("http://{region}")).expect("a region's name is a host's");
            let link = Link::dialing(process, there, dial.clone());
            Peer { region: region.clone(), link: link.called_by(process, &identity, &self.keys) }
        };
        let parts = StateParts {
            process: process.clone(),
            log: stores.log,
            table: stores.table,
            tails: stores.tails,
            sessions: stores.sessions,
            persistence: self.link(process, place, Place::Persistence),
            peers: stores.neighbours.peers.iter().map(peer).collect(),
            wall: self.wall.clone(),
        };
        let state = State::start(config, parts);
        let routes = state.routes();
        let Place::State(number) = place else { return routes };
        if let Some(door) = stores.neighbours.doors.get(number) {
            let guarded = require_caller(routes.clone(), &self.keys);
            serve(process, guarded, door.listen(), process.drain_signal());
        }
        self.states.insert(number, state);
        routes
    }

    fn messaging(&self, process: &Process, place: Place, stores: Stores) -> Messaging {
        let secrets = &self.plan.secrets;
        let config = MessagingConfig {
            partitions: self.plan.partitions,
            limits: self.plan.sequencer.clone(),
            ..MessagingConfig::new(self.plan.origin(), secrets.content.clone(), secrets.grants.clone())
        };
        let parts = MessagingParts {
            process: process.clone(),
            log: stores.log,
            table: stores.table,
            persistence: self.link(process, place, Place::Persistence),
            kinds: Kinds::standard(),
        };
        Messaging::start(config, parts)
    }

    fn shard(&self, process: &Process, shard: usize) -> ShardSeed {
        ShardSeed::new(&self.plan, shard, process, self.links_of(process, Place::Gateway(shard)))
    }

    fn links_of(&self, process: &Process, place: Place) -> Links {
        Links {
            state: self.links(process, place, Place::State, self.plan.state),
            messaging: self.links(process, place, Place::Messaging, self.plan.messaging),
            notification: self.link(process, place, Place::Notification),
            persistence: self.link(process, place, Place::Persistence),
        }
    }

    /// Provisions beside the shard in `place`, which asks the same roles.
    pub(crate) fn provisioner(&self, process: &Process, place: Place) -> Provisioner {
        let Plan { partitions, secrets, .. } = &self.plan;
        let (links, grants) = (self.links_of(process, place), GrantKey::new(&secrets.grants));
        Provisioner::new(process, links, *partitions, grants)
    }

    /// Provisions the plan's tenants.
    fn provision(&self, process: &Process, place: Place) {
        if self.plan.tenants.is_empty() {
            return;
        }
        let provisioner = self.provisioner(process, place);
        let (drain, tenants) = (process.drain_signal(), self.plan.tenants.clone());
        process.spawn("provisioning", End::Expected, async move {
            tokio::select! {
                biased;
                () = drain.raised() => {}
                () = provisioner.all(tenants) => {}
            }
        });
    }
}

impl Place {
    /// The role that belongs there.
    pub fn role(self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Messaging(_) => "messaging",
            Self::State(_) => "state",
            Self::Notification => "notification",
            Self::Persistence => "persistence",
        }
    }

    fn name(self) -> String {
        match self {
            Self::Gateway(n) | Self::Messaging(n) | Self::State(n) => format!("{}-{n}", self.role()),
            Self::Notification | Self::Persistence => self.role().to_owned(),
        }
    }
}

/// The secret that a plan's tokens are signed with, for an issuer of tests and demo.
pub fn token_secret(plan: &Plan) -> &Bytes {
    &plan.secrets.tokens
}

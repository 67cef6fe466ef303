//! Requests without a session, end to end over memory backends: in paused time over memory sockets, and once
//! over TCP (docs/protocol.md, section 9).
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use sterna_access::DevelopmentIssuer;
use sterna_cluster::region::token_secret;
use sterna_cluster::{MemoryStores, Plan, Region};
use sterna_gateway::edge::{Config, Edge, Limits, Origins, Parts};
pub(crate) use sterna_process::paused as run;
use sterna_process::{Clock, ManualClock, Process};
use sterna_stream::{EventId, created};
use tokio::io::DuplexStream;

mod asker;
mod elsewhere;
mod events;
mod hostile;
mod members;
mod paging;
mod standing;
mod streams;
mod tcp;

use asker::{Answer, Request};

const NOW: u64 = 1_795_214_400_000;
const PAGE: &str = "https://app.example.com";

/// A region, its edge, and what time it is there.
pub(crate) struct World {
    pub(crate) region: Rc<RefCell<Region<DuplexStream>>>,
    pub(crate) edge: Edge<DuplexStream>,
    pub(crate) plan: Plan,
    pub(crate) clock: ManualClock,
    minted: u128,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::planned(seed, |_| ())
    }

    /// The same, of a plan that is changed before.
    pub(crate) fn planned(seed: u64, change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan::small("us-east-1".parse().unwrap(), seed);
        change(&mut plan);
        let clock = ManualClock::new(NOW);
        let stores = MemoryStores::new(&plan);
        let region = Region::start(plan.clone(), stores.stores(), Arc::new(clock.clone()));
        Self::of(plan, clock, region)
    }

    pub(crate) fn of(plan: Plan, clock: ManualClock, region: Region<DuplexStream>) -> Self {
        let region = Rc::new(RefCell::new(region));
        let behind = region.clone();
        let process = Process::new("edge", plan.seed, Arc::new(clock.clone()));
        let gateway = Rc::new(move || behind.borrow().gateway(0).cloned());
        let config = Config {
            region: plan.region.clone(),
            endpoints: Vec::new(),
            origins: Origins::Listed(vec![PAGE.into()]),
            limits: Limits::default(),
        };
        let edge = Edge::new(config, Parts { process, gateway });
        Self { region, edge, plan, clock, minted: 0 }
    }

    pub(crate) fn id(&mut self) -> EventId {
        self.minted += 1;
        EventId::mint(self.clock.wall_ms(), self.minted)
    }

    /// A token of `user` in `tenant` for an hour.
    pub(crate) fn token(&self, tenant: &str, user: &str) -> String {
        token(&self.plan, tenant, user, self.clock.wall_ms() + 3_600_000)
    }

    /// The answer to `request` on a connection of its own.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        self.edge.connect(theirs);
        asker::exchange(&mut ours, &request).await
    }

    /// What `user` of acme is answered.
    pub(crate) async fn ask(&self, user: &str, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::new(method, path).token(&self.token("acme", user)).json(body);
        self.send(request).await
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Answer {
        self.send(Request::new("GET", path).token(&self.token("acme", user))).await
    }

    /// A new stream of ana's with these writers; its path.
    pub(crate) async fn stream(&mut self, writers: &[&str]) -> String {
        let id = self.id();
        let members: Vec<String> =
            writers.iter().map(|user| format!(r#"{{"user":"{user}","role":"writer"}}"#)).collect();
        let body = format!(r#"{{"event_id":"{id}","members":[{}]}}"#, members.join(","));
        let answer = self.ask("ana", "POST", "/v1/streams/chat", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let path = format!("/v1/streams/chat/{}", created::name("acme", &"ana".parse().unwrap(), id));
        for writer in writers {
            self.until(writer, &path, "a member of it", |answer| answer.status == 200).await;
        }
        path
    }

    /// Publishes a message of this text.
    pub(crate) async fn say(&mut self, user: &str, stream: &str, text: &str) -> EventId {
        let id = self.id();
        let body = format!(r#"{{"kind":"message","payload":{{"text":"{text}"}}}}"#);
        loop {
            let answer = self.ask(user, "PUT", &format!("{stream}/events/{id}"), &body).await;
            if answer.status != 429 {
                assert_eq!(answer.status, 202, "{answer:?}");
                return id;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Asks until the answer is as it should become.
    pub(crate) async fn until(
        &self,
        user: &str,
        path: &str,
        what: &str,
        done: impl Fn(&Answer) -> bool,
    ) -> Answer {
        for _ in 0..200 {
            let answer = self.get(user, path).await;
            if done(&answer) {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{path} never became {what}: {:?}", self.get(user, path).await);
    }

    /// Waits until so many events of a stream are there.
    pub(crate) async fn held(&self, stream: &str, events: u64) {
        let all = |answer: &Answer| answer.body["head"]["us-east-1"] == events;
        self.until("ana", stream, "so long", all).await;
    }
}

/// A token for an hour, until then.
pub(crate) fn token(plan: &Plan, tenant: &str, user: &str, until_ms: u64) -> String {
    let (issuer, hour_ms) = (DevelopmentIssuer::new(token_secret(plan)), 3_600_000);
    issuer.issue(tenant, &user.parse().unwrap(), until_ms - hour_ms, hour_ms).unwrap()
}

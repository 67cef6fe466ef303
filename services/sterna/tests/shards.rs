//! Two gateway shards of one region on threads of their own, over real sockets: what one says the other sees,
//! and one of them may go while people talk. Nothing runs in paused time: what a terminal shows is looked at
//! again and again, with a bound.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::rc::Rc;
use std::sync::Arc;

use sterna::site::{Site, beside, claim};
use sterna::socket::Socket;
use sterna_cluster::{MemoryStores, Plan};
use sterna_gateway::edge::{Limits, Origins};
use sterna_gateway::leaving::Leaving;
use sterna_process::{End, Process, SystemClock};
use sterna_protocol::frame::Endpoint;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;
use tokio::time::{Duration, sleep, timeout};

#[path = "terminal/terminal.rs"]
mod terminal;

use terminal::{Person, chat};

/// Attempts at a connection that the system gives to a certain one of two shards: all of them fail once in
/// 10^19 runs.
const ATTEMPTS: usize = 64;

struct World {
    owner: Process,
    site: Rc<Site>,
    url: String,
}

impl World {
    async fn new() -> Self {
        let mut plan = Plan::small("us-east-1".parse().unwrap(), 1);
        let listener = claim("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("ws://{}/v1/connect", listener.local_addr().unwrap());
        plan.endpoints = vec![Endpoint { region: plan.region.clone(), url: url.as_str().into() }];
        let stores = MemoryStores::new(&plan).stores();
        let site = Site::start(plan, stores, Arc::new(SystemClock), Origins::Any, Limits::default());
        for other in beside(&listener, 1).unwrap() {
            site.add_shard(other).await.unwrap();
        }
        site.edge().listen(listener, Socket::Tcp);
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        Self { owner, site: Rc::new(site), url }
    }

    /// Open sessions of each shard that is there.
    async fn sessions(&self) -> Vec<(usize, usize)> {
        let figures = self.site.figures().await;
        figures.into_iter().map(|(number, figures)| (number, figures.sessions)).collect()
    }

    async fn until_sessions(&self, expected: &[(usize, usize)]) {
        let look = async {
            while self.sessions().await != expected {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(60), look).await;
        assert!(in_time.is_ok(), "{expected:?}: {:?}", self.sessions().await);
    }

    /// Somebody whom the system gave to shard `wanted`; the others are as they are in `before`.
    async fn person(
        &self,
        name: &str,
        stream: Option<&str>,
        wanted: usize,
        before: [(usize, usize); 2],
    ) -> Person {
        let mut after = before;
        after[wanted].1 += 1;
        for _ in 0..ATTEMPTS {
            let person = chat(&self.owner, &[&self.url], name, stream, None);
            person.terminal.shows("-- live").await;
            // Whoever made the stream had a connection of their own and has left.
            let total = |sessions: &[(usize, usize)]| sessions.iter().map(|one| one.1).sum::<usize>();
            while total(&self.sessions().await) > total(&after) {
                sleep(Duration::from_millis(5)).await;
            }
            if self.sessions().await == after {
                return person;
            }
            person.types.send("/quit".to_owned()).await.unwrap();
            person.ended.await.unwrap().unwrap();
            self.until_sessions(&before).await;
        }
        panic!("the system gave every connection to one shard");
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(test);
}

fn said(person: &Person, by: &str) -> Vec<String> {
    let prefix = format!("{by}: ");
    let shown = person.terminal.0.borrow();
    let words = shown.lines().filter_map(|line| line.strip_prefix(&prefix));
    // The creation's member events stand in brackets.
    words.filter(|word| !word.starts_with('(')).map(str::to_owned).collect()
}

/// Two people on two shards talk while the shard `leaving` is drained; both end on the other one, and each
/// has seen everything once and in order, without losing a connection.
async fn one_goes_while_they_talk(leaving: usize) {
    let world = World::new().await;
    let ana = world.person("ana", None, leaving, [(0, 0), (1, 0)]).await;
    let first = ana.terminal.0.borrow().lines().next().unwrap().to_owned();
    let stream = first.strip_prefix("stream ").unwrap();
    let staying = 1 - leaving;
    let mut before = [(0, 0), (1, 0)];
    before[leaving].1 = 1;
    let bo = world.person("bo", Some(stream), staying, before).await;

    let (told, drained) = oneshot::channel();
    let site = world.site.clone();
    let mut words = 0;
    let mut drained = Some(drained);
    let mut told = Some(told);
    // On the way before, while it leaves, and after.
    while words < 90 {
        for person in [&ana, &bo] {
            person.types.send(format!("{words:02}")).await.unwrap();
        }
        words += 1;
        if words == 30 {
            let (site, told) = (site.clone(), told.take().unwrap());
            world.owner.spawn_local("a drain", End::Expected, async move {
                let leave = Leaving::deploy("us-east-1".parse().unwrap());
                told.send(site.drain_shard(leaving, leave).await).unwrap();
            });
        }
        if words == 60 {
            assert!(drained.take().unwrap().await.unwrap(), "it ended by itself");
        }
        sleep(Duration::from_millis(2)).await;
    }
    world.until_sessions(&[(staying, 2)]).await;
    let all: Vec<String> = (0..words).map(|n| format!("{n:02}")).collect();
    for (reader, author) in [(&ana, "bo"), (&bo, "ana"), (&ana, "ana"), (&bo, "bo")] {
        reader.terminal.shows(&format!("{author}: {}", all.last().unwrap())).await;
        assert_eq!(said(reader, author), all, "{}", reader.terminal.0.borrow());
        let shown = reader.terminal.0.borrow();
        assert!(!shown.contains("connection lost"), "{shown}");
    }
    let failed = timeout(Duration::from_millis(10), world.site.failed()).await;
    assert!(failed.is_err(), "a shard that was drained is no failure: {failed:?}");
    assert_eq!(world.site.drain(Duration::ZERO, None).await, vec![], "all roles end in good order");
}

/// G2, G3, G4: the shard on a thread of its own goes.
#[test]
fn the_device_of_a_drained_shard_goes_on_at_the_other_without_a_hole() {
    run(one_goes_while_they_talk(1));
}

/// G2, G3, G4: the shard beside the roles goes, and they go on.
#[test]
fn the_shard_beside_the_roles_may_go_too() {
    run(one_goes_while_they_talk(0));
}

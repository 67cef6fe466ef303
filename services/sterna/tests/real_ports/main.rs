#![allow(clippy::unwrap_used)]
//! `sterna serve` on a real Kafka and a real DynamoDB, through the binary's own start-up, in real time: what
//! was said is there when the region is started again.
//!
//! `STERNA_KAFKA` and `STERNA_DYNAMODB` say where they are (`cargo xtask stack up`); tails are in memory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use sterna::config::{Config, Error};
use sterna::serve;
use sterna_process::{Clock, Drain, End, Process, SystemClock};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

#[path = "../terminal/terminal.rs"]
mod terminal;

use terminal::{Person, chat};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `cargo xtask stack up` prints it"))
}

/// A configuration whose topics and tables nobody else has: a life of the region that never was, a prefix.
fn config(provision: bool) -> Result<Config, Error> {
    let life = u32::try_from(SystemClock.wall_ms() / 1000 % 1_000_000_000).unwrap() + std::process::id();
    let text = format!(
        "[region]\nincarnation = {life}\npartitions = 4\n\
         [listen]\naddress = \"127.0.0.1:0\"\nshards = 2\n\
         [operator]\naddress = \"\"\n\
         [stores]\nkind = \"kafka-dynamodb\"\nprovision = {provision}\n\
         [kafka]\nbrokers = \"{}\"\nreplicas = 1\nin_sync_min = 1\n\
         [dynamodb]\nendpoint = \"{}\"\nprefix = \"serve-{life}-\"\n",
        variable("STERNA_KAFKA"),
        variable("STERNA_DYNAMODB"),
    );
    let file = std::env::temp_dir().join(format!("sterna-serve-{life}-{provision}.toml"));
    std::fs::write(&file, text).unwrap();
    let keys = |name: &str| name.starts_with("AWS_").then(|| "local".to_owned());
    let config = Config::read_with(Some(Path::new(&file)), &keys);
    std::fs::remove_file(&file).unwrap();
    config
}

struct Serving {
    address: SocketAddr,
    stop: Drain,
    ended: oneshot::Receiver<Result<(), serve::Error>>,
}

async fn start(owner: &Process, config: &Config) -> Serving {
    let (bound, address) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let stop = Drain::new();
    let (raised, config) = (stop.clone(), config.clone());
    owner.spawn_local("serving", End::Expected, async move {
        let _ = end.send(serve::run(&config, &raised, |at| bound.send(at.clients).unwrap()).await);
    });
    match address.await {
        Ok(address) => Serving { address, stop, ended },
        Err(_) => panic!("it did not start: {:?}", ended.await),
    }
}

impl Serving {
    fn person(&self, owner: &Process, name: &str, stream: Option<&str>) -> Person {
        chat(owner, &[&format!("ws://{}/v1/connect", self.address)], name, stream, None)
    }

    async fn end(self) {
        self.stop.raise();
        self.ended.await.unwrap().unwrap();
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(test);
}

/// G1, G2, E10: the region is ended and started again; the stream goes on where it was.
#[test]
fn what_was_said_is_there_when_the_region_is_started_again() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let config = config(true).unwrap();
        let first = start(&owner, &config).await;
        let ana = first.person(&owner, "ana", None);
        ana.terminal.shows("-- live").await;
        let stream =
            ana.terminal.0.borrow().lines().next().unwrap().strip_prefix("stream ").unwrap().to_owned();
        for text in ["one", "two", "three"] {
            ana.types.send(text.to_owned()).await.unwrap();
            ana.terminal.shows(&format!("ana: {text}")).await;
        }
        ana.types.send("/quit".to_owned()).await.unwrap();
        ana.ended.await.unwrap().unwrap();
        first.end().await;

        let second = start(&owner, &config).await;
        let bo = second.person(&owner, "bo", Some(&stream));
        bo.terminal.shows("ana: three").await;
        bo.types.send("four".to_owned()).await.unwrap();
        bo.terminal.shows("bo: four").await;
        let shown = bo.terminal.0.borrow().clone();
        // The creation's member events stand in brackets.
        let said = shown.lines().filter(|line| line.contains(": ") && !line.contains(": (member)"));
        let said: Vec<&str> = said.collect();
        assert_eq!(said, ["ana: one", "ana: two", "ana: three", "bo: four"], "each once, in order: {shown}");
        second.end().await;
    });
}

/// What is not there is not made unless that is asked for, and said.
#[test]
fn a_region_does_not_start_on_topics_that_are_not_there() {
    run(async {
        let mut refused = None;
        let config = config(false).unwrap();
        if let Err(error) = serve::run(&config, &Drain::new(), |_| panic!("it started")).await {
            // As it is printed: with its cause.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            refused = Some(format!("{error}: {}", cause.unwrap_or_default()));
        }
        let refused = refused.unwrap();
        assert!(refused.contains("provision"), "{refused}");
    });
}

//! `serve` and `chat` together, over TCP: what one types the other reads, history included, and the end of
//! everything is seen. Real sockets, so nothing runs in paused time: what a terminal shows is looked at again
//! and again, with a bound.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sterna::config::Config;
use sterna::operator::QUESTION_TIME;
use sterna::serve::{self, Addresses};
use sterna_process::{Drain, End, Process, SystemClock};
use sterna_stream::limits::OPERATOR_CONNECTIONS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;
use tokio::time::Instant;

#[path = "terminal/terminal.rs"]
mod terminal;

use terminal::{Person, chat};

/// How often what has to be done within a moment is tried, for the sake of busy machines.
const ROUNDS: usize = 20;

/// Opens `sterna chat`; without a stream it makes one.
fn person(owner: &Process, address: SocketAddr, name: &str, stream: Option<&str>) -> Person {
    chat(owner, &[&format!("ws://{address}/v1/connect")], name, stream, None)
}

/// Serves on a free port.
async fn region(owner: &Process) -> (Addresses, Drain, oneshot::Receiver<Result<(), serve::Error>>) {
    region_with(owner, "").await
}

/// The same, as `section` says beside.
async fn region_with(
    owner: &Process,
    section: &str,
) -> (Addresses, Drain, oneshot::Receiver<Result<(), serve::Error>>) {
    // Tests of one process run side by side: each has a file of its own.
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("sterna-serve-{}-{number}.toml", std::process::id()));
    let addresses = "[listen]\naddress = \"127.0.0.1:0\"\n[operator]\naddress = \"127.0.0.1:0\"\n";
    std::fs::write(&file, format!("{addresses}{section}")).unwrap();
    let config = Config::read(Some(Path::new(&file))).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (bound, address) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let stop = Drain::new();
    let raised = stop.clone();
    owner.spawn_local("serving", End::Expected, async move {
        let ready = |at| bound.send(at).unwrap();
        let _ = end.send(serve::run(&config, &raised, ready).await);
    });
    (address.await.unwrap(), stop, ended)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(test);
}

#[test]
fn what_one_types_the_other_reads_with_the_history() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let (at, stop, served) = region(&owner).await;
        let address = at.clients;
        let ana = person(&owner, address, "ana", None);
        ana.terminal.shows("-- live").await;
        let first = ana.terminal.0.borrow().lines().next().unwrap().to_owned();
        let stream = first.strip_prefix("stream ").unwrap();
        ana.types.send("hello \u{1b}[31mthere".to_owned()).await.unwrap();
        ana.terminal.shows("ana: hello [31mthere").await;

        let bo = person(&owner, address, "bo", Some(stream));
        bo.terminal.shows("ana: hello [31mthere").await;
        bo.terminal.shows("-- live").await;
        bo.types.send("/typing".to_owned()).await.unwrap();
        ana.terminal.shows("-- bo is typing").await;
        bo.types.send("hello ana".to_owned()).await.unwrap();
        ana.terminal.shows("bo: hello ana").await;

        let stranger = person(&owner, address, "eve", Some(stream));
        let refused = stranger.ended.await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("not_found; ask a member to invite you"), "{refused}");

        bo.types.send("/quit".to_owned()).await.unwrap();
        bo.ended.await.unwrap().unwrap();
        stop.raise();
        served.await.unwrap().unwrap();
        ana.terminal.shows("-- connection lost, coming back").await;
    });
}

/// E1: a region that comes back with nothing, as one in memory does, goes on in the life that is configured.
#[test]
fn a_region_in_memory_serves_a_later_life() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let (at, stop, served) = region_with(&owner, "[region]\nincarnation = 2\n").await;
        let ana = person(&owner, at.clients, "ana", None);
        ana.terminal.shows("-- live").await;
        ana.types.send("hello".to_owned()).await.unwrap();
        ana.terminal.shows("ana: hello").await;
        stop.raise();
        served.await.unwrap().unwrap();
    });
}

/// What an operator is told over HTTP.
async fn asked(address: SocketAddr, path: &str) -> String {
    answer(TcpStream::connect(address).await.unwrap(), path).await
}

/// The same over a connection that is there: nothing, where it is closed unanswered.
async fn answer(mut socket: TcpStream, path: &str) -> String {
    let mut answer = String::new();
    // It may be reset, since what it asked was not read.
    let _ = socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await;
    let _ = socket.read_to_string(&mut answer).await;
    answer
}

/// G9: the metrics count what happened, on an address that clients do not come to.
#[test]
fn an_operator_is_told_what_happened() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let (at, stop, served) = region(&owner).await;
        let operators = at.operators.unwrap();
        let ana = person(&owner, at.clients, "ana", None);
        ana.terminal.shows("-- live").await;
        ana.types.send("hello".to_owned()).await.unwrap();
        ana.terminal.shows("ana: hello").await;
        let page = asked(operators, "/metrics").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        let total = |name: &str| -> u64 {
            let samples = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
            samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        assert_eq!(total("sterna_gateway_sessions"), 1, "{page}");
        // The creation, the invitation, and what she said.
        assert_eq!(total("sterna_sequencer_events_total"), 3, "{page}");
        assert_eq!(total("sterna_edge_upgrades_total"), 2, "{page}");
        assert!(asked(operators, "/").await.starts_with("HTTP/1.1 404"), "nothing else is here");
        assert!(asked(at.clients, "/metrics").await.starts_with("HTTP/1.1 404"), "and not for clients");
        stop.raise();
        served.await.unwrap().unwrap();
    });
}

/// G9, E29: operators' connections are few: one more is closed unanswered, and who has a place is answered.
/// Silent ones have theirs for a moment of real time: what takes a busy machine longer is tried again.
#[test]
fn an_operators_connections_are_few() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let (at, stop, served) = region(&owner).await;
        let mut heard = None;
        for _ in 0..ROUNDS {
            heard = one_too_many(at.operators.unwrap()).await;
            if heard.is_some() {
                break;
            }
        }
        let (further, seated) = heard.expect("a round within the time that silent ones have");
        assert_eq!(further, "", "closed unanswered");
        assert!(seated.starts_with("HTTP/1.1 200 OK"), "{seated}");
        stop.raise();
        served.await.unwrap().unwrap();
    });
}

/// Silent connections take all places; then one more asks, and one of those that are there. What each was
/// told; `None`, and all places are free again, if a silent one may have lost its own meanwhile.
async fn one_too_many(operators: SocketAddr) -> Option<(String, String)> {
    let (began, mut silent) = (Instant::now(), Vec::new());
    for _ in 0..OPERATOR_CONNECTIONS {
        silent.push(TcpStream::connect(operators).await.unwrap());
    }
    let further = answer(TcpStream::connect(operators).await.unwrap(), "/metrics").await;
    let seated = answer(silent.pop().unwrap(), "/metrics").await;
    if began.elapsed() < QUESTION_TIME {
        return Some((further, seated));
    }
    for mut one in silent {
        let _ = one.read_to_end(&mut Vec::new()).await;
    }
    None
}

/// G9: who says nothing holds a place for a moment only, however many they are. For how long says a test in
/// paused time (`operator`).
#[test]
fn silent_connections_make_room_for_who_asks() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let (at, stop, served) = region(&owner).await;
        let operators = at.operators.unwrap();
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(operators).await.unwrap());
        }
        let closed = silent[0].read(&mut [0; 1]).await;
        assert!(matches!(closed, Ok(0)), "a silent one is closed: {closed:?}");
        assert!(asked(operators, "/metrics").await.starts_with("HTTP/1.1 200 OK"), "and there is room");
        stop.raise();
        served.await.unwrap().unwrap();
    });
}

#[test]
fn errors_name_what_would_do() {
    run(async {
        let owner = Process::new("test", 1, Arc::new(SystemClock));
        let (at, stop, served) = region(&owner).await;
        stop.raise();
        served.await.unwrap().unwrap();
        let nobody = person(&owner, at.clients, "ana", None).ended.await.unwrap().unwrap_err();
        assert!(nobody.to_string().contains("is `sterna serve`"), "{nobody}");
    });
}

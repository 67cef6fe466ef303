//! One set of RPC behaviours, run over every way in which a role reaches another (E33, E34).
//!
//! Goal: a caller cannot tell the ways apart, and nothing of a crashed role runs on or answers. Method: a
//! tiny echo service; in memory under paused time, over TCP in real time; each behaviour walks the ways.
#![allow(clippy::unwrap_used)]

mod crash;
mod deterministic;
mod echo;
mod health;
mod limits;
mod pause;
mod threads;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use echo::{Echo, EchoClient, WAIT};
use sterna_process::{Caller, CallerKeys, End, ManualClock, Process, Way, require_caller};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Code, Request};

/// Two role instances and the client between them.
pub(crate) struct Pair {
    pub(crate) caller: Process,
    pub(crate) callee: Process,
    pub(crate) echo: Echo,
    pub(crate) client: EchoClient,
}

impl Pair {
    pub(crate) async fn new(way: Way) -> Pair {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let caller = Process::new("test/caller", 1, clock.clone());
        let callee = Process::new("test/callee", 1, clock);
        let echo = Echo::default();
        let keys = CallerKeys::new(&["0123456789abcdef"]).unwrap();
        let routes = require_caller(Routes::new(echo.clone()), &keys);
        let link = way.connect(&caller, &callee, routes).await.unwrap();
        let link = link.called_by(&caller, &Caller::new("gateway", "us-east-1").unwrap(), &keys);
        Pair { caller, callee, echo, client: EchoClient::new(link) }
    }
}

/// Runs a scenario as a task of a runtime of its own: paused where there are no real sockets.
pub(crate) fn run<F: Future<Output = ()> + 'static>(way: Way, scenario: impl FnOnce(Way) -> F) {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(way != Way::Tcp);
    let runtime = builder.build_local(LocalOptions::default()).unwrap();
    let task = runtime.spawn_local(scenario(way));
    runtime.block_on(task).unwrap();
}

fn everywhere<F: Future<Output = ()> + 'static>(scenario: impl Fn(Way) -> F) {
    Way::ALL.into_iter().for_each(|way| run(way, &scenario));
}

#[test]
fn unary_calls_are_answered() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        for n in 0..100u8 {
            assert_eq!(pair.client.say(Bytes::from(vec![n; 10])).await.unwrap(), vec![n; 10], "{way:?}");
        }
    });
}

#[test]
fn a_stream_answers_each_message_before_the_next_is_sent() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let (sender, messages) = mpsc::channel(1);
        let mut answers = pair.client.chat(ReceiverStream::new(messages)).await.unwrap();
        for n in 0..50u8 {
            sender.send(Bytes::from(vec![n])).await.unwrap();
            assert_eq!(answers.next().await.unwrap().unwrap(), vec![n], "{way:?}");
        }
        drop(sender);
        assert!(answers.next().await.is_none(), "{way:?}: the end of one direction ends the other");
    });
}

#[test]
fn letting_go_of_the_answers_ends_the_call() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let (sender, messages) = mpsc::channel(1);
        let mut answers = pair.client.chat(ReceiverStream::new(messages)).await.unwrap();
        sender.send(Bytes::from_static(b"one")).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), "one", "{way:?}");
        drop(answers);
        tokio::time::timeout(Duration::from_secs(5), sender.closed())
            .await
            .expect("a call nobody awaits goes on");
    });
}

/// E33: our deadline layer, for the answer itself and for a response stream.
#[test]
fn a_call_ends_at_its_deadline() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
        let mut request = Request::new(Bytes::from(vec![WAIT, 200]));
        request.set_timeout(Duration::from_millis(1_500));
        let began = tokio::time::Instant::now();
        let status = pair.client.say(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{way:?}: {status:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{way:?}");

        // The handler is dropped with it: it works no further.
        pair.echo.working(0).await;
    });
}

#[test]
fn a_message_larger_than_every_window_arrives() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let big = Bytes::from(vec![7; 8 << 20]);
        assert!(pair.client.say(big.clone()).await.unwrap() == big, "{way:?}");
    });
}

/// E16: a stream nobody reads holds at most its window, and other calls on the same connection go on.
#[test]
fn a_stalled_stream_blocks_no_other_call() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let stalled = pair.client.flood().await.unwrap();
        for n in 0..50u8 {
            let answer =
                tokio::time::timeout(Duration::from_secs(5), pair.client.say(Bytes::from(vec![n; 1000])));
            assert_eq!(answer.await.expect("starved").unwrap(), vec![n; 1000], "{way:?}");
        }
        let bytes = 64 * 1024 * pair.echo.flooded.load(std::sync::atomic::Ordering::SeqCst);
        const { assert!(sterna_process::STREAM_WINDOW <= 256 * 1024) };
        assert!(bytes <= 1 << 20, "{way:?}: {bytes} bytes were made for a reader that takes none");
        drop(stalled);
    });
}

/// Several stalled streams fill their connection; a link with a connection of its own is not starved by them.
#[test]
fn a_link_of_its_own_connection_is_not_starved() {
    everywhere(|way| async move {
        let pair = Pair::new(way).await;
        let link = way.connect(&pair.caller, &pair.callee, Routes::new(pair.echo.clone())).await.unwrap();
        let mut shared = EchoClient::new(link.clone());
        let mut stalled = Vec::new();
        for _ in 0..8 {
            stalled.push(shared.flood().await.unwrap());
        }
        let mut own = EchoClient::new(link.own_connection());
        let answer = tokio::time::timeout(Duration::from_secs(5), own.say(Bytes::from(vec![1; 300_000])));
        assert_eq!(answer.await.expect("starved").unwrap().len(), 300_000, "{way:?}");
        drop(stalled);
    });
}

/// E32: links carry a MACed caller identity; without it, or with another key's, nothing is answered.
#[test]
fn a_caller_without_the_key_is_refused() {
    everywhere(|way| async move {
        let pair = Pair::new(way).await;
        let keys = CallerKeys::new(&["0123456789abcdef"]).unwrap();
        let forged = CallerKeys::new(&["fedcba9876543210"]).unwrap();
        let caller = Caller::new("gateway", "us-east-1").unwrap();
        let routes = require_caller(Routes::new(pair.echo.clone()), &keys);
        let link = way.connect(&pair.caller, &pair.callee, routes).await.unwrap();
        let links = [
            link.clone(),
            link.called_by(&pair.caller, &caller, &forged),
            link.called_by(&pair.caller, &caller, &keys),
        ];
        let mut codes = Vec::new();
        for link in links {
            let answer = EchoClient::new(link).say(Bytes::from_static(b"?")).await;
            codes.push(answer.map_or_else(|status| status.code(), |_| Code::Ok));
        }
        assert_eq!(codes, [Code::Unauthenticated, Code::Unauthenticated, Code::Ok], "{way:?}");
    });
}

#[test]
fn a_link_to_nobody_is_unavailable() {
    run(Way::Duplex, |_| async {
        let pair = Pair::new(Way::Direct).await;
        let link = sterna_process::Link::duplex(&pair.caller, &sterna_process::Pipe::new());
        let status = EchoClient::new(link).say(Bytes::from_static(b"?")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    });
}

/// Ending in good order: what is underway is answered, then nothing is.
#[test]
fn a_drained_role_answers_what_was_underway() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
        let mut other = pair.client.clone();
        let (sender, mut answer) = mpsc::channel(1);
        pair.caller.spawn("call", End::Expected, async move {
            sender.send(other.say(Bytes::from(vec![WAIT, 1])).await).await.unwrap();
        });
        pair.echo.working(1).await;
        let drained = pair.callee.drain(Duration::from_secs(20)).await;
        assert_eq!(drained.cut, 0, "{way:?}");
        assert_eq!(answer.recv().await.unwrap().unwrap(), vec![WAIT, 1], "{way:?}");
        let status = pair.client.say(Bytes::from_static(b"late")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
    });
}

//! E34, crash means dead: whatever the moment, callers get a full answer or `unavailable`, and nothing works
//! on.
//! Sleeps are the scenario's own (paused time in memory), never a wait for something to happen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sterna_process::{End, Exit, Link, Pipe, Process, State, Way, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::service::Routes;

use crate::echo::{Echo, EchoClient, PANIC, WAIT};
use crate::{Pair, everywhere, run};

const SOON: Duration = Duration::from_secs(5);

/// E34: nothing of a crashed role runs on or answers: not the call underway, not its handler, not its next
/// calls.
#[test]
fn a_call_underway_ends_when_its_role_is_killed() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
        let mut other = pair.client.clone();
        let (sender, mut answer) = mpsc::channel(1);
        pair.caller.spawn("call", End::Expected, async move {
            sender.send(other.say(Bytes::from(vec![WAIT, 200])).await).await.unwrap();
        });
        pair.echo.working(1).await;

        pair.callee.kill();
        let status = tokio::time::timeout(SOON, answer.recv()).await.expect("hangs").unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
        let status = pair.client.say(Bytes::from_static(b"?")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
        pair.echo.working(0).await;
        assert_eq!(pair.echo.worked.load(Ordering::SeqCst), 1, "{way:?}: only the call before was answered");
        assert_eq!(pair.callee.state(), State::Dead);
        assert_eq!(pair.callee.exited().await, Exit::Killed);
    });
}

#[test]
fn a_stream_ends_in_both_directions_when_its_role_is_killed() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let (sender, messages) = mpsc::channel(1);
        let mut answers = pair.client.chat(ReceiverStream::new(messages)).await.unwrap();
        sender.send(Bytes::from_static(b"one")).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), "one", "{way:?}");

        pair.callee.kill();
        // The sending half first, while nobody polls the answers: a caller that only sends must learn of it,
        // too.
        tokio::time::timeout(SOON, sender.closed()).await.expect("sends go on into a dead role");
        let status = tokio::time::timeout(SOON, answers.next()).await.expect("hangs").unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
        assert_eq!(pair.echo.worked.load(Ordering::SeqCst), 1, "{way:?}");
    });
}

/// The other way round: the stream of a killed caller breaks off at the role that reads it, it does not end
/// well.
#[test]
fn a_killed_caller_breaks_its_streams_off() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let (sender, messages) = mpsc::channel(1);
        let mut client = pair.client.clone();
        let (done, mut ended) = mpsc::channel(1);
        pair.caller.spawn("stream", End::Expected, async move {
            let mut answers = client.chat(ReceiverStream::new(messages)).await.unwrap();
            while let Some(answer) = answers.next().await {
                done.send(answer.is_ok()).await.unwrap();
            }
        });
        sender.send(Bytes::from_static(b"one")).await.unwrap();
        assert_eq!(ended.recv().await, Some(true), "{way:?}");
        pair.caller.kill();
        tokio::time::timeout(SOON, sender.closed()).await.expect("a dead caller's stream is still read");
        assert_eq!(ended.recv().await, None, "{way:?}: a dead caller's task ran on");

        // And nothing can be called in its name.
        let call = tokio::time::timeout(SOON, pair.client.say(Bytes::from_static(b"?")));
        let status = call.await.expect("hangs").unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
    });
}

/// E34: "crashed at any await" is "dies at poll n": a full answer or `unavailable`, never half of one, never
/// a hang.
#[test]
fn a_crash_at_any_poll_gives_a_full_answer_or_unavailable() {
    for n in 1..=20 {
        everywhere(move |way| async move {
            let mut pair = Pair::new(way).await;
            pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
            pair.callee.die_at_poll(n);
            let mut died = false;
            for _ in 0..40 {
                let call = tokio::time::timeout(SOON, pair.client.say(Bytes::from(vec![5; 100_000])));
                match call.await.expect("hangs") {
                    Ok(answer) => {
                        assert!(!died, "{way:?} n={n}: a dead role answered");
                        assert!(answer == vec![5; 100_000], "{way:?} n={n}");
                    }
                    Err(status) => {
                        assert_eq!(status.code(), Code::Unavailable, "{way:?} n={n}: {status:?}");
                        died = true;
                    }
                }
            }
            assert!(died, "{way:?} n={n}: it never came to poll n");
            assert_eq!(pair.callee.exited().await, Exit::Killed);
        });
    }
}

#[test]
fn a_crash_at_any_poll_of_a_stream_loses_its_tail_only() {
    for n in 1..=20u64 {
        everywhere(move |way| async move {
            let mut pair = Pair::new(way).await;
            pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
            pair.callee.die_at_poll(n);
            let messages = (0..=255u8).map(|i| Bytes::from(vec![i; 2_000]));
            let mut seen = 0u32;
            let status = match pair.client.chat(tokio_stream::iter(messages.collect::<Vec<_>>())).await {
                Err(status) => status,
                Ok(mut answers) => loop {
                    match tokio::time::timeout(SOON, answers.next()).await.expect("hangs") {
                        Some(Ok(answer)) => {
                            assert_eq!(u32::from(answer[0]), seen, "{way:?} n={n}: dense up to the crash");
                            seen += 1;
                        }
                        Some(Err(status)) => break status,
                        None => {
                            assert_eq!(seen, 256, "{way:?} n={n}: a cut stream looked complete");
                            return;
                        }
                    }
                },
            };
            assert_eq!(status.code(), Code::Unavailable, "{way:?} n={n}: {status:?}");
        });
    }
}

/// A restarted role listens on the same address, and links to it come back by themselves.
#[test]
fn a_link_comes_back_when_its_role_is_restarted() {
    run(Way::Duplex, |_| async {
        let pair = Pair::new(Way::Duplex).await;
        let pipe = Pipe::new();
        let link = Link::duplex(&pair.caller, &pipe);
        for life in 0..3 {
            let process = Process::new("test/restarted", life, pair.callee.clock().clone());
            serve(&process, Routes::new(Echo::default()), pipe.listen(), process.drain_signal());
            let mut client = EchoClient::new(link.clone());
            assert_eq!(client.say(Bytes::from_static(b"hi")).await.unwrap(), "hi", "life {life}");
            process.kill();
            assert_eq!(client.say(Bytes::from_static(b"hi")).await.unwrap_err().code(), Code::Unavailable);
        }
    });
}

/// E34: connections are tasks of their owner: none of them outlives it, not even to answer pings.
#[test]
fn a_killed_role_closes_its_connections_and_its_address() {
    run(Way::Duplex, |_| async {
        let pair = Pair::new(Way::Direct).await;
        let pipe = Pipe::new();
        serve(&pair.callee, Routes::new(Echo::default()), pipe.listen(), pair.callee.drain_signal());
        let mut open = pipe.connect().unwrap();
        open.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        assert!(open.read_u8().await.is_ok(), "the server speaks");
        pair.callee.kill();
        let mut rest = Vec::new();
        tokio::time::timeout(SOON, open.read_to_end(&mut rest))
            .await
            .expect("a connection outlives its role")
            .unwrap();
        assert!(pipe.connect().is_err(), "nobody listens any more");
    });
}

/// A panic of a handler is seen by its owner, and its caller is not torn along.
#[test]
fn a_panicking_handler_is_reported_to_its_owner() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let status = pair.client.say(Bytes::from(vec![PANIC])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
        let exit = tokio::time::timeout(SOON, pair.callee.exited()).await.expect("not reported");
        assert!(matches!(exit, Exit::Panicked(_)), "{way:?}: {exit:?}");
        assert_eq!(pair.callee.state(), State::Running, "whether to kill it is for the supervisor");
    });
}

/// E34: links carry a kill switch.
#[test]
fn a_cut_link_ends_its_streams_and_nothing_else() {
    everywhere(|way| async move {
        let mut pair = Pair::new(way).await;
        let link = way.connect(&pair.caller, &pair.callee, Routes::new(pair.echo.clone())).await.unwrap();
        let (link, switch) = link.switched();
        let mut client = EchoClient::new(link);
        let (sender, messages) = mpsc::channel(1);
        let mut answers = client.chat(ReceiverStream::new(messages)).await.unwrap();
        switch.cut();
        assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable, "{way:?}");
        tokio::time::timeout(SOON, sender.closed()).await.expect("sends go on into a cut link");
        assert_eq!(client.say(Bytes::from_static(b"?")).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(pair.client.say(Bytes::from_static(b"ok")).await.unwrap(), "ok", "{way:?}");
    });
}

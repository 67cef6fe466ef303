//! A paused role: a stopped VM that comes back.
//! Sleeps are the scenario's own (paused time in memory), never a wait for something to happen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sterna_process::{End, State, Way};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use crate::echo::WAIT;
use crate::{Pair, run};

fn in_memory<F: Future<Output = ()> + 'static>(scenario: impl Fn(Way) -> F) {
    Way::IN_MEMORY.into_iter().for_each(|way| run(way, &scenario));
}

/// E34: paused → pending: 30 s of silence, then everything goes on where it stood.
#[test]
fn a_paused_role_answers_nothing_and_loses_nothing() {
    in_memory(|way| async move {
        let mut pair = Pair::new(way).await;
        let (sender, messages) = mpsc::channel(4);
        let mut answers = pair.client.chat(ReceiverStream::new(messages)).await.unwrap();
        let mut calling = pair.client.clone();
        let (done, mut answered) = mpsc::channel(1);
        pair.caller.spawn("call", End::Expected, async move {
            done.send(calling.say(Bytes::from(vec![WAIT, 2])).await).await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(1_500)).await;

        let worked = pair.echo.worked.load(Ordering::SeqCst);
        let began = Instant::now();
        pair.callee.pause(true);
        assert_eq!(pair.callee.state(), State::Paused);
        sender.send(Bytes::from_static(b"into the pause")).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_secs(30), async {
            tokio::select! {
                biased;
                _ = answers.next() => "a stream",
                _ = answered.recv() => "a call",
            }
        });
        assert!(silence.await.is_err(), "{way:?}: a paused role answered");
        assert_eq!(pair.echo.worked.load(Ordering::SeqCst), worked, "{way:?}: a paused role worked");

        pair.callee.pause(false);
        assert_eq!(answers.next().await.unwrap().unwrap(), "into the pause", "{way:?}");
        assert_eq!(answered.recv().await.unwrap().unwrap(), vec![WAIT, 2], "{way:?}");
        assert!(began.elapsed() < Duration::from_secs(31), "{way:?}: {:?}", began.elapsed());
    });
}

#[test]
fn the_callers_deadline_holds_while_the_role_is_paused() {
    in_memory(|way| async move {
        let mut pair = Pair::new(way).await;
        pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
        pair.callee.pause(true);
        let mut request = Request::new(Bytes::from_static(b"?"));
        request.set_timeout(Duration::from_secs(3));
        let began = Instant::now();
        let status = pair.client.say(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{way:?}: {status:?}");
        assert_eq!(began.elapsed().as_secs(), 3, "{way:?}");
    });
}

#[test]
fn a_role_killed_while_paused_is_unavailable_at_once() {
    in_memory(|way| async move {
        let mut pair = Pair::new(way).await;
        pair.client.say(Bytes::from_static(b"warm")).await.unwrap();
        pair.callee.pause(true);
        let callee = pair.callee.clone();
        pair.caller.spawn("killer", End::Expected, async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            callee.kill();
            callee.pause(false);
        });
        let call = tokio::time::timeout(Duration::from_secs(3), pair.client.say(Bytes::from_static(b"?")));
        assert_eq!(call.await.expect("hangs").unwrap_err().code(), Code::Unavailable, "{way:?}");
        assert_eq!(pair.callee.state(), State::Dead, "{way:?}: nothing resumes the dead");
    });
}

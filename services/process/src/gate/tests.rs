use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use tokio_stream::StreamExt;

use super::*;

fn seats(gate: &Gate) -> usize {
    gate.lock().seats.len()
}

/// Polls are counted one by one: the n-th is the one that does not happen.
#[tokio::test(start_paused = true)]
async fn die_at_poll_stops_before_the_nth_poll() {
    for n in 0..5u64 {
        let gate = Gate::open();
        let polls = Arc::new(AtomicU64::new(0));
        let counted = polls.clone();
        let future = std::future::poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::SeqCst);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        gate.die_at_poll(n);
        assert_eq!(Gated::new(&gate, future).await, Err(Gone::Dead));
        assert_eq!(polls.load(Ordering::SeqCst), n.saturating_sub(1));
        assert_eq!(gate.exited().await, Exit::Killed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_the_count_of_polls() {
    let gate = Gate::open();
    gate.die_at_poll(2);
    gate.pause(true);
    assert_eq!((gate.pass(), gate.pass(), gate.pass()), (Pass::Wait, Pass::Wait, Pass::Wait));
    gate.pause(false);
    assert_eq!(gate.pass(), Pass::Counted);
    gate.polled();
    assert_eq!((gate.pass(), gate.pass()), (Pass::Dead, Pass::Dead));
}

/// E34: a death that falls due in a poll within a poll of the same role waits for the outer one: whatever the
/// role's code does is done alive, and none of it is done afterwards.
#[tokio::test(start_paused = true)]
async fn nothing_goes_on_after_a_death_within_a_poll() {
    for n in 1..12u64 {
        let gate = Gate::open();
        let states = Arc::new(Mutex::new(Vec::new()));
        let (inside, seen) = (gate.clone(), states.clone());
        gate.die_at_poll(n);
        let outer = Gated::new(&gate, async move {
            for _ in 0..3 {
                let _ = Gated::new(&inside, tokio::task::yield_now()).await;
                seen.lock().unwrap().push(inside.state());
            }
        });
        assert_eq!(outer.await.is_err(), n < 11, "poll {n} of ten");
        assert!(states.lock().unwrap().iter().all(|state| *state == State::Running), "poll {n}");
    }
}

/// The registry is bounded by what is alive: whatever ends gives its seat back.
#[tokio::test(start_paused = true)]
async fn seats_are_given_back() {
    let gate = Gate::open();
    let long = Duration::from_secs(60);
    for _ in 0..100 {
        let waiting = Gated::new(&gate, tokio::time::sleep(long));
        assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err());
        assert!(Gated::new(&gate, tokio::time::sleep(Duration::from_secs(1))).await.is_ok());
        drop(GatedBody::wrap(&gate, pending_body(), None));
    }
    assert_eq!(seats(&gate), 0);
}

#[tokio::test(start_paused = true)]
async fn what_completes_at_once_takes_no_seat() {
    let gate = Gate::open();
    let inside = gate.clone();
    assert_eq!(Gated::new(&gate, async move { seats(&inside) }).await, Ok(0));
}

/// A role that kills itself in a poll does not get to answer with that poll.
#[tokio::test(start_paused = true)]
async fn the_poll_that_kills_does_not_answer() {
    let gate = Gate::open();
    let inside = gate.clone();
    assert_eq!(Gated::new(&gate, async move { inside.kill() }).await, Err(Gone::Dead));
}

/// `kill` drops bodies itself: their holder may never poll them again.
#[tokio::test(start_paused = true)]
async fn a_killed_gate_empties_bodies_that_nobody_polls() {
    let gate = Gate::open();
    let (sender, receiver) = tokio::sync::mpsc::channel::<()>(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let body = GatedBody::wrap(&gate, body_of(stream.map(|()| 0)), None);
    assert!(!sender.is_closed());
    gate.kill();
    assert!(sender.is_closed());
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_until_the_last_token_is_gone() {
    let gate = Gate::open();
    let (one, two) = (gate.busy(), gate.busy());
    let wait = || tokio::time::timeout(Duration::from_secs(1), gate.idle());
    assert!(wait().await.is_err());
    drop(one);
    assert!(wait().await.is_err());
    drop(two);
    assert!(wait().await.is_ok());
}

/// E34, on threads: after `kill` returns no poll begins any more, whoever polls.
#[test]
#[allow(clippy::disallowed_methods, reason = "threads that race on purpose")]
fn no_poll_begins_after_kill_returned_on_another_thread() {
    for _ in 0..50 {
        let gate = Gate::open();
        let killed = Arc::new(AtomicU8::new(0));
        let (polls, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (gate, killed, polls, late) = (gate.clone(), killed.clone(), polls.clone(), late.clone());
                std::thread::spawn(move || {
                    while gate.pass() == Pass::Go {
                        polls.fetch_add(1, Ordering::SeqCst);
                    }
                    // A pass that is asked for once kill returned is never granted.
                    while killed.load(Ordering::SeqCst) == 0 {
                        std::hint::spin_loop();
                    }
                    late.fetch_add(u64::from(gate.pass() == Pass::Go), Ordering::SeqCst);
                })
            })
            .collect();
        while polls.load(Ordering::SeqCst) < 100 {
            std::hint::spin_loop();
        }
        gate.kill();
        killed.store(1, Ordering::SeqCst);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(late.load(Ordering::SeqCst), 0);
    }
}

fn pending_body() -> tonic::body::Body {
    body_of(tokio_stream::pending())
}

fn body_of(stream: impl tokio_stream::Stream<Item = u8> + Send + 'static) -> tonic::body::Body {
    struct StreamBody<S>(std::pin::Pin<Box<S>>);
    impl<S: tokio_stream::Stream<Item = u8>> http_body::Body for StreamBody<S> {
        type Data = bytes::Bytes;
        type Error = Status;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
            let next = self.0.as_mut().poll_next(cx);
            next.map(|item| item.map(|byte| Ok(http_body::Frame::data(vec![byte].into()))))
        }
    }
    tonic::body::Body::new(StreamBody(Box::pin(stream)))
}

//! The attachment to one state instance: wishes out, joins and pushes in (E15).
//!
//! Whenever the stream ends, for whatever reason, it is opened again and all interest is told anew: the
//! answers carry heads, and a ring that is behind one pulls what it missed. The same is done on a timer; an
//! instance that does not answer by the next time is given up (E16). Wishes never hold up what comes in.

use std::collections::VecDeque;
use std::rc::Rc;

use sterna_process::Link;
use sterna_proto::record::Stored;
use sterna_proto::v1::attach_down::What;
use sterna_proto::v1::attach_up;
use sterna_proto::v1::state_client::StateClient;
use sterna_proto::{convert, v1};
use sterna_stream::{Hlc, StreamId, partition};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;

use super::{Changed, pause};
use crate::gateway::Inner;

/// Messages to one state instance that wait for the stream.
const WISHES: usize = 64;
/// Streams named in one message.
const STREAMS_AT_ONCE: usize = 200;
/// How often all heads are compared with state's (E16), the first time after half of it to all of it.
const COMPARE: Duration = Duration::from_secs(30);

/// Keeps the shard attached to the instance behind `link`, for the shard's life.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: Rc<Inner<S>>,
    at: usize,
    link: Link,
) {
    let mut rng = inner.process.rng(&format!("attach {at}"));
    loop {
        let first = COMPARE.mul_f64(rand::RngExt::random_range(&mut rng, 0.5..1.0));
        let mut compare = tokio::time::interval_at(Instant::now() + first, COMPARE);
        compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if let Err(why) = attached(&inner, at, link.clone(), compare).await {
            tracing::info!(at, why, "attaching to state again");
        }
        pause(&mut rng).await;
    }
}

/// One attachment, until it ends.
async fn attached<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Rc<Inner<S>>,
    at: usize,
    link: Link,
    mut compare: Interval,
) -> Result<(), String> {
    let (wishes, queue) = mpsc::channel(WISHES);
    let attaching = attach_up::What::Attaching(v1::Attaching { shard: inner.config.name.clone() });
    wishes.try_send(v1::AttachUp { what: Some(attaching) }).map_err(|_| "a new queue is full")?;
    let mut client = StateClient::new(link);
    let answer = client.attach(ReceiverStream::new(queue)).await.map_err(|status| status.to_string())?;
    let mut downs = answer.into_inner();
    inner.outward.wishes[at].changed.take();
    let mut due: VecDeque<attach_up::What> = follow(&followed(inner)).collect();
    let (mut expected, mut asked, mut heard) = (1, false, true);
    loop {
        tokio::select! {
            biased;
            place = wishes.reserve(), if !due.is_empty() => {
                place.map_err(|_| "the stream is closed")?.send(v1::AttachUp { what: due.pop_front() });
            }
            down = downs.message() => {
                let down = down.map_err(|status| status.to_string())?.ok_or("the stream ended")?;
                if down.n != expected {
                    return Err(format!("push {} came where {expected} was due", down.n));
                }
                (expected, heard) = (expected + 1, true);
                if let Some(What::Resync(resync)) = &down.what {
                    due.extend(follow(&concerned(inner, resync)));
                } else {
                    inner.take(down.what);
                }
            }
            () = inner.outward.wishes[at].wake.notified(), if due.is_empty() => {
                due.extend(told(inner.outward.wishes[at].changed.take()));
            }
            _ = compare.tick(), if due.is_empty() => {
                if asked && !heard {
                    return Err("it does not answer a comparison of heads".to_owned());
                }
                due.extend(follow(&followed(inner)));
                (asked, heard) = (!due.is_empty(), false);
            }
        }
    }
}

/// All streams that somebody here follows.
fn followed<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: &Inner<S>) -> Vec<StreamId> {
    inner.shard.heads().into_iter().map(|(stream, _)| stream).collect()
}

fn concerned<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Inner<S>,
    resync: &v1::Resync,
) -> Vec<StreamId> {
    let partitions = inner.config.partitions;
    let all = inner.shard.heads().into_iter().map(|(stream, _)| stream);
    let moved = |s: &StreamId| resync.partitions.contains(&partition::of(s, partitions).into());
    all.filter(|stream| resync.partitions.is_empty() || moved(stream)).collect()
}

fn told(changed: Changed) -> impl Iterator<Item = attach_up::What> {
    let (on, off): (Vec<StreamId>, Vec<StreamId>) =
        changed.order.into_iter().partition(|stream| changed.on.get(stream) == Some(&true));
    let off: Vec<attach_up::What> =
        off.chunks(STREAMS_AT_ONCE).map(|streams| attach_up::What::Unfollow(names(streams))).collect();
    let on: Vec<attach_up::What> = follow(&on).collect();
    off.into_iter().chain(on).chain(changed.ephemeral.into_iter().map(attach_up::What::Ephemeral))
}

fn follow(streams: &[StreamId]) -> impl Iterator<Item = attach_up::What> {
    streams.chunks(STREAMS_AT_ONCE).map(|streams| attach_up::What::Follow(names(streams)))
}

fn names(streams: &[StreamId]) -> v1::Streams {
    v1::Streams { streams: streams.iter().map(ToString::to_string).collect() }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    fn take(self: &Rc<Self>, what: Option<What>) {
        match what {
            Some(What::Joined(joined)) if !joined.not_owner => {
                let head = convert::cursor(joined.head.as_ref());
                let known = convert::cursor(joined.known.as_ref());
                match (joined.stream.parse(), head, known) {
                    (Ok(stream), Ok(head), Ok(known)) => {
                        self.outward.stamped(&stream, Hlc(joined.newest));
                        self.joined(stream, head, known);
                    }
                    _ => tracing::error!("state answered what is no head"),
                }
            }
            Some(What::Push(push)) => match Stored::decode(push.record) {
                Ok(stored) => {
                    if let Some(pos) = push.pos.filter(|_| stored.segment.origin == self.config.origin) {
                        let partition = partition::of(&stored.segment.stream, self.config.partitions);
                        let mut second_acks = self.second_acks.borrow_mut();
                        second_acks.came(&stored.segment, partition.into(), (&pos).into());
                    }
                    self.pushed(stored.segment, push.recheck);
                }
                Err(error) => tracing::error!(%error, "state pushed what is no segment"),
            },
            Some(What::Ephemeral(ephemeral)) => self.ephemeral(&ephemeral),
            Some(What::Covered(v1::Covered { partition, pos: Some(pos), .. })) => {
                self.covered(partition, (&pos).into());
            }
            Some(What::Joined(_) | What::Covered(_) | What::Resync(_)) | None => {}
        }
    }
}

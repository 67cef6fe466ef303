//! One state instance of another region that sends its segments here, and is told which are wanted: the union
//! of what this instance's shards follow.
//!
//! Whatever comes that is not a segment of the caller's region ends the lane: who sends such a thing is not
//! what it says it is. A segment of a life that is not followed here yet is left out: the life is found soon,
//! and its mirror is read from the beginning (E1).

use std::sync::Arc;

use sterna_process::End;
use sterna_proto::record::{LogRecord, Stored};
use sterna_proto::v1;
use sterna_stream::Region;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{BEAT, SILENCE};
use crate::Inner;

/// Streams named in one message.
const STREAMS_AT_ONCE: usize = 200;
/// Messages that wait for the peer; what changes meanwhile is told later, in one.
const NEWS: usize = 4;

/// What a peer reads.
pub(crate) type News = Result<v1::Carried, Status>;

/// Takes what a state of `region` carries.
pub(crate) fn receive(
    role: Arc<Inner>,
    region: Region,
    carries: Streaming<v1::Carry>,
) -> ReceiverStream<News> {
    let (news, queue) = mpsc::channel(NEWS);
    let listening = listen(role.clone(), region, carries, news);
    role.process.spawn("a peer's express lane", End::Expected, listening);
    ReceiverStream::new(queue)
}

async fn listen(
    role: Arc<Inner>,
    region: Region,
    mut carries: Streaming<v1::Carry>,
    news: mpsc::Sender<News>,
) {
    let drain = role.process.drain_signal();
    let (id, changed) = role.hub.lock().watch();
    let (mut heard, mut beat, mut due) = (Instant::now(), interval(BEAT), true);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = drain.raised() => break,
            carry = carries.message() => {
                let Ok(Some(carry)) = carry else { break };
                heard = Instant::now();
                if let Err(refusal) = arrive(&role, &region, carry) {
                    let _ = news.try_send(Err(refusal));
                    break;
                }
            }
            place = news.reserve(), if due => {
                let Ok(place) = place else { break };
                let changes = role.hub.lock().changes(id, STREAMS_AT_ONCE);
                due = changes.len() == STREAMS_AT_ONCE;
                if !changes.is_empty() {
                    place.send(Ok(told(changes)));
                }
            }
            () = changed.notified(), if !due => due = true,
            _ = beat.tick() => {
                if heard.elapsed() >= SILENCE {
                    break;
                }
                let _ = news.try_send(Ok(v1::Carried::default()));
            }
        }
    }
    role.hub.lock().unwatch(id);
}

fn told(changes: Vec<(sterna_stream::StreamId, bool)>) -> v1::Carried {
    let (on, off): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, on)| *on);
    let names = |streams: Vec<(sterna_stream::StreamId, bool)>| {
        streams.into_iter().map(|(stream, _)| stream.to_string()).collect()
    };
    v1::Carried { follow: names(on), unfollow: names(off) }
}

/// A segment for the consumer, if it has room for one; a heartbeat is none.
fn arrive(role: &Inner, region: &Region, carry: v1::Carry) -> Result<(), Status> {
    if carry.record.is_empty() {
        return Ok(());
    }
    let Some(stored) = segment(carry, region) else {
        role.express.count().refused += 1;
        tracing::error!(%region, "alarm: what came by express is no segment of its sender's");
        return Err(Status::permission_denied("express carries segments of the caller's region alone"));
    };
    if !role.lives.knows(&stored.segment.origin) {
        role.express.count().unwanted += 1;
    } else if role.express.arrivals.try_send(stored).is_err() {
        role.express.count().shed += 1;
    }
    Ok(())
}

fn segment(carry: v1::Carry, region: &Region) -> Option<Stored> {
    match LogRecord::decode(carry.record) {
        Ok(LogRecord::Segment(stored)) if stored.segment.origin.region() == *region => Some(stored),
        Ok(LogRecord::Segment(_) | LogRecord::Mark(_) | LogRecord::Unknown) | Err(_) => None,
    }
}

//! One lane to one state instance of another region: it says what it wants, and is sent that.
//!
//! A lane that breaks, is refused or falls silent is opened again, after a pause that grows. What was read
//! back meanwhile is sent as far as it is recent: the mirror brings the rest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sterna_process::Link;
use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_proto::v1::state_client::StateClient;
use sterna_stream::StreamId;
use sterna_stream::limits::EXPRESS_QUEUE;
use sterna_stream::map::Set;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::{BEAT, Express, Peer, SILENCE};
use crate::Inner;

/// Streams that one peer instance may want; further ones are served by the mirror alone.
pub const WANTED_MAX: usize = 200_000;
/// Pause before a broken lane is opened again, the first time; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a broken lane is opened again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A lane, open or not.
#[derive(Default)]
pub(crate) struct Lane(Mutex<Option<Open>>);

struct Open {
    wanted: Set<StreamId>,
    queue: mpsc::Sender<v1::Carry>,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Nobody wants it there, or the lane is not open.
    Unwanted,
    /// It is in the lane's queue.
    Sent,
    /// The queue is full.
    Dropped,
}

// === impl Lane ===

impl Lane {
    /// Never waits.
    pub(crate) fn offer(&self, stored: &Stored) -> Offered {
        let lane = self.lock();
        let Some(open) = lane.as_ref().filter(|open| open.wanted.contains(&stored.segment.stream)) else {
            return Offered::Unwanted;
        };
        open.send(&stored.bytes)
    }

    /// The same with what was read back before its stream was wanted: half of the queue is left to what comes
    /// now.
    pub(super) fn again(&self, record: &Bytes) -> Offered {
        match self.lock().as_ref() {
            None => Offered::Unwanted,
            Some(open) if open.queue.capacity() <= EXPRESS_QUEUE / 2 => Offered::Dropped,
            Some(open) => open.send(record),
        }
    }

    fn open(&self, queue: mpsc::Sender<v1::Carry>) {
        *self.lock() = Some(Open { wanted: Set::default(), queue });
    }

    fn close(&self) {
        *self.lock() = None;
    }

    /// Which streams are wanted that were not before.
    pub(super) fn change(&self, news: &v1::Carried) -> Set<StreamId> {
        let (mut begun, mut lane) = (Set::default(), self.lock());
        let Some(open) = lane.as_mut() else { return begun };
        for stream in news.unfollow.iter().filter_map(|stream| stream.parse::<StreamId>().ok()) {
            open.wanted.remove(&stream);
        }
        for stream in news.follow.iter().filter_map(|stream| stream.parse::<StreamId>().ok()) {
            if open.wanted.len() < WANTED_MAX && open.wanted.insert(stream.clone()) {
                begun.insert(stream);
            }
        }
        begun
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn send(&self, record: &Bytes) -> Offered {
        match self.queue.try_send(v1::Carry { record: record.clone() }) {
            Ok(()) => Offered::Sent,
            Err(_) => Offered::Dropped,
        }
    }
}

/// Keeps the lane with this number open, for the role's life.
pub(crate) async fn run(role: Arc<Inner>, at: usize, peer: Peer) {
    let drain = role.process.drain_signal();
    let mut rng = role.process.rng(&format!("express {at}"));
    let mut pause = PAUSE_MIN;
    loop {
        let began = Instant::now();
        let why = tokio::select! {
            biased;
            () = drain.raised() => return,
            why = carry(&role.express, at, &peer.link) => why,
        };
        role.express.lanes[at].close();
        tracing::info!(region = %peer.region, at, why, "an express lane ended; it is opened again");
        if began.elapsed() > PAUSE_MAX + SILENCE {
            pause = PAUSE_MIN;
        }
        tokio::select! {
            biased;
            () = drain.raised() => return,
            () = sleep(pause.mul_f64(rand::RngExt::random_range(&mut rng, 0.5..1.0))) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One life of a lane; returns why it ended.
async fn carry(express: &Express, at: usize, link: &Link) -> String {
    let (queue, carries) = mpsc::channel(EXPRESS_QUEUE);
    let mut client = StateClient::new(link.own_connection());
    let mut carried = match timeout(SILENCE, client.express(ReceiverStream::new(carries))).await {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) => return status.to_string(),
        Err(_) => return "nobody answers".to_owned(),
    };
    express.lanes[at].open(queue.clone());
    let (mut heard, mut beat) = (Instant::now(), interval(BEAT));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            news = carried.message() => match news {
                Ok(Some(news)) => {
                    heard = Instant::now();
                    express.told(at, &news);
                }
                Ok(None) => return "the other side ended it".to_owned(),
                Err(status) => return status.to_string(),
            },
            _ = beat.tick() => {
                if heard.elapsed() >= SILENCE {
                    return "the other side is silent".to_owned();
                }
                // A queue that is full tells as much.
                let _ = queue.try_send(v1::Carry::default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G9, E29: a peer instance wants so many streams at most; one that it lets go makes room.
    #[test]
    fn a_peer_wants_no_more_streams_than_it_may() {
        let (lane, (queue, _carries)) = (Lane::default(), mpsc::channel(1));
        lane.open(queue);
        let names =
            |numbers: std::ops::RangeInclusive<usize>| numbers.map(|n| format!("acme/chat/{n}")).collect();
        let news = v1::Carried { follow: names(1..=WANTED_MAX + 1), unfollow: Vec::new() };
        assert_eq!(lane.change(&news).len(), WANTED_MAX);
        let news = v1::Carried { follow: names(0..=1), unfollow: names(2..=2) };
        let begun: Vec<String> = lane.change(&news).iter().map(ToString::to_string).collect();
        assert_eq!(begun, ["acme/chat/0"]);
    }
}

//! Looking at the table for what segments wait for: they rest on events that this region does not hold yet,
//! and the table has a way of its own (E24).
//!
//! Beside the consumer and never in its way. Each stream is asked for by itself, so that one whose answer
//! does not come, damaged or throttled, holds up nothing but what waits for it.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use sterna_stream::{Cursor, Origin, StreamId};
use tokio::time::{Instant, MissedTickBehavior};

use crate::{Inner, attach};

/// How often is looked while nobody asks for it, and longest that a stream's answer is waited for.
const SECOND: Duration = Duration::from_secs(1);
/// Streams that are asked for at once.
const AT_ONCE: usize = 32;
/// Streams that one look asks for; the next one begins behind them.
const PER_LOOK: usize = 1_024;

/// Looks for the role's life: each second, and when something new waits.
pub(crate) async fn look(role: &Inner) {
    let asked = role.hub.lock().look();
    let mut second = tokio::time::interval(SECOND);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut access, mut members) = (Turns::default(), Turns::default());
    loop {
        tokio::select! {
            biased;
            _ = second.tick() => {}
            () = asked.notified() => {}
        }
        once(role, &mut access, &mut members).await;
    }
}

/// Access streams first: what waits for one rarely waits for anything else.
async fn once(role: &Inner, access: &mut Turns, members: &mut Turns) {
    let lacking = role.hub.lock().lacking_access();
    let lives = |stream| (role.hub.lock().lacking_lives(&stream), stream);
    let mut heads = pin!(heads(role, access.next(lacking).into_iter().map(lives).collect()));
    while let Some((stream, head, gathered)) = heads.next().await {
        role.hub.lock().access_held(&stream, &head, &gathered);
    }
    let lacking = role.hub.lock().lacking();
    let streams = members.next(lacking).into_iter().map(|stream| (Vec::new(), stream));
    let mut heads = pin!(self::heads(role, streams.collect()));
    while let Some((stream, head, _)) = heads.next().await {
        role.hub.lock().held(&stream, &head, Instant::now());
    }
    // What has waited too long is left to the backlog, whether anything was learnt or not.
    let mut hub = role.hub.lock();
    for stream in hub.waiting() {
        hub.held(&stream, &Cursor::default(), Instant::now());
    }
}

/// How far the table holds these streams, and which of the lives named with each are gathered, of those that
/// it says so of in time, as it says so.
fn heads(
    role: &Inner,
    streams: Vec<(Vec<Origin>, StreamId)>,
) -> impl Stream<Item = (StreamId, Cursor, Vec<Origin>)> {
    let ask = move |(lives, stream): (Vec<Origin>, StreamId)| async move {
        let asked = attach::heads_and_ends(role, std::slice::from_ref(&stream), &lives);
        let (heads, gathered) = tokio::time::timeout(SECOND, asked).await.ok()?.ok()?;
        Some((stream, heads.into_iter().next()?.cursor, gathered))
    };
    stream::iter(streams).map(ask).buffer_unordered(AT_ONCE).filter_map(std::future::ready)
}

/// Whose turn it is, where there are more streams than one look asks for.
#[derive(Default)]
struct Turns {
    last: Option<StreamId>,
}

impl Turns {
    /// The next of these streams, which are sorted.
    fn next(&mut self, mut streams: Vec<StreamId>) -> Vec<StreamId> {
        let behind = |last: &StreamId| streams.partition_point(|stream| stream <= last);
        let first = self.last.as_ref().map_or(0, behind);
        streams.rotate_left(first);
        streams.truncate(PER_LOOK);
        self.last = streams.last().cloned();
        streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E29: where more streams wait than one look asks for, each has its turn.
    #[test]
    fn each_stream_has_its_turn() {
        let name = |n: usize| format!("acme/chat/s{n:05}").parse::<StreamId>().expect("a stream");
        let all: Vec<StreamId> = (0..PER_LOOK + 10).map(name).collect();
        let mut turns = Turns::default();
        assert_eq!(turns.next(all.clone()), all[..PER_LOOK]);
        let second = turns.next(all.clone());
        assert_eq!((second.len(), &second[..10]), (PER_LOOK, &all[PER_LOOK..]));
        assert_eq!(second[10..], all[..PER_LOOK - 10]);
        assert_eq!(turns.next(all[..3].to_vec()), all[..3]);
        assert!(turns.next(Vec::new()).is_empty());
    }
}

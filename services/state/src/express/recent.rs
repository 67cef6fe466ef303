//! Own segments that were read back from the own log a moment ago, for peers that begin to want them.
//!
//! Pure. The news that somebody follows a stream in another region takes one way, and what is sequenced
//! meanwhile would come there by the mirror alone, after up to three. So whoever is heard to want a stream is
//! sent what was read back of it during that time, and a little before: what the table there may not have
//! yet. Nobody says how far a stream is held there: that is not known yet when the news is sent, and what is
//! held is dropped (`late`). Bounded in time, number and bytes; what is not here any more the mirror brings.

use std::collections::VecDeque;

use bytes::Bytes;
use sterna_proto::record::Stored;
use sterna_stream::StreamId;
use sterna_stream::limits::{EXPRESS_RECENT, EXPRESS_RECENT_BYTES, EXPRESS_RECENT_MS};
use sterna_stream::map::Set;
use tokio::time::{Duration, Instant};

/// How long a segment is kept.
const RECENT: Duration = Duration::from_millis(EXPRESS_RECENT_MS);

/// What was read back lately, of all streams, in that order.
#[derive(Default)]
pub(super) struct Recent {
    kept: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    at: Instant,
    stream: StreamId,
    record: Bytes,
}

// === impl Recent ===

impl Recent {
    /// A segment was read back; what is too old, or too much with it, is forgotten.
    pub(super) fn keep(&mut self, stored: &Stored, now: Instant) {
        self.bytes += stored.bytes.len();
        let (stream, record) = (stored.segment.stream.clone(), stored.bytes.clone());
        self.kept.push_back(Kept { at: now, stream, record });
        while self.kept.front().is_some_and(|oldest| self.is_over(oldest, now)) {
            self.bytes -= self.kept.pop_front().map_or(0, |kept| kept.record.len());
        }
    }

    /// What is kept of these streams, the oldest first.
    pub(super) fn of(&self, streams: &Set<StreamId>, now: Instant) -> impl Iterator<Item = &Bytes> {
        let young = self.kept.iter().skip_while(move |kept| is_old(kept, now));
        young.filter(|kept| streams.contains(&kept.stream)).map(|kept| &kept.record)
    }

    fn is_over(&self, oldest: &Kept, now: Instant) -> bool {
        self.kept.len() > EXPRESS_RECENT || self.bytes > EXPRESS_RECENT_BYTES || is_old(oldest, now)
    }
}

fn is_old(kept: &Kept, now: Instant) -> bool {
    now.duration_since(kept.at) > RECENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Chain, US};

    fn streams(names: &[&str]) -> Set<StreamId> {
        names.iter().map(|name| name.parse().expect("a stream's name")).collect()
    }

    fn kept(recent: &Recent, names: &[&str], now: Instant) -> Vec<Bytes> {
        recent.of(&streams(names), now).cloned().collect()
    }

    /// E19: whoever begins to want streams gets what was read back of them lately, in order, and no other's.
    #[tokio::test(start_paused = true)]
    async fn what_was_read_back_lately_is_kept_by_stream() {
        let (mut recent, began) = (Recent::default(), Instant::now());
        let [a, b, c] = ["acme/chat/a", "acme/chat/b", "acme/chat/c"];
        let mut chains = [a, b, c].map(|name| Chain::in_stream(US, name));
        let made: Vec<Stored> = (0..6).map(|n| chains[n % 3].next()).collect();
        for (n, stored) in (0..).zip(&made) {
            recent.keep(stored, began + RECENT / 4 * n);
        }
        let bytes = |at: &[usize]| at.iter().map(|at| made[*at].bytes.clone()).collect::<Vec<_>>();
        let last = began + RECENT / 4 * 5;
        assert_eq!(kept(&recent, &[a, c], last), bytes(&[2, 3, 5]), "the first is too old");
        assert_eq!(kept(&recent, &[b], last + RECENT / 4), bytes(&[4]), "as time goes on by itself");
        assert_eq!(kept(&recent, &["acme/chat/d"], last), bytes(&[]));
        assert_eq!(recent.bytes, bytes(&[1, 2, 3, 4, 5]).iter().map(Bytes::len).sum::<usize>());
    }

    /// G9, E29: so many are kept and so many bytes, the newest.
    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_there_is_room_for() {
        let (mut recent, mut chain, now) = (Recent::default(), Chain::of(US), Instant::now());
        let stored = chain.next();
        let name = stored.segment.stream.to_string();
        for _ in 0..EXPRESS_RECENT + 10 {
            recent.keep(&stored, now);
        }
        assert_eq!(kept(&recent, &[&name], now).len(), EXPRESS_RECENT);
        let large = Stored { bytes: Bytes::from(vec![0; EXPRESS_RECENT_BYTES / 4]), ..stored };
        for _ in 0..6 {
            recent.keep(&large, now);
        }
        assert_eq!(kept(&recent, &[&name], now), vec![large.bytes.clone(); 4]);
        assert_eq!(recent.bytes, EXPRESS_RECENT_BYTES);
        recent.keep(&large, now + 2 * RECENT);
        assert_eq!((recent.kept.len(), recent.bytes), (1, large.bytes.len()));
    }
}

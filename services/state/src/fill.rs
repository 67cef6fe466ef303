//! What is missing in a mirror, read from the local table (E21).
//!
//! The origin's checkpoints name every record of its log, and table replication brings them and the segments.
//! One round reads a bounded number of both for one hole of one mirror; the consumer counts and shows what it
//! brings ([`crate::marks`]) and says how the next one begins. Nothing here decides whether the hole is
//! closed: only the running hash does (`sterna_stream::watermark`).

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use sterna_proto::checkpoint;
use sterna_proto::record::{Placed, Stored};
use sterna_proto::v1;
use sterna_storage::{Item, Range, layout};
use sterna_stream::hole::{self, Step};
use sterna_stream::limits::{HOLE_CHECKPOINTS, HOLE_SEGMENTS};
use sterna_stream::sequencer::takeover::LogEnd;
use sterna_stream::sequencer::{Checkpoint, Logged};
use sterna_stream::watermark::Counted;
use sterna_stream::{LogPos, Origin, StreamId};
use tokio::sync::mpsc;

use crate::Inner;

/// Segments that are read at once.
const AT_ONCE: usize = 16;
/// Longest that one call may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the consumer wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) partition: u16,
    pub(crate) generation: u32,
    /// The mirror, in the order in which they are followed.
    pub(crate) mirror: usize,
    /// What comes behind this place is missing,
    pub(crate) from: LogPos,
    /// up to this one.
    pub(crate) before: LogPos,
}

/// The answer to one ask.
pub(crate) struct Round {
    pub(crate) ask: Ask,
    /// To be taken in this order.
    pub(crate) found: Vec<Found>,
    /// Whether a limit ended it, so that more may be there.
    pub(crate) limited: bool,
}

/// One step over the hole.
pub(crate) enum Found {
    /// A newer term goes on from there.
    Back(LogEnd),
    /// The next record; with the segment, if it is one.
    Record(Counted, Option<Box<(Stored, Placed)>>),
    /// The running hash so far.
    Proof(LogEnd),
}

/// Answers one ask after the other, for the role's life.
pub(crate) async fn run(role: Arc<Inner>, mut asks: mpsc::Receiver<Ask>, rounds: mpsc::Sender<Round>) {
    let drain = role.process.drain_signal();
    loop {
        let ask = tokio::select! {
            biased;
            () = drain.raised() => return,
            ask = asks.recv() => ask,
        };
        let Some(ask) = ask else { return };
        let (found, limited) = look(&role, &ask).await.unwrap_or_else(|error| {
            tracing::warn!(error, "a hole cannot be filled while the table does not answer");
            (Vec::new(), false)
        });
        if rounds.send(Round { ask, found, limited }).await.is_err() {
            return;
        }
    }
}

async fn look(role: &Inner, ask: &Ask) -> Result<(Vec<Found>, bool), String> {
    let mirrors = role.lives.mirrors();
    let Some(mirror) = mirrors.get(ask.mirror) else { return Ok((Vec::new(), false)) };
    let (origin, at) = (&mirror.origin, ask.from);
    let Some(number) = beginning(role, origin, ask).await? else { return Ok((Vec::new(), false)) };
    let range = layout::checkpoints_from(origin, ask.partition, at.term, number).limit(HOLE_CHECKPOINTS);
    let page = role.table.query(range.eventual()).await.map_err(|error| error.to_string())?;
    let mut limited = page.next.is_some();
    let mut steps = hole::steps(at, page.items.iter().filter_map(part));
    if let Some(end) = steps.iter().position(|step| leads_to(step, ask.before)) {
        steps.truncate(end);
        limited = false;
    }
    limited |= bound(&mut steps);
    let fetched = stream::iter(steps).map(|step| fetch(role, origin, step)).buffered(AT_ONCE);
    // No async closure: with one here the compiler panics over its own incremental data.
    let found = fetched.take_while(|found| ready(found.is_some())).filter_map(ready);
    Ok((found.collect().await, limited))
}

/// The number of the newest checkpoint of the place's term that ends at or below it.
async fn beginning(role: &Inner, origin: &Origin, ask: &Ask) -> Result<Option<u64>, String> {
    let LogPos { term, n } = ask.from;
    if n == 0 {
        return Ok(Some(0));
    }
    let of_term = |number| layout::checkpoints_of(origin, ask.partition, term, number);
    let Some((newest, _)) = first(role, of_term(0).reverse()).await? else { return Ok(None) };
    let (mut low, mut high) = (0, newest);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match first(role, of_term(middle)).await? {
            Some((number, ends)) if ends <= n => low = number,
            _ => high = middle - 1,
        }
    }
    Ok(Some(low))
}

/// Number and last position of the first checkpoint of a range; a page may be empty though more follow.
async fn first(role: &Inner, range: Range) -> Result<Option<(u64, u64)>, String> {
    let mut range = range.limit(1).eventual();
    loop {
        let page = role.table.query(range.clone()).await.map_err(|error| error.to_string())?;
        match (page.items.first(), page.next) {
            (Some(item), _) => {
                let checkpoint = part(item).map(|(_, checkpoint)| checkpoint);
                return Ok(checkpoint.map(|checkpoint| (checkpoint.number, checkpoint.log.at.n)));
            }
            (None, None) => return Ok(None),
            (None, Some(token)) => range = range.after(token),
        }
    }
}

fn part(item: &Item) -> Option<(u16, Checkpoint)> {
    let (.., part) = layout::parse_checkpoint(&item.key.sort)?;
    match checkpoint::decode(&item.value) {
        Ok(checkpoint) => Some((part, checkpoint)),
        Err(error) => {
            tracing::error!(key = %item.key.sort, %error, "alarm: this should be a checkpoint");
            None
        }
    }
}

fn leads_to(step: &Step, place: LogPos) -> bool {
    matches!(step, Step::Record { pos, .. } if *pos == place)
}

/// Keeps as many steps as have [`HOLE_SEGMENTS`] segments. Whether there were more.
fn bound(steps: &mut Vec<Step>) -> bool {
    let segment = |step: &Step| matches!(step, Step::Record { what: Logged::Segment { .. }, .. });
    let mut segments = steps.iter().enumerate().filter(|(_, step)| segment(step)).map(|(at, _)| at);
    let Some(end) = segments.nth(HOLE_SEGMENTS) else { return false };
    steps.truncate(end);
    true
}

/// `None`: the table does not have it, or not yet.
async fn fetch(role: &Inner, origin: &Origin, step: Step) -> Option<Found> {
    let (pos, continues, what) = match step {
        Step::Back(end) => return Some(Found::Back(end)),
        Step::Proof(end) => return Some(Found::Proof(end)),
        Step::Record { pos, continues, what } => (pos, continues, what),
    };
    let counted = |own| Counted { pos, continues, own, before: None };
    let (stream, first) = match what {
        Logged::Other { own } => return Some(Found::Record(counted(own), None)),
        Logged::Segment { stream, first } => (stream, first),
    };
    let stored = segment(role, origin, &stream, first).await?;
    let before = continues.map(|term| LogPos { term, n: pos.n - 1 });
    let own = stored.segment.prefix_after().0;
    let placed = Placed { pos, continues: before };
    Some(Found::Record(counted(own), Some(Box::new((stored, placed)))))
}

async fn segment(role: &Inner, origin: &Origin, stream: &StreamId, first: u64) -> Option<Stored> {
    let span = v1::Span { origin: origin.to_string(), after: first.checked_sub(1)?, upto: first };
    let mut request = tonic::Request::new(v1::ReadRequest {
        stream: stream.to_string(),
        spans: vec![span],
        max_events: 1,
        ..v1::ReadRequest::default()
    });
    request.set_timeout(DEADLINE);
    let answer = match role.persistence.clone().read(request).await {
        Ok(answer) => answer.into_inner(),
        Err(error) => {
            tracing::warn!(%stream, %error, "a segment that a mirror lacks cannot be read");
            return None;
        }
    };
    let stored = Stored::decode(answer.records.into_iter().next()?).ok()?;
    let same = (&stored.segment.stream, &stored.segment.origin, stored.segment.first);
    (same == (stream, origin, first)).then_some(stored)
}

//! What a partition's machine reads of the event tables, through persistence, and what its puts came to.
//!
//! Reads are repeated until they are answered: a machine waits for them and nothing else can answer. A chain
//! that is broken, and a record that cannot be read, here or by persistence, are read again for a while only
//! ([`BROKEN_WAIT`]) and then stop the partition (E10). So it is with what stands in a segment's place and is
//! none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use sterna_process::{Link, Seeded};
use sterna_proto::record::Stored;
use sterna_proto::v1::appended::Outcome;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::{refusal, v1};
use sterna_stream::sequencer::invariants::Broken;
use sterna_stream::sequencer::{Place, PutAnswer, Why};
use sterna_stream::{Hlc, Reason, Segment, StreamId};
use tokio::time::Instant;
use tonic::Status;

/// Longest a read may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Shortest and longest pause before something is tried again; drawn at random between.
const PAUSE_MS: std::ops::Range<u64> = 20..500;

/// Doublings of that pause at most, where it grows.
const LONGER_MAX: u32 = 5;
/// How long a chain may be found broken or damaged. A consistent read does not mend by itself; but an answer
/// may have come from somebody who is just being replaced.
pub(super) const BROKEN_WAIT: Duration = Duration::from_secs(30);

/// A partition's view of the tables.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) place: Place,
    pub(super) persistence: PersistenceClient<Link>,
    pub(super) rng: Seeded,
}

/// What became of a put.
pub(super) enum Answered {
    /// With the bytes of the segment that was found.
    Known(PutAnswer, Bytes),
    /// Nobody knows.
    Unknown,
    /// Something else stands in the segment's place, and it cannot be read.
    Unreadable,
}

/// Segments of one stream, and where to read on.
pub(super) struct Page {
    pub(super) segments: Vec<Stored>,
    pub(super) rest: Option<v1::Span>,
}

impl Tables {
    /// Waits a while, so that what is tried again does not hammer.
    pub(super) async fn pause(&mut self) {
        self.pause_longer(0).await;
    }

    /// The same, twice as long with each of `times`, up to a bound.
    pub(super) async fn pause_longer(&mut self, times: u32) {
        let ms = self.rng.random_range(PAUSE_MS) << times.min(LONGER_MAX);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// The end of a stream's own chain down to what is surely in the log, newest last (E10, E12).
    ///
    /// # Errors
    /// The chain is broken.
    pub(super) async fn head(mut self, stream: StreamId, resume: u64) -> Result<Vec<Stored>, Why> {
        let mut chain: Vec<Stored> = Vec::new();
        let mut rest = Some(self.span(0, 0));
        let mut events = 1;
        while let Some(span) = rest {
            let page = self.page(&stream, span, events).await?;
            chain.extend(page.segments);
            let covered =
                |s: &Stored| self.place.comparable(s.segment.from).is_none_or(|offset| offset < resume);
            if chain.last().is_some_and(covered) {
                break;
            }
            (rest, events) = (page.rest, 0);
        }
        chain.reverse();
        Ok(chain)
    }

    /// One page, newest first, of what the chain holds from `since` on, up to seq `last`; with where to read
    /// on.
    ///
    /// # Errors
    /// The chain is broken.
    pub(super) async fn range(mut self, stream: StreamId, since: Hlc, last: u64) -> Result<Page, Why> {
        let span = self.span(0, last);
        let mut page = self.page(&stream, span, 0).await?;
        if page
            .segments
            .last()
            .is_some_and(|oldest| oldest.segment.stamps.first().is_some_and(|&h| h < since))
        {
            page.rest = None;
        }
        Ok(page)
    }

    fn span(&self, after: u64, upto: u64) -> v1::Span {
        v1::Span { origin: self.place.origin.to_string(), after, upto }
    }

    async fn page(&mut self, stream: &StreamId, span: v1::Span, max_events: u32) -> Result<Page, Why> {
        let mut broken_since = None;
        loop {
            let mut request = tonic::Request::new(v1::ReadRequest {
                stream: stream.to_string(),
                spans: vec![span.clone()],
                newest_first: true,
                max_events,
                consistent: true,
                ..v1::ReadRequest::default()
            });
            request.set_timeout(DEADLINE);
            let why = match self.persistence.read(request).await {
                Ok(answer) => match page(stream, answer.into_inner()) {
                    Ok(page) => return Ok(page),
                    Err(why) => Some(why),
                },
                Err(error) => {
                    tracing::warn!(%stream, %error, "a chain could not be read");
                    damaged(&error).then(|| Why::Unreadable(stream.clone()))
                }
            };
            if let Some(why) = why {
                tracing::error!(%why, "a chain is read again");
                if broken_since.get_or_insert_with(Instant::now).elapsed() >= BROKEN_WAIT {
                    return Err(why);
                }
            }
            self.pause().await;
        }
    }
}

/// What persistence answered, if it is a piece of a chain.
fn page(stream: &StreamId, answer: v1::ReadAnswer) -> Result<Page, Why> {
    if let Some(hole) = answer.holes.first() {
        let broken = Broken::Gap { expected: hole.after + 1, found: hole.upto.saturating_add(1) };
        return Err(Why::Chain(stream.clone(), broken));
    }
    let decoded: Result<Vec<_>, _> = answer.records.into_iter().map(Stored::decode).collect();
    let segments = decoded.map_err(|_| Why::Unreadable(stream.clone()))?;
    Ok(Page { segments, rest: answer.remaining.into_iter().next() })
}

/// Whether persistence could read what is stored, and found it damaged: asked again it says the same.
fn damaged(error: &Status) -> bool {
    refusal::from_status(error).reason == Reason::Internal
}

pub(super) fn put_answer(result: v1::Appended) -> Answered {
    match result.outcome {
        Some(Outcome::Stored(_)) => Answered::Known(PutAnswer::Stored, Bytes::new()),
        Some(Outcome::Found(bytes)) => match Stored::decode(bytes) {
            Ok(stored) => Answered::Known(PutAnswer::Found(Arc::new(stored.segment)), stored.bytes),
            Err(error) => {
                tracing::error!(%error, "what stands in a segment's place is no segment");
                Answered::Unreadable
            }
        },
        Some(Outcome::Unknown(_)) | None => Answered::Unknown,
    }
}

/// A segment as an item to append, with its bytes.
pub(super) fn item(segment: &Segment, record: Bytes) -> v1::Item {
    v1::Item {
        stream: segment.stream.as_str().to_owned(),
        origin: segment.origin.as_str().to_owned(),
        first: segment.first,
        record,
    }
}

//! What a partition's machine asks of the event tables, through persistence.
//!
//! Reads are repeated until they are answered: a machine waits for them and nothing else can answer. Puts are
//! not: what became of one is the machine's question.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use sterna_process::{Link, Seeded};
use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_proto::v1::appended::Outcome;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_stream::sequencer::{Place, PutAnswer};
use sterna_stream::{Hlc, Segment, StreamId};

/// Longest a put or read may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Shortest and longest pause before something is tried again; drawn at random between.
const PAUSE_MS: std::ops::Range<u64> = 20..500;

/// A partition's view of the tables.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) place: Place,
    pub(super) persistence: PersistenceClient<Link>,
    pub(super) rng: Seeded,
}

/// What became of a put, with the bytes of the segment that was found.
pub(super) type Answered = (PutAnswer, Bytes);

/// Segments of one stream, and where to read on.
pub(super) struct Page {
    pub(super) segments: Vec<Stored>,
    pub(super) rest: Option<v1::Span>,
}

impl Tables {
    /// Puts segments that must be absent; one answer per item, `None` where the outcome is unknown.
    pub(super) async fn append(mut self, items: Vec<v1::Item>) -> Vec<Option<Answered>> {
        let asked = items.len();
        let mut request = tonic::Request::new(v1::AppendRequest { items });
        request.set_timeout(DEADLINE);
        let answer = match self.persistence.append(request).await {
            Ok(answer) => answer.into_inner().results,
            Err(error) => {
                tracing::warn!(%error, "an append has no known outcome");
                Vec::new()
            }
        };
        let mut answers: Vec<_> = answer.into_iter().map(put_answer).collect();
        answers.resize(asked, None);
        answers
    }

    /// Waits a while, so that what is tried again does not hammer.
    pub(super) async fn pause(&mut self) {
        let ms = self.rng.random_range(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// The end of a stream's own chain down to what is surely in the log, newest last (E10, E12).
    pub(super) async fn head(mut self, stream: StreamId, resume: u64) -> Vec<Stored> {
        let mut chain: Vec<Stored> = Vec::new();
        let mut rest = Some(self.span(0, 0));
        let mut events = 1;
        while let Some(span) = rest {
            let page = self.page(&stream, span, events).await;
            chain.extend(page.segments);
            let covered =
                |s: &Stored| self.place.comparable(s.segment.from).is_none_or(|offset| offset < resume);
            if chain.last().is_some_and(covered) {
                break;
            }
            (rest, events) = (page.rest, 0);
        }
        chain.reverse();
        chain
    }

    /// One page, newest first, of what the chain holds from `since` on, up to seq `last`; with where to read
    /// on.
    pub(super) async fn range(mut self, stream: StreamId, since: Hlc, last: u64) -> Page {
        let span = self.span(0, last);
        let mut page = self.page(&stream, span, 0).await;
        if page
            .segments
            .last()
            .is_some_and(|oldest| oldest.segment.stamps.first().is_some_and(|&h| h < since))
        {
            page.rest = None;
        }
        page
    }

    fn span(&self, after: u64, upto: u64) -> v1::Span {
        v1::Span { origin: self.place.origin.to_string(), after, upto }
    }

    async fn page(&mut self, stream: &StreamId, span: v1::Span, max_events: u32) -> Page {
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
            match self.persistence.read(request).await.map(tonic::Response::into_inner) {
                Ok(answer) if answer.holes.is_empty() => {
                    let decoded: Result<Vec<_>, _> = answer.records.into_iter().map(Stored::decode).collect();
                    match decoded {
                        Ok(segments) => return Page { segments, rest: answer.remaining.into_iter().next() },
                        Err(error) => tracing::error!(%stream, %error, "a stored segment cannot be read"),
                    }
                }
                Ok(_) => tracing::error!(%stream, "the own chain has a hole"),
                Err(error) => tracing::warn!(%stream, %error, "a chain could not be read"),
            }
            self.pause().await;
        }
    }
}

fn put_answer(result: v1::Appended) -> Option<Answered> {
    match result.outcome? {
        Outcome::Stored(_) => Some((PutAnswer::Stored, Bytes::new())),
        Outcome::Found(bytes) => match Stored::decode(bytes) {
            Ok(stored) => Some((PutAnswer::Found(Arc::new(stored.segment)), stored.bytes)),
            Err(error) => {
                tracing::error!(%error, "what stands in a segment's place is no segment");
                None
            }
        },
        Outcome::Unknown(_) => None,
    }
}

/// A segment as an item to append, with its bytes.
pub(super) fn item(segment: &Segment, record: Bytes) -> v1::Item {
    v1::Item {
        stream: segment.stream.to_string(),
        origin: segment.origin.to_string(),
        first: segment.first,
        record,
    }
}

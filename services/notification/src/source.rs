//! Where a backlog's segments come from: the tails if they hold all of it, else the table.
//!
//! Tails are soft state and may miss origins, so what they must hold is named by the caller's head, which is
//! not.

use std::sync::Arc;

use sterna_process::Link;
use sterna_proto::record::Stored;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::{convert, v1};
use sterna_storage::Tails;
use sterna_storage::tails::Part;
use sterna_stream::limits::{BACKLOG_READ_BYTES, CURSOR_ORIGINS};
use sterna_stream::policy::Ends;
use sterna_stream::{Cursor, Origin, Reason, Refusal, StreamId, fixed};

use crate::gate::{self, Held};

/// Segments of a region.
#[derive(Clone)]
pub struct Source {
    tails: Arc<dyn Tails>,
    persistence: PersistenceClient<Link>,
}

/// Some of what follows a cursor.
#[derive(Debug, Default)]
pub struct Run {
    /// Whole segments, each origin ascending and dense.
    pub segments: Vec<Stored>,
    /// Whether more was readable.
    pub more: bool,
    /// Where something is missing that later ones are here of.
    pub holes: Vec<v1::Span>,
}

impl Source {
    /// A source over these stores.
    pub fn new(tails: Arc<dyn Tails>, persistence: PersistenceClient<Link>) -> Self {
        Self { tails, persistence }
    }

    /// About a page of what follows `after`, knowing that the stream reaches at least `head`.
    ///
    /// # Errors
    /// The refusal of the table.
    pub async fn following(&self, stream: &StreamId, after: &Cursor, head: &Cursor) -> Result<Run, Refusal> {
        if let Some(run) = self.in_tails(stream, after, head).await {
            return Ok(run);
        }
        self.in_table(stream, after, head).await
    }

    async fn in_table(&self, stream: &StreamId, after: &Cursor, head: &Cursor) -> Result<Run, Refusal> {
        let origins = all_origins(after, head);
        let span = |o: &Origin| v1::Span { origin: o.to_string(), after: after.get(o), upto: 0 };
        let request = v1::ReadRequest {
            stream: stream.to_string(),
            spans: origins.iter().map(span).collect(),
            max_bytes: BACKLOG_READ_BYTES as u32,
            consistent: true,
            ..v1::ReadRequest::default()
        };
        if request.spans.is_empty() {
            return Ok(Run::default());
        }
        Run::of(self.read(request).await?)
    }

    /// What of the stream is missing right behind `after` and will never come: lost with a life that is
    /// gathered, while later events of it are left (E1). Up to where, per origin.
    ///
    /// # Errors
    /// The refusal of the table.
    pub async fn lost(
        &self,
        stream: &StreamId,
        after: &Cursor,
        head: &Cursor,
        holes: &[v1::Span],
    ) -> Result<Cursor, Refusal> {
        let lives = holes.iter().filter_map(|hole| hole.origin.parse().ok());
        let lives: Vec<Origin> = lives.take(CURSOR_ORIGINS).collect();
        let gathered = self.gathered(&lives).await?;
        if gathered.is_empty() {
            return Ok(Cursor::new());
        }
        // Read behind that: what is not here now is lost.
        let holes = self.in_table(stream, after, head).await?.holes.into_iter();
        let holes = holes.filter_map(|hole| Some((hole.origin.parse::<Origin>().ok()?, hole)));
        let lost = holes.filter(|(life, hole)| gathered.contains(life) && hole.after == after.get(life));
        Ok(lost.map(|(life, hole)| (life, hole.upto)).collect())
    }

    /// Of which of these lives all that is left was gathered.
    ///
    /// # Errors
    /// The refusal of the table.
    pub async fn gathered(&self, lives: &[Origin]) -> Result<Vec<Origin>, Refusal> {
        let lives = lives.iter().map(ToString::to_string).collect();
        let answer = self.persistence.clone().heads(v1::HeadsRequest { lives, streams: Vec::new() }).await;
        origins(&answer.map_err(|status| sterna_proto::refusal::from_status(&status))?.into_inner())
    }

    /// What this region holds of the stream, and of the access stream of its tenant, for these segments to be
    /// shown or not. Of lives of which it lacks something that they rest on it is asked whether they have
    /// ended: that costs a second look, while something waits.
    ///
    /// # Errors
    /// The refusal of the table.
    pub async fn held<'a>(
        &self,
        stream: &StreamId,
        segments: impl Iterator<Item = &'a Stored>,
    ) -> Result<Held, Refusal> {
        let held = self.look(stream, &[]).await?;
        let lacking = gate::lacking(segments, &held);
        if lacking.is_empty() { Ok(held) } else { self.look(stream, &lacking).await }
    }

    /// What is held, and which of these lives have ended.
    async fn look(&self, stream: &StreamId, lives: &[Origin]) -> Result<Held, Refusal> {
        let access = fixed::access(stream.tenant()).map_err(|_| no_head())?;
        let request = v1::HeadsRequest {
            streams: vec![stream.to_string(), access.to_string()],
            lives: lives.iter().map(ToString::to_string).collect(),
        };
        let answer = self.persistence.clone().heads(request).await;
        let answer = answer.map_err(|status| sterna_proto::refusal::from_status(&status))?.into_inner();
        let [of_stream, of_access] = answer.heads.as_slice() else { return Err(no_head()) };
        let cursor = |field: &Option<v1::Cursor>| convert::cursor(field.as_ref()).map_err(|_| no_head());
        let mut ends = Ends::default();
        ends.learn(origins(&answer)?, &cursor(&of_access.members)?);
        Ok(Held { stream: cursor(&of_stream.head)?, access: cursor(&of_access.head)?, ends })
    }

    /// Of each origin the newest segments of (after, head] that hold at least its newest `n` events there.
    ///
    /// # Errors
    /// The refusal of the table.
    pub async fn newest(
        &self,
        stream: &StreamId,
        after: &Cursor,
        head: &Cursor,
        n: usize,
    ) -> Result<Vec<Stored>, Refusal> {
        let mut segments = Vec::new();
        for (origin, upto) in head.iter().filter(|(origin, seq)| after.get(origin) < *seq) {
            let span = v1::Span { origin: origin.to_string(), after: after.get(origin), upto };
            let (mut spans, mut missing) = (vec![span], n);
            while !spans.is_empty() && missing > 0 {
                let request = v1::ReadRequest {
                    stream: stream.to_string(),
                    spans,
                    newest_first: true,
                    max_events: missing.try_into().unwrap_or(u32::MAX),
                    consistent: true,
                    ..v1::ReadRequest::default()
                };
                let answer = self.read(request).await?;
                let page = decode(answer.records)?;
                let events: usize = page.iter().map(|stored| stored.segment.stamps.len()).sum();
                missing = missing.saturating_sub(events);
                segments.extend(page);
                spans = answer.remaining;
            }
        }
        Ok(segments)
    }

    /// What of one origin's (after, upto] stands at one of its ends: at least `events` events or `bytes` of
    /// segments, unless there is less.
    ///
    /// # Errors
    /// The refusal of the table.
    pub async fn end_of(
        &self,
        stream: &StreamId,
        span: v1::Span,
        newest: bool,
        (events, bytes): (u32, u32),
    ) -> Result<Run, Refusal> {
        let request = v1::ReadRequest {
            stream: stream.to_string(),
            spans: vec![span],
            newest_first: newest,
            max_bytes: bytes,
            max_events: events,
            consistent: true,
        };
        Run::of(self.read(request).await?)
    }

    async fn in_tails(&self, stream: &StreamId, after: &Cursor, head: &Cursor) -> Option<Run> {
        let parts = self.tails.read(stream, after, BACKLOG_READ_BYTES).await.ok()?;
        let reaches_back = |part: &Part| part.floor.saturating_sub(1) <= after.get(&part.origin);
        let holds = |origin: &Origin, upto: u64| {
            let from = after.get(origin);
            let part = parts.iter().find(|part| part.origin == *origin);
            upto <= from || part.is_some_and(|part| reaches_back(part) && part.head >= upto)
        };
        let complete = head.iter().all(|(origin, seq)| holds(origin, seq))
            && parts.iter().all(|part| part.head <= after.get(&part.origin) || reaches_back(part));
        if !complete {
            return None;
        }
        let more = parts.iter().any(|part| {
            let read = part.entries.last().map_or(after.get(&part.origin), |entry| entry.last);
            read < part.head
        });
        let entries = parts.into_iter().flat_map(|part| part.entries);
        let segments = entries.map(|entry| Stored::decode(entry.bytes)).collect::<Result<_, _>>().ok()?;
        Some(Run { segments, more, holes: Vec::new() })
    }

    async fn read(&self, request: v1::ReadRequest) -> Result<v1::ReadAnswer, Refusal> {
        let answer = self.persistence.clone().read(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| sterna_proto::refusal::from_status(&status))
    }
}

impl Run {
    fn of(answer: v1::ReadAnswer) -> Result<Self, Refusal> {
        let more = !answer.remaining.is_empty();
        Ok(Self { segments: decode(answer.records)?, more, holes: answer.holes })
    }
}

fn no_head() -> Refusal {
    Reason::Internal.because("persistence answered what is no head")
}

fn origins(answer: &v1::HeadsAnswer) -> Result<Vec<Origin>, Refusal> {
    answer.gathered.iter().map(|origin| origin.parse().map_err(|_| no_head())).collect()
}

fn all_origins(after: &Cursor, head: &Cursor) -> Vec<Origin> {
    let mut joined = head.clone();
    joined.merge(after);
    joined.iter().map(|(origin, _)| origin.clone()).collect()
}

fn decode(records: Vec<bytes::Bytes>) -> Result<Vec<Stored>, Refusal> {
    let segments: Result<Vec<_>, _> = records.into_iter().map(Stored::decode).collect();
    segments.map_err(|error| {
        tracing::error!(%error, "persistence handed out what is no segment");
        Reason::Internal.because("stored events are damaged")
    })
}

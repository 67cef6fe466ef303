//! Member events from this region's persistence.

use async_trait::async_trait;
use std::time::Duration;

use sterna_process::Link;
use sterna_proto::record::Stored;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::{convert, refusal, v1};
use sterna_stream::{Cursor, Origin, Reason, Refusal, StreamId};
use tonic::{Request, Status};

use super::MemberEvents;

/// Longest that one read may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Reads over a link to persistence.
#[derive(Clone)]
pub struct StoredEvents(PersistenceClient<Link>);

impl StoredEvents {
    /// Reads over `link`.
    pub fn new(link: Link) -> Self {
        Self(PersistenceClient::new(link))
    }
}

#[async_trait]
impl MemberEvents for StoredEvents {
    async fn newest(&self, stream: &StreamId) -> Result<Cursor, Refusal> {
        let request = bounded(v1::HeadsRequest { streams: vec![stream.to_string()], ..Default::default() });
        let answer = self.0.clone().heads(request).await.map_err(unavailable)?.into_inner();
        let head = answer.heads.first().ok_or_else(damaged)?;
        convert::cursor(head.members.as_ref()).map_err(|_| damaged())
    }

    async fn holding(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        let span = v1::Span { origin: origin.to_string(), after: seq - 1, upto: seq };
        stored(self.read(stream, span).await?.records)
    }

    async fn left(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        let request = bounded(v1::HeadsRequest { lives: vec![origin.to_string()], ..Default::default() });
        let answer = self.0.clone().heads(request).await.map_err(unavailable)?.into_inner();
        if !answer.gathered.iter().any(|life| *life == origin.as_str()) {
            return Err(damaged());
        }
        // Read behind that: what is not here now is lost. A hole says what stands below it.
        let mut span = v1::Span { origin: origin.to_string(), after: 0, upto: seq };
        let mut answer = self.read(stream, span.clone()).await?;
        if let Some(hole) = answer.holes.first().filter(|hole| hole.after > 0) {
            span.upto = hole.after;
            answer = self.read(stream, span).await?;
        }
        stored(answer.records)
    }
}

impl StoredEvents {
    /// The newest segment of a span, or the hole that it ends with.
    async fn read(&self, stream: &StreamId, span: v1::Span) -> Result<v1::ReadAnswer, Refusal> {
        let request = bounded(v1::ReadRequest {
            stream: stream.to_string(),
            spans: vec![span],
            consistent: true,
            newest_first: true,
            max_events: 1,
            ..v1::ReadRequest::default()
        });
        Ok(self.0.clone().read(request).await.map_err(unavailable)?.into_inner())
    }
}

fn stored(records: Vec<bytes::Bytes>) -> Result<Option<Stored>, Refusal> {
    records.into_iter().next().map(Stored::decode).transpose().map_err(|_| damaged())
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

fn unavailable(status: Status) -> Refusal {
    refusal::from_status(&status)
}

fn damaged() -> Refusal {
    Reason::Unavailable.because("the stream's members cannot be read here now")
}

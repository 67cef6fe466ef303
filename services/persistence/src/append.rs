//! Append: puts segments that must not exist yet (E11, E12).
//!
//! It never resolves anything itself: who finds another segment in the place gets its bytes and adopts it.
//! A call is a stream of requests, each put and answered by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use sterna_proto::v1;
use sterna_proto::v1::appended::Outcome;
use sterna_storage::{Expect, Key, Put, Table, Write, layout};
use sterna_stream::Region;
use sterna_stream::limits::APPENDS_AT_ONCE;
use tonic::{Status, Streaming};

use crate::chain::Error;
use crate::status;
use crate::touched::touch;

/// Longest that the table may take for a request; then nobody knows what became of its items.
const LONGEST: Duration = Duration::from_secs(10);

/// The answers of one call, as the table gives them. A malformed request ends the call.
pub(crate) struct Answers {
    table: Arc<dyn Table>,
    region: Region,
    requests: Streaming<v1::AppendRequest>,
    pending: FuturesUnordered<BoxFuture<'static, Answer>>,
    ended: bool,
}

type Answer = Result<v1::AppendAnswer, Status>;

impl Answers {
    pub(crate) fn new(table: Arc<dyn Table>, region: Region, requests: Streaming<v1::AppendRequest>) -> Self {
        Self { table, region, requests, pending: FuturesUnordered::new(), ended: false }
    }
}

impl Stream for Answers {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(Some(answer)) = this.pending.poll_next_unpin(cx) {
                return Poll::Ready(Some(answer));
            }
            if this.ended && this.pending.is_empty() {
                return Poll::Ready(None);
            }
            if this.ended || this.pending.len() >= APPENDS_AT_ONCE {
                return Poll::Pending;
            }
            match ready!(this.requests.poll_next_unpin(cx)) {
                Some(Ok(request)) => {
                    let mut answer = answer(this.table.clone(), this.region.clone(), request).boxed();
                    match answer.poll_unpin(cx) {
                        Poll::Ready(answer) => return Poll::Ready(Some(answer)),
                        Poll::Pending => this.pending.push(answer),
                    }
                }
                Some(Err(_)) | None => this.ended = true,
            }
        }
    }
}

async fn answer(table: Arc<dyn Table>, region: Region, request: v1::AppendRequest) -> Answer {
    let v1::AppendRequest { items, tag } = request;
    let asked = items.len();
    let results = match tokio::time::timeout(LONGEST, append(&*table, &region, items)).await {
        Ok(results) => results.map_err(status)?,
        Err(_) => vec![v1::Appended { outcome: Some(Outcome::Unknown(true)) }; asked],
    };
    Ok(v1::AppendAnswer { results, tag })
}

/// One result per item, in order; the items are independent.
///
/// # Errors
/// [`Error`] if an item is malformed; then nothing was put. What the table does per item is a
/// result, not an error.
pub async fn append(
    table: &dyn Table,
    region: &Region,
    items: Vec<v1::Item>,
) -> Result<Vec<v1::Appended>, Error> {
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(items.len());
    let mut writes: Vec<Write> = Vec::with_capacity(items.len());
    for item in items {
        let write = write(item)?;
        // Before the segment: whoever it makes a member finds it.
        let touched = touch(table, region, &write.value).await;
        if let Err(error) = &touched {
            tracing::warn!(%error, "the index of users' streams did not take a segment's members");
        }
        outcomes.push(touched.is_err().then_some(Outcome::Unknown(true)));
        if touched.is_ok() {
            writes.push(write);
        }
    }
    let mut results = table.put_many(writes).await.into_iter();
    let settled = outcomes.into_iter().map(|known| known.or_else(|| results.next().map(outcome)));
    Ok(settled.map(|outcome| v1::Appended { outcome }).collect())
}

fn outcome(result: Result<Put, sterna_storage::Error>) -> Outcome {
    match result {
        Ok(Put::Done(_)) => Outcome::Stored(true),
        Ok(Put::Found(item)) => Outcome::Found(item.value),
        Ok(Put::Missing) => Outcome::Unknown(true),
        Err(error) => {
            tracing::warn!(%error, "a segment's put has no known outcome");
            Outcome::Unknown(true)
        }
    }
}

fn write(item: v1::Item) -> Result<Write, Error> {
    // A piece of a message would keep its whole buffer, eight times as large, as long as the item lives.
    Ok(Write { key: key(&item)?, value: Bytes::copy_from_slice(&item.record), expect: Expect::Absent })
}

/// Where an item belongs.
pub(crate) fn key(item: &v1::Item) -> Result<Key, Error> {
    Ok(layout::segment(&item.stream.parse()?, &item.origin.parse()?, item.first))
}

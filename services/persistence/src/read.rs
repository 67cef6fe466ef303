//! Read: whole segments of one stream, dense per origin, oldest or newest first.
//!
//! A reader names spans (origin, after, upto) and gets what fits, what remains, and where a hole stops it.
//! Segments come whole: the first may begin before `after` and the last end beyond `upto`.

use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_storage::{Consistency, Table};
use sterna_stream::StreamId;

use crate::chain::{Chain, Error, bytes, origins};

/// Bytes of an answer if the reader names none.
pub const READ_BYTES: usize = 256 * 1024;
/// Most bytes of an answer, whatever the reader names; the segment that reaches it is the last.
pub const READ_BYTES_MAX: usize = 1024 * 1024;

struct Budget {
    bytes: usize,
    events: usize,
}

/// The answer to one read.
///
/// # Errors
/// [`Error`]: the request is malformed, the table did not answer, or what it holds is damaged.
pub async fn read(table: &dyn Table, request: v1::ReadRequest) -> Result<v1::ReadAnswer, Error> {
    let stream: StreamId = request.stream.parse()?;
    let read = if request.consistent { Consistency::Consistent } else { Consistency::Eventual };
    let spans = if request.spans.is_empty() { everything(table, &stream).await? } else { request.spans };
    let mut budget = Budget::of(request.max_bytes, request.max_events);
    let mut answer = v1::ReadAnswer::default();
    for span in spans {
        if budget.spent() {
            answer.remaining.push(span);
            continue;
        }
        let chain = Chain { stream: stream.clone(), origin: span.origin.parse()?, read };
        if request.newest_first {
            descend(table, &chain, span, &mut budget, &mut answer).await?;
        } else {
            ascend(table, &chain, span, &mut budget, &mut answer).await?;
        }
    }
    Ok(answer)
}

async fn everything(table: &dyn Table, stream: &StreamId) -> Result<Vec<v1::Span>, Error> {
    let newest = origins(table, stream).await?;
    let span = |s: &Stored| v1::Span { origin: s.segment.origin.to_string(), after: 0, upto: 0 };
    Ok(newest.iter().rev().map(span).collect())
}

async fn ascend(
    table: &dyn Table,
    chain: &Chain,
    mut span: v1::Span,
    budget: &mut Budget,
    answer: &mut v1::ReadAnswer,
) -> Result<(), Error> {
    let upto = if span.upto == 0 { u64::MAX } else { span.upto };
    let Some(next) = span.after.checked_add(1) else { return Ok(()) };
    let first = match chain.at(table, next).await? {
        Some(stored) if stored.segment.last() > span.after => stored.segment.first,
        _ => next,
    };
    let mut walk = chain.up(table, first);
    while span.after < upto {
        let Some(stored) = walk.next().await? else { return Ok(()) };
        if budget.spent() {
            answer.remaining.push(span);
            return Ok(());
        }
        if stored.segment.first > span.after + 1 {
            answer.holes.push(v1::Span { upto: upto.min(stored.segment.first - 1), ..span });
            return Ok(());
        }
        span.after = stored.segment.last();
        budget.take(&stored);
        answer.records.push(bytes(stored));
    }
    Ok(())
}

async fn descend(
    table: &dyn Table,
    chain: &Chain,
    mut span: v1::Span,
    budget: &mut Budget,
    answer: &mut v1::ReadAnswer,
) -> Result<(), Error> {
    let mut walk = chain.down(table, if span.upto == 0 { u64::MAX } else { span.upto });
    // Without an upper end the newest segment is it; from then on the chain must go on without a hole.
    let mut bounded = span.upto != 0;
    while !bounded || span.upto > span.after {
        let stored = walk.next().await?.filter(|stored| stored.segment.last() > span.after);
        let Some(stored) = stored else {
            if bounded {
                answer.holes.push(span);
            }
            return Ok(());
        };
        if budget.spent() {
            answer.remaining.push(span);
            return Ok(());
        }
        let last = stored.segment.last();
        if bounded && last < span.upto {
            answer.holes.push(v1::Span { after: last, ..span });
            return Ok(());
        }
        span.upto = stored.segment.first - 1;
        bounded = true;
        budget.take(&stored);
        answer.records.push(bytes(stored));
    }
    Ok(())
}

// === impl Budget ===

impl Budget {
    fn of(max_bytes: u32, max_events: u32) -> Self {
        let bytes = if max_bytes == 0 { READ_BYTES } else { (max_bytes as usize).min(READ_BYTES_MAX) };
        let events = if max_events == 0 { usize::MAX } else { max_events as usize };
        Self { bytes, events }
    }

    fn take(&mut self, stored: &Stored) {
        self.bytes = self.bytes.saturating_sub(stored.bytes.len());
        self.events = self.events.saturating_sub(stored.segment.stamps.len());
    }

    fn spent(&self) -> bool {
        self.bytes == 0 || self.events == 0
    }
}

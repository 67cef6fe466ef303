//! What a page of a hole is cut from: each origin's segments at the end that is read from, as far as they may
//! be shown (docs/protocol.md, section 9).
//!
//! Whole segments go out and the gateway cuts the page, because only there the size of the answer is known.
//! An origin whose next event is not readable here, or rests on member events that are not held, is named:
//! nothing is jumped (E17, E24). Tails are not asked: what is paged is rarely new.

use sterna_proto::{convert, v1};
use sterna_stream::{Cursor, Origin, Reason, Refusal, StreamId};

use crate::gate;
use crate::source::{Run, Source};

/// Bytes of segments in one answer, shared out among the origins; the segment that reaches an origin's share
/// is its last.
pub const HISTORY_BYTES: usize = 1024 * 1024;

/// One origin's end of a hole.
struct End {
    origin: Origin,
    from: u64,
    to: u64,
    run: Run,
}

/// The answer to one request.
///
/// # Errors
/// `bad_request` between services, or the refusal of the table.
pub async fn answer(source: &Source, request: v1::HistoryRequest) -> Result<v1::HistoryAnswer, Refusal> {
    let malformed = || Reason::BadRequest.because("the request between services is malformed");
    let stream: StreamId = request.stream.parse().map_err(|_| malformed())?;
    let from = convert::cursor(request.from.as_ref()).map_err(|_| malformed())?;
    let to = convert::cursor(request.to.as_ref()).map_err(|_| malformed())?;
    let mut ends = read(source, &stream, (&from, &to), &request).await?;
    let mut ended = Vec::new();
    if ends.iter().any(|end| gate::concerns(&end.run.segments)) {
        let held = source.held(&stream, ends.iter().flat_map(|end| &end.run.segments)).await?;
        let life = |(origin, last): (&Origin, u64)| v1::Ended { origin: origin.to_string(), last };
        ended.extend(held.ends.iter().map(life));
        for end in &mut ends {
            if gate::stop(&mut end.run.segments, &held) {
                end.run.more = false;
            }
        }
    }
    let stuck = |end: &&End| !end.run.more && !end.is_whole(request.newest);
    let waiting = ends.iter().filter(stuck).map(|end| end.origin.to_string()).collect();
    let segments = ends.into_iter().flat_map(|end| end.run.segments);
    Ok(v1::HistoryAnswer { records: segments.map(|stored| stored.bytes).collect(), waiting, ended })
}

async fn read(
    source: &Source,
    stream: &StreamId,
    (from, to): (&Cursor, &Cursor),
    request: &v1::HistoryRequest,
) -> Result<Vec<End>, Refusal> {
    let open: Vec<(&Origin, u64)> = to.iter().filter(|(origin, seq)| from.get(origin) < *seq).collect();
    let share = (HISTORY_BYTES / open.len().max(1)) as u32;
    let mut ends = Vec::with_capacity(open.len());
    for (origin, to) in open {
        let from = from.get(origin);
        let span = v1::Span { origin: origin.to_string(), after: from, upto: to };
        let run = source.end_of(stream, span, request.newest, (request.limit.max(1), share)).await?;
        ends.push(End { origin: origin.clone(), from, to, run });
    }
    Ok(ends)
}

impl End {
    /// Whether nothing of the hole is left beyond what was read.
    fn is_whole(&self, newest: bool) -> bool {
        let segments = self.run.segments.iter().map(|stored| &stored.segment);
        match newest {
            true => segments.last().is_some_and(|oldest| oldest.first <= self.from + 1),
            false => segments.last().is_some_and(|newest| newest.last() >= self.to),
        }
    }
}

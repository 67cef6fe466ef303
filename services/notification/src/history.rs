//! What a page of a hole is cut from: each origin's segments at the end that is read from, as far as they may
//! be shown (docs/protocol.md, section 9).
//!
//! Whole segments go out and the gateway cuts the page, because only there the size of the answer is known.
//! An origin whose next event is not readable here, or rests on member events that are not held, is named:
//! nothing is jumped (E17, E24). What was lost with a life that is gathered is told, and passed, by the page
//! that begins with it; a page that meets it later ends there. Tails are not asked: what is paged is rarely
//! new.

use sterna_proto::{convert, v1};
use sterna_stream::{Cursor, Origin, Reason, Refusal, StreamId};

use crate::gate;
use crate::source::{Run, Source};

/// Bytes of segments in one answer, shared out among the origins; the segment that reaches an origin's share
/// is its last.
pub const HISTORY_BYTES: usize = 1024 * 1024;

/// How the ends of a hole are read.
struct Reading<'a> {
    source: &'a Source,
    stream: &'a StreamId,
    newest: bool,
    /// Events and bytes of one origin.
    share: (u32, u32),
}

/// One origin's end of a hole.
struct End {
    origin: Origin,
    from: u64,
    to: u64,
    run: Run,
    /// What follows is not here and will never come.
    gathered: bool,
    /// What was lost at the very end: after, upto.
    lost: Option<(u64, u64)>,
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
    let open: Vec<(&Origin, u64)> = to.iter().filter(|(origin, seq)| from.get(origin) < *seq).collect();
    let share = (request.limit.max(1), (HISTORY_BYTES / open.len().max(1)) as u32);
    let reading = Reading { source, stream: &stream, newest: request.newest, share };
    let mut ends = Vec::with_capacity(open.len());
    for (origin, to) in open {
        ends.push(reading.end(origin, (from.get(origin), to)).await?);
    }
    reading.pass_lost(&mut ends).await?;
    let mut ended = Vec::new();
    if ends.iter().any(|end| gate::concerns(&end.run.segments)) {
        let held = source.held(&stream, ends.iter().flat_map(|end| &end.run.segments)).await?;
        let life = |(origin, last): (&Origin, u64)| v1::Ended { origin: origin.to_string(), last };
        ended.extend(held.ends.iter().map(life));
        for end in &mut ends {
            if gate::stop(&mut end.run.segments, &held) {
                (end.run.more, end.gathered) = (false, false);
            }
        }
    }
    let stuck = |end: &&End| end.is_stuck(request.newest) && !end.gathered;
    let waiting = ends.iter().filter(stuck).map(|end| end.origin.to_string()).collect();
    let lost = || ends.iter().filter_map(|end| Some((end.origin.clone(), end.lost?)));
    let lost_from: Cursor = lost().map(|(origin, (after, _))| (origin, after)).collect();
    let lost_to: Cursor = lost().map(|(origin, (_, upto))| (origin, upto)).collect();
    let segments = ends.into_iter().flat_map(|end| end.run.segments);
    Ok(v1::HistoryAnswer {
        records: segments.map(|stored| stored.bytes).collect(),
        waiting,
        ended,
        lost_from: convert::cursor_field(&lost_from),
        lost_to: convert::cursor_field(&lost_to),
    })
}

// === impl Reading ===

impl Reading<'_> {
    async fn end(&self, origin: &Origin, (from, to): (u64, u64)) -> Result<End, Refusal> {
        let span = v1::Span { origin: origin.to_string(), after: from, upto: to };
        let run = self.source.end_of(self.stream, span, self.newest, self.share).await?;
        Ok(End { origin: origin.clone(), from, to, run, gathered: false, lost: None })
    }

    /// Looks up whether what stops an end may still come. Where an end begins with what may not, it is read
    /// behind that.
    async fn pass_lost(&self, ends: &mut [End]) -> Result<(), Refusal> {
        let stuck = ends.iter().filter(|end| end.is_stuck(self.newest));
        let lives: Vec<Origin> = stuck.map(|end| end.origin.clone()).collect();
        if lives.is_empty() {
            return Ok(());
        }
        let gathered = self.source.gathered(&lives).await?;
        for end in ends.iter_mut().filter(|end| gathered.contains(&end.origin)) {
            end.gathered = true;
            if !end.run.segments.is_empty() {
                continue;
            }
            // Read after that look: what is not here now is lost.
            let again = self.end(&end.origin, (end.from, end.to)).await?;
            let (lost, rest) = again.begins_with(self.newest);
            *end = if lost.0 < lost.1 { self.end(&end.origin, rest).await? } else { again };
            (end.gathered, end.lost) = (true, Some(lost).filter(|(after, upto)| after < upto));
            if let Some((after, upto)) = end.lost {
                let (stream, origin) = (self.stream, &end.origin);
                tracing::debug!(%stream, %origin, after, upto, "lost with their life: a page says so");
            }
        }
        Ok(())
    }
}

// === impl End ===

impl End {
    /// Whether something of the hole is left beyond what was read, and is not readable.
    fn is_stuck(&self, newest: bool) -> bool {
        !self.run.more && !self.is_whole(newest)
    }

    /// Whether nothing of the hole is left beyond what was read.
    fn is_whole(&self, newest: bool) -> bool {
        let segments = self.run.segments.iter().map(|stored| &stored.segment);
        let reached = match newest {
            true => segments.last().is_some_and(|oldest| oldest.first <= self.from + 1),
            false => segments.last().is_some_and(|newest| newest.last() >= self.to),
        };
        reached || self.from >= self.to
    }

    /// What is missing where reading begins, and what of the hole is behind that.
    fn begins_with(&self, newest: bool) -> ((u64, u64), (u64, u64)) {
        let (from, to) = (self.from, self.to);
        if !self.run.segments.is_empty() || self.run.more {
            return ((from, from), (from, to));
        }
        let hole = self.run.holes.first();
        match newest {
            true => {
                let next = hole.map_or(from, |hole| hole.after.clamp(from, to));
                ((next, to), (from, next))
            }
            false => {
                let next = hole.map_or(to, |hole| hole.upto.clamp(from, to));
                ((from, next), (next, to))
            }
        }
    }
}

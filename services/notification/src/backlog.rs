//! One ask, one page: cut first, then read what follows. Where that begins with a hole, the page ends; but of
//! what was lost with a life that is gathered it says so, and goes on behind it.

use sterna_proto::{convert, v1};
use sterna_stream::{Cursor, Reason, Refusal};

use crate::cut::{behind, cut};
use crate::gate;
use crate::source::Source;

/// The page that answers `ask`; a refusal is a page too, so that the call goes on.
pub async fn answer(source: &Source, ask: v1::Ask) -> v1::Page {
    let tag = ask.tag;
    match page(source, ask).await {
        Ok(page) => page,
        Err(refusal) => v1::Page {
            tag,
            refused: refusal.reason.code().to_owned(),
            retry_after_ms: refusal.retry_after_ms,
            ..v1::Page::default()
        },
    }
}

async fn page(source: &Source, ask: v1::Ask) -> Result<v1::Page, Refusal> {
    let malformed = || Reason::BadRequest.because("the ask between services is malformed");
    let stream = ask.stream.parse().map_err(|_| malformed())?;
    let mut after = convert::cursor(ask.after.as_ref()).map_err(|_| malformed())?;
    let head = convert::cursor(ask.head.as_ref()).map_err(|_| malformed())?;
    let mut skipped = Cursor::new();
    let asked = after.clone();
    let keep = ask.tail as usize;
    if keep > 0 && behind(&after, &head) > u64::from(ask.tail) {
        let newest = source.newest(&stream, &after, &head, keep).await?;
        let to = cut(&after, &head, &newest, keep);
        skipped = to.iter().filter(|(o, seq)| *seq > after.get(o)).map(|(o, seq)| (o.clone(), seq)).collect();
        after = to;
    }
    let mut run = source.following(&stream, &after, &head).await?;
    let mut lost = Cursor::new();
    if !run.holes.is_empty() && skipped.is_empty() {
        lost = source.lost(&stream, &after, &head, &run.holes).await?;
        if !lost.is_empty() {
            tracing::info!(%stream, %after, %lost, "events were lost with their life: a device is told so");
            after.merge(&lost);
            run = source.following(&stream, &after, &head).await?;
        }
    }
    if gate::concerns(&run.segments) {
        let held = source.held(&stream, run.segments.iter()).await?;
        run.more |= gate::stop(&mut run.segments, &held);
    }
    let mut upto = after;
    for stored in &run.segments {
        upto.advance(&stored.segment.origin, stored.segment.last());
    }
    Ok(v1::Page {
        tag: ask.tag,
        records: run.segments.into_iter().map(|stored| stored.bytes).collect(),
        skipped_to: convert::cursor_field(&skipped),
        upto: convert::cursor_field(&upto),
        lost_to: convert::cursor_field(&lost),
        // Whether a hole at its end may be passed is looked up by the page that begins there.
        complete: !run.more && (run.holes.is_empty() || upto == asked),
        ..v1::Page::default()
    })
}

//! Heads: the newest segment of each origin of each stream, as one cursor; and of which lives that have ended
//! no more will come (E24).
//!
//! What the table holds now, by consistent reads; never from a cache (E10, E15). That a life is gathered is
//! looked up first: so the heads behind it hold all that is left of it.

use sterna_proto::convert::Malformed;
use sterna_proto::v1;
use sterna_storage::{Table, control};
use sterna_stream::limits::CURSOR_ORIGINS;
use sterna_stream::{Cursor, Hlc, Origin};

use crate::chain::{Error, origins};

/// Most streams of one request; further ones are refused.
pub const HEADS_STREAMS_MAX: usize = 1_000;

/// One head per stream, in order, an empty one where there is nothing; and which of the lives are gathered.
///
/// # Errors
/// [`Error`]: a name is no stream or no origin, there are too many of them, or the table did not answer.
pub async fn heads(table: &dyn Table, request: &v1::HeadsRequest) -> Result<v1::HeadsAnswer, Error> {
    if request.streams.len() > HEADS_STREAMS_MAX {
        return Err(Error::Request(Malformed::Field("streams")));
    }
    if request.lives.len() > CURSOR_ORIGINS {
        return Err(Error::Request(Malformed::Field("lives")));
    }
    let lives = request.lives.iter().map(|origin| origin.parse()).collect::<Result<Vec<Origin>, _>>()?;
    let gathered = control::gathered(table, &lives).await?;
    let mut heads = Vec::with_capacity(request.streams.len());
    for stream in &request.streams {
        let newest = origins(table, &stream.parse()?).await?;
        let segments = || newest.iter().map(|stored| &stored.segment);
        let head: Cursor = segments().map(|s| (s.origin.clone(), s.last())).collect();
        let members: Cursor = segments().map(|s| (s.origin.clone(), s.member_last())).collect();
        let max_hlc = segments().map(sterna_stream::Segment::max_hlc).max().unwrap_or(Hlc::ZERO);
        heads.push(v1::StreamHead {
            head: sterna_proto::convert::cursor_field(&head),
            max_hlc: max_hlc.0,
            members: sterna_proto::convert::cursor_field(&members),
        });
    }
    Ok(v1::HeadsAnswer { heads, gathered: gathered.iter().map(ToString::to_string).collect() })
}

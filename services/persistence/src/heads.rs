//! Heads: the newest segment of each origin of each stream, as one cursor.
//!
//! What the table holds now, by consistent reads; never from a cache (E10, E15).

use sterna_proto::v1;
use sterna_storage::Table;
use sterna_stream::{Cursor, Hlc};

use crate::chain::{Error, origins};

/// Most streams of one request; further ones are refused.
pub const HEADS_STREAMS_MAX: usize = 1_000;

/// One head per stream, in order; an empty one where there is nothing.
///
/// # Errors
/// [`Error`]: a name is no stream, or the table did not answer.
pub async fn heads(table: &dyn Table, streams: &[String]) -> Result<Vec<v1::StreamHead>, Error> {
    if streams.len() > HEADS_STREAMS_MAX {
        return Err(Error::Request(sterna_proto::convert::Malformed::Field("streams")));
    }
    let mut heads = Vec::with_capacity(streams.len());
    for stream in streams {
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
    Ok(heads)
}

//! Checkpoint items: what a partition's sequencer has made durable (E21).

use bytes::Bytes;
use prost::Message;
use sterna_stream::LogPos;
use sterna_stream::digest::LogHash;
use sterna_stream::sequencer::takeover::{Checkpoint, LogEnd, Placed};

use crate::convert::{Malformed, array, id};
use crate::v1;

/// The item's bytes.
pub fn encode(checkpoint: &Checkpoint) -> Bytes {
    let logged = |p: &Placed| v1::Logged { n: p.n, stream: p.stream.to_string(), first: p.first };
    let message = v1::Checkpoint {
        term: checkpoint.term,
        number: checkpoint.number,
        resume: checkpoint.resume,
        n: checkpoint.log.at.n,
        n_term: checkpoint.log.at.term,
        log_offset: checkpoint.log.offset,
        log_hash: Bytes::copy_from_slice(&checkpoint.log.hash.0),
        logged: checkpoint.index.iter().map(logged).collect(),
    };
    message.encode_to_vec().into()
}

/// The checkpoint in an item's bytes.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn decode(bytes: &Bytes) -> Result<Checkpoint, Malformed> {
    let message = v1::Checkpoint::decode(bytes.clone())?;
    let placed = |l: v1::Logged| Ok(Placed { n: l.n, stream: id("stream", &l.stream)?, first: l.first });
    Ok(Checkpoint {
        term: message.term,
        number: message.number,
        resume: message.resume,
        log: LogEnd {
            at: LogPos { term: message.n_term, n: message.n },
            hash: LogHash(array("log_hash", &message.log_hash)?),
            offset: message.log_offset,
        },
        index: message.logged.into_iter().map(placed).collect::<Result<_, Malformed>>()?,
    })
}

//! Checkpoint items: what a partition's sequencer has made durable (E21).

use bytes::Bytes;
use prost::Message;
use sterna_stream::LogPos;
use sterna_stream::digest::LogHash;
use sterna_stream::sequencer::takeover::{Checkpoint, LogEnd, Logged, Placed};

use crate::convert::{Malformed, array, id};
use crate::v1;

/// The item's bytes.
pub fn encode(checkpoint: &Checkpoint) -> Bytes {
    let (mut logged, mut others) = (Vec::new(), Vec::new());
    for Placed { n, what } in &checkpoint.index {
        match what {
            Logged::Segment { stream, first } => {
                logged.push(v1::Logged { n: *n, stream: stream.to_string(), first: *first });
            }
            Logged::Other { own } => {
                others.push(v1::LoggedOther { n: *n, own: Bytes::copy_from_slice(own) });
            }
        }
    }
    let message = v1::Checkpoint {
        term: checkpoint.term,
        number: checkpoint.number,
        resume: checkpoint.resume,
        n: checkpoint.log.at.n,
        n_term: checkpoint.log.at.term,
        log_offset: checkpoint.log.offset,
        log_hash: Bytes::copy_from_slice(&checkpoint.log.hash.0),
        logged,
        others,
    };
    message.encode_to_vec().into()
}

/// The checkpoint in an item's bytes.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn decode(bytes: &Bytes) -> Result<Checkpoint, Malformed> {
    let message = v1::Checkpoint::decode(bytes.clone())?;
    let mut index = Vec::with_capacity(message.logged.len() + message.others.len());
    for v1::Logged { n, stream, first } in message.logged {
        index.push(Placed { n, what: Logged::Segment { stream: id("stream", &stream)?, first } });
    }
    for v1::LoggedOther { n, own } in message.others {
        index.push(Placed { n, what: Logged::Other { own: array("own", &own)? } });
    }
    index.sort_by_key(|placed| placed.n);
    Ok(Checkpoint {
        term: message.term,
        number: message.number,
        resume: message.resume,
        log: LogEnd {
            at: LogPos { term: message.n_term, n: message.n },
            hash: LogHash(array("log_hash", &message.log_hash)?),
            offset: message.log_offset,
        },
        index,
    })
}

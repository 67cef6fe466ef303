//! The ingress record: an accepted event on its way to the sequencer, and the audit intent of its command
//! (A12).

use bytes::Bytes;
use sterna_access::Grant;
use sterna_log::Entry;
use sterna_proto::record::{self, Accepted, Body, Ingress};
use sterna_stream::Hlc;
use sterna_stream::sequencer::{Known, Record};

/// The record's bytes for an event that was admitted under `grant`.
pub(crate) fn encode(grant: &Grant, body: &Body, seen: Hlc, member: bool, request_id: &str) -> Bytes {
    let accepted = Accepted {
        stream: grant.resource(),
        body,
        seen,
        actor: grant.subject(),
        request_id,
        grant_id: grant.id(),
        policy: grant.policy(),
        member,
    };
    accepted.encode()
}

/// The record as the sequencer takes it. What is no ingress record was not written by Publish: it is reported
/// and skipped, because nothing can be done with it and nobody was told that it was accepted.
pub(crate) fn record(entry: Entry) -> Option<Record> {
    let offset = entry.offset;
    let parsed = parse(offset, &entry.record.value);
    if parsed.is_none() {
        tracing::error!(offset, "the ingress holds what is no ingress record");
    }
    parsed
}

fn parse(offset: u64, value: &Bytes) -> Option<Record> {
    let Ingress { stream, body, seen, policy, member } = record::ingress(value)?;
    let Known { id, content, resend } = record::peek(&body)?;
    Some(Record { offset, stream, id, content, resend, member, seen, policy, body })
}

//! The ingress record: an accepted event on its way to the sequencer, and the audit intent of its command
//! (A12).

use bytes::Bytes;
use prost::Message;
use sterna_access::Grant;
use sterna_log::Entry;
use sterna_proto::record::{self, Body, Ingress};
use sterna_proto::{convert, v1};
use sterna_stream::Hlc;
use sterna_stream::sequencer::{Known, Record};

/// The record's bytes for an event that was admitted under `grant`.
pub(crate) fn encode(grant: &Grant, body: &Body, seen: Hlc, member: bool, request_id: String) -> Bytes {
    let record = v1::IngressRecord {
        stream: grant.resource().as_str().to_owned(),
        body: body.encode(),
        seen: seen.0,
        actor: grant.subject().as_str().to_owned(),
        request_id,
        grant_id: grant.id().to_owned(),
        policy: convert::policy_field(grant.policy()),
        member,
    };
    record.encode_to_vec().into()
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

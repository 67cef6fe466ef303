//! Admission: everything that can be refused is refused here, before the ack (E5).
//!
//! Pure: the command, what its grant allows, the clamped wall and the limits decide. What passes is an event
//! that the sequencer will take, however late.

use sterna_access::members::payload;
use sterna_access::{Grant, Permission};
use sterna_proto::record::Body;
use sterna_proto::v1;
use sterna_stream::ids::EventKind;
use sterna_stream::kind::{Effect, Kinds, Payload};
use sterna_stream::member::Change;
use sterna_stream::{EventId, Hlc, Reason, Refusal, access, created, fixed, limits};

use crate::config::Config;
use crate::content::ContentKey;

#[cfg(test)]
mod tests;

/// A command that was let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) body: Body,
    pub(crate) seen: Hlc,
    pub(crate) member: bool,
}

/// What admission knows of the region.
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a Config,
    pub(crate) kinds: &'a Kinds,
    pub(crate) content: &'a ContentKey,
    /// The clamped wall, Unix milliseconds; the process's own clock as long as nothing clamps it (E14).
    pub(crate) now_ms: u64,
}

/// Lets a command in, or says why not.
///
/// # Errors
/// `payload_too_large`, `bad_event_id`, `id_too_old`, `bad_request`, `bad_stream`, `forbidden`.
pub(crate) fn admit(rules: &Rules<'_>, grant: &Grant, up: &v1::PublishUp) -> Result<Admitted, Refusal> {
    if up.payload.len() > limits::PAYLOAD_BYTES {
        return Err(
            Reason::PayloadTooLarge.because("a payload has at most 60 KiB: put large content into files")
        );
    }
    let id = event_id(rules, &up.event_id)?;
    let kind: EventKind = up.kind.parse().map_err(|_| {
        Reason::BadRequest.because("an event kind has 1 to 32 of a-z, 0-9, dot, underscore and dash")
    })?;
    let stream_kind = rules.kinds.of(grant.resource())?;
    let effect = stream_kind.check(&kind, Payload::checked(&up.payload))?;
    allowed(grant, (stream_kind.is_fixed(), effect), id, &up.payload)?;
    if effect == Effect::Access {
        in_reach(rules, &up.payload)?;
    }
    // What is folded stands in the chain of such events, whatever it is folded into.
    let member = effect != Effect::None;
    let body = Body {
        id,
        author: grant.subject().clone(),
        content: rules.content.hash(grant.subject(), &kind, &up.payload),
        kind,
        payload: up.payload.clone(),
        resend: up.resend,
        key: String::new(),
        deps: member.then(|| grant.policy().clone()),
    };
    Ok(Admitted { body, seen: Hlc(up.seen), member })
}

fn event_id(rules: &Rules<'_>, bytes: &[u8]) -> Result<EventId, Refusal> {
    let id = EventId::from_bytes(bytes)
        .map_err(|_| Reason::BadEventId.because("an event id is a UUID of version 7"))?;
    if id.time_ms() > rules.now_ms.saturating_add(limits::ID_LEAD_MS) {
        return Err(Reason::BadEventId
            .because("the event id is from the future: correct the clock by welcome's time"));
    }
    if id.time_ms().saturating_add(rules.config.dedupe_window_ms) < rules.now_ms {
        return Err(
            Reason::IdTooOld.because("the event id is too old to be retried: look the event up by its id")
        );
    }
    Ok(id)
}

/// A suspension makes tokens void that were issued before it, and stays so when it is lifted (A7): one that
/// names a far time, by mistake of a unit for example, would lock its users out with no way back.
fn in_reach(rules: &Rules<'_>, payload: &[u8]) -> Result<(), Refusal> {
    let not_before_ms = access::payload::parse(payload).map_or(0, |suspension| suspension.not_before_ms);
    if not_before_ms > rules.now_ms.saturating_add(limits::ID_LEAD_MS) {
        return Err(Reason::BadRequest.because(
            "not_before_ms is in the future: nobody was suspended; write when tokens became void, in Unix \
             milliseconds, now at the latest",
        ));
    }
    Ok(())
}

fn allowed(
    grant: &Grant,
    (is_fixed, effect): (bool, Effect),
    id: EventId,
    payload: &[u8],
) -> Result<(), Refusal> {
    let (on, who) = (grant.resource(), grant.subject());
    let allows = match (grant.permission(), effect) {
        (Permission::Publish, Effect::None) | (Permission::Manage, Effect::Member | Effect::Access) => true,
        (Permission::Create, Effect::Member) if is_fixed => {
            payload::parse(payload).is_some_and(|payload| fixed::founds(on, who, payload.change))
        }
        (Permission::Create, Effect::Member) => created::is_creation(on, who, id),
        (Permission::Leave, Effect::Member) => payload::parse(payload)
            .is_some_and(|payload| payload.user == *who && matches!(payload.change, Change::Remove(_))),
        _ => false,
    };
    if allows { Ok(()) } else { Err(Reason::Forbidden.because("the grant is not for this")) }
}

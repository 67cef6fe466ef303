//! The kind of the stream that says who may do what in a tenant (E31; ACCESS.md).

use super::{Effect, History, Kind, MEMBER, Payload, Retention, member_event};
use crate::access::{SUSPENSION, payload};
use crate::fixed;
use crate::ids::EventKind;
use crate::member::Role;
use crate::refusal::{Reason, Refusal};

/// A tenant's access stream: its members administer the tenant, its suspensions bind everybody in it. Each of
/// its events is folded; what a version does not know it refuses to write, and denies what it touches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access;

impl Kind for Access {
    fn name(&self) -> &'static str {
        fixed::ACCESS
    }

    fn check(&self, event_kind: &EventKind, payload: Payload<'_>) -> Result<Effect, Refusal> {
        match event_kind.as_str() {
            MEMBER => member_event(payload),
            SUSPENSION => payload::parse(payload.bytes()).map(|_| Effect::Access).ok_or_else(|| {
                Reason::BadRequest
                    .because("a suspension names a user or everyone, whether suspended, and its version, 1")
            }),
            _ => Err(Reason::BadRequest.because("an access stream takes member and suspension events")),
        }
    }

    fn may_write(&self, _: &EventKind, role: Role) -> bool {
        role == Role::Owner
    }

    fn retention(&self) -> Retention {
        Retention::Forever
    }

    fn history(&self) -> History {
        History::All
    }

    fn is_fixed(&self) -> bool {
        true
    }
}

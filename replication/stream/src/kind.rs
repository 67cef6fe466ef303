//! Kinds of streams: which events they take, who may write them, how long they stay, what newcomers see
//! (E31).
//!
//! One trait, one registry: a new kind of stream is one file that implements [`Kind`] and one line where
//! the registry is built. [`Chat`] is in this file: it takes event kinds that nobody here knows, so a
//! client's new event kind needs no change; one that the engine acts on is an [`Effect`]. Whether a payload
//! is one JSON value is checked before it comes here, once for both encodings.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{EventKind, StreamId};
use crate::member::{self, Role};
use crate::refusal::{Reason, Refusal};

mod access;
#[cfg(test)]
mod tests;

pub use access::Access;

/// The event kind that changes a stream's members.
pub const MEMBER: &str = "member";
/// The event kind that names a stream for people, in the tenant's access stream.
pub const ALIAS: &str = "alias";
/// What the engine's own event kinds begin with.
pub const RESERVED_PREFIX: &str = "sterna.";

/// A payload of which somebody vouches that it is one JSON value within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a>(&'a [u8]);

/// What the engine does with an event beside carrying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    None,
    /// It is folded into the stream's members: [`member_event`] has understood its payload.
    Member,
    /// It is folded into what users of the tenant may do: it stands in the tenant's access stream.
    Access,
}

/// How long a stream's events stay; the newest segment of each origin always does (E26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retention {
    /// For ever.
    Forever,
    /// At least this many days.
    Days(u16),
}

/// What a new member of a stream sees of what was said before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum History {
    /// Everything.
    #[default]
    All,
    /// Nothing: per origin it starts after the last event that stands before the add.
    SinceJoined,
}

/// A kind of stream. Pure: answers depend on the arguments alone, in every region and version alike.
pub trait Kind: Send + Sync {
    /// The middle part of its streams' ids.
    fn name(&self) -> &'static str;

    /// Whether it takes such an event, and what that does.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] for an event kind or a payload that no such stream holds.
    fn check(&self, event_kind: &EventKind, payload: Payload<'_>) -> Result<Effect, Refusal>;

    /// Whether a member with `role` may write events of this kind.
    fn may_write(&self, event_kind: &EventKind, role: Role) -> bool;

    /// How long events stay.
    fn retention(&self) -> Retention;

    /// What new members see, unless the stream's creation says otherwise.
    fn history(&self) -> History;

    /// Whether its streams have fixed names: provisioning a tenant makes them, and users create none (E3).
    fn is_fixed(&self) -> bool {
        false
    }
}

/// The kinds of streams that this build knows.
#[derive(Clone, Default)]
pub struct Kinds(BTreeMap<&'static str, Arc<dyn Kind>>);

/// Conversations: takes every event kind that is not the engine's own, for clients add kinds faster than
/// servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chat;

/// What a member event does, in a stream of any kind.
///
/// # Errors
/// [`Reason::BadRequest`] for a payload that the fold would not understand.
pub fn member_event(payload: Payload<'_>) -> Result<Effect, Refusal> {
    let refusal = || {
        Reason::BadRequest.because(
            "a member event names a user and one change: add reader, writer or owner; remove one or all",
        )
    };
    member::payload::parse(payload.bytes()).map(|_| Effect::Member).ok_or_else(refusal)
}

/// Whether an event kind is the engine's: clients' own kinds may not have such a name.
pub fn is_reserved(event_kind: &EventKind) -> bool {
    let name = event_kind.as_str();
    name == MEMBER || name == ALIAS || name.starts_with(RESERVED_PREFIX)
}

// === impl Payload ===

impl<'a> Payload<'a> {
    /// Vouches that `bytes` are one JSON value within the limits: whoever calls this has just checked it.
    pub fn checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The JSON text.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

// === impl Kinds ===

impl Kinds {
    /// A registry without any kind.
    pub fn none() -> Self {
        Self::default()
    }

    /// The kinds that every build has.
    pub fn standard() -> Self {
        Self::none().with(Chat).with(Access)
    }

    /// The same and `kind`, in place of an earlier one with its name.
    #[must_use]
    pub fn with(mut self, kind: impl Kind + 'static) -> Self {
        self.0.insert(kind.name(), Arc::new(kind));
        self
    }

    /// The kind of `stream`.
    ///
    /// # Errors
    /// [`Reason::BadStream`]: no such kind of stream.
    pub fn of(&self, stream: &StreamId) -> Result<&dyn Kind, Refusal> {
        let kind = self.0.get(stream.kind());
        kind.map(AsRef::as_ref).ok_or_else(|| Reason::BadStream.because("no such kind of stream"))
    }

    /// All names, in byte order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

// === impl Chat ===

impl Kind for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn check(&self, event_kind: &EventKind, payload: Payload<'_>) -> Result<Effect, Refusal> {
        if event_kind.as_str() == MEMBER {
            return member_event(payload);
        }
        match is_reserved(event_kind) {
            true => Err(Reason::BadRequest.because("this event kind is reserved")),
            false => Ok(Effect::None),
        }
    }

    fn may_write(&self, event_kind: &EventKind, role: Role) -> bool {
        match is_reserved(event_kind) {
            true => event_kind.as_str() == MEMBER && role == Role::Owner,
            false => role >= Role::Writer,
        }
    }

    fn retention(&self) -> Retention {
        Retention::Forever
    }

    fn history(&self) -> History {
        History::All
    }
}

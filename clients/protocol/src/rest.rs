//! Bodies of REST requests (docs/protocol.md, section 9), read as strictly as frames are.
//!
//! One pass, no tree: duplicate keys, deep nesting and lone surrogates are found wherever they stand, unknown
//! members are skipped, payloads are cut out byte for byte. What is not taken becomes the problem that is
//! answered, naming the member. Roles and histories are the server's words and are not judged here.

use std::borrow::Cow;

use bytes::Bytes;
use sterna_stream::ids::EventKind;
use sterna_stream::limits::JSON_NESTING;
use sterna_stream::{EventId, Hlc, Reason, UserId};

use crate::error::Problem;
use crate::json::scan::Scanner;
use crate::payload::{Malformed, NESTING, Payload};

#[cfg(test)]
mod tests;

/// `POST /v1/streams/{kind}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The creation's id; the stream's name follows from it (E3).
    pub event_id: EventId,
    /// A name for people; empty: none.
    pub alias: Box<str>,
    /// `all` or `since_joined`; empty: the kind's own.
    pub history: Box<str>,
    /// Who else is in it from the beginning.
    pub members: Vec<Member>,
}

/// A user and the name of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// `reader`, `writer` or `owner`.
    pub role: Box<str>,
}

/// `PUT …/events/{event_id}`. The other members of a `publish` frame come from the path or are fixed: every
/// REST publish counts as a resend (E7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The event kind.
    pub kind: EventKind,
    /// What it carries.
    pub payload: Payload,
    /// The newest stamp that its author was shown.
    pub seen: Option<Hlc>,
}

/// What a body becomes.
pub type Taken<T> = Result<T, Box<Problem>>;

/// Reads the body of a creation.
///
/// # Errors
/// `bad_request`, naming the member where it is one; `bad_event_id`.
pub fn create(body: &[u8]) -> Taken<Create> {
    let (mut id, mut alias, mut history) = (Cow::Borrowed(""), Cow::Borrowed(""), Cow::Borrowed(""));
    let mut members: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    object(body, |s, key| {
        match key {
            "event_id" => id = s.string()?,
            "alias" => alias = s.string()?,
            "history" => history = s.string()?,
            "members" => drop(s.optional(|s| s.array(|s| s.object_of_member().map(|m| members.push(m))))?),
            _ => drop(s.skip()?),
        }
        Ok(())
    })?;
    let event_id = id.parse().map_err(|_| {
        let refusal = Reason::BadEventId.because("an event id is a UUID of version 7, hyphenated");
        Box::new(Problem::of(&refusal).of_field("event_id"))
    })?;
    let member = |(user, role): (Cow<'_, str>, Cow<'_, str>)| {
        let user = user.parse().map_err(|_| bad("members", "a member is a user and a role"))?;
        Ok(Member { user, role: role.into() })
    };
    let members = members.into_iter().map(member).collect::<Taken<_>>()?;
    Ok(Create { event_id, alias: alias.into(), history: history.into(), members })
}

/// Reads the body of a publish.
///
/// # Errors
/// `bad_request`, naming the member where it is one; `payload_too_large`.
pub fn publish(body: &Bytes) -> Taken<Publish> {
    let (mut kind, mut seen, mut payload) = (Cow::Borrowed(""), Cow::Borrowed(""), None);
    object(body, |s, key| {
        match key {
            "kind" => kind = s.string()?,
            "seen" => seen = s.string()?,
            "payload" => payload = Some(s.skip_within(NESTING)?),
            _ => drop(s.skip()?),
        }
        Ok(())
    })?;
    let kind = kind
        .parse()
        .map_err(|_| bad("kind", "an event kind has 1 to 32 of a-z, 0-9, dot, underscore and dash"))?;
    let text: &str = payload.ok_or_else(|| bad("payload", "any one JSON value must be there"))?;
    let payload = Payload::scanned(body.slice_ref(text.as_bytes())).map_err(|_| {
        let detail = "a payload has at most 60 KiB: put large content into files";
        Box::<Problem>::from(Reason::PayloadTooLarge.because(detail))
    })?;
    let seen = match &*seen {
        "" => None,
        text => Some(text.parse().map_err(|_| bad("seen", "a stamp has 16 lower-case hex digits"))?),
    };
    Ok(Publish { kind, payload, seen })
}

/// Reads the name of a role out of `{"role": …}`.
///
/// # Errors
/// `bad_request`.
pub fn role(body: &[u8]) -> Taken<Box<str>> {
    let mut role = Cow::Borrowed("");
    object(body, |s, key| {
        match key {
            "role" => role = s.string()?,
            _ => drop(s.skip()?),
        }
        Ok(())
    })?;
    Ok(role.into())
}

/// `bad_request`, naming what was not taken.
pub fn bad(field: &str, detail: &str) -> Box<Problem> {
    Box::new(Problem::of(&Reason::BadRequest.because(detail)).of_field(field))
}

fn object<'a>(
    body: &'a [u8],
    field: impl FnMut(&mut Scanner<'a>, &str) -> Result<(), Malformed>,
) -> Taken<()> {
    let read = || {
        let mut scanner = Scanner::new(body, JSON_NESTING)?;
        scanner.object(field)?;
        scanner.end()
    };
    read().map_err(|malformed: Malformed| Reason::BadRequest.because(malformed.to_string()).into())
}

impl<'a> Scanner<'a> {
    fn object_of_member(&mut self) -> Result<(Cow<'a, str>, Cow<'a, str>), Malformed> {
        let (mut user, mut role) = (Cow::Borrowed(""), Cow::Borrowed(""));
        self.object(|s, key| {
            match key {
                "user" => user = s.string()?,
                "role" => role = s.string()?,
                _ => drop(s.skip()?),
            }
            Ok(())
        })?;
        Ok((user, role))
    }
}

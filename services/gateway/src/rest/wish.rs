//! What a request asks for, from its method, path and query: pure, and before anybody is asked.

use http::Method;
use sterna_access::Identity;
use sterna_protocol::Problem;
use sterna_protocol::rest::{Taken, bad};
use sterna_stream::{EventId, Reason, Refusal, StreamId, UserId};

use super::percent;
use super::query::Query;

/// Parts of the longest path below [`ROOT`]; one more is nothing that is served.
const PARTS: usize = 4;
/// Where all of this begins.
pub(crate) const ROOT: &str = "/v1/streams";

/// A stream of the asker's tenant, as far as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    kind: String,
    name: String,
}

/// One request.
#[derive(Debug)]
pub(crate) enum Wish {
    /// `GET /v1/streams`.
    Streams(Query),
    /// `POST /v1/streams/{kind}`.
    Create(String),
    /// `GET /v1/streams/{kind}/{name}`.
    Stream(Target),
    /// `GET …/members`.
    Members(Target, Query),
    /// `PUT …/members/{user}`.
    SetMember(Target, UserId),
    /// `DELETE …/members/{user}`.
    RemoveMember(Target, UserId),
    /// `GET …/events`.
    Events(Target, Query),
    /// `GET …/events/{event_id}`.
    Event(Target, EventId, Query),
    /// `PUT …/events/{event_id}`.
    Publish(Target, EventId, Query),
}

/// Why a request asks for nothing that is served.
#[derive(Debug)]
pub(crate) enum Senseless {
    /// As the problem says.
    Problem(Box<Problem>),
    /// The path is known, the method is not among these.
    Method(&'static str),
}

impl From<Box<Problem>> for Senseless {
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

// === impl Wish ===

impl Wish {
    /// Whether a path is answered here.
    pub(crate) fn is_at(path: &str) -> bool {
        path.strip_prefix(ROOT).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// What is asked for; a `HEAD` asks for what a `GET` does.
    ///
    /// # Errors
    /// [`Senseless`].
    pub(crate) fn of(method: &Method, path: &str, query: &str) -> Result<Self, Senseless> {
        let below = path.strip_prefix(ROOT).unwrap_or_default();
        let parts: Vec<&str> = below.split('/').skip(1).take(PARTS + 1).collect();
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let query = || Query::parse(query);
        Ok(match (&parts[..], method.as_str()) {
            ([], "GET") => Self::Streams(query()?),
            ([], _) => return Err(Senseless::Method("GET, HEAD")),
            ([kind], "POST") => Self::Create(text(kind)?),
            ([_], _) => return Err(Senseless::Method("POST")),
            ([kind, name], "GET") => Self::Stream(Target::of(kind, name)?),
            ([kind, name, "members"], "GET") => Self::Members(Target::of(kind, name)?, query()?),
            ([kind, name, "events"], "GET") => Self::Events(Target::of(kind, name)?, query()?),
            ([_, _] | [_, _, "members" | "events"], _) => return Err(Senseless::Method("GET, HEAD")),
            ([kind, name, "members", who], "PUT") => Self::SetMember(Target::of(kind, name)?, user(who)?),
            ([kind, name, "members", who], "DELETE") => {
                Self::RemoveMember(Target::of(kind, name)?, user(who)?)
            }
            ([_, _, "members", _], _) => return Err(Senseless::Method("PUT, DELETE")),
            ([kind, name, "events", id], "GET") => {
                Self::Event(Target::of(kind, name)?, event_id(id)?, query()?)
            }
            ([kind, name, "events", id], "PUT") => {
                Self::Publish(Target::of(kind, name)?, event_id(id)?, query()?)
            }
            ([_, _, "events", _], _) => return Err(Senseless::Method("GET, HEAD, PUT")),
            _ => return Err(Box::<Problem>::from(nothing_here()).into()),
        })
    }

    /// Whether its body counts.
    pub(crate) fn has_body(&self) -> bool {
        matches!(self, Self::Create(_) | Self::SetMember(..) | Self::Publish(..))
    }
}

/// The answer to a path that nothing is served at.
pub(crate) fn nothing_here() -> Refusal {
    Reason::NotFound.because("see docs/protocol.md for what is served")
}

// === impl Target ===

impl Target {
    fn of(kind: &str, name: &str) -> Taken<Self> {
        Ok(Self { kind: text(kind)?, name: text(name)? })
    }

    /// The stream that it names to `who`: always one of their own tenant.
    ///
    /// # Errors
    /// `bad_stream`.
    pub(crate) fn stream(&self, who: &Identity) -> Taken<StreamId> {
        StreamId::new(&who.tenant, &self.kind, &self.name).map_err(|_| bad_stream())
    }
}

/// The problem of what names no stream.
pub(crate) fn bad_stream() -> Box<Problem> {
    Reason::BadStream.because("kind and name have a-z, 0-9, dot, underscore and dash").into()
}

fn text(encoded: &str) -> Taken<String> {
    percent::decode(encoded).ok_or_else(|| bad("path", "a part of the path is not percent-encoded text"))
}

fn user(encoded: &str) -> Taken<UserId> {
    let parsed = text(encoded)?.parse();
    parsed.map_err(|_| bad("user", "a user has 1 to 128 bytes and no control characters"))
}

fn event_id(encoded: &str) -> Taken<EventId> {
    text(encoded)?.parse().map_err(|_| {
        let refusal = Reason::BadEventId.because("an event id is a UUID of version 7, hyphenated");
        Box::new(Problem::of(&refusal).of_field("event_id"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: &str = "01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11";

    fn at(method: &str, below: &str) -> Result<Wish, Senseless> {
        Wish::of(&method.parse().unwrap(), &format!("{ROOT}{below}"), "")
    }

    fn code(method: &str, below: &str) -> String {
        match at(method, below) {
            Ok(wish) => panic!("{below} is {wish:?}"),
            Err(Senseless::Problem(problem)) => problem.code,
            Err(Senseless::Method(allow)) => allow.to_owned(),
        }
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        let id = format!("/chat/a/events/{ID}");
        for (method, below) in [
            ("GET", ""),
            ("HEAD", ""),
            ("POST", "/chat"),
            ("GET", "/chat/a"),
            ("GET", "/chat/a/members"),
            ("PUT", "/chat/a/members/bo%2Fx"),
            ("DELETE", "/chat/a/members/%C3%A4"),
            ("GET", "/chat/a/events"),
            ("GET", &id),
            ("PUT", &id),
        ] {
            assert!(at(method, below).is_ok(), "{method} {below}");
        }
        let Ok(Wish::SetMember(_, user)) = at("PUT", "/chat/a/members/bo%2Fx") else { panic!() };
        assert_eq!(user.as_str(), "bo/x", "an escaped slash parts nothing");
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let id = format!("/chat/a/events/{ID}");
        for (method, below, allow) in [
            ("POST", "", "GET, HEAD"),
            ("GET", "/chat", "POST"),
            ("DELETE", "/chat/a", "GET, HEAD"),
            ("PATCH", "/chat/a/members", "GET, HEAD"),
            ("GET", "/chat/a/members/bo", "PUT, DELETE"),
            ("POST", "/chat/a/events", "GET, HEAD"),
            ("BREW", &id, "GET, HEAD, PUT"),
        ] {
            assert_eq!(code(method, below), allow, "{method} {below}");
        }
    }

    #[test]
    fn what_names_nothing_is_a_problem() {
        for below in ["/chat/a/", "/chat/a/b", "/chat/a/events/x/y", &"/x".repeat(5_000), "/chat/a/Members"] {
            assert_eq!(code("GET", below), "not_found", "{below}");
        }
        for id in ["", "x", "01a1fb1d-da00-4c1e-9a40-5f2d8b6e3a11", "%30"] {
            assert_eq!(code("PUT", &format!("/chat/a/events/{id}")), "bad_event_id", "{id}");
        }
        for user in ["", "%00", "%0a", "%7f", "%ff", "%", "%zz", &"x".repeat(129)] {
            assert_eq!(code("PUT", &format!("/chat/a/members/{user}")), "bad_request", "{user}");
        }
    }

    /// G7: whatever a path holds, it names a stream of the asker's tenant or none.
    #[test]
    fn no_path_names_another_tenants_stream() {
        let who =
            Identity { tenant: "acme".into(), user: "ana".parse().unwrap(), issued_ms: 0, expires_ms: 1 };
        let named =
            |kind: &str, name: &str| Target::of(kind, name).unwrap().stream(&who).map(|s| s.to_string());
        assert_eq!(named("chat", "%61").unwrap(), "acme/chat/a");
        assert_eq!(named("chat", "..").unwrap(), "acme/chat/..", "dots are a name like any other");
        for (kind, name) in [
            ("chat", "a%2Fb"),
            ("chat%2Fa", ""),
            ("", "a"),
            ("..%2F..%2Fother", "a"),
            ("chat", "A"),
            ("chat", "%00"),
        ] {
            assert_eq!(named(kind, name).unwrap_err().code, "bad_stream", "{kind} {name}");
        }
    }
}

//! Answers of the edge, all with the region's name; errors are problem details (RFC 9457).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use sha1::{Digest, Sha1};
use sterna_protocol::error::{PROBLEM_JSON, Problem};
use sterna_stream::{Reason, Refusal, Region};

use crate::rest::reply::Reply;

/// An answer: nothing here is large enough to be streamed.
pub(super) type Answer = Response<Full<Bytes>>;

/// The header that names the region that answered.
const REGION: HeaderName = HeaderName::from_static("sterna-region");

const JSON: &str = "application/json";

/// An answer with a JSON body that nobody caches.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    with_body(status, JSON, Bytes::from(body.to_string()))
}

/// An error; `status` is the refusal's, unless HTTP has a closer one.
pub(super) fn problem(refusal: &Refusal, status: Option<StatusCode>) -> Answer {
    let mut problem = Problem::of(refusal);
    if let Some(status) = status {
        problem.status = status.as_u16();
    }
    details(&problem)
}

/// An error whose details are known.
pub(super) fn details(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = with_body(status, PROBLEM_JSON, Bytes::from(problem.to_json()));
    if let Some(seconds) = problem.retry_after_s() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// 405, naming the methods that there are.
pub(super) fn other_method(allow: &'static str) -> Answer {
    let refusal = Reason::BadRequest.because(format!("this address takes {allow}"));
    let mut answer = problem(&refusal, Some(StatusCode::METHOD_NOT_ALLOWED));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// What a request is answered with; one that names what it has (`If-None-Match`) is told if it has not
/// changed.
pub(super) fn reply(reply: Reply, held: Option<&HeaderValue>) -> Answer {
    let tag = reply.tagged.then(|| tag(&reply.body)).flatten();
    let unchanged = tag.as_ref().zip(held).is_some_and(|(tag, held)| names(held, tag));
    let mut answer = match unchanged {
        true => with_body(StatusCode::NOT_MODIFIED, JSON, Bytes::new()),
        false => with_body(reply.status, JSON, reply.body),
    };
    let headers = answer.headers_mut();
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    if let Some(location) = reply.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        headers.insert(LOCATION, location);
    }
    answer
}

/// A strong tag of these bytes.
fn tag(body: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha1::digest(body)))).ok()
}

/// Whether a list of tags names this one; weak ones count, as `If-None-Match` has it.
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let (list, tag) = (list.to_str().unwrap_or_default(), tag.to_str().unwrap_or_default());
    let mut named = list.split(',').map(|one| one.trim_ascii().trim_start_matches("W/"));
    named.any(|one| one == "*" || one == tag)
}

/// `answer`, saying which region gave it.
pub(super) fn from_region(mut answer: Answer, region: &Region) -> Answer {
    if let Ok(name) = HeaderValue::from_str(region.as_str()) {
        answer.headers_mut().insert(REGION, name);
    }
    answer
}

fn with_body(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// E30: every refusal is a problem with its own status, and says in a header when to come back exactly
    /// where repeating can help.
    #[test]
    fn every_refusal_is_a_problem() {
        for reason in Reason::ALL {
            let refusal = reason.because("so");
            let answer = problem(&refusal, None);
            assert_eq!(answer.status().as_u16(), reason.http_status(), "{reason:?}");
            assert_eq!(answer.headers()[CONTENT_TYPE], PROBLEM_JSON);
            let again = answer.headers().get(RETRY_AFTER).map(|seconds| seconds.to_str().unwrap());
            assert_eq!(again, refusal.retry_after_ms.map(|_| "1"), "{reason:?}");
            let challenged = answer.headers().contains_key(WWW_AUTHENTICATE);
            assert_eq!(challenged, reason.http_status() == 401, "{reason:?}");
        }
        let waits = problem(&Reason::RateLimited.because("so").after_ms(1_001), None);
        assert_eq!(waits.headers()[RETRY_AFTER], "2", "whole seconds, never too early");
    }

    #[test]
    fn a_tag_is_named_alone_in_a_list_or_by_a_star() {
        let tag = tag(b"body").unwrap();
        let text = tag.to_str().unwrap();
        for list in [text.to_owned(), format!("\"x\", W/{text}"), "*".to_owned()] {
            assert!(names(&HeaderValue::from_str(&list).unwrap(), &tag), "{list}");
        }
        for list in ["\"x\"", "", "W/", &text[1..]] {
            assert!(!names(&HeaderValue::from_str(list).unwrap(), &tag), "{list}");
        }
    }
}

//! Answers of the edge, all with the region's name; errors are problem details (RFC 9457).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;
use sterna_protocol::error::{PROBLEM_JSON, Problem};
use sterna_stream::{Refusal, Region};

/// An answer: nothing here is large enough to be streamed.
pub(super) type Answer = Response<Full<Bytes>>;

/// The header that names the region that answered.
const REGION: HeaderName = HeaderName::from_static("sterna-region");

/// An answer with a JSON body that nobody caches.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    with_body(status, "application/json", Bytes::from(body.to_string()))
}

/// An error; `status` is the refusal's, unless HTTP has a closer one.
pub(super) fn problem(refusal: &Refusal, status: Option<StatusCode>) -> Answer {
    let mut problem = Problem::of(refusal);
    if let Some(status) = status {
        problem.status = status.as_u16();
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = with_body(status, PROBLEM_JSON, Bytes::from(problem.to_json()));
    if let Some(seconds) = problem.retry_after_s() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
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

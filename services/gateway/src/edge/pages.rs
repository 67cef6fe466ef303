//! Which web pages may ask and read answers (CORS): those that may connect, and no others.
//!
//! Tokens travel in a header that a page sets by itself, so a page of another origin gains nothing from a
//! browser's being logged in; the list keeps it out all the same.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;

use super::Config;
use super::answer::{Answer, from_region};

/// Whether a browser asks beforehand what a page may ask.
pub(super) fn is_preflight(request: &Parts) -> bool {
    request.method == Method::OPTIONS && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that, for a page that may.
pub(super) fn preflight() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static("authorization, content-type, if-none-match");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer
}

/// `answer`, naming the region and, to a page that may, that it can be read.
pub(super) fn marked(config: &Config, request: &Parts, answer: Answer) -> Answer {
    let mut answer = from_region(answer, &config.region);
    if let Some(origin) = request.headers.get(ORIGIN)
        && config.origins.accept(&request.headers)
    {
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("origin"));
        let exposed = HeaderValue::from_static("sterna-region, retry-after, etag, location, allow");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    answer
}

//! A request below `/v1/streams`: who asks and what, then its body, then the shard's answer.
//!
//! Cheapest check first; a body is read only for whoever may send one, in bounded size and time, and counted
//! before it is kept. What is refused is refused with problem details, never with bare HTTP.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, IF_NONE_MATCH,
};
use http::request::Parts;
use http_body_util::BodyExt;
use sterna_stream::limits::FRAME_BYTES;
use sterna_stream::{Reason, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, timeout_at};

use super::answer::{self, Answer};
use super::route::{STOPPING_RETRY, overloaded};
use super::{Inner, Standing, pages};
use crate::rest::users::Seat;
use crate::rest::wish::{Senseless, Wish};

/// Longest body: what fits a frame.
pub const BODY_BYTES: usize = FRAME_BYTES;
/// A body must be there so long after its header.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// A refusal, under a status that says it more closely than its own.
type Refused = (Refusal, Option<StatusCode>);

/// Answers one request.
pub(super) async fn answer<S>(
    edge: &Inner<S>,
    seat: &RefCell<Option<Seat>>,
    head: &Parts,
    body: hyper::body::Incoming,
) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    if !edge.config.origins.accept(&head.headers) {
        let refusal = Reason::OriginNotAllowed.because("add this origin to the gateway's allow-list");
        return answer::problem(&refusal, None);
    }
    if pages::is_preflight(head) {
        return pages::preflight();
    }
    let query = head.uri.query().unwrap_or_default();
    let wish = match Wish::of(&head.method, head.uri.path(), query) {
        Ok(wish) => wish,
        Err(Senseless::Method(allow)) => return answer::other_method(allow),
        Err(Senseless::Problem(problem)) => {
            let judged = match (edge.gateway)() {
                Some(gateway) => gateway.rest().judged(problem),
                None => problem,
            };
            return answer::details(&judged);
        }
    };
    let rest = match (edge.gateway)() {
        Some(gateway) if edge.standing() != Standing::Stopping => gateway.rest(),
        _ => return *overloaded("this gateway is stopping", STOPPING_RETRY),
    };
    let who = match rest.enter(token(&head.headers), &mut seat.borrow_mut()) {
        Ok(who) => who,
        Err(refusal) => return answer::problem(&refusal, None),
    };
    let body = match wish.has_body() {
        true => match taken(&head.headers, body).await {
            Ok(body) => body,
            Err((refusal, status)) => return answer::problem(&refusal, status),
        },
        false => Bytes::new(),
    };
    match rest.answer(wish, who, body).await {
        Ok(reply) => answer::reply(reply, single(&head.headers, &IF_NONE_MATCH)),
        Err(problem) => answer::details(&problem),
    }
}

/// The token of `Authorization: Bearer <token>`, which stands there once.
fn token(headers: &HeaderMap) -> Option<&str> {
    let value = single(headers, &AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_ascii())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a http::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The body, if it is JSON as it stands, and small and quick enough.
async fn taken(headers: &HeaderMap, mut body: hyper::body::Incoming) -> Result<Bytes, Refused> {
    if !is_json(headers) || headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let refusal = Reason::BadRequest.because("expected Content-Type: application/json, not encoded");
        return Err((refusal, Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)));
    }
    let announced = single(headers, &CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > BODY_BYTES as u64) {
        return Err(too_large());
    }
    let until = Instant::now() + BODY_TIME;
    let mut bytes = BytesMut::new();
    loop {
        let Ok(frame) = timeout_at(until, body.frame()).await else {
            let refusal = Reason::BadRequest.because("the body did not come in time");
            return Err((refusal, Some(StatusCode::REQUEST_TIMEOUT)));
        };
        match frame {
            None => return Ok(bytes.freeze()),
            Some(Err(_)) => return Err((Reason::BadRequest.because("the body was cut short"), None)),
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else { continue };
                if bytes.len() + data.len() > BODY_BYTES {
                    return Err(too_large());
                }
                bytes.extend_from_slice(data);
            }
        }
    }
}

fn too_large() -> Refused {
    (Reason::PayloadTooLarge.because("a body has at most 64 KiB: put large content into files"), None)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = single(headers, &CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case("application/json")
}

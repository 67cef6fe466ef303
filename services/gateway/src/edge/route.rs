//! Which request is answered how. Every answer is made at once: nothing here asks another role.

use std::rc::Rc;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use sterna_stream::Reason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant};

use super::answer::{self, Answer, from_region};
use super::{Inner, Standing, handshake};
use crate::wire::Encoding;

/// When to come back to a gateway that ends: by then its place is taken.
const STOPPING_RETRY: Duration = Duration::from_secs(1);

/// Answers a request; for an upgrade, also what is spoken after the answer.
pub(super) fn answer<S>(edge: &Rc<Inner<S>>, request: &Parts) -> (Answer, Option<Encoding>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let standing = edge.standing();
    let gets = request.method == Method::GET;
    let mut agreed = None;
    let answer = match request.uri.path() {
        "/v1/connect" => upgrade(edge, request, standing).map_or_else(
            |refused| {
                edge.count(|counters| counters.upgrades_refused += 1);
                *refused
            },
            |(answer, encoding)| {
                agreed = Some(encoding);
                answer
            },
        ),
        "/health/live" if gets => health(true, standing),
        "/health/target" if gets => health(standing != Standing::Stopping, standing),
        "/health/route53" | "/v1/health" if gets => health(standing == Standing::Serving, standing),
        "/v1/regions" if gets => regions(edge),
        _ => answer::problem(&Reason::NotFound.because("see docs/protocol.md for what is served"), None),
    };
    (from_region(shared(edge, request, answer), &edge.config.region), agreed)
}

fn upgrade<S>(
    edge: &Inner<S>,
    request: &Parts,
    standing: Standing,
) -> Result<(Answer, Encoding), Box<Answer>> {
    if standing == Standing::Stopping {
        return Err(overloaded("this gateway is stopping", STOPPING_RETRY));
    }
    if let Err(wait) = edge.handshakes.borrow_mut().take(Instant::now()) {
        return Err(overloaded("too many connections per second", wait));
    }
    let agreed = handshake::check(request, &edge.config.origins)?;
    let encoding = agreed.encoding;
    Ok((agreed.answer(), encoding))
}

fn overloaded(why: &str, wait: Duration) -> Box<Answer> {
    let mut refusal = Reason::Overloaded.because(why);
    refusal.retry_after_ms = Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
    Box::new(answer::problem(&refusal, None))
}

fn health(good: bool, standing: Standing) -> Answer {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let stands = match standing {
        Standing::Serving => "serving",
        Standing::Leaving => "leaving",
        Standing::Stopping => "stopping",
    };
    answer::json(status, &json!({ "status": stands }))
}

fn regions<S>(edge: &Inner<S>) -> Answer {
    let endpoints = &edge.config.endpoints;
    let regions: Vec<_> =
        endpoints.iter().map(|one| json!({ "region": one.region.as_str(), "url": one.url })).collect();
    answer::json(StatusCode::OK, &json!({ "regions": regions }))
}

/// `answer`, readable by a page that is allowed to connect (CORS).
fn shared<S>(edge: &Inner<S>, request: &Parts, mut answer: Answer) -> Answer {
    if let Some(origin) = request.headers.get(ORIGIN)
        && edge.config.origins.accept(&request.headers)
    {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    }
    answer
}

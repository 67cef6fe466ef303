//! What the edge answers by itself, at once: health, regions, upgrades, and that nothing is served elsewhere.

use std::rc::Rc;

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;
use sterna_stream::Reason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant};

use super::answer::{self, Answer};
use super::{Inner, Standing, handshake};
use crate::rest::wish::nothing_here;
use crate::wire::Encoding;

/// When to come back to a gateway that ends: by then its place is taken.
pub(super) const STOPPING_RETRY: Duration = Duration::from_secs(1);
/// When to come back to a gateway that is full: places become free by the second where there are many.
const FULL_RETRY: Duration = Duration::from_secs(5);

/// Answers a request that no other role is asked for; for an upgrade, also what is spoken after the answer.
pub(super) fn answer<S>(edge: &Rc<Inner<S>>, request: &Parts) -> (Answer, Option<Encoding>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let standing = edge.standing();
    let path = request.uri.path();
    if path == "/v1/connect" {
        return match upgrade(edge, request, standing) {
            Ok((answer, encoding)) => (answer, Some(encoding)),
            Err(refused) => {
                edge.count(|counters| counters.upgrades_refused += 1);
                (*refused, None)
            }
        };
    }
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let answer = match path {
        path if !reads && (is_about_health(path) || path == "/v1/regions") => {
            answer::other_method("GET, HEAD")
        }
        "/health/live" => health(true, standing),
        "/health/target" => health(standing != Standing::Stopping, standing),
        "/health/route53" | "/v1/health" => health(standing == Standing::Serving, standing),
        "/v1/regions" => regions(edge),
        _ => answer::problem(&nothing_here(), None),
    };
    (answer, None)
}

/// Whether this asks how the region stands here.
pub(super) fn is_about_health(path: &str) -> bool {
    matches!(path, "/health/live" | "/health/target" | "/health/route53" | "/v1/health")
}

fn upgrade<S: AsyncRead + AsyncWrite + Unpin + 'static>(
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
    if (edge.gateway)().is_some_and(|gateway| !gateway.has_room()) {
        return Err(overloaded("this gateway has no place for another session", FULL_RETRY));
    }
    let agreed = handshake::check(request, &edge.config.origins)?;
    let encoding = agreed.encoding;
    Ok((agreed.answer(), encoding))
}

pub(super) fn overloaded(why: &str, wait: Duration) -> Box<Answer> {
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

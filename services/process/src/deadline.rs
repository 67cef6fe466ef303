//! Deadlines: the layer that makes `grpc-timeout` true on both sides of every link.
//!
//! A caller sets it with `Request::set_timeout`. The caller's side stops waiting then, whatever the other
//! side does; the serving side drops the handler then, and ends the response with `deadline_exceeded`. It
//! covers the whole call, the response stream included. A call without one has no bound here: long-lived
//! streams have none. (Generated code does not enforce the header; the stock channel and server do up to the
//! response's headers only.)

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

/// When the caller stops waiting; among a request's extensions where it set a timeout, for handlers that call
/// further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The deadline of a call by its `grpc-timeout` header, counted from now.
    fn of(headers: &HeaderMap) -> Result<Option<Deadline>, Status> {
        let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
        let timeout = value.to_str().ok().and_then(parse);
        let timeout = timeout.ok_or_else(|| Status::invalid_argument("unreadable grpc-timeout"))?;
        Ok(Some(Deadline(Instant::now() + timeout)))
    }
}

pub(crate) fn exceeded() -> Status {
    Status::deadline_exceeded("the call took longer than its caller waits")
}

/// 1 to 8 digits and a unit, of gRPC over HTTP/2.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Runs a call under the deadline that its request carries.
pub(crate) async fn bounded<F>(
    mut request: Request<Body>,
    call: impl FnOnce(Request<Body>) -> F,
) -> Result<Response<Body>, Status>
where
    F: Future<Output = Result<Response<Body>, Status>>,
{
    let Some(deadline) = Deadline::of(request.headers())? else {
        return call(request).await;
    };
    request.extensions_mut().insert(deadline);
    let response = tokio::time::timeout_at(deadline.0, call(request)).await.map_err(|_| exceeded())??;
    Ok(response.map(|body| BoundedBody::wrap(body, deadline)))
}

/// A response body that ends with `deadline_exceeded` in its trailers.
struct BoundedBody {
    body: Option<Body>,
    sleep: Pin<Box<Sleep>>,
}

impl BoundedBody {
    fn wrap(body: Body, deadline: Deadline) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(BoundedBody { body: Some(body), sleep: Box::pin(tokio::time::sleep_until(deadline.0)) })
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        std::task::ready!(self.sleep.as_mut().poll(cx));
        self.body = None;
        let mut trailers = HeaderMap::new();
        exceeded().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

#[cfg(test)]
mod tests;

//! Places for health checks, when all others are taken (G9).
//!
//! One beyond [`super::Limits::connections`], none of which is silent, is taken on all the same, for
//! one question about health; anything else is told when to come back. When these places are taken, too, the
//! one that has been there longest makes room. A health check asks at once and so is answered before it is
//! the oldest.

use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sterna_process::End;
use sterna_stream::limits::HEALTH_CONNECTIONS;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, timeout};

use super::{HEADER_BYTES, HEADER_TIME, HEADERS, Inner, framing, pages, route};

/// When to come back for anything but health.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// Answers one request on `socket`.
pub(super) fn connect<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: Rc<Inner<S>>, socket: S) {
    if inner.spare.len() >= HEALTH_CONNECTIONS {
        inner.spare.make_room();
    }
    let (place, closed) = inner.spare.join();
    let edge = inner.clone();
    let work = async move {
        let service = service_fn(|request: Request<Incoming>| {
            let (head, _) = request.into_parts();
            let answer = match route::is_about_health(head.uri.path()) {
                true => framing::refused(&head).unwrap_or_else(|| route::answer(&edge, &head).0),
                false => *route::overloaded("this gateway has all the connections it takes", FULL_RETRY),
            };
            ready(Ok::<_, Infallible>(pages::marked(&edge.config, &head, answer)))
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).keep_alive(false);
        http.max_buf_size(HEADER_BYTES).max_headers(HEADERS);
        // Whoever breaks off or takes too long asks again.
        let _ = timeout(HEADER_TIME, http.serve_connection(TokioIo::new(socket), service)).await;
    };
    inner.process.clone().spawn_local("a connection in a spare place", End::Expected, async move {
        tokio::select! {
            biased;
            _ = closed => {}
            () = Box::pin(work) => {}
        }
        drop(place);
    });
}

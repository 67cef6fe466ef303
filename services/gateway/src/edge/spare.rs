//! Places for health checks, when all others are taken (G9).
//!
//! What a connection is for is not known before it asked. So one beyond [`super::Limits::connections`] is
//! taken on all the same, for one question about health; anything else is told when to come back. When these
//! places are taken, too, the one that has been there longest makes room. A health check asks at once and so
//! is answered before it is the oldest; whoever says nothing holds nobody up.

use std::collections::VecDeque;
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
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

use super::{HEADER_BYTES, HEADER_TIME, HEADERS, Inner, framing, pages, route};

/// When to come back for anything but health.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// Who is in these places, the oldest first. Whoever is dropped from here is closed.
#[derive(Default)]
pub(super) struct Spare {
    last: u64,
    taken: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Spare {
    fn take(&mut self) -> (u64, oneshot::Receiver<()>) {
        if self.taken.len() >= HEALTH_CONNECTIONS {
            self.taken.pop_front();
        }
        self.last += 1;
        let (place, closed) = oneshot::channel();
        self.taken.push_back((self.last, place));
        (self.last, closed)
    }

    fn leave(&mut self, number: u64) {
        self.taken.retain(|(other, _)| *other != number);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }
}

/// Answers one request on `socket`.
pub(super) fn connect<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: Rc<Inner<S>>, socket: S) {
    let (number, closed) = inner.spare.borrow_mut().take();
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
            () = Box::pin(work) => inner.spare.borrow_mut().leave(number),
        }
    });
}

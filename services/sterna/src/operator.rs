//! What operators ask of a running region, on an address of its own that clients never see: `GET /metrics`.
//!
//! It asks no token: whoever reaches the address may read it, so it is loopback unless it is configured
//! otherwise. Nothing here changes anything. Connections are few and short; one more is closed unanswered.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sterna_gateway::edge::bind;
use sterna_process::{End, Process};
use sterna_stream::limits::OPERATOR_CONNECTIONS;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::metrics::{self, Bounds, Seen, text};
use crate::site::Site;

/// Longest that one connection may take, from its first byte to the end of its answer.
pub const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Longest that a connection may hold a place without having asked: whoever is silent makes room for probes.
pub const QUESTION_TIME: Duration = Duration::from_secs(2);
/// How long to wait after the system had no socket to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A listener on the operators' address.
///
/// # Errors
/// The system's: the address is not ours, or taken.
pub fn claim(address: SocketAddr) -> std::io::Result<TcpListener> {
    drop(std::net::TcpListener::bind(address)?);
    bind(address)
}

/// Answers on `listener`, as tasks of `owner`, until that ends.
pub fn listen(listener: TcpListener, owner: &Process, site: Rc<Site>, bounds: Bounds) {
    let (tasks, open) = (owner.clone(), Rc::new(Cell::new(0)));
    owner.spawn_local("the operators' listener", End::Fatal, async move {
        loop {
            match listener.accept().await {
                Ok(_) if open.get() >= OPERATOR_CONNECTIONS => {}
                Ok((socket, _)) => {
                    let (seat, site) = (Seat::take(&open), site.clone());
                    let answer = answer(socket, move |request| {
                        let site = site.clone();
                        async move { reply(&request, &site, bounds).await }
                    });
                    tasks.spawn_local("an operator's question", End::Expected, async move {
                        // Whoever takes too long or breaks off asks again.
                        let _ = timeout(CONNECTION_TIME, Box::pin(answer)).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    });
}

/// One connection among [`OPERATOR_CONNECTIONS`].
struct Seat(Rc<Cell<usize>>);

impl Seat {
    fn take(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self(open.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn answer<S, A>(socket: S, reply: impl Fn(Request<Incoming>) -> A) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answered = reply(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(QUESTION_TIME).keep_alive(false);
    http.serve_connection(TokioIo::new(socket), service).await
}

async fn reply(request: &Request<Incoming>, site: &Site, bounds: Bounds) -> Response<Full<Bytes>> {
    let says = |status: StatusCode, media_type: &'static str, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let seen = Seen { shards: site.figures().await, roles: site.role_figures(), bounds };
            says(StatusCode::OK, text::MEDIA_TYPE, metrics::page(&seen).text())
        }
        (_, "/metrics") => says(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "ask with GET\n".to_owned()),
        _ => says(StatusCode::NOT_FOUND, "text/plain", "there is /metrics here\n".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sterna_process::paused;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    /// G9: a place is held for as long as a question may take, and by one that is never ended no longer.
    #[test]
    fn who_asks_nothing_is_closed_when_the_question_is_due() {
        for says in ["", "GET /metrics HTTP/1.1\r\nHost: "] {
            paused(async {
                let ((mut ours, theirs), started) = (duplex(1024), Instant::now());
                ours.write_all(says.as_bytes()).await.unwrap();
                let nothing = async |_| Response::new(Full::new(Bytes::new()));
                assert!(answer(theirs, nothing).await.is_err(), "{says}");
                assert_eq!(started.elapsed(), QUESTION_TIME, "{says}");
                ours.read_to_end(&mut Vec::new()).await.unwrap();
            });
        }
    }
}

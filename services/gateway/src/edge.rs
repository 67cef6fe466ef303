//! The edge: HTTP/1.1 in front of one shard, on the shard's own thread (docs/protocol.md, sections 1 and 9).
//!
//! [`Edge::connect`] speaks HTTP on any byte stream; [`Edge::listen`] takes TCP connections. A socket that
//! was upgraded leaves HTTP for good: the bare socket and whatever came behind the upgrade go to the shard,
//! and none of HTTP's buffers stay with the session. `framing` refuses what is no good HTTP, `handshake`
//! decides who is upgraded, `route` answers what needs nobody else, `request` takes everything below
//! `/v1/streams` to the shard, `pages` says which web pages may read an answer, `silent` knows who makes room
//! when all places are taken, `spare` keeps some for health checks, `listen` makes sockets.
//!
//! The edge is a process of its own, beside the shard's: it answers health checks while the shard drains or
//! is being restarted. It knows no token and no stream. Absent: TLS, which ends before it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;

use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use sterna_process::{End, Process};
use sterna_protocol::frame::Endpoint;
use sterna_stream::Region;
use sterna_stream::limits::HTTP_CONNECTIONS;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, timeout};

use self::answer::Answer;
use self::handshakes::Handshakes;
use self::silent::{Place, Silent};
use crate::gateway::Gateway;
use crate::rest::users::Seat;
use crate::rest::wish::Wish;
use crate::wire::Encoding;

mod answer;
mod framing;
mod handshake;
mod handshakes;
mod listen;
mod pages;
mod request;
mod route;
mod silent;
mod spare;

#[cfg(test)]
mod tests;

pub use listen::bind;
pub use request::{BODY_BYTES, BODY_TIME};

/// Longest request header, bytes; 431 beyond.
pub const HEADER_BYTES: usize = 20 * 1024;
/// Most header lines; 431 beyond.
pub const HEADERS: usize = 64;
/// A request's header must be there so long after the connection, or after the answer before it; the
/// connection is closed then.
pub const HEADER_TIME: Duration = Duration::from_secs(5);
/// Longest that a connection speaks HTTP before it is upgraded or closed; a request that is being answered
/// then …
pub const HTTP_TIME: Duration = Duration::from_secs(60);
/// … has so long to end.
pub const LAST_ANSWER_TIME: Duration = Duration::from_secs(30);

/// What an edge is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region; every answer names it in `Sterna-Region`.
    pub region: Region,
    /// The regions' endpoints, for `GET /v1/regions`.
    pub endpoints: Vec<Endpoint>,
    /// Web pages that may connect.
    pub origins: Origins,
    /// What it takes on.
    pub limits: Limits,
}

/// What an operator may tune.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Upgrades per second, three seconds' worth at once; 503 with `Retry-After` beyond.
    pub handshakes_per_s: u32,
    /// Connections that speak HTTP at a time. For one more the longest silent makes room; where none is
    /// silent, it may ask for health and nothing else ([`sterna_stream::limits::HEALTH_CONNECTIONS`]).
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { handshakes_per_s: 500, connections: HTTP_CONNECTIONS }
    }
}

/// Whose pages may connect, by the header `Origin`. What is no browser sends none, and may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's.
    Any,
    /// These (`https://app.example.com`), compared as bytes.
    Listed(Vec<String>),
}

/// What the region says of itself, here: three answers, never one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything is 200.
    Serving,
    /// The region is being emptied: no longer for DNS, still for the load balancer.
    Leaving,
    /// This gateway ends: alive, and nothing else.
    Stopping,
}

/// What an edge is made of.
pub struct Parts<S> {
    /// The owner of its tasks: not the shard's, which may end or crash on its own.
    pub process: Process,
    /// The shard that stands behind it now, if any.
    pub gateway: Rc<dyn Fn() -> Option<Gateway<S>>>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections taken on.
    pub connections: u64,
    /// Connections beyond [`Limits::connections`], none of which was silent, which may ask for health only.
    pub connections_refused: u64,
    /// Connections that ended in an error: cut, malformed, too slow, or silent where another needed a place.
    pub connections_failed: u64,
    /// Sockets handed to the shard.
    pub upgrades: u64,
    /// Handshakes refused, for whatever reason.
    pub upgrades_refused: u64,
}

/// The edge of one shard; clones name the same one.
pub struct Edge<S>(Rc<Inner<S>>);

struct Inner<S> {
    config: Config,
    process: Process,
    gateway: Rc<dyn Fn() -> Option<Gateway<S>>>,
    standing: Cell<Standing>,
    handshakes: RefCell<Handshakes>,
    open: Cell<usize>,
    /// Of those that are counted in `open`.
    silent: Silent,
    spare: Silent,
    counters: Cell<Counters>,
}

impl<S> Clone for Edge<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

// === impl Edge ===

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Edge<S> {
    /// An edge that serves.
    pub fn new(config: Config, parts: Parts<S>) -> Self {
        let handshakes = RefCell::new(Handshakes::new(config.limits.handshakes_per_s, Instant::now()));
        Self(Rc::new(Inner {
            config,
            process: parts.process,
            gateway: parts.gateway,
            standing: Cell::new(Standing::Serving),
            handshakes,
            open: Cell::new(0),
            silent: Silent::default(),
            spare: Silent::default(),
            counters: Cell::default(),
        }))
    }

    /// What is answered from now on.
    pub fn stand(&self, standing: Standing) {
        self.0.standing.set(standing);
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.0.counters.get()
    }

    /// Speaks HTTP on `socket` until it is upgraded or closed.
    pub fn connect(&self, socket: S) {
        let inner = self.0.clone();
        if inner.is_full() && !inner.silent.make_room() {
            inner.count(|counters| counters.connections_refused += 1);
            return spare::connect(inner, socket);
        }
        inner.count(|counters| counters.connections += 1);
        let open = Open::new(inner.clone());
        let (place, closed) = inner.silent.join();
        self.0.process.spawn_local("a connection", End::Expected, async move {
            let spoken = timeout(HTTP_TIME + LAST_ANSWER_TIME, Box::pin(inner.speak(socket, place)));
            let good = tokio::select! {
                biased;
                _ = closed => false,
                spoken = spoken => matches!(spoken, Ok(Ok(()))),
            };
            if !good {
                inner.count(|counters| counters.connections_failed += 1);
            }
            drop(open);
        });
    }
}

// === impl Inner ===

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// Whether another connection needs somebody's place.
    fn is_full(&self) -> bool {
        self.open.get() >= self.config.limits.connections
    }

    async fn speak(self: &Rc<Self>, socket: S, place: Place) -> Result<(), hyper::Error> {
        let place = Rc::new(place);
        let service = Requests { edge: self.clone(), place, agreed: Rc::default(), seat: Rc::default() };
        let agreed = service.agreed.clone();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
        http.max_buf_size(HEADER_BYTES).max_headers(HEADERS);
        let mut connection = http.serve_connection(TokioIo::new(socket), service);
        let drain = self.process.drain_signal();
        let mut ends = Box::pin(timeout(HTTP_TIME, drain.raised()));
        let mut leaving = false;
        poll_fn(|context| {
            if !leaving && ends.as_mut().poll(context).is_ready() {
                leaving = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(context)
        })
        .await?;
        let Some(encoding) = agreed.get() else { return Ok(()) };
        let parts = connection.into_parts();
        if let Some(gateway) = (self.gateway)()
            && gateway.accept(parts.io.into_inner(), encoding, parts.read_buf.to_vec()).is_ok()
        {
            self.count(|counters| counters.upgrades += 1);
        } else {
            // Its place was taken, or the shard went, between the answer and now.
            self.count(|counters| counters.upgrades_refused += 1);
        }
        Ok(())
    }

    /// What it stands for now: without a shard it serves nobody; where the region's clock contradicts the
    /// others' nobody is to be sent (E14).
    fn standing(&self) -> Standing {
        match ((self.gateway)(), self.standing.get()) {
            (None, _) => Standing::Stopping,
            (Some(gateway), Standing::Serving) if gateway.0.process.clock().is_apart() => Standing::Leaving,
            (Some(_), standing) => standing,
        }
    }
}

impl<S> Inner<S> {
    fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }
}

// === impl Open ===

/// One connection that speaks HTTP, counted as long as it does.
struct Open<S>(Rc<Inner<S>>);

impl<S> Open<S> {
    fn new(inner: Rc<Inner<S>>) -> Self {
        inner.open.set(inner.open.get() + 1);
        Self(inner)
    }
}

impl<S> Drop for Open<S> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

// === impl Requests ===

/// One connection's requests, and what its last one agreed on.
struct Requests<S> {
    edge: Rc<Inner<S>>,
    place: Rc<Place>,
    agreed: Rc<Cell<Option<Encoding>>>,
    /// The place of whoever asked last among their connections.
    seat: Rc<RefCell<Option<Seat>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Service<http::Request<hyper::body::Incoming>>
    for Requests<S>
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>>>>;

    fn call(&self, request: http::Request<hyper::body::Incoming>) -> Self::Future {
        self.place.speaks();
        let (head, body) = request.into_parts();
        let edge = self.edge.clone();
        let refused = framing::refused(&head);
        if refused.is_none() && Wish::is_at(head.uri.path()) {
            let (seat, place) = (self.seat.clone(), self.place.clone());
            return Box::pin(async move {
                let answer = request::answer(&edge, &seat, &head, body).await;
                place.falls_silent();
                Ok(pages::marked(&edge.config, &head, answer))
            });
        }
        let (answer, agreed) = refused.map_or_else(|| route::answer(&edge, &head), |answer| (answer, None));
        if agreed.is_none() {
            self.place.falls_silent();
        }
        self.agreed.set(agreed);
        let answer = pages::marked(&edge.config, &head, answer);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

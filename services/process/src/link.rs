//! The one type by which a role calls another (E33): in the same process it *is* the other role's routes,
//! across processes an HTTP/2 connection. Generated clients take a [`Link`] and cannot tell.
//!
//! Guarantees: a call ends with the other side's full answer, its refusal, `deadline_exceeded`, or
//! `unavailable` (gone, cut, or dying underway: the call may or may not have had its effect). A message
//! stream has a window of at most [`STREAM_WINDOW`]. Connections are made when first needed, and again after
//! they broke. Nothing is retried here.

mod connection;
mod pipe;
mod slot;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, Uri};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

pub use connection::{CONNECTION_WINDOW, Dial, Io, STREAM_WINDOW};
pub(crate) use connection::{KEEP_ALIVE_EVERY, KEEP_ALIVE_TIMEOUT};
pub use pipe::{Pipe, PipeListener};
pub use slot::Slot;

use crate::caller::{CALLER_HEADER, Caller, CallerKeys};
use crate::deadline;
use crate::gate::{Gate, Gated, GatedBody, Gone, unavailable};
use crate::{Exit, Process};
use connection::Connection;

/// A way to call one other role instance. Clones share its connection; calls on all of them run side by side.
#[derive(Clone)]
pub struct Link {
    carrier: Arc<Carrier>,
    caller: Option<Arc<CallingSide>>,
    switch: Option<Gate>,
}

/// The kill switch of a link: for tests, fault injection, and peers that were told to leave.
#[derive(Clone)]
pub struct LinkSwitch(Gate);

enum Carrier {
    Direct { callee: Gate, routes: Routes },
    Connection(Connection),
    Slot(Slot),
}

struct CallingSide {
    gate: Gate,
    identity: HeaderValue,
}

impl Link {
    /// Calls `routes` of `callee`, a role of this process, by function call: the handler is polled by the
    /// caller's task, behind the gate of `callee`.
    pub fn direct(callee: &Process, routes: Routes) -> Link {
        Link::new(Carrier::Direct { callee: callee.gate().clone(), routes: routes.prepare() })
    }

    /// Calls whoever listens on `pipe`, by HTTP/2 in memory. The connection's tasks belong to `caller`.
    pub fn duplex(caller: &Process, pipe: &Pipe) -> Link {
        Link::dialing(caller, Uri::from_static("http://pipe"), Arc::new(pipe.clone()))
    }

    /// Calls the server at `uri` (`http://host:port`) over TCP. The connection's tasks belong to `caller`.
    pub fn tcp(caller: &Process, uri: Uri) -> Link {
        let dial = connection::tcp(&uri);
        Link::dialing(caller, uri, dial)
    }

    /// Calls by HTTP/2 over whatever `dial` opens. The connection's tasks belong to `caller`.
    pub fn dialing(caller: &Process, origin: Uri, dial: Arc<dyn Dial>) -> Link {
        Link::new(Carrier::Connection(Connection::new(caller, origin, dial)))
    }

    fn new(carrier: Carrier) -> Link {
        Link { carrier: Arc::new(carrier), caller: None, switch: None }
    }

    /// The same link as `process` uses it in the name of `caller`: requests carry that identity, and their
    /// streams end with the process. Every link between roles should be made so.
    #[must_use]
    pub fn called_by(&self, process: &Process, caller: &Caller, keys: &CallerKeys) -> Link {
        let side = CallingSide { gate: process.gate().clone(), identity: keys.sign(caller) };
        Link { caller: Some(Arc::new(side)), ..self.clone() }
    }

    /// The same peer over a connection of its own, for a long-lived stream: one that stalls fills its
    /// connection's window ([`CONNECTION_WINDOW`]) and would starve the others (rule E16). A direct link
    /// shares nothing to begin with.
    #[must_use]
    pub fn own_connection(&self) -> Link {
        let carrier = match &*self.carrier {
            Carrier::Direct { .. } | Carrier::Slot(_) => self.carrier.clone(),
            Carrier::Connection(connection) => Arc::new(Carrier::Connection(connection.another())),
        };
        Link { carrier, ..self.clone() }
    }

    /// The same link behind a switch. Links made from the result are behind it, too.
    pub fn switched(&self) -> (Link, LinkSwitch) {
        let switch = Gate::open();
        (Link { switch: Some(switch.clone()), ..self.clone() }, LinkSwitch(switch))
    }

    async fn carry(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Some(switch) = self.switch.clone() else { return self.carry_on(request).await };
        let call = Gated::new(&switch, self.carry_on(request));
        let response = call.await.map_err(|_| unavailable())??;
        Ok(response.map(|body| GatedBody::wrap(&switch, body, None)))
    }

    /// One call. From the outside in: identity and caller's gate, deadline, the way itself.
    async fn carry_on(self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        if let Some(side) = &self.caller {
            if side.gate.is_dead() {
                return Err(unavailable());
            }
            request.headers_mut().insert(CALLER_HEADER, side.identity.clone());
            if let Carrier::Direct { .. } | Carrier::Slot(_) = &*self.carrier {
                request = request.map(|body| GatedBody::wrap(&side.gate, body, None));
            }
        }
        let carrier = &*self.carrier;
        deadline::bounded(request, |request| async move {
            match carrier {
                Carrier::Direct { callee, routes } => direct(callee, routes.clone(), request).await,
                Carrier::Connection(connection) => connection.call(request).await,
                Carrier::Slot(slot) => match slot.filler() {
                    Some(link) => Box::pin(link.carry(request)).await,
                    None => Err(unavailable()),
                },
            }
        })
        .await
    }
}

impl LinkSwitch {
    /// Holds up or lets pass everything on the link.
    pub fn pause(&self, on: bool) {
        self.0.pause(on);
    }

    /// Ends everything on the link with `unavailable`, what is underway too, for ever.
    pub fn cut(&self) {
        self.0.kill();
    }
}

/// A call of a role in this process: its handler and its response body are polled here, behind its own gate.
async fn direct(callee: &Gate, mut routes: Routes, request: Request<Body>) -> Result<Response<Body>, Status> {
    if callee.is_dead() {
        return Err(unavailable());
    }
    let busy = callee.busy();
    let answer = async move { routes.call(request).await };
    match Gated::new(callee, answer).await {
        Ok(Ok(response)) => Ok(response.map(|body| GatedBody::wrap(callee, body, Some(busy)))),
        Ok(Err(never)) => match never {},
        Err(Gone::Dead) => Err(unavailable()),
        Err(Gone::Panicked) => {
            tracing::error!("a handler panicked");
            callee.report(Exit::Panicked("a handler"));
            Err(unavailable())
        }
    }
}

impl Service<Request<Body>> for Link {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    /// Always ready: a call waits for its connection itself.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().carry(request))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = match &*self.carrier {
            Carrier::Direct { .. } => "direct",
            Carrier::Connection(_) => "connection",
            Carrier::Slot(_) => "slot",
        };
        f.debug_struct("Link").field("way", &way).finish_non_exhaustive()
    }
}

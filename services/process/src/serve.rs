//! The serving side of links that cross processes: gRPC over HTTP/2 on our own accept loop.
//!
//! Guarantees (E34): the accept loop, every connection and every call are tasks of the owner, so they end
//! with it; the stock server spawns its connections detached. Deadlines are enforced as on direct links. On
//! `drain` nothing new is accepted, connections are told to go away, and calls underway may end, up to the
//! owner's bound.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming as IncomingBody;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::link::{CONNECTION_WINDOW, Io, KEEP_ALIVE_EVERY, KEEP_ALIVE_TIMEOUT, PipeListener, STREAM_WINDOW};
use crate::process::OwnedExecutor;
use crate::{Drain, End, Process, deadline};

/// Connections one server holds; further ones wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 1024;
/// Calls at once on one connection; a client's further ones wait on its side.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1024;
/// How long accepting rests after an error (out of file descriptors, say).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where connections come from.
pub trait Incoming: Send + 'static {
    /// The next connection. Cancel safe. `BrokenPipe`: there will be none any more.
    fn accept(&mut self) -> impl Future<Output = io::Result<Box<dyn Io>>> + Send;
}

impl Incoming for TcpListener {
    async fn accept(&mut self) -> io::Result<Box<dyn Io>> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

impl Incoming for PipeListener {
    async fn accept(&mut self) -> io::Result<Box<dyn Io>> {
        Ok(Box::new(PipeListener::accept(self).await?))
    }
}

/// Serves `routes` to whoever connects, as tasks of `owner`, until `drain` is raised or the owner dies.
/// `drain` is the owner's own signal, unless this server is to end before the rest of its role.
pub fn serve(owner: &Process, routes: Routes, incoming: impl Incoming, drain: Drain) {
    let accepting = accept(owner.clone(), routes.prepare(), incoming, drain);
    owner.spawn("a gRPC server", End::Expected, accepting);
}

async fn accept(owner: Process, routes: Routes, mut incoming: impl Incoming, drain: Drain) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            incoming.accept().await.map(|stream| (place, stream))
        };
        let accepted = tokio::select! {
            biased;
            () = drain.raised() => return,
            accepted = next => accepted,
        };
        match accepted {
            Ok((place, stream)) => {
                let connection = connection(owner.clone(), routes.clone(), stream, drain.clone());
                owner.spawn("a gRPC connection", End::Expected, async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            Err(error) => {
                tracing::warn!(process = owner.name(), %error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(owner: Process, routes: Routes, stream: Box<dyn Io>, drain: Drain) {
    let executor = OwnedExecutor { process: owner.clone(), what: "a gRPC call", waited: true };
    let service = service_fn(move |request| answer(routes.clone(), request));
    let connection = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        // The header would be the machine's time in the bytes of a deterministic run.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = drain.raised() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(process = owner.name(), %error, "a connection broke");
    }
}

async fn answer(mut routes: Routes, request: Request<IncomingBody>) -> Result<Response<Body>, Infallible> {
    let call =
        |request| async move { routes.call(request).await.map_err(|never: Infallible| match never {}) };
    let response = deadline::bounded(request.map(Body::new), call).await;
    Ok(response.unwrap_or_else(|status| status.into_http()))
}

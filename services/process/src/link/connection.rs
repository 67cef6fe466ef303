//! The HTTP/2 side of a link: one lazily made connection, made again when it broke.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use sterna_stream::limits::STREAM_WINDOW_BYTES;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

use crate::gate::{Gate, GatedBody};
use crate::process::OwnedExecutor;
use crate::{Process, deadline};

/// Bytes of one stream that may be underway unread, per direction (rule E16).
pub const STREAM_WINDOW: u32 = STREAM_WINDOW_BYTES as u32;
/// Bytes of all streams of one connection that may be underway unread: one stalled stream leaves room for the
/// others.
pub const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// A peer that is silent this long is asked whether it still lives …
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);
/// … and is given up after this.
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls that may wait for the connection at once; more wait before it.
const CALLS_WAITING: usize = 256;

/// A byte stream between two roles.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// Opens byte streams to one address: the seam for delayed and cut networks.
pub trait Dial: Send + Sync + 'static {
    /// Opens one. It may be dropped at any await.
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

pub(super) struct Connection {
    caller: Process,
    origin: Uri,
    dial: Arc<dyn Dial>,
    channel: Channel,
}

impl Connection {
    pub(super) fn new(caller: &Process, origin: Uri, dial: Arc<dyn Dial>) -> Connection {
        let executor = OwnedExecutor { process: caller.clone(), what: "a link's connection", waited: false };
        let endpoint = Endpoint::from(origin.clone())
            .executor(executor)
            .buffer_size(CALLS_WAITING)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let open = dial.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let stream = open.dial();
            async move {
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, stream).await;
                stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(TokioIo::new)
            }
        });
        let channel = endpoint.connect_with_connector_lazy(connector);
        Connection { caller: caller.clone(), origin, dial, channel }
    }

    /// A further connection to the same address.
    pub(super) fn another(&self) -> Connection {
        Connection::new(&self.caller, self.origin.clone(), self.dial.clone())
    }

    pub(super) async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let underway = Underway(Gate::open());
        let request = request.map(|body| GatedBody::wrap(&underway.0, body, None));
        let mut channel = self.channel.clone();
        let response = async { channel.ready().await?.call(request).await }.await.map_err(broken)?;
        Ok(response.map(|body| Body::new(Answer { body, _underway: underway })))
    }
}

/// Whatever breaks below the call's own status is one thing to its caller: the other side cannot be reached.
/// Except that the channel has a timer for the call's deadline, too, which may be polled before ours.
fn broken(error: impl std::error::Error + 'static) -> Status {
    tracing::debug!(%error, "a call broke");
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return deadline::exceeded();
        }
        cause = error.source();
    }
    Status::unavailable("the connection broke")
}

/// Ends the request's stream when the caller lets go of the answer, as on a direct link. HTTP/2 alone would
/// read on.
struct Underway(Gate);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.kill();
    }
}

pin_project_lite::pin_project! {
    struct Answer {
        #[pin]
        body: Body,
        _underway: Underway,
    }
}

impl http_body::Body for Answer {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        self.project().body.poll_frame(cx).map_err(broken)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// Dials `uri` over TCP; 80 where it names no port.
pub(super) fn tcp(uri: &Uri) -> Arc<dyn Dial> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Arc::new(Tcp { host, port: uri.port_u16().unwrap_or(80) })
}

struct Tcp {
    host: String,
    port: u16,
}

impl Dial for Tcp {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let (host, port) = (self.host.clone(), self.port);
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

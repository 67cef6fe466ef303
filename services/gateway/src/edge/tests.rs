//! The edge over real sockets, with a shard behind it whose other roles are away; where time matters, over a
//! memory pipe in paused time.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use sterna_access::{Action, Authorizer, DevelopmentIssuer, Grant, GrantKey, Identity, TokenVerifier, View};
use sterna_process::{Clock, ManualClock, Slot, SystemClock, paused};
use sterna_protocol::frame::{ClientFrame, Device, Hello, Secret, ServerFrame};
use sterna_stream::{Cursor, Reason, Refusal, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::*;
use crate::gateway::{Config as GatewayConfig, Parts as GatewayParts};
use crate::outward::Links;

mod http_answers;
mod upgrades;

const SECRET: &[u8] = b"a secret of the tests";
const PAGE: &str = "https://app.example.com";

/// Nobody may anything: these tests end where a session begins.
struct Nobody;

#[async_trait]
impl Authorizer for Nobody {
    async fn authorize(&self, _: &Identity, _: &Action, _: &StreamId) -> Result<Grant, Refusal> {
        Err(Reason::NotFound.because("nobody may anything"))
    }

    async fn view(&self, _: &Identity, _: &StreamId) -> Result<View, Refusal> {
        Err(Reason::NotFound.because("nobody may anything"))
    }

    async fn admit(&self, _: &Identity) -> Result<(), Refusal> {
        Ok(())
    }

    fn passed(&self, _: &StreamId) {}

    fn must_know(&self, _: &StreamId, _: &Cursor) {}
}

/// A shard, its edge, and where that listens.
struct World<S> {
    edge: Edge<S>,
    shard: Process,
    front: Process,
    gateway: Rc<RefCell<Option<Gateway<S>>>>,
    clock: ManualClock,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> World<S> {
    fn new(limits: Limits) -> Self {
        Self::with_places(limits, crate::limits::Limits::default().sessions)
    }

    /// One whose shard takes so many sessions.
    fn with_places(limits: Limits, sessions: usize) -> Self {
        let clock = ManualClock::new(SystemClock.wall_ms());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let shard = Process::new("shard", 1, shared.clone());
        let front = Process::new("edge", 1, shared);
        let region: Region = "us-east-1".parse().unwrap();
        let endpoints =
            vec![Endpoint { region: region.clone(), url: "wss://us.example.com/v1/connect".into() }];
        let config = GatewayConfig {
            name: "gateway-0".into(),
            region: region.clone(),
            origin: "us-east-1".parse().unwrap(),
            partitions: 4,
            terms: sterna_protocol::Limits::default(),
            endpoints: endpoints.clone(),
            limits: crate::limits::Limits { sessions, ..crate::limits::Limits::default() },
            clock_bound_ms: 60_000,
            mirrored: false,
        };
        let links = Links {
            state: vec![],
            messaging: vec![],
            notification: Slot::new().link(),
            persistence: Slot::new().link(),
        };
        let parts = GatewayParts {
            process: shard.clone(),
            verifier: Arc::new(TokenVerifier::new(SECRET)),
            authorizer: Arc::new(Nobody),
            grant_key: GrantKey::new(b"0123456789abcdef"),
            links,
        };
        let gateway = Rc::new(RefCell::new(Some(Gateway::start(config, parts))));
        let behind = gateway.clone();
        let origins = Origins::Listed(vec![PAGE.into()]);
        let parts = Parts { process: front.clone(), gateway: Rc::new(move || behind.borrow().clone()) };
        let edge = Edge::new(Config { region, endpoints, origins, limits }, parts);
        Self { edge, shard, front, gateway, clock }
    }
}

impl World<TcpStream> {
    /// Serves on a free port.
    fn listening(limits: Limits) -> (Self, SocketAddr) {
        Self::new(limits).listen()
    }

    fn listen(self) -> (Self, SocketAddr) {
        let world = self;
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        world.edge.listen(listener, std::convert::identity);
        (world, address)
    }
}

fn run(test: impl Future<Output = ()> + 'static) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(20), test).await.expect("the test ends") });
}

/// What came as an answer to `request`, up to the end of the connection.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    answered(&mut socket).await
}

async fn answered(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // A connection that is cut has said all it will.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).to_lowercase()
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

/// A good request for an upgrade, with `change` made to its lines.
fn upgrade(change: impl Fn(String) -> String) -> String {
    let lines = [
        "GET /v1/connect HTTP/1.1",
        "Host: x",
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: sterna.v1.json",
    ];
    let lines = lines.into_iter().map(|line| change(line.to_owned())).filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n"
}

fn hello() -> ClientFrame {
    let token = DevelopmentIssuer::new(SECRET).issue("acme", &"ana".parse().unwrap(), 0, 4_000_000_000_000);
    ClientFrame::Hello(Hello {
        token: Secret::new(token.unwrap()),
        device: Device(7),
        client: "test".into(),
        home: None,
        ticket: None,
        policy: Cursor::new(),
        ping_interval_ms: None,
    })
}

/// Everything up to here has been answered: the other tasks have had their turns.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

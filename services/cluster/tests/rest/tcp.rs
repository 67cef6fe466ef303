//! The same over TCP, in real time: one listener for WebSocket and REST.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sterna_cluster::{MemoryStores, Plan, Region};
use sterna_gateway::edge::{Config, Edge, Limits, Origins, Parts, bind};
use sterna_process::{Clock, Process, SystemClock};
use sterna_stream::EventId;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::asker::exchange;
use super::{Answer, Request, token};

/// Longest that anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn send(address: SocketAddr, request: Request) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    exchange(&mut socket, &request).await
}

/// G3, E7: a stream is made, an event published and read back over real sockets, beside a WebSocket; bodies
/// that are too large are refused on the wire as in memory.
#[test]
fn one_listener_serves_requests_and_sessions() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async { timeout(PATIENCE, served()).await.expect("the test ends") });
}

async fn served() {
    let plan = Plan::small("us-east-1".parse().unwrap(), 61);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = MemoryStores::new(&plan);
    let region = Region::<TcpStream>::start(plan.clone(), stores.stores(), clock.clone());
    let gateway = region.gateway(0).unwrap().clone();
    let process = Process::new("edge", 61, clock.clone());
    let parts = Parts { process, gateway: Rc::new(move || Some(gateway.clone())) };
    let (origins, limits) = (Origins::Any, Limits::default());
    let edge =
        Edge::new(Config { region: plan.region.clone(), endpoints: Vec::new(), origins, limits }, parts);
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    edge.listen(listener, std::convert::identity);

    let ana = token(&plan, "acme", "ana", clock.wall_ms() + 3_600_000);
    let creation = EventId::mint(clock.wall_ms(), 1);
    let create =
        Request::new("POST", "/v1/streams/chat").token(&ana).json(&format!(r#"{{"event_id":"{creation}"}}"#));
    let made = send(address, create).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = &made.headers["location"];
    let id = EventId::mint(clock.wall_ms(), 2);
    let event = format!("{path}/events/{id}");
    let put =
        || Request::new("PUT", &event).token(&ana).json(r#"{"kind":"message","payload":{"text":"hi"}}"#);
    for _ in 0..3 {
        assert_eq!(send(address, put()).await.status, 202);
    }
    let get = |path: &str| Request::new("GET", path).token(&ana);
    while send(address, get(&event)).await.status != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(address, get(&format!("{path}/events"))).await.texts(), ["hi"]);

    let mut request = format!("ws://{address}/v1/connect").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "sterna.v1.json".parse().unwrap());
    let socket = TcpStream::connect(address).await.unwrap();
    let upgraded = tokio_tungstenite::client_async(request, socket).await;
    assert!(upgraded.is_ok(), "{:?}", upgraded.err());

    let huge = Request::new("PUT", &event).token(&ana).header("Content-Type: application/json");
    let huge = huge.header("Content-Length: 1000000000").bare_body(&[b' '; 16 * 1024]);
    assert_eq!(send(address, huge).await.refused(), (413, "payload_too_large"));
}

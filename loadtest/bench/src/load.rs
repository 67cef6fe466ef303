//! The other side: many raw sockets that count bytes, and one that publishes.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// Sockets per source address, well below the ports that one address has.
const PER_ADDRESS: usize = 10_000;

/// Path of the real edge; there a subprotocol is offered.
pub(crate) const CONNECT: &str = "/v1/connect";

/// What all receivers together got.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) bytes: Cell<u64>,
    awaited: Cell<u64>,
    reached: Notify,
    /// Per socket.
    pub(crate) each: RefCell<Vec<u64>>,
}

impl Received {
    fn add(&self, socket: usize, count: u64) {
        self.bytes.set(self.bytes.get() + count);
        self.each.borrow_mut()[socket] += count;
        if self.bytes.get() >= self.awaited.get() {
            self.reached.notify_one();
        }
    }

    /// Waits until that many bytes have come altogether.
    pub(crate) async fn reach(&self, bytes: u64) {
        self.awaited.set(bytes);
        while self.bytes.get() < bytes {
            self.reached.notified().await;
        }
    }
}

/// A WebSocket to `path`, upgraded; the answer's status is checked, nothing else.
pub(crate) async fn connect(port: u16, path: &str, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let last = u8::try_from(2 + number / PER_ADDRESS).unwrap_or(255);
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.set_nodelay(true)?;
    let offer = if path == CONNECT { "Sec-WebSocket-Protocol: sterna.v1.protobuf\r\n" } else { "" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await?;
        answer.push(byte);
    }
    if answer.starts_with(b"HTTP/1.1 101") { Ok(stream) } else { Err(std::io::Error::other("not upgraded")) }
}

/// Opens one counting session per path.
pub(crate) async fn receivers(port: u16, paths: &[String]) -> std::io::Result<Rc<Received>> {
    let received = Rc::new(Received::default());
    received.each.borrow_mut().resize(paths.len(), 0);
    let buffer = Rc::new(RefCell::new(vec![0; 64 * 1024]));
    for (number, path) in paths.iter().enumerate() {
        let stream = connect(port, path, number).await?;
        let (received, buffer) = (received.clone(), buffer.clone());
        spawn_local(async move {
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut buffer.borrow_mut()) {
                    Ok(0) => return,
                    Ok(count) => received.add(number, count as u64),
                    Err(_) => {}
                }
            }
        });
    }
    Ok(received)
}

/// A client's frame, masked with zeros.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(
                &u16::try_from(long).expect("a benchmark's frames are short").to_be_bytes(),
            );
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// What a publisher sends to have `frame` published to `stream`.
pub(crate) fn publish_frame(stream: &str, frame: &[u8]) -> Vec<u8> {
    let length = [u8::try_from(stream.len()).expect("stream names here are short")];
    client_frame(2, &[&length, stream.as_bytes(), frame].concat())
}

/// Bytes that a server frame with this payload has.
pub(crate) fn server_frame_bytes(payload: usize) -> u64 {
    (payload + if payload < 126 { 2 } else { 4 }) as u64
}

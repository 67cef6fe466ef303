//! TCP: one listener per shard on one address (`SO_REUSEPORT`), so that a socket never changes its thread.

use std::io;
use std::net::SocketAddr;

use sterna_process::End;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Duration, sleep};

use super::Edge;

/// Bytes that the kernel holds for a socket that is not read: 275 KB in all, where its own choice is 4 MB.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;
/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 1_024;
/// How long to wait after the system had no socket to give.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A listener that shares `address` with the other shards of this machine; port 0 takes a free one.
///
/// # Errors
/// The system's: the address is not ours, or taken by somebody who does not share it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    // Accepted sockets inherit both.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Edge<S> {
    /// Takes connections from `listener`, each made a socket of the shard's by `wrap`, until the edge's
    /// process drains.
    pub fn listen(&self, listener: TcpListener, wrap: impl Fn(TcpStream) -> S + 'static) {
        let edge = self.clone();
        self.0.process.spawn_local("a listener", End::Fatal, async move {
            let drain = edge.0.process.drain_signal();
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = drain.raised() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((socket, _)) => {
                        edge.connect(wrap(socket));
                        // The next one may take the place of one that is silent: what others said meanwhile
                        // is heard first, or those of one burst would put out each other.
                        if edge.0.is_full() {
                            tokio::task::yield_now().await;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_AGAIN).await;
                    }
                }
            }
        });
    }
}

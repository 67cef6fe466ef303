//! The three ways in which a role reaches another, so that a suite can walk them and a simulation can draw
//! one.

use std::io;
use std::net::Ipv4Addr;

use http::Uri;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::{Link, Pipe, Process, serve};

/// A way to place a role's server and its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one process, by function call.
    Direct,
    /// In one process, by HTTP/2 in memory.
    Duplex,
    /// By HTTP/2 over loopback TCP. Not under paused time: there real sockets look infinitely slow.
    Tcp,
}

impl Way {
    /// All of them; a behaviour that callers rely on holds on each.
    pub const ALL: [Way; 3] = [Way::Direct, Way::Duplex, Way::Tcp];
    /// Those that need nothing outside this process and work under paused time.
    pub const IN_MEMORY: [Way; 2] = [Way::Direct, Way::Duplex];

    /// Serves `routes` as `callee` and returns the link by which `caller` reaches them.
    pub async fn connect(self, caller: &Process, callee: &Process, routes: Routes) -> io::Result<Link> {
        match self {
            Way::Direct => Ok(Link::direct(callee, routes)),
            Way::Duplex => {
                let pipe = Pipe::new();
                serve(callee, routes, pipe.listen(), callee.drain_signal());
                Ok(Link::duplex(caller, &pipe))
            }
            Way::Tcp => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let uri: Uri = format!("http://{}", listener.local_addr()?)
                    .parse()
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                serve(callee, routes, listener, callee.drain_signal());
                Ok(Link::tcp(caller, uri))
            }
        }
    }
}

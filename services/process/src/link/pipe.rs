//! An address in memory: listened on by one server at a time, dialled by any number of links.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::connection::{Dial, Io};

/// Bytes in flight per direction of one connection.
const PIPE_BYTES: usize = 64 * 1024;
/// Connections dialled and not yet accepted; further ones are refused.
const PIPE_BACKLOG: usize = 16;

/// An in-memory address. Without a listener, or when its owner is dead, dialling is refused as by a closed
/// port.
#[derive(Clone, Debug, Default)]
pub struct Pipe(Arc<Mutex<Option<mpsc::Sender<DuplexStream>>>>);

/// The listening end of a [`Pipe`].
#[derive(Debug)]
pub struct PipeListener(mpsc::Receiver<DuplexStream>);

impl Pipe {
    /// An address nobody listens on yet.
    pub fn new() -> Pipe {
        Pipe::default()
    }

    /// Listens. A former listener gets no new connections from now on: the address of a restarted role stays
    /// the same.
    pub fn listen(&self) -> PipeListener {
        let (sender, receiver) = mpsc::channel(PIPE_BACKLOG);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        PipeListener(receiver)
    }

    /// Connects.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        listener.try_send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(ours)
    }
}

impl PipeListener {
    /// The next connection; an error once another listener took the address.
    pub async fn accept(&mut self) -> io::Result<DuplexStream> {
        self.0.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Dial for Pipe {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let stream = self.connect();
        Box::pin(async move { Ok(Box::new(stream?) as Box<dyn Io>) })
    }
}

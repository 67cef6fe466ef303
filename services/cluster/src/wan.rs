//! The network between two regions, for calls: byte streams that take their time, and can be cut.
//!
//! A cut is a black hole, as networks have them: nothing arrives, nobody is told, a new connection hangs.
//! When it heals, what was underway arrives, as TCP would have sent it again. Each direction is cut for
//! itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use sterna_process::{Dial, End, Io, Pipe, Process};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

/// Most bytes in one piece that travels.
const PIECE_BYTES: usize = 16 * 1024;
/// Pieces underway in one direction of a connection; a sender with more waits.
const PIECES: usize = 256;

/// One direction between two regions. Clones are the same direction.
#[derive(Clone, Debug, Default)]
pub struct Direction(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cut: AtomicBool,
    changed: Notify,
}

/// How connections from one region to a door of another are made.
#[derive(Clone)]
pub(crate) struct Wire {
    /// The owner of what carries the bytes.
    pub(crate) process: Process,
    pub(crate) one_way: Duration,
    pub(crate) there: Direction,
    pub(crate) back: Direction,
    pub(crate) door: Pipe,
}

// === impl Direction ===

impl Direction {
    /// Cuts it, or heals the cut.
    pub fn cut(&self, on: bool) {
        self.0.cut.store(on, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }

    async fn open(&self) {
        loop {
            let changed = self.0.changed.notified();
            if !self.0.cut.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

// === impl Wire ===

impl Dial for Wire {
    /// A connection is there after a round trip.
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let wire = self.clone();
        Box::pin(async move {
            sleep(wire.one_way).await;
            wire.there.open().await;
            let theirs = wire.door.connect();
            sleep(wire.one_way).await;
            wire.back.open().await;
            let (ours, end) = tokio::io::duplex(PIECE_BYTES);
            let (their_bytes, to_them) = tokio::io::split(theirs?);
            let (our_bytes, to_us) = tokio::io::split(end);
            wire.carry(our_bytes, to_them, wire.there.clone());
            wire.carry(their_bytes, to_us, wire.back.clone());
            Ok(Box::new(ours) as Box<dyn Io>)
        })
    }
}

impl Wire {
    fn carry(
        &self,
        from: impl AsyncRead + Unpin + Send + 'static,
        to: impl AsyncWrite + Unpin + Send + 'static,
        way: Direction,
    ) {
        let (pieces, underway) = mpsc::channel(PIECES);
        self.process.spawn("bytes that leave", End::Expected, leave(from, pieces, self.one_way));
        self.process.spawn("bytes that arrive", End::Expected, arrive(to, underway, way));
    }
}

async fn leave(mut from: impl AsyncRead + Unpin, pieces: mpsc::Sender<(Instant, Bytes)>, one_way: Duration) {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(PIECE_BYTES);
        let read = tokio::select! {
            biased;
            () = pieces.closed() => return,
            read = from.read_buf(&mut bytes) => read,
        };
        let piece = bytes.split().freeze();
        // An end travels, too: as a piece of no bytes.
        let ended = !matches!(read, Ok(1..));
        if pieces.send((Instant::now() + one_way, piece)).await.is_err() || ended {
            return;
        }
    }
}

async fn arrive(
    mut to: impl AsyncWrite + Unpin,
    mut underway: mpsc::Receiver<(Instant, Bytes)>,
    way: Direction,
) {
    while let Some((due, piece)) = underway.recv().await {
        sleep_until(due).await;
        way.open().await;
        if piece.is_empty() || to.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

//! Frames over a connection: the port that the driver uses.
//!
//! A transport carries whole frames in order, both ways, and says once how it ended. It knows no rule of the
//! protocol; [`websocket`] is the one there is, over any byte stream, so that the simulation's memory sockets
//! and TCP run the same code.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use sterna_protocol::frame::{ClientFrame, ServerFrame};

use crate::machine::Failure;

pub mod websocket;

/// What a connector is doing.
pub type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Transport>, Failure>> + Send>>;

/// Opens connections.
pub trait Connector: Send {
    /// Begins to open one to `url` (`wss://<host>/v1/connect`), upgraded when it resolves. Dropping it gives
    /// up.
    fn open(&mut self, url: &str) -> Opening;
}

/// One connection.
///
/// `poll` moves everything: it writes what was sent and reads what came. Nothing happens without it.
pub trait Transport: Send {
    /// The next thing that came. After [`Incoming::Closed`] it is not polled again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming>;

    /// Queues a frame behind the others. A transport whose bounded queue is full closes itself with 1006.
    fn send(&mut self, frame: &ClientFrame);

    /// Queues the close; [`Incoming::Closed`] follows when it is done. What still comes is not to be read.
    fn close(&mut self, code: u16);
}

/// What came.
#[derive(Debug)]
pub enum Incoming {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// Something that is no frame known here, or the connection's own sign of life.
    Heard,
    /// It is over, with the other side's code; 1005 or 1006 where there was none.
    Closed(u16),
}

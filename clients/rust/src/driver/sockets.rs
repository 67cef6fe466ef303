//! The driver's sockets: at most two that the machine knows, and a few that are being closed.
//!
//! A socket that the machine has closed is polled on until its close is through or 2 s have passed, so that
//! the code arrives; nothing more is heard of it.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sterna_protocol::frame::ClientFrame;
use tokio::time::Sleep;

use super::{Input, SocketId};
use crate::transport::{Connector, Incoming, Opening, Transport};

/// How long a close may take.
const CLOSE: Duration = Duration::from_secs(2);
/// Sockets that are being closed at a time; the oldest is dropped for one more.
const CLOSING: usize = 4;

enum Slot {
    Opening(Opening),
    Open(Box<dyn Transport>),
}

/// A socket that is being closed, and when that has taken too long.
struct Closing {
    transport: Box<dyn Transport>,
    late: Pin<Box<Sleep>>,
}

pub(super) struct Sockets {
    connector: Box<dyn Connector>,
    slots: BTreeMap<SocketId, Slot>,
    closing: Vec<Closing>,
}

impl Sockets {
    pub(super) fn new(connector: Box<dyn Connector>) -> Self {
        Self { connector, slots: BTreeMap::new(), closing: Vec::new() }
    }

    pub(super) fn open(&mut self, id: SocketId, url: &str) {
        let opening = self.connector.open(url);
        self.slots.insert(id, Slot::Opening(opening));
    }

    pub(super) fn send(&mut self, id: SocketId, frame: &ClientFrame) {
        if let Some(Slot::Open(transport)) = self.slots.get_mut(&id) {
            transport.send(frame);
        }
    }

    pub(super) fn close(&mut self, id: SocketId, code: u16) {
        let Some(Slot::Open(mut transport)) = self.slots.remove(&id) else { return };
        transport.close(code);
        if self.closing.len() >= CLOSING {
            drop(self.closing.remove(0));
        }
        self.closing.push(Closing { transport, late: Box::pin(tokio::time::sleep(CLOSE)) });
    }

    /// What happens next on any of them. Without `reads` nothing is read, and nothing but closes is written.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, reads: bool) -> Poll<Input> {
        self.poll_closing(cx);
        for (id, slot) in &mut self.slots {
            let id = *id;
            match slot {
                Slot::Opening(opening) => {
                    let Poll::Ready(opened) = opening.as_mut().poll(cx) else { continue };
                    return Poll::Ready(match opened {
                        Ok(transport) => {
                            *slot = Slot::Open(transport);
                            Input::Opened(id)
                        }
                        Err(failure) => {
                            self.slots.remove(&id);
                            Input::Failed(id, failure)
                        }
                    });
                }
                Slot::Open(transport) if reads => {
                    let Poll::Ready(incoming) = transport.poll(cx) else { continue };
                    return Poll::Ready(match incoming {
                        Incoming::Frame(frame) => Input::Frame(id, frame),
                        Incoming::Heard => Input::Heard(id),
                        Incoming::Closed(code) => {
                            self.slots.remove(&id);
                            Input::Closed(id, code)
                        }
                    });
                }
                Slot::Open(_) => {}
            }
        }
        Poll::Pending
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) {
        self.closing.retain_mut(|closing| {
            if closing.late.as_mut().poll(cx).is_ready() {
                return false;
            }
            loop {
                match closing.transport.poll(cx) {
                    Poll::Ready(Incoming::Closed(_)) => return false,
                    Poll::Ready(_) => {}
                    Poll::Pending => return true,
                }
            }
        });
    }

    /// Until every close is through.
    pub(super) async fn finish(&mut self) {
        poll_fn(|cx| {
            self.poll_closing(cx);
            if self.closing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

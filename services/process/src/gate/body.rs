//! A message body behind a gate.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::gated::caught;
use super::{Busy, Gate, Gone, Pass, Seat, Sever, unavailable};
use crate::Exit;

/// A body that yields frames only while the gate lets it pass. It lives in a slot that `kill` empties, for
/// its holder may be busy elsewhere and never poll it again: what it owns (the other direction's stream, say)
/// must end even so.
pub(crate) struct GatedBody {
    slot: Arc<Slot>,
    seat: Seat,
    ended: bool,
    _busy: Option<Busy>,
}

struct Slot(Mutex<Option<Body>>);

impl GatedBody {
    /// Puts `body` behind `gate`; `busy` is kept until the body is dropped.
    pub(crate) fn wrap(gate: &Gate, body: Body, busy: Option<Busy>) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let slot = Arc::new(Slot(Mutex::new(Some(body))));
        let mut seat = Seat::new(gate);
        let held: Weak<Slot> = Arc::downgrade(&slot);
        if !seat.hold(held) {
            slot.sever();
        }
        Body::new(GatedBody { slot, seat, ended: false, _busy: busy })
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        self.slot.sever();
        Poll::Ready(Some(Err(unavailable())))
    }
}

impl HttpBody for GatedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let pass = this.seat.gate.pass();
        match pass {
            Pass::Wait if this.seat.wait(cx) => return Poll::Pending,
            Pass::Wait | Pass::Dead => return this.end(),
            Pass::Go | Pass::Counted => {}
        }
        let polled = {
            let mut slot = this.slot.0.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.as_mut() {
                Some(body) => caught(|| Pin::new(body).poll_frame(cx)),
                None => Err(Gone::Dead),
            }
        };
        if pass == Pass::Counted {
            this.seat.gate.polled();
        }
        match polled {
            Ok(Poll::Pending) if this.seat.wait(cx) => Poll::Pending,
            Ok(Poll::Ready(frame)) if !this.seat.gate.is_dead() => {
                this.ended = frame.is_none();
                Poll::Ready(frame)
            }
            Ok(_) | Err(Gone::Dead) => this.end(),
            Err(Gone::Panicked) => {
                this.seat.gate.report(Exit::Panicked("a message body"));
                this.end()
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Sever for Slot {
    fn sever(&self) {
        let body = match self.0.try_lock() {
            Ok(mut slot) => slot.take(),
            Err(TryLockError::Poisoned(slot)) => slot.into_inner().take(),
            // It is being polled; the poller looks at the gate when it comes back.
            Err(TryLockError::WouldBlock) => None,
        };
        drop(body);
    }
}

//! A future behind a gate.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Gate, Pass, Seat};

pin_project! {
    /// Polls `inner` only while the gate lets it pass, and drops it where it stands when the gate is dead or
    /// it panics.
    pub(crate) struct Gated<F> {
        #[pin]
        inner: Option<F>,
        seat: Seat,
    }
}

/// Why a gated future gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Dead,
    Panicked,
}

impl<F> Gated<F> {
    pub(crate) fn new(gate: &Gate, inner: F) -> Gated<F> {
        Gated { inner: Some(inner), seat: Seat::new(gate) }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = Result<F::Output, Gone>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let pass = this.seat.gate.pass();
        let polled = match pass {
            Pass::Wait if this.seat.wait(cx) => return Poll::Pending,
            Pass::Wait | Pass::Dead => Err(Gone::Dead),
            Pass::Go | Pass::Counted => match this.inner.as_mut().as_pin_mut() {
                Some(inner) => caught(|| inner.poll(cx)),
                None => Err(Gone::Dead),
            },
        };
        if pass == Pass::Counted {
            this.seat.gate.polled();
        }
        let outcome = match polled {
            Ok(Poll::Pending) if this.seat.wait(cx) => return Poll::Pending,
            // Killed during this very poll: what it would have answered is not said any more.
            Ok(_) if this.seat.gate.is_dead() => Err(Gone::Dead),
            Ok(Poll::Ready(output)) => Ok(output),
            Ok(Poll::Pending) => Err(Gone::Dead),
            Err(gone) => Err(gone),
        };
        this.inner.set(None);
        Poll::Ready(outcome)
    }
}

/// Runs one poll and turns a panic into a value. What panicked is dropped by the caller and never polled
/// again, so no broken invariant is seen by anybody; the panic hook has already said what happened.
pub(super) fn caught<T>(poll: impl FnOnce() -> T) -> Result<T, Gone> {
    catch_unwind(AssertUnwindSafe(poll)).map_err(|_: Box<dyn Any + Send>| Gone::Panicked)
}

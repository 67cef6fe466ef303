//! What a term has under way, and its answers in the order they come.

use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::StreamExt;

use super::{Done, Term};

/// Answers taken in before what they call for is carried out.
const ANSWERS_AT_ONCE: usize = 64;

impl Term<'_> {
    pub(super) fn take_answers(&mut self, first: Done) {
        self.answer(first);
        for _ in 1..ANSWERS_AT_ONCE {
            match poll_fn(|cx| self.poll_answer(cx)).now_or_never() {
                Some(done) => self.answer(done),
                None => return,
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.appends.is_idle() && self.pending.is_empty()
    }

    /// The next answer of whatever is under way.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        if let Some(done) = self.ready.pop_front() {
            return Poll::Ready(done);
        }
        if let Poll::Ready(outcomes) = self.appends.poll(cx) {
            return Poll::Ready(Done::Puts(outcomes));
        }
        match self.pending.poll_next_unpin(cx) {
            Poll::Ready(Some(done)) => Poll::Ready(done),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Has `work` carried on; most of it is done at once.
    pub(super) fn carry_on(&mut self, mut work: BoxFuture<'static, Done>) {
        match work.as_mut().now_or_never() {
            Some(done) => self.ready.push_back(done),
            None => self.pending.push(work),
        }
    }
}

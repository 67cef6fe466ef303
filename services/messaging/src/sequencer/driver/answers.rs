//! What a term has under way, and its answers in the order they come.

use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::StreamExt;
use sterna_stream::StreamId;
use sterna_stream::sequencer::{Input, PutAnswer, Why};
use tokio::time::Instant;

use super::super::stored::{Answered, BROKEN_WAIT};
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

    /// What became of a put. What cannot be read in its place is looked at again for a while (E10).
    pub(super) fn put(&mut self, stream: StreamId, first: u64, answer: Answered) {
        match answer {
            Answered::Known(answer, bytes) => {
                self.damaged.remove(&stream);
                if let PutAnswer::Found(_) = &answer {
                    self.encoded.insert((stream.clone(), first), bytes);
                }
                self.handle(Input::Put { stream, answer });
            }
            Answered::Unknown => self.put_again(stream),
            Answered::Unreadable => {
                let since = *self.damaged.entry(stream.clone()).or_insert_with(Instant::now);
                if since.elapsed() >= BROKEN_WAIT {
                    self.broken = Some(Why::Unreadable(stream));
                } else {
                    self.put_again(stream);
                }
            }
        }
    }

    fn put_again(&self, stream: StreamId) {
        let mut tables = self.tables.clone();
        self.pending.push(Box::pin(async move {
            tables.pause().await;
            Done::PutAgain(stream)
        }));
    }
}

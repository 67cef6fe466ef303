//! One term's call of Append: segments go out, and come back as stored, found or unknown, in any order.
//!
//! The call stays open, because a call for each put costs many times the put. What was asked on a call that
//! breaks, or is not answered in time, has an unknown outcome, each request of it; the next put opens another
//! call. Nothing is put again here: that is the machine's question.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use sterna_process::Link;
use sterna_proto::v1;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_stream::StreamId;
use sterna_stream::limits::APPENDS_WAITING;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::stored::{Answered, put_answer};

/// Longest that an answer is waited for: somewhat longer than persistence waits for its table.
const LONGEST: Duration = Duration::from_secs(12);

/// A segment's stream and first seq, and what became of its put.
pub(super) type Outcome = (StreamId, u64, Answered);

/// See the file's head.
pub(super) struct Appends {
    persistence: PersistenceClient<Link>,
    call: Call,
    last_tag: u64,
    /// Requests without an answer, the oldest first.
    waiting: VecDeque<Request>,
}

/// Closed → Opening → Open → Closed.
enum Call {
    /// What waits is lost.
    Closed,
    Opening(mpsc::Sender<v1::AppendRequest>, BoxFuture<'static, Result<Answers, Status>>),
    Open(mpsc::Sender<v1::AppendRequest>, Answers),
}

type Answers = Box<Streaming<v1::AppendAnswer>>;

struct Request {
    tag: u64,
    until: Instant,
    puts: Vec<(StreamId, u64)>,
}

impl Appends {
    pub(super) fn new(persistence: PersistenceClient<Link>) -> Self {
        Self { persistence, call: Call::Closed, last_tag: 0, waiting: VecDeque::new() }
    }

    /// Whether everything is answered.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts segments that must be absent; `puts` names them.
    pub(super) fn put(&mut self, puts: Vec<(StreamId, u64)>, items: Vec<v1::Item>) {
        if self.waiting.is_empty() && self.call.requests().is_none_or(mpsc::Sender::is_closed) {
            self.open();
        }
        self.last_tag += 1;
        let tag = self.last_tag;
        self.waiting.push_back(Request { tag, until: Instant::now() + LONGEST, puts });
        let sent = self.call.requests().map(|requests| requests.try_send(v1::AppendRequest { items, tag }));
        if !matches!(sent, Some(Ok(()))) {
            self.call = Call::Closed;
        }
    }

    /// Gives the call up if an answer is overdue.
    pub(super) fn look(&mut self) {
        if self.waiting.front().is_some_and(|oldest| oldest.until <= Instant::now()) {
            tracing::warn!("an append was not answered in time");
            self.call = Call::Closed;
        }
    }

    /// The next answer. Pending while nothing waits for one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        loop {
            if self.waiting.is_empty() {
                return Poll::Pending;
            }
            let news = match &mut self.call {
                Call::Closed => return Poll::Ready(self.lost()),
                Call::Opening(_, answers) => match ready!(answers.poll_unpin(cx)) {
                    Ok(answers) => {
                        self.call.opened(answers);
                        continue;
                    }
                    Err(error) => Some(Err(error)),
                },
                Call::Open(_, answers) => ready!(answers.poll_next_unpin(cx)),
            };
            match news {
                Some(Ok(answer)) => {
                    if let Some(outcomes) = self.answered(answer) {
                        return Poll::Ready(outcomes);
                    }
                }
                broken => {
                    let error = broken.and_then(Result::err);
                    tracing::warn!(?error, "what was being appended has no known outcome");
                    self.call = Call::Closed;
                }
            }
        }
    }

    fn open(&mut self) {
        let (requests, queue) = mpsc::channel(APPENDS_WAITING);
        let queue = stream::unfold(queue, |mut queue: mpsc::Receiver<v1::AppendRequest>| async move {
            queue.recv().await.map(|request| (request, queue))
        });
        let mut persistence = self.persistence.clone();
        let answers = async move { Ok(Box::new(persistence.append(queue).await?.into_inner())) };
        self.call = Call::Opening(requests, answers.boxed());
    }

    fn answered(&mut self, answer: v1::AppendAnswer) -> Option<Vec<Outcome>> {
        let at = self.waiting.iter().position(|request| request.tag == answer.tag)?;
        let Request { puts, .. } = self.waiting.remove(at)?;
        let mut results = answer.results.into_iter();
        let mut next = || results.next().map_or(Answered::Unknown, put_answer);
        let outcome = |(stream, first)| (stream, first, next());
        Some(puts.into_iter().map(outcome).collect())
    }

    fn lost(&mut self) -> Vec<Outcome> {
        let puts = self.waiting.drain(..).flat_map(|request| request.puts);
        puts.map(|(stream, first)| (stream, first, Answered::Unknown)).collect()
    }
}

impl Call {
    fn requests(&self) -> Option<&mpsc::Sender<v1::AppendRequest>> {
        match self {
            Self::Closed => None,
            Self::Opening(requests, _) | Self::Open(requests, _) => Some(requests),
        }
    }

    fn opened(&mut self, answers: Answers) {
        if let Self::Opening(requests, _) = std::mem::replace(self, Self::Closed) {
            *self = Self::Open(requests, answers);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sterna_process::Slot;

    use super::*;

    /// G9, E11, E29: a call that takes nothing holds a bounded number of requests. One more gives it up,
    /// and then nobody knows of any of them: each is asked again by the machine.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_nothing_is_given_up() {
        let stream: StreamId = "acme/chat/a".parse().unwrap();
        let mut appends = Appends::new(PersistenceClient::new(Slot::default().link()));
        for first in 1..=APPENDS_WAITING as u64 {
            appends.put(vec![(stream.clone(), first)], Vec::new());
        }
        assert!(matches!(appends.call, Call::Opening(..)), "all of them wait");
        appends.put(vec![(stream, 0)], Vec::new());
        assert!(matches!(appends.call, Call::Closed));
        let Poll::Ready(lost) = appends.poll(&mut Context::from_waker(std::task::Waker::noop())) else {
            panic!("what was lost is told at once")
        };
        assert_eq!(lost.len(), APPENDS_WAITING + 1);
        assert!(lost.iter().all(|(_, _, answer)| matches!(answer, Answered::Unknown)));
        assert!(appends.is_idle());
    }
}

//! Publish: takes commands in, in order, and answers each once the ingress holds it on every in-sync replica
//! (G1).
//!
//! One call lives as long as its shard; it has no task of its own: whoever reads the answers drives it.
//! Commands are enqueued in the order of the call, so publishes of one session to one stream keep theirs
//! (E6).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, Stream};
use sterna_log::{Offset, Record};
use sterna_proto::v1;
use sterna_proto::v1::publish_down::Outcome;
use sterna_stream::{Reason, Refusal, limits, partition};
use tonic::{Status, Streaming};

use crate::admit::{Rules, admit};
use crate::{Inner, ingress};

use contents::Contents;

mod contents;

/// Commands of one call that the ingress has not acknowledged; beyond it no more are read.
const UNACKED_COMMANDS: usize = 1_024;

/// One call of Publish.
pub(crate) struct Publishing {
    role: Arc<Inner>,
    commands: Streaming<v1::PublishUp>,
    pending: FuturesUnordered<BoxFuture<'static, v1::PublishDown>>,
    contents: Contents,
    ended: bool,
}

/// A record on its way into the ingress.
type Produced = BoxFuture<'static, Result<Offset, sterna_log::Error>>;

/// What else the answer to a command says.
struct Answering {
    tag: u64,
    incarnation: u32,
    partition: u16,
    single_copy: bool,
}

impl Publishing {
    pub(crate) fn new(role: Arc<Inner>, commands: Streaming<v1::PublishUp>) -> Self {
        Self { role, commands, pending: FuturesUnordered::new(), contents: Contents::new(), ended: false }
    }

    /// Has the ingress take a command in, if it may be.
    fn take(&mut self, up: v1::PublishUp) -> Result<(Produced, Answering), Refusal> {
        let now_ms = self.role.process.clock().wall_ms();
        let config = &self.role.config;
        // Each is opened anew: that costs less than finding it among all that the shard's sessions hold.
        let grant = self.role.grant_key.open(&up.grant, now_ms)?;
        let content = self.contents.of(config, grant.tenant());
        let admitted = admit(&Rules { config, kinds: &self.role.kinds, content, now_ms }, &grant, &up)?;
        let stream = grant.resource();
        let partition = partition::of(stream, config.partitions);
        self.role.load.admit(partition)?;
        if self.role.machines.overloaded(partition, stream) {
            return Err(Reason::Overloaded.because("this stream takes no more for the moment"));
        }
        let value = ingress::encode(&grant, &admitted.body, admitted.seen, admitted.member, &up.request_id);
        if value.len() > limits::FRAME_BYTES {
            return Err(Reason::PayloadTooLarge.because("the event with its envelope is larger than 64 KiB"));
        }
        let produced = self.role.log.produce(Record {
            topic: config.ingress.clone(),
            partition,
            key: Bytes::from_owner(stream.clone()),
            value,
            headers: Default::default(),
            timestamp_ms: now_ms,
        });
        let answering = Answering {
            tag: up.tag,
            incarnation: config.origin.incarnation(),
            partition,
            single_copy: self.role.load.single_copy(partition),
        };
        Ok((produced, answering))
    }
}

impl Stream for Publishing {
    type Item = Result<v1::PublishDown, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(Some(down)) = Pin::new(&mut this.pending).poll_next(cx) {
                return Poll::Ready(Some(Ok(down)));
            }
            if this.ended && this.pending.is_empty() {
                return Poll::Ready(None);
            }
            if this.ended || this.pending.len() >= UNACKED_COMMANDS {
                return Poll::Pending;
            }
            match Pin::new(&mut this.commands).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(up))) => {
                    let tag = up.tag;
                    match this.take(up) {
                        Ok((mut produced, answering)) => match produced.poll_unpin(cx) {
                            Poll::Ready(result) => return Poll::Ready(Some(Ok(answering.answer(result)))),
                            Poll::Pending => {
                                let pending = produced.map(move |result| answering.answer(result));
                                this.pending.push(pending.boxed());
                            }
                        },
                        Err(refusal) => return Poll::Ready(Some(Ok(answer(tag, refused(&refusal))))),
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => this.ended = true,
            }
        }
    }
}

impl Answering {
    fn answer(self, result: Result<Offset, sterna_log::Error>) -> v1::PublishDown {
        let Self { tag, incarnation, partition, single_copy } = self;
        let stands = |offset| v1::Position { incarnation, partition: partition.into(), offset };
        answer(tag, accepted(result.map(stands), single_copy))
    }
}

fn answer(tag: u64, outcome: Outcome) -> v1::PublishDown {
    v1::PublishDown { tag, outcome: Some(outcome) }
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused(refusal.into())
}

fn accepted(result: Result<v1::Position, sterna_log::Error>, single_copy: bool) -> Outcome {
    match result {
        Ok(place) => Outcome::Accepted(v1::Accepted { single_copy, place: Some(place) }),
        Err(error) => {
            tracing::warn!(%error, "a command was not acknowledged by the ingress");
            let reason = if error.is_without_effect() { Reason::Overloaded } else { Reason::Unavailable };
            refused(&reason.because("the region's log did not take it in time: retry with the same id"))
        }
    }
}

//! One attached shard: its wishes go to the hub, the hub's queue goes to it.
//!
//! The task that reads wishes ends with the shard's stream; the queue ends when the hub cuts the shard off.
//! Either end means the same to the shard: attach again, compare all heads. Answers to wishes wait until the
//! queue is at most half full, so that a shard may follow more streams than its queue holds, and asking for
//! all of them leaves room for pushes.

use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};

use futures_util::Stream;
use sterna_process::End;
use sterna_proto::v1::attach_up::What;
use sterna_proto::{convert, v1};
use sterna_stream::{Hlc, Origin, StreamId, mutant};
use tokio::sync::{Notify, mpsc};
use tonic::Streaming;

use crate::Inner;
use crate::hub::{Down, Head, Hub, ShardId};
use crate::recover;

mod compare;

/// Streams whose heads are read at once.
pub(crate) const HEADS_AT_ONCE: usize = 256;
/// How often reading heads is tried before the shard is cut off, to attach again.
const HEADS_TRIES: usize = 3;

/// Attaches whoever sends `wishes`.
pub(crate) fn attach(role: Arc<Inner>, wishes: Streaming<v1::AttachUp>) -> impl Stream<Item = Down> + use<> {
    let (id, queue) = role.hub.lock().attach();
    let taken = Arc::new(Notify::new());
    let shard = Shard { role: role.clone(), id, taken: taken.clone() };
    role.process.spawn("an attached shard", End::Expected, shard.listen(wishes));
    Pushes { queue, taken }
}

/// The shard's side of the queue.
struct Pushes {
    queue: mpsc::Receiver<Down>,
    /// Something was taken out of the queue, or nobody ever will.
    taken: Arc<Notify>,
}

impl Stream for Pushes {
    type Item = Down;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Down>> {
        let polled = self.queue.poll_recv(cx);
        if polled.is_ready() {
            self.taken.notify_one();
        }
        polled
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        self.queue.close();
        self.taken.notify_one();
    }
}

/// The role's side: it reads what the shard wishes.
struct Shard {
    role: Arc<Inner>,
    id: ShardId,
    taken: Arc<Notify>,
}

/// The shard is not attached any more, or is to be cut off.
struct Gone;

// === impl Shard ===

impl Shard {
    async fn listen(self, mut wishes: Streaming<v1::AttachUp>) {
        let drain = self.role.process.drain_signal();
        loop {
            let wish = tokio::select! {
                biased;
                () = drain.raised() => break,
                wish = wishes.message() => wish,
            };
            let Ok(Some(wish)) = wish else { break };
            if let Some(wish) = wish.what {
                let answered = tokio::select! {
                    biased;
                    () = drain.raised() => break,
                    answered = self.answer(wish) => answered,
                };
                if answered.is_err() {
                    break;
                }
            }
        }
        self.role.hub.lock().detach(self.id);
        self.role.watch.lock().detach(self.id);
    }

    fn name(&self) -> String {
        self.role.hub.lock().name_of(self.id)
    }

    /// Streams of partitions that others own are watched there.
    fn watch(&self, streams: &v1::Streams) {
        for stream in streams.streams.iter().filter_map(|stream| stream.parse::<StreamId>().ok()) {
            let owned = self.role.hub.lock().answers_for(&stream);
            if owned {
                self.role.watch.lock().watch(self.id, &stream);
            }
        }
    }

    async fn answer(&self, wish: What) -> Result<(), Gone> {
        match wish {
            What::Follow(streams) => self.follow(&streams).await?,
            What::Compare(heads) => self.compare(heads).await?,
            What::Unfollow(streams) => {
                let mut hub = self.role.hub.lock();
                streams.streams.iter().filter_map(|s| s.parse().ok()).for_each(|s| hub.unfollow(self.id, &s));
            }
            What::Ephemeral(ephemeral) => self.role.hub.lock().ephemeral(&ephemeral),
            What::Attaching(attaching) => self.role.hub.lock().named(self.id, attaching.shard),
            What::Opened(rows) => self.role.sessions_opened(&self.name(), rows),
            What::Closed(rows) => self.role.sessions_closed(&self.name(), rows),
            What::Watch(streams) => self.watch(&streams),
            What::Unwatch(streams) => {
                let mut watch = self.role.watch.lock();
                let named = streams.streams.iter().filter_map(|s| s.parse().ok());
                named.for_each(|s| watch.unwatch(self.id, &s));
            }
        }
        Ok(())
    }

    async fn follow(&self, wish: &v1::Streams) -> Result<(), Gone> {
        let streams: Vec<StreamId> = wish.streams.iter().filter_map(|stream| stream.parse().ok()).collect();
        self.join(&streams).await
    }

    async fn join(&self, streams: &[StreamId]) -> Result<(), Gone> {
        for streams in streams.chunks(HEADS_AT_ONCE) {
            let (mut owned, mut unknown) = (Vec::new(), Vec::new());
            for stream in streams {
                let mut hub = self.room().await?;
                let known = hub.knows(stream);
                if hub.follow(self.id, stream) {
                    unknown.extend((!known).then_some(owned.len()));
                    owned.push(stream.clone());
                }
            }
            if owned.is_empty() {
                continue;
            }
            let mut heads = heads(&self.role, &owned).await.map_err(|()| Gone)?;
            if mutant!("head_from_redis") {
                let hints = self.role.tails.heads(&owned).await.map_err(|_| Gone)?;
                heads.iter_mut().zip(hints).for_each(|(head, hint)| head.cursor = hint);
            }
            let unknown: Vec<_> = unknown.into_iter().map(|at| (&owned[at], &heads[at].cursor)).collect();
            recover::recover(&self.role, &unknown).await;
            for (stream, head) in owned.iter().zip(heads) {
                self.room().await?.joined(self.id, stream, head);
            }
        }
        Ok(())
    }

    /// The hub, once the shard's queue has room for one more answer.
    async fn room(&self) -> Result<MutexGuard<'_, Hub>, Gone> {
        loop {
            {
                let hub = self.role.hub.lock();
                if hub.has_room(self.id).ok_or(Gone)? {
                    return Ok(hub);
                }
            }
            self.taken.notified().await;
        }
    }
}

pub(crate) async fn heads(role: &Inner, streams: &[StreamId]) -> Result<Vec<Head>, ()> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    Ok(heads_and_ends(role, streams, &[]).await?.0)
}

/// Heads, and which of these lives had been gathered before they were read.
pub(crate) async fn heads_and_ends(
    role: &Inner,
    streams: &[StreamId],
    lives: &[Origin],
) -> Result<(Vec<Head>, Vec<Origin>), ()> {
    let lives = lives.iter().map(ToString::to_string).collect();
    let message = v1::HeadsRequest { streams: streams.iter().map(ToString::to_string).collect(), lives };
    for _ in 0..HEADS_TRIES {
        let mut request = tonic::Request::new(message.clone());
        request.set_timeout(std::time::Duration::from_secs(5));
        match role.persistence.clone().heads(request).await {
            Ok(answer) => {
                return parse(&answer.into_inner())
                    .map_err(|error| tracing::error!(%error, "persistence answered what is no head"));
            }
            Err(error) => tracing::warn!(%error, "heads could not be read"),
        }
    }
    Err(())
}

fn parse(answer: &v1::HeadsAnswer) -> Result<(Vec<Head>, Vec<Origin>), convert::Malformed> {
    let head = |head: &v1::StreamHead| {
        Ok(Head { cursor: convert::cursor(head.head.as_ref())?, newest: Hlc(head.max_hlc) })
    };
    let heads = answer.heads.iter().map(head).collect::<Result<_, convert::Malformed>>()?;
    let origin = |origin: &String| origin.parse().map_err(|_| convert::Malformed::Field("gathered"));
    Ok((heads, answer.gathered.iter().map(origin).collect::<Result<_, _>>()?))
}

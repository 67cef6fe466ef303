//! One attached shard: its wishes go to the hub, the hub's queue goes to it.
//!
//! The task that reads wishes ends with the shard's stream; the queue ends when the hub cuts the shard off.
//! Either end means the same to the shard: attach again, compare all heads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use sterna_process::End;
use sterna_proto::v1::attach_up::What;
use sterna_proto::{convert, v1};
use sterna_stream::{Hlc, StreamId};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::Inner;
use crate::hub::{Down, Head, ShardId};

/// Streams whose heads are read at once.
const HEADS_AT_ONCE: usize = 256;
/// How often reading heads is tried before the shard is cut off, to attach again.
const HEADS_TRIES: usize = 3;

/// Attaches whoever sends `wishes`.
pub(crate) fn attach(role: Arc<Inner>, wishes: Streaming<v1::AttachUp>) -> impl Stream<Item = Down> + use<> {
    let (id, queue) = role.hub.lock().attach();
    let task = listen(role.clone(), id, wishes);
    role.process.spawn("an attached shard", End::Expected, task);
    Pushes { queue }
}

/// The shard's side of the queue.
struct Pushes {
    queue: mpsc::Receiver<Down>,
}

impl Stream for Pushes {
    type Item = Down;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Down>> {
        self.queue.poll_recv(cx)
    }
}

async fn listen(role: Arc<Inner>, id: ShardId, mut wishes: Streaming<v1::AttachUp>) {
    let drain = role.process.drain_signal();
    loop {
        let wish = tokio::select! {
            biased;
            () = drain.raised() => break,
            wish = wishes.message() => wish,
        };
        let Ok(Some(wish)) = wish else { break };
        match wish.what {
            Some(What::Follow(streams)) => {
                if follow(&role, id, streams).await.is_err() {
                    break;
                }
            }
            Some(What::Unfollow(streams)) => {
                let mut hub = role.hub.lock();
                streams.streams.iter().filter_map(|s| s.parse().ok()).for_each(|s| hub.unfollow(id, &s));
            }
            Some(What::Ephemeral(ephemeral)) => role.hub.lock().ephemeral(&ephemeral),
            Some(What::Attaching(_)) | None => {}
        }
    }
    role.hub.lock().detach(id);
}

async fn follow(role: &Inner, id: ShardId, wish: v1::Streams) -> Result<(), ()> {
    let streams: Vec<StreamId> = wish.streams.iter().filter_map(|stream| stream.parse().ok()).collect();
    for streams in streams.chunks(HEADS_AT_ONCE) {
        let owned: Vec<StreamId> = {
            let mut hub = role.hub.lock();
            streams.iter().filter(|stream| hub.follow(id, stream)).cloned().collect()
        };
        if owned.is_empty() {
            continue;
        }
        let heads = heads(role, &owned).await?;
        let mut hub = role.hub.lock();
        for (stream, head) in owned.iter().zip(heads) {
            hub.joined(id, stream, head);
        }
    }
    Ok(())
}

pub(crate) async fn heads(role: &Inner, streams: &[StreamId]) -> Result<Vec<Head>, ()> {
    let names: Vec<String> = streams.iter().map(ToString::to_string).collect();
    for _ in 0..HEADS_TRIES {
        let mut request = tonic::Request::new(v1::HeadsRequest { streams: names.clone() });
        request.set_timeout(std::time::Duration::from_secs(5));
        match role.persistence.clone().heads(request).await {
            Ok(answer) => {
                let parse = |head: &v1::StreamHead| {
                    Ok(Head { cursor: convert::cursor(head.head.as_ref())?, newest: Hlc(head.max_hlc) })
                };
                let heads: Result<Vec<_>, convert::Malformed> =
                    answer.into_inner().heads.iter().map(parse).collect();
                return heads
                    .map_err(|error| tracing::error!(%error, "persistence answered what is no head"));
            }
            Err(error) => tracing::warn!(%error, "heads could not be read"),
        }
    }
    Err(())
}

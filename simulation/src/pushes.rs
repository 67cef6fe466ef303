//! Pushes that are lost between state and a shard, without a trace but for the hole in their numbers (E15):
//! so many of them, or for a while all that carry the region's own words. Behind those a message follows that
//! is no push, however quiet it is: how far another region has them. A hole behind which nothing comes is
//! found by the comparison of heads alone.
//!
//! It stands where the services of a state are reached, and takes single messages out of a stream of them.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::middleware::map_response;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use prost::Message;
use sterna_cluster::region::{Place, Routes};
use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;
use sterna_stream::Region;
use tokio::time::Instant;

/// Bytes before each message of a gRPC body: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Which pushes of a region are to be lost. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Pushes(Arc<Lost>);

#[derive(Debug)]
struct Lost {
    region: Region,
    /// So many of the next ones.
    left: AtomicU64,
    /// All of the region's own words until then.
    until: Mutex<Option<Instant>>,
}

/// A body out of which pushes are lost.
struct Losing {
    body: Body,
    pushes: Pushes,
}

impl Pushes {
    /// None of this region's.
    pub fn new(region: Region) -> Self {
        Self(Arc::new(Lost { region, left: AtomicU64::new(0), until: Mutex::new(None) }))
    }

    /// The next so many are lost.
    pub fn lose(&self, count: u64) {
        self.0.left.store(count, Ordering::Relaxed);
    }

    /// All of its own words are lost for so long, whatever heals meanwhile.
    pub fn lose_own_for(&self, time: Duration) {
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
    }

    fn lost_until_later(&self) -> bool {
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// A role's services, less the pushes that are to be lost.
    pub fn before(&self, place: Place, routes: Routes) -> Routes {
        if !matches!(place, Place::State(_)) {
            return routes;
        }
        let pushes = self.clone();
        let losing = move |response: Response| {
            let pushes = pushes.clone();
            async move { response.map(|body| Body::new(Losing { body, pushes })) }
        };
        routes.into_axum_router().layer(map_response(losing)).into()
    }

    fn loses(&self, message: &[u8]) -> bool {
        let Ok(Some(What::Push(push))) = v1::AttachDown::decode(message).map(|down| down.what) else {
            return false;
        };
        let own = |stored: Stored| stored.segment.origin.region() == self.0.region;
        let own = || Stored::decode(push.record).is_ok_and(own);
        let one = |left: u64| left.checked_sub(1);
        let counted = || self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one).is_ok();
        (self.lost_until_later() && own()) || counted()
    }

    /// Whole messages, less those that are lost. What is not whole messages is left as it is.
    fn sift(&self, data: Bytes) -> Bytes {
        if self.0.left.load(Ordering::Relaxed) == 0 && !self.lost_until_later() {
            return data;
        }
        let (mut rest, mut kept) = (&data[..], BytesMut::new());
        while !rest.is_empty() {
            let Some(length) = rest.get(1..PREFIX_BYTES) else { return data };
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let Some(message) = rest.get(..PREFIX_BYTES + length) else { return data };
            if !self.loses(&message[PREFIX_BYTES..]) {
                kept.extend_from_slice(message);
            }
            rest = &rest[message.len()..];
        }
        kept.freeze()
    }
}

impl http_body::Body for Losing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let sifted = frame.map(|frame| match frame.into_data() {
            Ok(data) => Frame::data(self.pushes.sift(data)),
            Err(other) => other,
        });
        Poll::Ready(Some(sifted))
    }
}

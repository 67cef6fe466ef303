//! Pushes that are lost between state and a shard, without a trace but for the hole in their numbers (E15).
//!
//! It stands where the services of a state are reached, and takes single messages out of a stream of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::middleware::map_response;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use prost::Message;
use sterna_cluster::region::{Place, Routes};
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;

/// Bytes before each message of a gRPC body: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// How many pushes of a region are to be lost. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Pushes(Arc<AtomicU64>);

/// A body out of which pushes are lost.
struct Losing {
    body: Body,
    pushes: Pushes,
}

impl Pushes {
    /// The next so many are lost.
    pub fn lose(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
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
        let push = v1::AttachDown::decode(message).is_ok_and(|down| matches!(down.what, Some(What::Push(_))));
        push && self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Whole messages, less those that are lost. What is not whole messages is left as it is.
    fn sift(&self, data: Bytes) -> Bytes {
        if self.0.load(Ordering::Relaxed) == 0 {
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

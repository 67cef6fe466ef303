//! A service that shows what the suite looks at: written by hand, as generated code would be, over bytes.
//!
//! `Say` answers its request; a request of `[WAIT, s]` takes `s` seconds first and counts each one in
//! `worked`, and itself among `working` for as long as its handler is there. `Chat` answers each message of a
//! stream as it comes. `Flood` sends 64 KiB messages until nobody takes them.
//! Sleeps are the scenario's own (paused time in memory), never a wait for something to happen.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use sterna_process::Link;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::server::{NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) const WAIT: u8 = b'w';
pub(crate) const PANIC: u8 = b'p';

pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

fn codec() -> ProstCodec<Bytes, Bytes> {
    ProstCodec::default()
}

#[derive(Clone, Default)]
pub(crate) struct Echo {
    /// Steps that handlers have done.
    pub(crate) worked: Arc<AtomicU64>,
    /// Handlers of `[WAIT, s]` that are at work: what is dropped works no further.
    pub(crate) working: watch::Sender<usize>,
    /// Messages that floods have made.
    pub(crate) flooded: Arc<AtomicU64>,
}

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (worked, working) = (self.worked.clone(), self.working.clone());
        Box::pin(async move {
            let body = request.into_inner();
            match *body {
                [WAIT, seconds] => {
                    let _at_work = AtWork::new(working);
                    for _ in 0..seconds {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        worked.fetch_add(1, Ordering::SeqCst);
                    }
                }
                [PANIC] => panic!("asked to panic"),
                _ => {
                    worked.fetch_add(1, Ordering::SeqCst);
                }
            }
            Ok(Response::new(body))
        })
    }
}

/// One among those at work.
struct AtWork(watch::Sender<usize>);

impl AtWork {
    fn new(working: watch::Sender<usize>) -> AtWork {
        working.send_modify(|count| *count += 1);
        AtWork(working)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Echo {
    /// Returns once so many handlers are at work.
    pub(crate) async fn working(&self, count: usize) {
        let mut working = self.working.subscribe();
        let reached = tokio::time::timeout(Duration::from_secs(10), working.wait_for(|now| *now == count));
        let reached = reached.await.map(|_| ());
        assert!(reached.is_ok(), "waited for {count} at work; last seen: {}", *self.working.borrow());
    }
}

struct Chat(Echo);

impl StreamingService<Bytes> for Chat {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let worked = self.0.worked.clone();
        let answers = request.into_inner().map(move |message| {
            worked.fetch_add(1, Ordering::SeqCst);
            message
        });
        Box::pin(async move { Ok(Response::new(Box::pin(answers) as Messages)) })
    }
}

struct Flood(Echo);

impl StreamingService<Bytes> for Flood {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, _: Request<Streaming<Bytes>>) -> Self::Future {
        let flooded = self.0.flooded.clone();
        let message = Bytes::from(vec![0; 64 * 1024]);
        let messages = tokio_stream::iter(std::iter::repeat_with(move || {
            flooded.fetch_add(1, Ordering::SeqCst);
            Ok(message.clone())
        }));
        Box::pin(async move { Ok(Response::new(Box::pin(messages) as Messages)) })
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "sterna.test.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        let mut grpc = tonic::server::Grpc::new(codec()).max_decoding_message_size(16 << 20);
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/sterna.test.Echo/Say" => grpc.unary(echo, request).await,
                "/sterna.test.Echo/Chat" => grpc.streaming(Chat(echo), request).await,
                _ => grpc.streaming(Flood(echo), request).await,
            })
        })
    }
}

/// The client, as generated code would be.
#[derive(Clone)]
pub(crate) struct EchoClient(tonic::client::Grpc<Link>);

impl EchoClient {
    pub(crate) fn new(link: Link) -> EchoClient {
        EchoClient(tonic::client::Grpc::new(link).max_decoding_message_size(16 << 20))
    }

    pub(crate) async fn say(&mut self, request: impl tonic::IntoRequest<Bytes>) -> Result<Bytes, Status> {
        self.0.ready().await?;
        let path = PathAndQuery::from_static("/sterna.test.Echo/Say");
        Ok(self.0.unary(request.into_request(), path, codec()).await?.into_inner())
    }

    pub(crate) async fn chat<S>(&mut self, messages: S) -> Result<Streaming<Bytes>, Status>
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        self.stream("/sterna.test.Echo/Chat", messages).await
    }

    pub(crate) async fn flood(&mut self) -> Result<Streaming<Bytes>, Status> {
        self.stream("/sterna.test.Echo/Flood", tokio_stream::empty()).await
    }

    async fn stream<S>(&mut self, path: &'static str, messages: S) -> Result<Streaming<Bytes>, Status>
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        self.0.ready().await?;
        let path = PathAndQuery::from_static(path);
        Ok(self.0.streaming(Request::new(messages), path, codec()).await?.into_inner())
    }
}

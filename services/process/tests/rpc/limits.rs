//! Each limit of a link, hit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Uri;
use sterna_process::{CONNECTIONS_MAX, Dial, Io, Link, Pipe, Way, serve};
use tokio::time::Instant;
use tonic::Code;
use tonic::service::Routes;

use crate::echo::EchoClient;
use crate::{Pair, run};

/// A network that swallows: connecting hangs, or connects and says nothing.
struct Swallows {
    connects: bool,
}

impl Dial for Swallows {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let connects = self.connects;
        Box::pin(async move {
            if !connects {
                std::future::pending::<()>().await;
            }
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            // Kept open and never read.
            std::mem::forget(theirs);
            Ok(Box::new(ours) as Box<dyn Io>)
        })
    }
}

/// A call into a black hole ends without a deadline of its own: connecting after 5 s, a silent peer after 20
/// + 20 s.
#[test]
fn a_silent_network_is_given_up() {
    run(Way::Duplex, |_| async {
        let pair = Pair::new(Way::Direct).await;
        for (connects, at_most_s) in [(false, 5), (true, 40)] {
            let dial = Arc::new(Swallows { connects });
            let link = Link::dialing(&pair.caller, Uri::from_static("http://nowhere"), dial);
            let began = Instant::now();
            let mut client = EchoClient::new(link);
            let call = tokio::time::timeout(Duration::from_secs(100), client.say(Bytes::from_static(b"?")));
            let status = call.await.expect("hangs").unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            let took_s = began.elapsed().as_secs();
            assert!((1..=at_most_s).contains(&took_s), "connects={connects}: {took_s} s");
        }
    });
}

#[test]
fn a_pipes_backlog_is_bounded() {
    run(Way::Duplex, |_| async {
        let pipe = Pipe::new();
        let _listener = pipe.listen();
        let open: Vec<_> = (0..100).map(|_| pipe.connect()).collect();
        assert_eq!(open.iter().filter(|stream| stream.is_ok()).count(), 16);
        let refused = open.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_server_holds_a_bounded_number_of_connections() {
    run(Way::Duplex, |_| async {
        let pair = Pair::new(Way::Direct).await;
        let pipe = Pipe::new();
        serve(&pair.callee, Routes::new(pair.echo.clone()), pipe.listen(), pair.callee.drain_signal());
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            open.push(pipe.connect().unwrap());
            tokio::task::yield_now().await;
        }
        let mut client = EchoClient::new(Link::duplex(&pair.caller, &pipe));
        let waits = tokio::time::timeout(Duration::from_secs(1), client.say(Bytes::from_static(b"?"))).await;
        assert!(waits.is_err(), "one connection too many was served");
        open.pop();
        assert_eq!(client.say(Bytes::from_static(b"now")).await.unwrap(), "now");
    });
}

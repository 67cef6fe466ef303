//! Against a server over memory, in paused time.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;

use futures_util::{SinkExt, StreamExt};
use sterna_protocol::frame::ServerFrame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{accept_hdr_async, tungstenite::Utf8Bytes};

use super::*;

type Server = WebSocketStream<DuplexStream>;

async fn pair(encoding: Encoding) -> (WebSocket<DuplexStream>, Server) {
    let (ours, theirs) = duplex(64 * 1024);
    let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    (WebSocket::raw(ours, encoding).await, server)
}

async fn next(client: &mut WebSocket<DuplexStream>) -> Incoming {
    poll_fn(|cx| client.poll(cx)).await
}

/// The code that the server is closed with, while the client is polled to its end.
async fn closes(client: &mut WebSocket<DuplexStream>, server: &mut Server) -> (u16, u16) {
    let client = async {
        loop {
            if let Incoming::Closed(code) = next(client).await {
                return code;
            }
        }
    };
    let server = async {
        let mut code = 0;
        // Reading on sends the answer to a close.
        while let Some(Ok(message)) = server.next().await {
            if let Message::Close(Some(frame)) = message {
                code = frame.code.into();
            }
        }
        code
    };
    tokio::join!(client, server)
}

/// Section 1: one frame per message, in both encodings, both ways.
#[tokio::test(start_paused = true)]
async fn frames_pass_both_ways_in_both_encodings() {
    for encoding in Encoding::ALL {
        let (mut client, mut server) = pair(encoding).await;
        client.send(&ClientFrame::Ping);
        let mut bytes = Vec::new();
        encoding.encode_server(&ServerFrame::Pong, &mut bytes);
        let pong = match encoding {
            Encoding::Json => Message::Text(Utf8Bytes::try_from(Bytes::from(bytes)).unwrap()),
            Encoding::Protobuf => Message::Binary(bytes.into()),
        };
        let (heard, came) = tokio::join!(next(&mut client), async {
            let message = server.next().await.unwrap().unwrap();
            server.send(pong).await.unwrap();
            encoding.decode_client(&message.into_data()).unwrap()
        });
        assert!(matches!(heard, Incoming::Frame(frame) if *frame == ServerFrame::Pong));
        assert_eq!(came, ClientFrame::Ping);
    }
}

/// Section 10: a frame of an unknown name is life and nothing else.
#[tokio::test(start_paused = true)]
async fn an_unknown_frame_is_heard_and_ignored() {
    let (mut client, mut server) = pair(Encoding::Json).await;
    server.send(Message::text("{\"of_the_future\":{}}")).await.unwrap();
    assert!(matches!(next(&mut client).await, Incoming::Heard));
}

/// Section 5: a close code passes either way.
#[tokio::test(start_paused = true)]
async fn close_codes_pass_either_way() {
    let (mut client, mut server) = pair(Encoding::Json).await;
    client.close(4400);
    client.send(&ClientFrame::Ping);
    assert_eq!(closes(&mut client, &mut server).await, (4400, 4400));

    let (mut client, mut server) = pair(Encoding::Json).await;
    let frame = CloseFrame { code: CloseCode::from(4001), reason: "slow".into() };
    let (ended, _) = tokio::join!(next(&mut client), server.close(Some(frame)));
    assert!(matches!(ended, Incoming::Closed(4001)));

    let (mut client, server) = pair(Encoding::Json).await;
    drop(server);
    assert!(matches!(next(&mut client).await, Incoming::Closed(1006)));
}

/// Section 1: a message of the wrong type, or above 64 KiB, ends the socket, and the client comes back.
#[tokio::test(start_paused = true)]
async fn what_breaks_the_rules_ends_the_socket() {
    let (mut client, mut server) = pair(Encoding::Json).await;
    server.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(closes(&mut client, &mut server).await, (1006, 1003));

    let (mut client, mut server) = pair(Encoding::Json).await;
    server.send(Message::text("{not json")).await.unwrap();
    assert_eq!(closes(&mut client, &mut server).await, (1006, 1002));

    let (mut client, mut server) = pair(Encoding::Json).await;
    let large = Message::text("x".repeat(FRAME_BYTES + 1));
    let (sent, ended) = tokio::join!(server.send(large), async {
        loop {
            if let Incoming::Closed(code) = next(&mut client).await {
                drop(client);
                return code;
            }
        }
    });
    drop(sent);
    assert_eq!(ended, 1006);
}

/// G9: what waits for a slow connection is bounded; beyond it the socket ends.
#[tokio::test(start_paused = true)]
async fn frames_for_a_slow_connection_are_bounded() {
    let (ours, theirs) = duplex(16);
    let mut client = WebSocket::raw(ours, Encoding::Json).await;
    for _ in 0..QUEUED_FRAMES + 10 {
        client.send(&ClientFrame::Ping);
    }
    assert_eq!(client.queue.len(), QUEUED_FRAMES + 1, "and the close");
    assert_eq!(client.ends, Some(1006));
    drop(theirs);
    assert!(matches!(next(&mut client).await, Incoming::Closed(1006)));
}

/// Section 1: the upgrade offers the encoding as its subprotocol and nothing secret.
#[tokio::test(start_paused = true)]
async fn an_upgrade_offers_its_encoding() {
    let (ours, theirs) = duplex(4096);
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let accept = |request: &Request, mut response: Response| {
        let offered = request.headers()[SEC_WEBSOCKET_PROTOCOL].clone();
        assert_eq!(offered, "sterna.v1.protobuf");
        assert!(!request.headers().contains_key("authorization"));
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
        Ok(response)
    };
    let upgrade = WebSocket::upgrade(ours, "ws://rt.example.com/v1/connect", Encoding::Protobuf);
    let (client, server) = tokio::join!(upgrade, accept_hdr_async(theirs, accept));
    assert_eq!(client.unwrap().encoding, Encoding::Protobuf);
    server.unwrap();
}

/// Section 5: a refused upgrade says its status and `Retry-After`.
#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_says_when_to_come_back() {
    let (ours, mut theirs) = duplex(4096);
    let upgrade = WebSocket::upgrade(ours, "ws://rt.example.com/v1/connect", Encoding::Json);
    let (client, ()) = tokio::join!(upgrade, async {
        let mut request = [0; 1024];
        assert!(theirs.read(&mut request).await.unwrap() > 0);
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        theirs.write_all(answer).await.unwrap();
    });
    assert_eq!(client.err(), Some(Failure::Refused { status: 503, retry_after_s: Some(7) }));
}

//! Who is upgraded, and what the session gets.

use sterna_protocol::Encoding as Spoken;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

async fn connect(address: SocketAddr, offers: &str) -> (WebSocketStream<TcpStream>, String) {
    let mut request = format!("ws://{address}/v1/connect").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offers.parse().unwrap());
    let socket = TcpStream::connect(address).await.unwrap();
    let (socket, answer) = tokio_tungstenite::client_async(request, socket).await.unwrap();
    assert_eq!(answer.headers()["sterna-region"], "us-east-1");
    let chosen = answer.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
    (socket, chosen)
}

async fn welcome(socket: &mut WebSocketStream<TcpStream>, spoken: Spoken) {
    let message = socket.next().await.unwrap().unwrap();
    assert_eq!(message.is_text(), spoken == Spoken::Json);
    let frame = spoken.decode_server(&message.into_data()).unwrap();
    assert!(matches!(frame, ServerFrame::Welcome(_)), "{frame:?}");
}

#[test]
fn both_subprotocols_are_spoken_and_the_clients_first_choice_counts() {
    run(async {
        let (world, address) = World::listening(Limits::default());
        for (offers, spoken) in [
            ("sterna.v1.json", Spoken::Json),
            ("sterna.v9.cbor, sterna.v1.protobuf, sterna.v1.json", Spoken::Protobuf),
        ] {
            let (mut socket, chosen) = connect(address, offers).await;
            assert_eq!(chosen, spoken.subprotocol());
            let mut bytes = Vec::new();
            spoken.encode_client(&hello(), &mut bytes);
            let message = match spoken {
                Spoken::Json => Message::text(String::from_utf8(bytes).unwrap()),
                Spoken::Protobuf => Message::binary(bytes),
            };
            socket.send(message).await.unwrap();
            welcome(&mut socket, spoken).await;
        }
        assert_eq!(world.edge.counters().upgrades, 2);
        assert_eq!(world.edge.0.open.get(), 0, "a session is no HTTP connection any more");
    });
}

/// Connect and resume cost one round trip: a client need not wait for the answer to its upgrade.
#[test]
fn a_frame_right_behind_the_upgrade_is_not_lost() {
    run(async {
        let (_world, address) = World::listening(Limits::default());
        let mut payload = Vec::new();
        Spoken::Json.encode_client(&hello(), &mut payload);
        let mut bytes = upgrade(|line| line).into_bytes();
        bytes.extend([0x81, 0x80 | 126]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        // The mask 0 changes nothing.
        bytes.extend([0; 4]);
        bytes.extend(payload);
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(&bytes).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let mut socket = WebSocketStream::from_raw_socket(socket, Role::Client, None).await;
        welcome(&mut socket, Spoken::Json).await;
    });
}

#[test]
fn what_is_no_handshake_is_refused_with_what_to_do() {
    run(async {
        let (world, address) = World::listening(Limits::default());
        let cases = [
            ("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: graphql-ws", "400", "bad_subprotocol"),
            ("Sec-WebSocket-Protocol", "", "400", "bad_subprotocol"),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhl", "400", "bad_request"),
            ("Sec-WebSocket-Key", "", "400", "bad_request"),
            ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", "426", "sec-websocket-version: 13"),
            ("Sec-WebSocket-Version", "", "426", "upgrade: websocket"),
            ("Upgrade", "", "426", "upgrade: websocket"),
            ("Connection", "", "426", "upgrade: websocket"),
            ("GET", "POST /v1/connect HTTP/1.1", "400", "bad_request"),
            ("Host", "Host: x\r\nOrigin: https://evil.example.com", "403", "origin_not_allowed"),
        ];
        for (line, instead, status, says) in cases {
            let change = |one: String| if one.starts_with(line) { instead.to_owned() } else { one };
            let request = upgrade(change).replacen("\r\n", "\r\nConnection: close\r\n", 1);
            let answer = ask(address, &request).await;
            assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{line} {instead}: {answer}");
            assert!(answer.contains(says) && answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains("sterna-region: us-east-1"), "{answer}");
        }
        let page =
            |line: String| if line.starts_with("Host") { format!("Host: x\r\nOrigin: {PAGE}") } else { line };
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(upgrade(page).as_bytes()).await.unwrap();
        let mut start = [0; 12];
        socket.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 101");
        assert_eq!(world.edge.counters().upgrades_refused, cases.len() as u64);
    });
}

/// G9: beyond the limit the answer is 503 with the time to wait, and health is still told.
#[test]
fn handshakes_beyond_the_limit_are_told_when_to_come_back() {
    run(async {
        let (_world, address) = World::listening(Limits { handshakes_per_s: 1, ..Limits::default() });
        let mut refused = String::new();
        for _ in 0..8 {
            let bad_key = |line: String| if line.contains("-Key") { String::new() } else { line };
            refused = ask(address, &upgrade(bad_key).replace("keep-alive, Upgrade", "close, Upgrade")).await;
        }
        assert!(refused.starts_with("http/1.1 503 "), "{refused}");
        assert!(refused.contains("retry-after: 1") && refused.contains("overloaded"), "{refused}");
        assert!(get(address, "/v1/health").await.starts_with("http/1.1 200 "));
    });
}

/// G9, E29: a shard that is full takes no socket on to drop it: the answer is 503 with the time to wait, and
/// it counts.
#[test]
fn who_finds_no_place_is_told_before_the_upgrade() {
    run(async {
        let (world, address) = World::with_places(Limits::default(), 0).listen();
        let refused =
            ask(address, &upgrade(|line| line).replace("keep-alive, Upgrade", "close, Upgrade")).await;
        assert!(refused.starts_with("http/1.1 503 ") && refused.contains("retry-after: 5"), "{refused}");
        assert!(refused.contains("no place for another session"), "{refused}");
        assert_eq!((world.edge.counters().upgrades, world.edge.counters().upgrades_refused), (0, 1));
    });
}

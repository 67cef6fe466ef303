//! Health, regions, and the bounds of HTTP.
//! Whoever is slow here is slow in paused time.

use sterna_stream::limits::{HEALTH_CONNECTIONS, HTTP_CONNECTIONS};
use tokio::io::{DuplexStream, duplex};

use super::*;

const HEALTH: [&str; 4] = ["/health/live", "/health/target", "/health/route53", "/v1/health"];

async fn healthy(address: SocketAddr) -> [bool; 4] {
    let mut good = [false; 4];
    for (at, path) in HEALTH.into_iter().enumerate() {
        let answer = get(address, path).await;
        good[at] = answer.starts_with("http/1.1 200 ");
        assert!(good[at] || answer.starts_with("http/1.1 503 "), "{path}: {answer}");
    }
    good
}

/// O6: three answers, never one. E14: whose clock contradicts the others' leaves.
#[test]
fn health_says_who_should_still_send_people_here() {
    run(async {
        let (world, address) = World::listening(Limits::default());
        assert_eq!(healthy(address).await, [true; 4]);
        world.edge.stand(Standing::Leaving);
        assert_eq!(healthy(address).await, [true, true, false, false]);
        world.edge.stand(Standing::Stopping);
        assert_eq!(healthy(address).await, [true, false, false, false]);
        world.edge.stand(Standing::Serving);
        world.clock.set_apart(true);
        assert_eq!(healthy(address).await, [true, true, false, false], "E14: its clock is known to be wrong");
        world.clock.set_apart(false);
        assert_eq!(healthy(address).await, [true; 4]);
        *world.gateway.borrow_mut() = None;
        assert_eq!(healthy(address).await, [true, false, false, false], "the shard is away");
    });
}

#[test]
fn health_is_told_while_the_shard_drains_and_upgrades_are_not_taken() {
    run(async {
        let (world, address) = World::listening(Limits::default());
        world.edge.stand(Standing::Stopping);
        assert_eq!(world.shard.drain(Duration::from_secs(5)).await.cut, 0);
        assert_eq!(healthy(address).await, [true, false, false, false]);
        let refused = ask(address, &upgrade(|line| line.replace("keep-alive", "close"))).await;
        assert!(refused.starts_with("http/1.1 503 ") && refused.contains("retry-after: 1"), "{refused}");
        // A connection that is kept alive for the next question does not hold the edge up.
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        idle.read_u8().await.unwrap();
        assert_eq!(world.front.drain(Duration::from_secs(5)).await.cut, 0);
    });
}

#[test]
fn regions_are_listed_and_everything_else_is_a_problem() {
    run(async {
        let (_world, address) = World::listening(Limits::default());
        let answer = get(address, "/v1/regions").await;
        let body = r#"{"regions":[{"region":"us-east-1","url":"wss://us.example.com/v1/connect"}]}"#;
        assert!(answer.starts_with("http/1.1 200 ") && answer.ends_with(body), "{answer}");
        let request =
            format!("GET /v1/regions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {PAGE}\r\n\r\n");
        let answer = ask(address, &request).await;
        assert!(answer.contains(&format!("access-control-allow-origin: {PAGE}")), "{answer}");
        let answer = ask(address, &request.replace("app.", "evil.")).await;
        assert!(!answer.contains("access-control"), "{answer}");
        for path in ["/", "/v1/connect/", "/v1/streamsx", "/v1/streams/a/b/c", "/health"] {
            let answer = get(address, path).await;
            assert!(answer.starts_with("http/1.1 404 "), "{answer}");
            assert!(
                answer.contains("application/problem+json") && answer.contains("urn:sterna:error:not_found")
            );
        }
    });
}

/// G9: a header is bounded in bytes and in lines.
#[test]
fn a_header_beyond_its_bounds_is_refused() {
    run(async {
        let (_world, address) = World::listening(Limits::default());
        let with =
            |extra: &str| format!("GET /health/live HTTP/1.1\r\nHost: x\r\n{extra}Connection: close\r\n\r\n");
        let fits = format!("Cookie: {}\r\n", "c".repeat(HEADER_BYTES - 200));
        assert!(ask(address, &with(&fits)).await.starts_with("http/1.1 200 "));
        let long = format!("Cookie: {}\r\n", "c".repeat(HEADER_BYTES));
        assert!(ask(address, &with(&long)).await.starts_with("http/1.1 431 "));
        assert!(ask(address, &with(&"a: b\r\n".repeat(HEADERS))).await.starts_with("http/1.1 431 "));
    });
}

/// RFC 9112, sections 3.2 and 6.1: refused with problem details wherever it asks, and the connection ends, as
/// nobody knows where the next request would begin.
#[test]
fn what_is_no_good_http_is_a_problem_and_the_last_of_its_connection() {
    run(async {
        let (_world, address) = World::listening(Limits::default());
        let chunked = "POST PATH HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CODING\r\n\r\n0\r\n\r\n";
        let coded = |coding: &str| chunked.replace("CODING", coding);
        let cases = [
            ("GET PATH HTTP/1.1\r\n\r\n".to_owned(), "400"),
            ("GET PATH HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".to_owned(), "400"),
            ("GET PATH HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(), "400"),
            (coded("gzip, chunked"), "501"),
            (coded("chunked, chunked"), "501"),
            (coded("identity\r\nTransfer-Encoding: chunked"), "501"),
        ];
        for path in ["/health/live", "/v1/regions", "/v1/streams/chat", "/v1/connect", "/"] {
            for (request, status) in &cases {
                let answer = ask(address, &request.replace("PATH", path)).await;
                assert!(answer[8..].starts_with(&format!(" {status} ")), "{path} {request}: {answer}");
                let problem = ["application/problem+json", "\"detail\""];
                let head = ["sterna-region: us-east-1\r\n", "connection: close\r\n"];
                for says in problem.into_iter().chain(head) {
                    assert!(answer.contains(says), "{path} {request}: {answer}");
                }
            }
        }
        let kept = get(address, "/health/live").await;
        assert!(kept.starts_with("http/1.1 200 "), "{kept}");
        let old = ask(address, "GET /health/live HTTP/1.0\r\n\r\n").await;
        assert!(old.contains(" 200 "), "HTTP/1.0 has no Host: {old}");
        let last = coded("Chunked\r\nConnection: close").replace("PATH", "/v1/streams/chat");
        let chunks = ask(address, &last).await;
        assert!(chunks.contains("token_invalid"), "it came to the token: {chunks}");
    });
}

/// The library's own answers (docs/protocol.md, section 9): no body, no region, the end of the connection.
#[test]
fn what_the_library_refuses_has_a_status_alone() {
    run(async {
        let (_world, address) = World::listening(Limits::default());
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(u16::MAX.into()));
        for (request, status) in [
            ("GET / HTTP/1.1\r\nno header\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "400"),
            (&long, "431"),
        ] {
            let answer = ask(address, request).await;
            assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{answer}");
            assert!(answer.ends_with("\r\n\r\n") && !answer.contains("sterna-region"), "{answer}");
        }
    });
}

/// G9: whoever sends a header a byte at a time is cut after [`HEADER_TIME`], and so is who sends nothing.
#[test]
fn a_slow_header_is_cut_off() {
    paused(async {
        let world: World<DuplexStream> = World::new(Limits::default());
        for step in [Duration::from_millis(500), Duration::from_secs(30)] {
            let started = tokio::time::Instant::now();
            let (mut ours, theirs) = duplex(1024);
            world.edge.connect(theirs);
            for byte in b"GET /health/live HTTP/1.1\r\nHost: example.com\r\n" {
                tokio::time::sleep(step).await;
                if ours.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
            answered(&mut ours).await;
            assert!(started.elapsed() <= HEADER_TIME + step, "{:?}", started.elapsed());
        }
        settle().await;
        assert_eq!(world.edge.0.open.get(), 0);
        assert_eq!(world.edge.counters().connections_failed, 2);
    });
}

fn connect(world: &World<DuplexStream>) -> DuplexStream {
    let (ours, theirs) = duplex(1024);
    world.edge.connect(theirs);
    ours
}

/// One whose request is being answered: its body is waited for.
async fn busy(world: &World<DuplexStream>) -> DuplexStream {
    let ClientFrame::Hello(hello) = hello() else { unreachable!() };
    let mut socket = connect(world);
    let head = format!(
        "POST /v1/streams/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 5\r\n\r\n",
        hello.token.reveal()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    settle().await;
    socket
}

/// G9, E29: who connects and asks nothing, or half of something, or something and then nothing more, keeps
/// nobody out, however many they are: the longest silent makes room.
#[test]
fn who_says_nothing_makes_room_for_who_asks() {
    paused(async {
        for says in ["", "GET /v1/connect HTTP/1.1\r\nHost: ", "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let world: World<DuplexStream> = World::new(Limits::default());
            let mut silent = Vec::new();
            for _ in 0..1_300 {
                let mut socket = connect(&world);
                // One that had to make room already is closed.
                let _ = socket.write_all(says.as_bytes()).await;
                silent.push(socket);
                settle().await;
            }
            let mut asks = connect(&world);
            asks.write_all(upgrade(|line| line).as_bytes()).await.unwrap();
            let mut head = [0; 12];
            asks.read_exact(&mut head).await.unwrap();
            assert_eq!(&head, b"HTTP/1.1 101", "{says}");
            settle().await;
            assert_eq!(world.edge.0.open.get(), HTTP_CONNECTIONS - 1, "one left for its session");
            let mut rest = silent.pop().unwrap();
            rest.write_all(b"x\r\n\r\n").await.expect("the newest of the silent stay");
            assert_eq!(world.edge.counters().connections_refused, 0);
        }
    });
}

/// G9: one that is being answered makes room for nobody, and one that was answered is the last that does.
#[test]
fn who_asked_keeps_the_place() {
    paused(async {
        let world: World<DuplexStream> = World::new(Limits { connections: 3, ..Limits::default() });
        let (mut asked, mut silent, mut answers) = (connect(&world), connect(&world), busy(&world).await);
        asked.write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        settle().await;
        let _third = connect(&world);
        assert_eq!(answered(&mut silent).await, "", "the longest silent");
        let _fourth = connect(&world);
        assert!(answered(&mut asked).await.starts_with("http/1.1 200 "), "was answered, and is next");
        answers.write_all(b"12345").await.unwrap();
        let mut head = [0; 9];
        answers.read_exact(&mut head).await.unwrap();
        assert_eq!((&head, world.edge.0.open.get()), (b"HTTP/1.1 ", 3));
    });
}

/// G9: who asked before it was accepted is heard before it has to make room, however many come at once.
#[test]
fn a_burst_of_those_who_ask_at_once_puts_nobody_out() {
    run(async {
        let (_world, address) = World::listening(Limits { connections: 1, ..Limits::default() });
        // Nobody is accepted before all have asked: this task does not give up its turn.
        let ask = || {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            let asked = b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            std::io::Write::write_all(&mut socket, asked).unwrap();
            socket.set_nonblocking(true).unwrap();
            TcpStream::from_std(socket).unwrap()
        };
        let burst: Vec<TcpStream> = (0..8).map(|_| ask()).collect();
        for mut socket in burst {
            let answer = answered(&mut socket).await;
            assert!(answer.starts_with("http/1.1 200 "), "{answer}");
        }
    });
}

/// G9: connections that speak HTTP are bounded in number and in time.
#[test]
fn http_connections_are_few_and_do_not_stay() {
    paused(async {
        let world: World<DuplexStream> = World::new(Limits { connections: 2, ..Limits::default() });
        let mut kept = [busy(&world).await, busy(&world).await, connect(&world)];
        assert_eq!((world.edge.counters().connections_refused, world.edge.0.open.get()), (1, 2));
        let asked = b"GET /v1/regions HTTP/1.1\r\nHost: x\r\n\r\n";
        kept[2].write_all(asked).await.unwrap();
        let answer = answered(&mut kept[2]).await;
        assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
        // One asks again and again, faster than the header's time: the connection ends all the same.
        drop(kept);
        settle().await;
        let (started, mut kept) = (tokio::time::Instant::now(), [connect(&world)]);
        while kept[0].write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {
            let mut answer = [0; 1024];
            let _ = kept[0].read(&mut answer).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert!(started.elapsed() <= HTTP_TIME + Duration::from_secs(2), "{:?}", started.elapsed());
        assert_eq!(world.edge.0.open.get(), 0);
    });
}

/// G9, E29: a health check has its answer though all places are taken by those who are being answered, and
/// however many say nothing: there are some for it alone, of which the oldest makes room.
#[test]
fn health_is_answered_though_all_places_are_taken() {
    paused(async {
        let world: World<DuplexStream> = World::new(Limits { connections: 2, ..Limits::default() });
        let _taken = [busy(&world).await, busy(&world).await];
        let connect = || connect(&world);
        let mut silent: Vec<DuplexStream> = (0..HEALTH_CONNECTIONS).map(|_| connect()).collect();
        settle().await;
        assert_eq!((world.edge.0.open.get(), world.edge.0.spare.len()), (2, HEALTH_CONNECTIONS));
        let mut check = connect();
        check.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let answer = answered(&mut check).await;
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert_eq!(answered(&mut silent[0]).await, "", "the oldest of them made room");
        let mut nowhere = connect();
        nowhere.write_all(b"GET /health/live HTTP/1.1\r\n\r\n").await.unwrap();
        let answer = answered(&mut nowhere).await;
        assert!(answer.starts_with("http/1.1 400"), "as on any other connection: {answer}");
        settle().await;
        assert_eq!((world.edge.0.open.get(), world.edge.0.spare.len()), (2, HEALTH_CONNECTIONS - 1));
        tokio::time::sleep(BODY_TIME + HEADER_TIME * 2).await;
        assert_eq!((world.edge.0.open.get(), world.edge.0.spare.len()), (0, 0));
    });
}

//! What is resident while nothing happens: per session, per further subscription, per further idle ring.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::load::{client_frame, connect};
use crate::process::{Server, pin_load};

/// Further shared streams that every session follows.
const FURTHER_SHARED: usize = 20;
/// Further private streams of some sessions: rings with one member.
const FURTHER_PRIVATE: usize = 400;
const PRIVATE_SESSIONS: usize = 100;
/// Streams named in one `follow`.
const PER_FOLLOW: usize = 20;
/// Between two looks at the memory, and how many there are at most until it stands still.
const LOOK: Duration = Duration::from_millis(300);
const LOOKS: u32 = 200;
/// `ok` in a text frame.
const ANSWER_BYTES: usize = 4;

#[derive(Args)]
pub(crate) struct Options {
    /// Idle sessions, each following one shared and one private stream.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
}

#[derive(Serialize)]
struct Summary {
    what: &'static str,
    sessions: usize,
    bytes_per_session: u64,
    bytes_per_further_subscription: u64,
    bytes_per_idle_ring_and_its_subscription: u64,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    let server = Server::sterna(7_803).await?;
    // The first sessions pay for the runtime's and allocator's first pages.
    let warm = connect(server.port, "/follow?streams=warm", 0).await?;
    let empty = resident(&server).await?;
    let mut sessions = Vec::new();
    for number in 0..options.sessions {
        let path = format!("/follow?streams=shared,private-{number}");
        sessions.push(connect(server.port, &path, number).await?);
    }
    let idle = resident(&server).await?;
    let shared: Vec<String> = (0..FURTHER_SHARED).map(|n| format!("further-{n}")).collect();
    for session in &mut sessions {
        follow(session, &shared).await?;
    }
    let subscribed = resident(&server).await?;
    for (number, session) in sessions.iter_mut().take(PRIVATE_SESSIONS).enumerate() {
        let private: Vec<String> = (0..FURTHER_PRIVATE).map(|n| format!("mine-{number}-{n}")).collect();
        for streams in private.chunks(PER_FOLLOW) {
            follow(session, streams).await?;
        }
    }
    let rings = resident(&server).await?;
    let summary = Summary {
        what: "memory",
        sessions: options.sessions,
        bytes_per_session: (idle - empty) / options.sessions as u64,
        bytes_per_further_subscription: (subscribed - idle) / (options.sessions * FURTHER_SHARED) as u64,
        bytes_per_idle_ring_and_its_subscription: (rings - subscribed)
            / (PRIVATE_SESSIONS * FURTHER_PRIVATE) as u64,
    };
    println!("{}", serde_json::to_string(&summary)?);
    drop((sessions, warm));
    Ok(())
}

async fn follow(session: &mut TcpStream, streams: &[String]) -> std::io::Result<()> {
    let text = format!("follow {}", streams.join(","));
    session.write_all(&client_frame(1, text.as_bytes())).await?;
    session.read_exact(&mut [0; ANSWER_BYTES]).await.map(|_| ())
}

/// Resident memory once it stands still.
async fn resident(server: &Server) -> std::io::Result<u64> {
    let (mut before, mut now) = (0, server.resident_bytes()?);
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK).await;
        (before, now) = (now, server.resident_bytes()?);
        if now == before {
            return Ok(now);
        }
    }
    let last = format!("resident memory does not stand still: {before} bytes, {LOOK:?} later {now}");
    Err(std::io::Error::other(last))
}

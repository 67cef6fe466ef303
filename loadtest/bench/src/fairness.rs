//! How long events of small streams take while a huge room on the same shard is kept busy.
//!
//! The crowd is a process of its own with lower priority, so that what is timed is the shard and not the
//! benchmark's own reading of 5,000 sockets.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Outcome;
use crate::load::{connect, publish_frame, receivers, server_frame_bytes};
use crate::process::{Server, pin_load};

const PORT: u16 = 7_804;
const PAYLOAD: usize = 100;

#[derive(Args)]
pub(crate) struct Options {
    /// Sessions of the huge room.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Messages of the huge room in flight, without a pause.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Small streams with one session each.
    #[arg(long, default_value_t = 50)]
    others: usize,
    /// Seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Serialize)]
struct Summary {
    what: &'static str,
    sessions: usize,
    in_flight: usize,
    samples: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    let server = Server::sterna(PORT).await?;
    let numbers = [options.sessions, options.in_flight].map(|number| number.to_string());
    let crowd = Crowd::start(&numbers)?;
    let mut others = Vec::new();
    for number in 0..options.others {
        others.push(connect(server.port, &format!("/follow?streams=other-{number}"), number).await?);
    }
    let mut publisher = connect(server.port, "/publish", 0).await?;
    let began = Instant::now();
    let mut waits_ms = Vec::new();
    let mut answer = vec![0; server_frame_bytes(PAYLOAD) as usize];
    while began.elapsed() < Duration::from_secs(options.seconds) {
        for (number, other) in others.iter_mut().enumerate() {
            let sent = Instant::now();
            publisher.write_all(&publish_frame(&format!("other-{number}"), &[b'y'; PAYLOAD])).await?;
            other.read_exact(&mut answer).await?;
            waits_ms.push(sent.elapsed().as_secs_f64() * 1_000.0);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    waits_ms.sort_by(f64::total_cmp);
    let at = |part: f64| waits_ms[((waits_ms.len() - 1) as f64 * part) as usize];
    let summary = Summary {
        what: "fairness",
        sessions: options.sessions,
        in_flight: options.in_flight,
        samples: waits_ms.len(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    };
    println!("{}", serde_json::to_string(&summary)?);
    drop(crowd);
    Ok(())
}

/// The huge room's sessions and publisher, until killed. Says `ready` when all are connected.
pub(crate) async fn crowd(sessions: usize, in_flight: usize) -> Outcome {
    pin_load()?;
    let paths = vec!["/follow?streams=room".to_owned(); sessions];
    let received = receivers(PORT, &paths).await?;
    let mut publisher = connect(PORT, "/publish", 0).await?;
    let publish = publish_frame("room", &[b'x'; PAYLOAD]).repeat(in_flight);
    let per_round = server_frame_bytes(PAYLOAD) * (sessions * in_flight) as u64;
    println!("ready");
    loop {
        let goal = received.bytes.get() + per_round;
        publisher.write_all(&publish).await?;
        received.reach(goal).await;
    }
}

/// The process that runs [`crowd`].
struct Crowd(Child);

impl Crowd {
    fn start(numbers: &[String]) -> std::io::Result<Self> {
        let mut command = Command::new("chrt");
        command.args(["--other", "0"]).arg(std::env::current_exe()?).arg("crowd").args(numbers);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        Ok(Self(child))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

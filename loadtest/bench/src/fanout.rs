//! CPU per delivery, beside Bun's `publish`: same frame bytes, same core, in interleaved windows of one run.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::load::{Received, connect, publish_frame, receivers, server_frame_bytes};
use crate::process::{Server, median, pin_load};

#[derive(Args)]
pub(crate) struct Options {
    /// Sessions, all in one room.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Bytes of a frame's payload.
    #[arg(long, default_value_t = 100)]
    payload: usize,
    /// Messages published before their deliveries are awaited.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// A message is published as soon as one is delivered everywhere, instead of all at once when all are.
    #[arg(long)]
    sliding: bool,
    /// Rooms that every session is in; messages go to them in turn.
    #[arg(long, default_value_t = 1)]
    rings: usize,
    /// Percent of our sessions that speak JSON (text), the others protobuf (binary); Bun's frames are binary.
    #[arg(long, default_value_t = 0)]
    json_percent: usize,
    /// Pairs of windows, ours and Bun's.
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Least length of a window, milliseconds.
    #[arg(long, default_value_t = 1_500)]
    window_ms: u64,
    /// Bun's binary; without it ours is measured alone.
    #[arg(long)]
    bun: Option<PathBuf>,
    /// Bun's script.
    #[arg(long, default_value = "loadtest/bench/peers/bun/server.ts")]
    script: PathBuf,
}

/// One server with its sessions.
struct Side {
    server: Server,
    publisher: TcpStream,
    received: Rc<Received>,
}

/// What one window showed.
#[derive(Clone, Copy)]
struct Window {
    cpu_us: f64,
    per_s: f64,
}

#[derive(Serialize)]
struct Summary<'a> {
    what: &'static str,
    sessions: usize,
    payload_bytes: usize,
    in_flight: usize,
    sliding: bool,
    rings: usize,
    json_percent: usize,
    pairs: usize,
    sterna_cpu_us_per_delivery: f64,
    bun_cpu_us_per_delivery: Option<f64>,
    /// Median over pairs of ours / Bun's.
    ratio: Option<f64>,
    ratios: &'a [f64],
    sterna_deliveries_per_s: f64,
    bun_deliveries_per_s: Option<f64>,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    let mut ours = Side::open(Server::sterna(7_801).await?, &options).await?;
    let mut peer = match &options.bun {
        Some(program) => {
            let server = Server::bun(program, &options.script, 7_802).await?;
            Some(Side::open(server, &options).await?)
        }
        None => None,
    };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for pair in 0..=options.pairs {
        let window = ours.window(&options).await?;
        let other = match &mut peer {
            Some(peer) => Some(peer.window(&options).await?),
            None => None,
        };
        // The first pair warms both up.
        if pair > 0 {
            mine.push(window);
            theirs.extend(other);
            let bun = other.map_or(f64::NAN, |other| other.cpu_us);
            eprintln!("pair {pair}: sterna {:.3} us, bun {bun:.3} us", window.cpu_us);
        }
    }
    let ratios: Vec<f64> = mine.iter().zip(&theirs).map(|(m, t)| m.cpu_us / t.cpu_us).collect();
    let of = |windows: &[Window], value: fn(&Window) -> f64| median(windows.iter().map(value).collect());
    let has_peer = !theirs.is_empty();
    let summary = Summary {
        what: "fanout",
        sessions: options.sessions,
        payload_bytes: options.payload,
        in_flight: options.in_flight,
        sliding: options.sliding,
        rings: options.rings,
        json_percent: options.json_percent,
        pairs: options.pairs,
        sterna_cpu_us_per_delivery: of(&mine, |w| w.cpu_us),
        bun_cpu_us_per_delivery: has_peer.then(|| of(&theirs, |w| w.cpu_us)),
        ratio: has_peer.then(|| median(ratios.clone())),
        ratios: &ratios,
        sterna_deliveries_per_s: of(&mine, |w| w.per_s),
        bun_deliveries_per_s: has_peer.then(|| of(&theirs, |w| w.per_s)),
    };
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}

impl Side {
    async fn open(server: Server, options: &Options) -> std::io::Result<Self> {
        let rooms: Vec<String> = (0..options.rings).map(|n| format!("room{n}")).collect();
        let path = |n: usize| {
            let encoding = if n % 100 < options.json_percent { "json" } else { "protobuf" };
            format!("/follow?streams={}&encoding={encoding}", rooms.join(","))
        };
        let paths: Vec<String> = (0..options.sessions).map(path).collect();
        let received = receivers(server.port, &paths).await?;
        let publisher = connect(server.port, "/publish", 0).await?;
        Ok(Self { server, publisher, received })
    }

    /// Publishes for a while; all must have arrived, the same count everywhere, before the clock stops.
    async fn window(&mut self, options: &Options) -> std::io::Result<Window> {
        let frame: Vec<u8> = (0..options.payload).map(|n| b'a' + (n % 26) as u8).collect();
        let publishes: Vec<Vec<u8>> =
            (0..options.rings).map(|n| publish_frame(&format!("room{n}"), &frame)).collect();
        let per_message = server_frame_bytes(options.payload) * options.sessions as u64;
        let start_bytes = self.received.bytes.get();
        let (began, cpu) = (Instant::now(), self.server.cpu_ns()?);
        let mut sent = 0u64;
        while began.elapsed() < Duration::from_millis(options.window_ms) {
            let batch = if options.sliding && sent > 0 { 1 } else { options.in_flight as u64 };
            let rings = publishes.len() as u64;
            let bytes: Vec<u8> =
                (sent..sent + batch).flat_map(|n| publishes[(n % rings) as usize].clone()).collect();
            self.publisher.write_all(&bytes).await?;
            sent += batch;
            let open = if options.sliding { options.in_flight as u64 - 1 } else { 0 };
            self.received.reach(start_bytes + (sent - open) * per_message).await;
        }
        self.received.reach(start_bytes + sent * per_message).await;
        let (took, cpu) = (began.elapsed(), self.server.cpu_ns()? - cpu);
        let each = self.received.each.borrow();
        if each.iter().any(|bytes| *bytes != each[0])
            || self.received.bytes.get() != start_bytes + sent * per_message
        {
            return Err(std::io::Error::other("sessions did not receive the same bytes"));
        }
        let deliveries = (sent * options.sessions as u64) as f64;
        Ok(Window { cpu_us: cpu as f64 / 1_000.0 / deliveries, per_s: deliveries / took.as_secs_f64() })
    }
}

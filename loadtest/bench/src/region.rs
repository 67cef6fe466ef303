//! The server of the whole-path benchmarks: whole regions on one thread, memory backends, TCP, the real edge.
//!
//! Region n listens on `port + n`. Whoever connects to `port + 100` is told, as one line of JSON, the counts
//! of the region's stores; where there are several regions, the delays between them instead. Limits that
//! protect against clients (publishes a second, connections a second) are raised out of the way.

use std::rc::Rc;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use sterna_cluster::{MemoryStores, Plan, Region, Regions};
use sterna_gateway::edge::{self, Edge, Origins};
use sterna_gateway::gateway::Gateway;
use sterna_process::{Clock, Process, SystemClock};
use sterna_regions::RoundTrips;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::counted::Counter;
use crate::injected::Injected;
use crate::process::end_with_input;

/// From the first region's port to that of its counts.
pub(crate) const COUNTS: u16 = 100;
/// The regions that a server may have, in order.
pub(crate) const NAMES: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

#[derive(Args)]
pub(crate) struct Options {
    /// How many regions, up to three: one alone, or with mirrors and WAN delays between them.
    #[arg(long, default_value_t = 1)]
    regions: usize,
    /// Without express between them.
    #[arg(long)]
    mirror_only: bool,
    /// Partitions of each region, if not as many as a small plan has.
    #[arg(long)]
    partitions: Option<u16>,
    /// The first region's port on 127.0.0.1.
    port: u16,
}

/// The plan of the n-th region.
pub(crate) fn plan(n: usize) -> Plan {
    let mut plan = Plan::small(NAMES[n].parse().expect("a region's name"), 1);
    plan.terms.publishes_per_s = 1_000_000;
    plan.terms.max_in_flight = 1_000_000;
    plan.limits.ping_s = 3_600;
    // A shard follows very many streams at once in `growth`, and each is answered.
    plan.push_queue = 1 << 20;
    plan
}

pub(crate) async fn serve(options: Options) -> Outcome {
    end_with_input();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let counter = Arc::new(Counter::default());
    let counts = TcpListener::bind(("127.0.0.1", options.port + COUNTS)).await?;
    let plan = |n| {
        let plan = plan(n);
        Plan { partitions: options.partitions.unwrap_or(plan.partitions), ..plan }
    };
    if options.regions == 1 {
        let plan = plan(0);
        let stores = MemoryStores::new(&plan).stores();
        let counted = counter.clone();
        let lens = Arc::new(move |_: &Process, stores: &_| counted.around(stores));
        let region = Region::start_behind(plan, stores, clock.clone(), lens);
        listen(&region, 0, options.port, &clock)?;
        tell(counts, || counter.now()).await
    } else {
        let express = !options.mirror_only;
        let plans = (0..options.regions).map(|n| Plan { express, ..plan(n) }).collect();
        let distances = RoundTrips::typical();
        let regions = Regions::start(plans, &distances, &clock);
        for (n, name) in NAMES.iter().enumerate().take(options.regions) {
            listen(&regions.regions[&name.parse()?], n, options.port + n as u16, &clock)?;
        }
        let names: Vec<_> = regions.regions.keys().cloned().collect();
        let injected = Injected::start(&names, &distances);
        tell(counts, || injected.medians()).await
    }
}

fn listen(region: &Region<TcpStream>, n: usize, port: u16, clock: &Arc<dyn Clock>) -> Outcome {
    let gateway: Option<Gateway<TcpStream>> = region.gateway(0).cloned();
    let limits = edge::Limits { handshakes_per_s: 1_000_000, connections: 4_096 };
    let config =
        edge::Config { region: NAMES[n].parse()?, endpoints: Vec::new(), origins: Origins::Any, limits };
    let process = Process::new(&format!("edge {n}"), 1, clock.clone());
    let edge = Edge::new(config, edge::Parts { process, gateway: Rc::new(move || gateway.clone()) });
    edge.listen(edge::bind(([127, 0, 0, 1], port).into())?, |socket| socket);
    Ok(())
}

/// Tells whoever connects.
async fn tell<T: Serialize>(listener: TcpListener, what: impl Fn() -> T) -> Outcome {
    loop {
        let (mut socket, _) = listener.accept().await?;
        let _ = socket.write_all(&serde_json::to_vec(&what())?).await;
    }
}

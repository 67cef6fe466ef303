//! Gateway shards on threads of their own, beside the one that shares its thread with the other roles: each
//! with a listener on the region's address, an edge, and the sockets that the system gave it.
//!
//! A socket never changes its thread. What a shard asks of other roles is still a function call: their
//! handlers run on the thread of whoever asks. From outside a shard is told things by orders, in turn.

use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sterna_cluster::shard::ShardSeed;
use sterna_gateway::Counters;
use sterna_gateway::edge::{self, Config, Edge, Parts, Standing};
use sterna_gateway::gateway::Gateway;
use sterna_gateway::leaving::Leaving;
use sterna_process::{Clock, End, Process, State, Thread};
use tokio::sync::{mpsc, oneshot};

use crate::socket::Socket;

/// Orders that wait for a shard.
const ORDERS: usize = 8;
/// Longest that an edge may take to answer what it was asked.
pub(crate) const EDGE_DRAIN: Duration = Duration::from_secs(2);

/// A shard elsewhere.
pub struct Shard {
    /// Its number in the region.
    pub number: usize,
    /// The shard's process.
    pub process: Process,
    front: Process,
    orders: mpsc::Sender<Order>,
    thread: RefCell<Option<Thread>>,
}

/// What a shard and its edge counted.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Sessions that are open.
    pub sessions: usize,
    /// The shard's counters.
    pub shard: Counters,
    /// The edge's counters.
    pub edge: edge::Counters,
}

enum Order {
    Stand(Standing),
    Leave(Leaving, oneshot::Sender<()>),
    Tell(oneshot::Sender<Figures>),
    End,
}

/// What a new thread says of itself: the owners of what will live there.
struct Born {
    process: Process,
    front: Process,
}

impl Shard {
    /// Starts shard `number` on a thread of its own; `sow` says what it is built from, if it still is to
    /// be.
    ///
    /// # Errors
    /// The system's: no thread, no runtime, or a listener that cannot be taken along.
    pub async fn start(
        number: usize,
        (listener, config): (TcpListener, Config),
        (seed, clock): (u64, Arc<dyn Clock>),
        sow: impl FnOnce(&Process) -> Option<ShardSeed>,
    ) -> std::io::Result<Self> {
        let (birth, born) = oneshot::channel();
        let (sower, sown) = oneshot::channel();
        let (orders, told) = mpsc::channel(ORDERS);
        let region = config.region.clone();
        let thread = Thread::start(&format!("shard-{number}"), move || async move {
            let named = |what: &str| Process::new(&format!("{region}/{what}"), seed, clock.clone());
            let born = Born {
                process: named(&format!("gateway-{number}#1")),
                front: named(&format!("edge-{number}")),
            };
            let (process, front) = (born.process.clone(), born.front.clone());
            // Whoever starts it may have given up.
            let _ = birth.send(born);
            if let Ok(seed) = sown.await {
                live(seed, (listener, config), (process, front), told).await;
            }
        })?;
        let Born { process, front } = born.await.map_err(std::io::Error::other)?;
        if let Some(seed) = sow(&process) {
            let _ = sower.send(seed);
        }
        Ok(Self { number, process, front, orders, thread: RefCell::new(Some(thread)) })
    }

    /// What the edge answers from now on.
    pub async fn stand(&self, standing: Standing) {
        // A shard that is gone answers nothing anyway.
        let _ = self.orders.send(Order::Stand(standing)).await;
    }

    /// Sends its sessions elsewhere; returns when nobody is left who may still go.
    pub async fn leave(&self, leaving: Leaving) {
        let (left, done) = oneshot::channel();
        if self.orders.send(Order::Leave(leaving, left)).await.is_ok() {
            let _ = done.await;
        }
    }

    /// What it counted so far; `None` once it is gone.
    pub async fn figures(&self) -> Option<Figures> {
        let (tell, told) = oneshot::channel();
        self.orders.send(Order::Tell(tell)).await.ok()?;
        told.await.ok()
    }

    /// Ends the edge: no further connection, and what it was asked is answered.
    pub async fn close(&self) {
        self.front.drain(EDGE_DRAIN).await;
    }

    /// Ends the thread, once the shard's process is drained.
    pub async fn end(&self) {
        self.close().await;
        let _ = self.orders.send(Order::End).await;
        let thread = self.thread.borrow_mut().take();
        if let Some(thread) = thread
            && !thread.ended().await
        {
            tracing::error!(shard = self.number, "the thread of a shard panicked");
        }
    }
}

/// The life of a shard's thread.
async fn live(
    seed: ShardSeed,
    (listener, config): (TcpListener, Config),
    (process, front): (Process, Process),
    mut orders: mpsc::Receiver<Order>,
) {
    let gateway: Gateway<Socket> = seed.start();
    let (behind, alive) = (gateway.clone(), process.clone());
    let behind = move || (alive.state() == State::Running).then(|| behind.clone());
    let edge = Edge::new(config, Parts { process: front, gateway: Rc::new(behind) });
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => edge.listen(listener, Socket::Tcp),
        Err(error) => {
            tracing::error!(%error, "a shard cannot use its listener");
            process.kill();
        }
    }
    while let Some(order) = orders.recv().await {
        match order {
            Order::Stand(standing) => edge.stand(standing),
            Order::Leave(leaving, left) => {
                let gateway = gateway.clone();
                process.spawn_local("sending sessions elsewhere", End::Expected, async move {
                    gateway.leave(leaving).await;
                    let _ = left.send(());
                });
            }
            Order::Tell(tell) => {
                let _ = tell.send(Figures::of(&gateway, &edge));
            }
            Order::End => return,
        }
    }
}

impl Figures {
    /// Those of a shard on this thread.
    pub fn of(gateway: &Gateway<Socket>, edge: &Edge<Socket>) -> Self {
        Self { sessions: gateway.sessions(), shard: gateway.counters(), edge: edge.counters() }
    }
}

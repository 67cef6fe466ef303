//! The sequencer role: a consumer of the ingress that runs one driver for each partition it is assigned.
//!
//! The pure rules are `sterna_stream::sequencer`. Here: [`Sequencer::run`] owns the consumer and never waits
//! for a driver; `driver` carries out what a machine wants; `takeover` opens a term; `stored` reads segments
//! and `appends` puts them.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sterna_log::{Batch, Consumer, Log, Offset, Polled};
use sterna_process::{End, Link, Process};
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_storage::Table;
use sterna_stream::StreamId;
use sterna_stream::map::Map;
use sterna_stream::sequencer::{Partition, Place, Why};
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::ingress;
use crate::missing::Misses;

mod appends;
mod driver;
mod stored;
mod takeover;

/// Orders of all drivers that wait for the consumer.
const ORDERS: usize = 256;
/// Pause before the ingress is joined again.
const JOIN_PAUSE: Duration = Duration::from_millis(200);

/// What an alarm calls the topics.
pub(crate) const INGRESS: &str = "ingress";
pub(crate) const LOG: &str = "log";

/// Pause between two commits while nothing else happens.
const COMMIT_REST: Duration = Duration::from_millis(20);

/// What all drivers of an instance share.
pub(crate) struct Shared {
    pub(crate) process: Process,
    pub(crate) config: Arc<Config>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) persistence: PersistenceClient<Link>,
    /// The same over a connection of its own, for the calls that stay open (E16).
    pub(crate) appends: PersistenceClient<Link>,
    pub(crate) machines: Arc<Machines>,
    pub(crate) alarms: Arc<Alarms>,
}

/// The machines at work in this instance, for whoever must know whether a stream is overloaded.
#[derive(Default)]
pub struct Machines(Mutex<Map<u16, Weak<Mutex<Partition>>>>);

/// Partitions that nothing sequences, and why.
#[derive(Default)]
pub struct Alarms {
    partitions: Mutex<Map<u16, Why>>,
    /// Why none of the region's partitions may be sequenced.
    all: Mutex<Option<Why>>,
}

/// What a driver asks of the consumer.
pub(crate) enum Order {
    Start {
        partition: u16,
        generation: u32,
        at: Offset,
        feed: mpsc::Sender<Batch>,
        /// Dropped if the partition is not the driver's any more.
        obeyed: oneshot::Sender<()>,
    },
    Commit {
        partition: u16,
        generation: u32,
        upto: Offset,
    },
    Pause {
        partition: u16,
        on: bool,
    },
    Took {
        partition: u16,
    },
    /// Whether the partition is still the driver's: `answer` is dropped if not.
    Mine {
        partition: u16,
        generation: u32,
        answer: oneshot::Sender<()>,
    },
}

/// One assigned partition, as the consumer sees it.
struct Assigned {
    generation: u32,
    feed: Option<mpsc::Sender<Batch>>,
    /// The machine wants no records.
    paused: bool,
    /// The feed is full.
    full: bool,
    /// What the consumer was told last.
    held_up: bool,
    /// What is to be committed.
    due: Option<Offset>,
    committed: Option<Offset>,
}

/// The role.
pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    assigned: Map<u16, Assigned>,
    orders: mpsc::Sender<Order>,
}

impl Sequencer {
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        (Self { shared, assigned: Map::default(), orders }, inbox)
    }

    /// Consumes the ingress until the process drains; then lets the drivers finish, commit and leave.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let drain = self.shared.process.drain_signal();
        let Some(mut consumer) = self.join().await else { return };
        // Between two commits the consumer is polled: a slow broker must not cost the membership.
        let mut polls_first = false;
        let mut drained = std::pin::pin!(drain.raised());
        loop {
            tokio::select! {
                biased;
                () = &mut drained => break,
                Some(order) = inbox.recv() => self.obey(order, &mut *consumer),
                () = std::future::ready(()), if !polls_first && self.next_due().is_some() => {
                    self.commit_one(&mut *consumer).await;
                    polls_first = true;
                }
                polled = consumer.next() => {
                    polls_first = false;
                    match polled {
                        Ok(polled) => self.polled(polled, &mut *consumer),
                        Err(sterna_log::Error::OutOfRange { partition, asked, earliest, end, .. }) => {
                            self.lost(partition, Why::IngressLost { resume: asked, earliest, end });
                        }
                        Err(sterna_log::Error::MissingTopic(_, partition)) => self.missed(partition),
                        Err(error) => {
                            tracing::error!(%error, "the ingress cannot be consumed");
                            tokio::time::sleep(JOIN_PAUSE).await;
                        }
                    }
                }
                () = tokio::time::sleep(COMMIT_REST), if polls_first && self.next_due().is_some() => {
                    polls_first = false;
                }
            }
        }
        self.assigned.clear();
        let Self { shared, orders, .. } = self;
        drop(orders);
        while let Some(order) = inbox.recv().await {
            if let Order::Commit { partition, generation, upto } = order {
                let _ =
                    consumer.commit(partition, generation, &[(shared.config.ingress.clone(), upto)]).await;
            }
        }
    }

    /// Joins the ingress' group, however long that takes; `None`: the process drains. What stands in the way
    /// is told when it changes.
    async fn join(&self) -> Option<Box<dyn Consumer>> {
        let (config, drain) = (&self.shared.config, self.shared.process.drain_signal());
        let (mut told, mut misses) = (String::new(), Misses::default());
        while !drain.is_raised() {
            let error = match self.shared.log.join(&config.group, std::slice::from_ref(&config.ingress)).await
            {
                Ok(consumer) => {
                    (0..config.partitions).for_each(|partition| self.shared.alarms.clear(partition));
                    return Some(consumer);
                }
                Err(error) => error,
            };
            let why = error.to_string();
            let missing = matches!(error, sterna_log::Error::MissingTopic(..));
            if why != told && (!missing || misses.once_more(INGRESS)) {
                self.cannot_join(&error);
                told = why;
            }
            tokio::select! {
                biased;
                () = drain.raised() => {}
                () = tokio::time::sleep(JOIN_PAUSE) => {}
            }
        }
        None
    }

    fn cannot_join(&self, error: &sterna_log::Error) {
        let sterna_log::Error::MissingTopic(topic, _) = error else {
            return tracing::warn!(%error, "the ingress cannot be joined yet");
        };
        tracing::error!(%topic, "alarm: the ingress is missing: nothing can be accepted");
        for partition in 0..self.shared.config.partitions {
            self.shared.alarms.raise(partition, Why::TopicMissing(INGRESS));
        }
    }

    fn polled(&mut self, polled: Polled, consumer: &mut dyn Consumer) {
        match polled {
            Polled::Assigned { partition, generation, .. } => {
                let assigned = Assigned::new(generation, None);
                self.assigned.insert(partition, assigned);
                let driver = driver::Driver {
                    shared: self.shared.clone(),
                    partition,
                    generation,
                    orders: self.orders.clone(),
                };
                self.shared.process.spawn("a partition's sequencer", End::Expected, driver.run());
            }
            Polled::Revoked { partition, generation, .. } => self.give_up(partition, generation),
            Polled::Records(batch) => self.records(batch, consumer),
        }
    }

    fn records(&mut self, batch: Batch, consumer: &mut dyn Consumer) {
        let partition = batch.partition;
        let Some(assigned) = self.assigned.get_mut(&partition) else { return };
        let Some(feed) = &assigned.feed else { return };
        if batch.generation != assigned.generation {
            return;
        }
        if feed.try_send(batch).is_err() {
            // Only a feed that was given up cannot take what the pause below left room for.
            assigned.feed = None;
            return;
        }
        assigned.full = feed.capacity() == 0;
        assigned.tell(partition, consumer);
    }

    fn obey(&mut self, order: Order, consumer: &mut dyn Consumer) {
        match order {
            Order::Start { partition, generation, at, feed, obeyed } => {
                let Some(assigned) = self.assigned.get_mut(&partition) else { return };
                if assigned.generation == generation {
                    *assigned = Assigned::new(generation, Some(feed));
                    consumer.pause(partition, false);
                    consumer.start(partition, &[(self.shared.config.ingress.clone(), at)]);
                    let _ = obeyed.send(());
                }
            }
            Order::Commit { partition, generation, upto } => {
                let assigned = self.assigned.get_mut(&partition).filter(|own| own.generation == generation);
                if let Some(assigned) = assigned {
                    assigned.due = Some(upto).filter(|_| assigned.committed != Some(upto));
                }
            }
            Order::Pause { partition, on } => {
                let Some(assigned) = self.assigned.get_mut(&partition) else { return };
                assigned.paused = on;
                assigned.tell(partition, consumer);
            }
            Order::Mine { partition, generation, answer } => {
                if self.assigned.get(&partition).is_some_and(|own| own.generation == generation) {
                    let _ = answer.send(());
                }
            }
            Order::Took { partition } => {
                let Some(assigned) = self.assigned.get_mut(&partition) else { return };
                assigned.full = assigned.feed.as_ref().is_some_and(|feed| feed.capacity() == 0);
                assigned.tell(partition, consumer);
            }
        }
    }

    /// The ingress is not what it was: an offset is never reset (E10).
    fn lost(&mut self, partition: u16, why: Why) {
        tracing::error!(partition, %why, "alarm: the ingress was lost: nothing sequences it any more");
        self.shared.alarms.raise(partition, why);
        self.assigned.remove(&partition);
    }

    /// The consumer is told that the ingress is missing, and nothing more of it comes (C6). That may be of
    /// the moment: without its feed the driver takes the partition over again, by what is there then.
    fn missed(&mut self, partition: u16) {
        if let Some(assigned) = self.assigned.get_mut(&partition) {
            assigned.feed = None;
        }
    }

    fn next_due(&self) -> Option<u16> {
        self.assigned
            .iter()
            .filter(|(_, assigned)| assigned.due.is_some())
            .map(|(partition, _)| *partition)
            .min()
    }

    async fn commit_one(&mut self, consumer: &mut dyn Consumer) {
        let Some(partition) = self.next_due() else { return };
        let Some(assigned) = self.assigned.get_mut(&partition) else { return };
        let Some(upto) = assigned.due.take() else { return };
        let generation = assigned.generation;
        match consumer.commit(partition, generation, &[(self.shared.config.ingress.clone(), upto)]).await {
            Ok(()) => assigned.committed = Some(upto),
            Err(sterna_log::Error::Fenced) => self.give_up(partition, generation),
            Err(error) => tracing::warn!(%error, "a commit failed; the next one covers it"),
        }
    }

    /// Dropping the feed tells the driver that the partition is not its own any more.
    fn give_up(&mut self, partition: u16, generation: u32) {
        if self.assigned.get(&partition).is_some_and(|assigned| assigned.generation == generation) {
            self.assigned.remove(&partition);
        }
    }
}

// === impl Assigned ===

impl Assigned {
    fn new(generation: u32, feed: Option<mpsc::Sender<Batch>>) -> Self {
        Self { generation, feed, paused: false, full: false, held_up: false, due: None, committed: None }
    }

    /// Stops or starts the partition's records, where that is news to the consumer.
    fn tell(&mut self, partition: u16, consumer: &mut dyn Consumer) {
        let on = self.paused || self.full;
        if std::mem::replace(&mut self.held_up, on) != on {
            consumer.pause(partition, on);
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn place(&self, partition: u16) -> Place {
        let origin = self.config.origin.clone();
        Place { incarnation: origin.incarnation(), origin, partition }
    }

    fn tables(&self, partition: u16) -> stored::Tables {
        stored::Tables {
            place: self.place(partition),
            persistence: self.persistence.clone(),
            rng: self.process.rng(&format!("sequencer {partition}")),
        }
    }
}

// === impl Machines, Alarms ===

impl Machines {
    /// What each partition's machine counted since its term began, in the order of partitions.
    pub(crate) fn counters(&self) -> Vec<(u16, sterna_stream::sequencer::Counters)> {
        let machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = machines.iter().filter_map(|(partition, machine)| Some((*partition, machine.upgrade()?)));
        let counters = |machine: Arc<Mutex<Partition>>| {
            *machine.lock().unwrap_or_else(PoisonError::into_inner).counters()
        };
        let mut all: Vec<_> = alive.map(|(partition, machine)| (partition, counters(machine))).collect();
        all.sort_unstable_by_key(|(partition, _)| *partition);
        all
    }

    fn insert(&self, partition: u16, machine: &Arc<Mutex<Partition>>) {
        let mut machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        machines.insert(partition, Arc::downgrade(machine));
    }

    /// Whether publishes to `stream` of `partition` must wait (E8). False where another instance sequences
    /// it.
    pub fn overloaded(&self, partition: u16, stream: &StreamId) -> bool {
        let machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = machines.get(&partition).and_then(Weak::upgrade);
        machine.is_some_and(|m| m.lock().unwrap_or_else(PoisonError::into_inner).overloaded(stream))
    }
}

impl Alarms {
    pub(crate) fn raise(&self, partition: u16, why: Why) {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, why);
    }

    pub(crate) fn clear(&self, partition: u16) {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    /// Nothing of the region may be sequenced any more; the first reason stays.
    pub(crate) fn raise_for_all(&self, why: Why) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_none() {
            tracing::error!(%why, "alarm: nothing of the region is sequenced any more");
            *all = Some(why);
        }
    }

    /// Why nothing of the region may be sequenced.
    pub fn of_all(&self) -> Option<Why> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many partitions have an alarm.
    pub fn count(&self) -> usize {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The alarm of a partition that nothing sequences any more, or not now ([`Why::LogRefuses`]).
    pub fn of(&self, partition: u16) -> Option<Why> {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.get(&partition).cloned().or_else(|| self.of_all())
    }
}

//! Consuming the logs: each segment is pushed, then put into the region's tail; offsets are committed behind
//! both, and those of a mirror only behind segments that are readable in the local table (E20).
//!
//! Partition p of the own log and of every mirror belongs to one instance. What is replayed after a restart
//! is recognised by seq: by the hub, by the tail, and by every shard. Reading order: this loop, `begin` (from
//! where), `records` (one after the other), `parked` (what waits for members), `expressed` (what came by
//! express), `ahead` (what came so too early).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sterna_log::{Consumer, Error, Offset, Polled, Topic};
use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_stream::map::Map;
use sterna_stream::{Region, partition};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::ensure::Ticket;
use crate::fill::{Ask, Round};
use crate::handled::Handled;
use crate::marks::{Begin, Counts};
use crate::{Inner, Mirror, look, marks};
use begin::starts;
use records::Owned;

mod ahead;
mod begin;
mod expressed;
mod parked;
mod records;

/// How often offsets are committed.
const SECOND: Duration = Duration::from_secs(1);
/// Pause before the logs are joined again.
const JOIN_PAUSE: Duration = Duration::from_millis(200);

/// The topics consumed, in the order of the join: the own log, then the mirrors. Each with the region whose
/// log it is.
struct Topics {
    all: Vec<(Topic, Region)>,
    mirrors: Arc<[Mirror]>,
}

/// The way to whoever reads what mirrors lack: one hole at a time.
pub(crate) struct Filling {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) rounds: mpsc::Receiver<Round>,
    /// Whether an answer is awaited.
    pub(crate) asking: bool,
}

/// Consumes for the role's life: the logs, what `arrivals` brings by express, and what `filling` finds.
pub(crate) async fn run(role: Arc<Inner>, mut arrivals: mpsc::Receiver<Stored>, mut filling: Filling) {
    let drain = role.process.drain_signal();
    let mut topics = Topics::of(&role);
    let mut looking = pin!(look::look(&role));
    let mut consumer = join(&role, &topics.names()).await;
    let mut owned: Map<u16, Owned> = Map::default();
    let mut second = tokio::time::interval(SECOND);
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut drained = pin!(drain.raised());
    loop {
        tokio::select! {
            biased;
            () = &mut drained => break,
            _ = second.tick() => {
                role.wall.look();
                every_second(&role, &topics, &mut *consumer, &mut owned).await;
                filling.ask(&role, &mut owned);
            }
            () = role.lives.changed() => {
                give_up_all(&role, &topics, &mut *consumer, &mut owned).await;
                drop(consumer);
                topics = Topics::of(&role);
                consumer = join(&role, &topics.names()).await;
            }
            done = role.ensure.finished() => finished(&role, done, &mut *consumer, &mut owned).await,
            Some(round) = filling.rounds.recv() => {
                filling.asking = false;
                filled(&role, round, &mut *consumer, &mut owned).await;
            }
            () = &mut looking => {}
            Some(stored) = arrivals.recv() => expressed(&role, stored, &mut *consumer, &mut owned).await,
            polled = consumer.next() => match polled {
                Ok(polled) => take(&role, &topics, polled, &mut *consumer, &mut owned).await,
                Err(error) => {
                    tracing::error!(%error, "alarm: a log cannot be consumed; devices read the table");
                    tokio::time::sleep(JOIN_PAUSE).await;
                    if let Error::MissingTopic(_, partition) = error {
                        go_on(&topics, partition, &mut *consumer, &owned);
                    }
                }
            },
        }
    }
    for own in owned.values_mut() {
        settle(&role, &topics, &mut *consumer, own).await;
    }
}

async fn take(
    role: &Inner,
    topics: &Topics,
    polled: Polled,
    consumer: &mut dyn Consumer,
    owned: &mut Map<u16, Owned>,
) {
    match polled {
        Polled::Assigned { partition, generation, committed } => {
            let known: Vec<bool> = committed.iter().skip(1).map(|(_, offset)| offset.is_some()).collect();
            let Begin { counts, lost } = Counts::load(role, &topics.mirrors, partition, &known).await;
            let starts = starts(role, partition, committed, &lost).await;
            consumer.start(partition, &starts);
            let starts = starts.into_iter().map(|(_, at)| at).collect();
            owned.insert(partition, Owned::new(partition, generation, starts, counts));
            role.hub.lock().own(partition);
        }
        Polled::Revoked { partition, generation, lost } => {
            let Some(own) = owned.get_mut(&partition).filter(|own| own.generation == generation) else {
                return;
            };
            if !lost {
                settle(role, topics, consumer, own).await;
            }
            owned.remove(&partition);
            disowned(role, partition);
        }
        Polled::Records(batch) => {
            let own = owned.get_mut(&batch.partition).filter(|own| own.generation == batch.generation);
            if let Some(own) = own {
                own.take(role, topics, batch).await;
                pause_or_go_on(consumer, own);
            }
        }
    }
}

/// Some topic of a partition is said to be missing, and nothing more of it comes (C6). That may be of the
/// moment, so it is asked for again, from where it stands, as whoever is assigned it next would.
fn go_on(topics: &Topics, partition: u16, consumer: &mut dyn Consumer, owned: &Map<u16, Owned>) {
    let Some(own) = owned.get(&partition) else { return };
    let at: Vec<_> = topics.names().into_iter().zip(own.topics.iter().map(Handled::next)).collect();
    consumer.start(partition, &at);
}

/// There are more topics than those that were joined: each partition is given up, and assigned anew with
/// all.
async fn give_up_all(
    role: &Inner,
    topics: &Topics,
    consumer: &mut dyn Consumer,
    owned: &mut Map<u16, Owned>,
) {
    for partition in in_order(owned) {
        let Some(mut own) = owned.remove(&partition) else { continue };
        settle(role, topics, consumer, &mut own).await;
        disowned(role, partition);
    }
}

/// A partition is not this instance's any more: its shards and watchers are told to ask whose it is.
fn disowned(role: &Inner, partition: u16) {
    role.hub.lock().disown(partition);
    role.watch.lock().disown(partition, role.config.partitions);
    role.positions.forget(partition);
}

fn in_order(owned: &Map<u16, Owned>) -> Vec<u16> {
    let mut partitions: Vec<u16> = owned.keys().copied().collect();
    partitions.sort_unstable();
    partitions
}

async fn join(role: &Inner, topics: &[Topic]) -> Box<dyn Consumer> {
    loop {
        match role.log.join(&role.config.group, topics).await {
            Ok(consumer) => return consumer,
            Err(error) => tracing::warn!(%error, "the logs cannot be joined yet"),
        }
        tokio::time::sleep(JOIN_PAUSE).await;
    }
}

/// Each partition's counts and offsets, its mark, and how far other regions have this one's log.
async fn every_second(
    role: &Inner,
    topics: &Topics,
    consumer: &mut dyn Consumer,
    owned: &mut Map<u16, Owned>,
) {
    for partition in in_order(owned) {
        let Some(own) = owned.get_mut(&partition) else { continue };
        settle(role, topics, consumer, own).await;
        own.counts.write_mark(role, partition);
        own.catch_up_all(role).await;
        pause_or_go_on(consumer, own);
        if let Some(covered) = own.counts.news(role, partition) {
            role.hub.lock().covered(partition, covered);
        }
    }
}

/// Stores how far the mirrors are counted, then commits: what is behind a commit is never counted again.
async fn settle(role: &Inner, topics: &Topics, consumer: &mut dyn Consumer, own: &mut Owned) {
    let partition = own.partition;
    let upto: Vec<Offset> = own.topics.iter().map(Handled::upto).collect();
    if !own.counts.store(role, partition).await || upto == own.committed {
        return;
    }
    let named: Vec<_> = topics.names().into_iter().zip(upto.iter().copied()).collect();
    match consumer.commit(partition, own.generation, &named).await {
        Ok(()) => own.committed = upto,
        Err(error) => tracing::warn!(partition, %error, "a commit failed; the next one covers it"),
    }
}

/// A segment came by express, perhaps of a partition that is not this instance's any more.
async fn expressed(role: &Inner, stored: Stored, consumer: &mut dyn Consumer, owned: &mut Map<u16, Owned>) {
    let at = partition::of(&stored.segment.stream, role.config.partitions);
    match owned.get_mut(&at) {
        Some(own) => {
            own.carried(role, stored).await;
            pause_or_go_on(consumer, own);
        }
        None => role.express.count().unwanted += 1,
    }
}

async fn finished(role: &Inner, done: Vec<Ticket>, consumer: &mut dyn Consumer, owned: &mut Map<u16, Owned>) {
    for ticket in done {
        let own = owned.get_mut(&ticket.partition).filter(|own| own.generation == ticket.generation);
        if let Some(own) = own {
            own.ensured(role, ticket.from, ticket.number).await;
            pause_or_go_on(consumer, own);
        }
    }
}

/// What a mirror lacks was read from the table.
async fn filled(role: &Inner, round: Round, consumer: &mut dyn Consumer, owned: &mut Map<u16, Owned>) {
    let own = owned.get_mut(&round.ask.partition).filter(|own| own.generation == round.ask.generation);
    if let Some(own) = own {
        let shown = own.counts.filled(role, round);
        own.lacked(role, shown).await;
        pause_or_go_on(consumer, own);
    }
}

/// Too much that the table is not known to hold stops the partition's consumption, until it does.
fn pause_or_go_on(consumer: &mut dyn Consumer, own: &mut Owned) {
    let full = own.full();
    if full != own.paused {
        own.paused = full;
        consumer.pause(own.partition, full);
    }
}

// === impl Filling ===

impl Filling {
    /// Asks for the hole whose turn it is, if none is being asked for.
    fn ask(&mut self, role: &Inner, owned: &mut Map<u16, Owned>) {
        let mut chosen: Option<(Instant, Ask)> = None;
        for partition in in_order(owned) {
            let Some(own) = owned.get_mut(&partition) else { continue };
            let overdue = own.counts.overdue(role, (partition, own.generation));
            let first = |(due, _): &(Instant, Ask)| chosen.as_ref().is_none_or(|(first, _)| due < first);
            if !self.asking
                && own.may_take_lacked()
                && let Some(overdue) = overdue.filter(first)
            {
                chosen = Some(overdue);
            }
        }
        let Some((_, ask)) = chosen else { return };
        let Some(own) = owned.get_mut(&ask.partition) else { return };
        own.counts.asked(role, &ask);
        self.asking = self.asks.try_send(ask).is_ok();
    }
}

// === impl Topics ===

impl Topics {
    fn of(role: &Inner) -> Self {
        let mirrors = role.lives.mirrors();
        let mut all = vec![(role.config.log.clone(), role.config.origin.region())];
        all.extend(mirrors.iter().map(|mirror| (mirror.topic.clone(), mirror.origin.region())));
        Self { all, mirrors }
    }

    fn names(&self) -> Vec<Topic> {
        self.all.iter().map(|(topic, _)| topic.clone()).collect()
    }

    fn position(&self, topic: &Topic) -> Option<usize> {
        self.all.iter().position(|(name, _)| name == topic)
    }

    /// A log holds its own region's events only, whatever a mirror's name says (A6).
    fn may_hold(&self, topic: usize, stored: &Stored) -> bool {
        stored.segment.origin.region() == self.all[topic].1
    }

    /// A log holds its own region's marks only, and each partition its own.
    fn may_say(&self, topic: usize, partition: u16, mark: &v1::Mark) -> bool {
        marks::is_of(mark, &self.all[topic].1, partition)
    }
}

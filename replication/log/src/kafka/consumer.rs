//! A member of a group.
//!
//! The member is in the group for the *first* topic of its join alone, under the cooperative protocol: a
//! partition is taken from a live member only after it let go, and what a member keeps is never interrupted.
//! The other topics follow that assignment by number, so partition p of all topics goes to one member, which
//! no assignor of the client promises. [`super::follow`] delivers; offsets of every topic are committed under
//! the membership of the first, and the brokers refuse them from who is no member, or of an older generation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt as _};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tokio::time::{Duration, Instant, Sleep, sleep, timeout};

use super::context::{Membership, Rebalance, Wake};
use super::errors::{self, Commit};
use super::follow::Follower;
use super::native;
use super::reader::{self, blocking};
use super::settings::Config;
use crate::error::Error;
use crate::log::{Consumer, Polled};
use crate::record::{Group, Offset, Topic};

/// Between two attempts of what the group could not answer while its members change.
const AGAIN: Duration = Duration::from_millis(50);

type Client = BaseConsumer<Membership>;
type Committed = Vec<(u16, Vec<(Topic, Option<Offset>)>)>;

/// See the file's head.
pub(super) struct KafkaConsumer {
    member: Arc<Client>,
    /// Taken when dropped.
    follower: Option<Follower>,
    wake: Arc<Wake>,
    /// Generation of each partition held.
    owned: BTreeMap<u16, u32>,
    paused: BTreeSet<u16>,
    /// Not yet handed out; at most one per partition.
    told: VecDeque<Polled>,
    /// Told to let go; the next call of `next` does.
    leaving: Option<u16>,
    stage: Stage,
    /// The client is looked after at least that often, also when nothing happens.
    tick: Pin<Box<Sleep>>,
    config: Config,
}

/// Where the member is in a rebalance.
enum Stage {
    /// Nothing to do. → `Learning` when partitions come, `Leaving` when some go.
    Steady,
    /// Asks what was committed of new partitions. → `Steady` when they are told.
    Learning { generation: u32, answer: BoxFuture<'static, Result<Committed, Error>> },
    /// Tells one partition after the other. → `Steady` when the last was let go, which the group is told.
    Leaving(VecDeque<u16>),
}

impl KafkaConsumer {
    pub(super) fn join(
        config: &Config,
        group: &Group,
        reader: super::reader::Reader,
        topics: Vec<Topic>,
    ) -> Result<Self, Error> {
        let failed = |error: rdkafka::error::KafkaError| Error::Unavailable(errors::said(&error));
        let wake = Arc::new(Wake::default());
        let mut member: Client =
            config.member(group).create_with_context(Membership::new()).map_err(failed)?;
        let rung = wake.clone();
        member.set_nonempty_callback(move || rung.ring());
        member.subscribe(&[topics[0].as_str()]).map_err(failed)?;
        let follower = Follower::new(config, reader, topics, wake.clone())?;
        Ok(Self {
            member: Arc::new(member),
            follower: Some(follower),
            wake,
            owned: BTreeMap::new(),
            paused: BTreeSet::new(),
            told: VecDeque::new(),
            leaving: None,
            stage: Stage::Steady,
            tick: Box::pin(sleep(Duration::ZERO)),
            config: config.clone(),
        })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Polled, Error>> {
        loop {
            self.wake.waker.register(cx.waker());
            self.serve();
            if let Some(polled) = self.told.pop_front() {
                if let Polled::Revoked { partition, lost: false, .. } = &polled {
                    self.leaving = Some(*partition);
                }
                return Poll::Ready(Ok(polled));
            }
            if self.advance(cx) {
                continue;
            }
            if let Some(batch) = self.follower.as_mut().and_then(|follower| follower.poll(cx)) {
                return Poll::Ready(batch.map(Polled::Records));
            }
            if !self.wake.is_quiet() {
                continue;
            }
            if self.tick.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.tick.as_mut().reset(Instant::now() + self.config.session_timeout / 8);
        }
    }

    /// Lets the client tell its news; shows it that this member lives.
    fn serve(&self) {
        loop {
            let before = self.member.context().waiting();
            let polled = self.member.poll(Duration::ZERO);
            if let Some(Err(error)) = &polled {
                tracing::warn!(%error, "the group's client");
            }
            if polled.is_none() && self.member.context().waiting() == before {
                return;
            }
        }
    }

    /// Takes one step of a rebalance; true if there may be another.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.stage {
            Stage::Steady => {
                let Some(rebalance) = self.member.context().take() else { return false };
                self.begin(rebalance);
                true
            }
            Stage::Learning { generation, answer } => {
                let Poll::Ready(answer) = answer.poll_unpin(cx) else { return false };
                let generation = *generation;
                match answer {
                    Ok(committed) => self.assigned(generation, committed),
                    // Only a lost group ends the question, and that is told next.
                    Err(error) => tracing::warn!(%error, "no answer about committed offsets"),
                }
                self.stage = Stage::Steady;
                true
            }
            Stage::Leaving(rest) => {
                // One at a time, so that each may be committed until the next call (C9).
                if self.leaving.is_some() {
                    return false;
                }
                match rest.pop_front() {
                    Some(partition) => {
                        if let Some(&generation) = self.owned.get(&partition) {
                            self.stop(partition);
                            self.told.push_back(Polled::Revoked { partition, generation, lost: false });
                        }
                    }
                    None => {
                        self.stage = Stage::Steady;
                        self.let_client_go_on(false);
                    }
                }
                true
            }
        }
    }

    fn begin(&mut self, rebalance: Rebalance) {
        match rebalance {
            Rebalance::Assigned(partitions) => {
                let generation = native::generation(&self.member).unwrap_or_default();
                self.let_client_go_on(true);
                if !partitions.is_empty() {
                    self.stage = Stage::Learning { generation, answer: self.learn(partitions) };
                }
            }
            Rebalance::Revoked { partitions, lost: false } => {
                self.stage = Stage::Leaving(partitions.into());
            }
            Rebalance::Revoked { lost: true, .. } => {
                self.leaving = None;
                for (partition, generation) in std::mem::take(&mut self.owned) {
                    self.stop(partition);
                    self.told.push_back(Polled::Revoked { partition, generation, lost: true });
                }
                self.let_client_go_on(false);
            }
        }
    }

    /// Answers the client's rebalance: it assigns nothing itself, so the lists are empty.
    fn let_client_go_on(&self, assigned: bool) {
        let none = TopicPartitionList::new();
        let done = match assigned {
            true => self.member.incremental_assign(&none),
            false => self.member.incremental_unassign(&none),
        };
        if let Err(error) = done {
            tracing::error!(%error, "the group's client does not go on");
        }
    }

    /// Asks what was committed of every topic of these partitions, until there is an answer.
    fn learn(&self, partitions: Vec<u16>) -> BoxFuture<'static, Result<Committed, Error>> {
        let topics = self.topics().to_vec();
        let (member, wait) = (self.member.clone(), self.config.request_timeout);
        async move {
            loop {
                let mut asked = TopicPartitionList::new();
                for topic in &topics {
                    for partition in &partitions {
                        asked.add_partition(topic.as_str(), i32::from(*partition));
                    }
                }
                let asking = member.clone();
                match blocking(move || reader::committed(&asking, asked, wait)).await {
                    Ok(list) => {
                        let of = |partition: &u16| {
                            let offset = |topic: &Topic| reader::offset_of(&list, topic, *partition);
                            (*partition, topics.iter().map(|topic| (topic.clone(), offset(topic))).collect())
                        };
                        return Ok(partitions.iter().map(of).collect());
                    }
                    Err(error) if member.assignment_lost() => return Err(error),
                    Err(_) => sleep(AGAIN).await,
                }
            }
        }
        .boxed()
    }

    fn assigned(&mut self, generation: u32, committed: Committed) {
        for (partition, committed) in committed {
            self.owned.insert(partition, generation);
            self.told.push_back(Polled::Assigned { partition, generation, committed });
        }
    }

    fn stop(&mut self, partition: u16) {
        self.paused.remove(&partition);
        if let Some(follower) = &mut self.follower {
            follower.stop(partition);
        }
    }

    fn topics(&self) -> &[Topic] {
        self.follower.as_ref().map_or(&[], Follower::topics)
    }

    fn holds(&self, partition: u16) -> Option<u32> {
        self.owned.get(&partition).copied().filter(|_| self.leaving != Some(partition))
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn next(&mut self) -> Result<Polled, Error> {
        tokio::task::coop::consume_budget().await;
        if let Some(partition) = self.leaving.take() {
            self.owned.remove(&partition);
        }
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn start(&mut self, partition: u16, at: &[(Topic, Offset)]) {
        let Some(generation) = self.holds(partition) else { return };
        let paused = self.paused.contains(&partition);
        if let Some(follower) = &mut self.follower {
            follower.start(partition, generation, at, paused);
        }
    }

    fn pause(&mut self, partition: u16, on: bool) {
        if self.holds(partition).is_none() {
            return;
        }
        if on {
            self.paused.insert(partition);
        } else {
            self.paused.remove(&partition);
        }
        if let Some(follower) = &mut self.follower {
            follower.pause(partition, on);
        }
    }

    async fn commit(
        &mut self,
        partition: u16,
        generation: u32,
        upto: &[(Topic, Offset)],
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.config.request_timeout;
        loop {
            // The brokers fence the member; which partition is whose within it is known here alone.
            if self.owned.get(&partition) != Some(&generation) || self.member.assignment_lost() {
                return Err(Error::Fenced);
            }
            let mut offsets = TopicPartitionList::new();
            for (topic, offset) in upto {
                let at = At::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
                offsets
                    .add_partition_offset(topic.as_str(), i32::from(partition), at)
                    .map_err(|error| Error::Refused(errors::said(&error)))?;
            }
            let member = self.member.clone();
            let commit = blocking(move || Ok(member.commit(&offsets, CommitMode::Sync)));
            let outcome = match timeout(self.config.request_timeout, commit).await {
                Ok(outcome) => outcome?,
                Err(_) => return Err(Error::Unknown("no answer to a commit in time".into())),
            };
            match outcome.as_ref().map_err(errors::committed) {
                Ok(()) => return Ok(()),
                Err(Commit::Fenced) => return Err(Error::Fenced),
                Err(Commit::Failed(error)) => return Err(error),
                Err(Commit::Again) if Instant::now() >= deadline => {
                    return Err(Error::Unavailable("the group's members are changing".into()));
                }
                Err(Commit::Again) => sleep(AGAIN).await,
            }
        }
    }
}

impl Drop for KafkaConsumer {
    #[allow(
        clippy::disallowed_methods,
        reason = "leaving a group takes a round trip, which must not block a task"
    )]
    fn drop(&mut self) {
        self.member.context().close();
        let waiting = self.member.context().take().is_some();
        if waiting || matches!(self.stage, Stage::Leaving(_)) {
            self.let_client_go_on(false);
        }
        let leave = (self.member.clone(), self.follower.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(leave));
        }
    }
}

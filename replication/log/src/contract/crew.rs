//! What the cases share: records, reading everything, and members that are driven together in one task.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, select_all};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::PATIENCE;
use crate::error::Error;
use crate::log::{Batch, Consumer, Log, Polled};
use crate::record::{Entry, Group, Headers, Offset, Record, Topic};

/// A record with this text as its value.
pub(super) fn record(topic: &Topic, partition: u16, text: &str) -> Record {
    Record {
        topic: topic.clone(),
        partition,
        key: Bytes::from_static(b"acme/chat/general"),
        value: Bytes::copy_from_slice(text.as_bytes()),
        headers: Headers::new(),
        timestamp_ms: 1_700_000_000_000,
    }
}

/// The value of a record as text.
pub(super) fn text(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.record.value).into_owned()
}

/// Produces records `<prefix>0`, `<prefix>1`, … and gives their offsets.
pub(super) async fn fill(
    log: &Arc<dyn Log>,
    topic: &Topic,
    partition: u16,
    (prefix, count): (&str, usize),
) -> Vec<Offset> {
    let produce = |n| log.produce(record(topic, partition, &format!("{prefix}{n}")));
    let answers = join_all((0..count).map(produce)).await;
    answers.into_iter().map(|answer| answer.expect("a produce in peace")).collect()
}

/// Everything that stands in a partition now.
pub(super) async fn contents(log: &Arc<dyn Log>, topic: &Topic, partition: u16) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut from = 0;
    loop {
        let page = log.read(topic, partition, from, 64 * 1024).await.expect("a read in peace");
        if page.entries.is_empty() {
            return entries;
        }
        from = page.next;
        entries.extend(page.entries);
    }
}

/// Asks again until the answer is `Ok`; panics with the last `Err` when patience ends.
pub async fn until<T, S: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, S>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) => assert!(Instant::now() < deadline, "waited for {what}; last seen: {state:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// A member of a group, with all it was told.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) consumer: Box<dyn Consumer>,
    /// Starts each assignment at what is committed, or at 0.
    pub(super) starts: bool,
    /// Commits each batch at once.
    pub(super) commits: bool,
    /// Is not polled.
    pub(super) away: bool,
    /// Generation of each partition it may think its own.
    pub(super) owned: BTreeMap<u16, u32>,
    /// Told to let go, and has not called `next` since.
    pub(super) leaving: Option<u16>,
    pub(super) seen: Vec<Seen>,
}

/// What a member was told or did.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Assigned { partition: u16, generation: u32, committed: Vec<(Topic, Option<Offset>)> },
    Revoked { partition: u16, generation: u32, lost: bool },
    Batch(Batch),
    Committed { topic: Topic, partition: u16, upto: Offset, outcome: Result<(), Error> },
    Failed(Error),
}

impl Member {
    pub(super) async fn join(name: &str, log: &Arc<dyn Log>, group: &str, topics: &[Topic]) -> Self {
        let group: Group = group.parse().expect("a valid name");
        let consumer = log.join(&group, topics).await.expect("a join in peace");
        Self {
            name: name.into(),
            consumer,
            starts: true,
            commits: false,
            away: false,
            owned: BTreeMap::new(),
            leaving: None,
            seen: Vec::new(),
        }
    }

    /// A member that neither starts nor commits by itself.
    pub(super) async fn idle(name: &str, log: &Arc<dyn Log>, group: &str, topics: &[Topic]) -> Self {
        Self { starts: false, ..Self::join(name, log, group, topics).await }
    }

    /// One call of `next`. May be dropped at any time.
    async fn step(&mut self) -> Option<Batch> {
        self.leaving = None;
        let mut fetched = None;
        let seen = match self.consumer.next().await {
            Ok(Polled::Assigned { partition, generation, committed }) => {
                self.owned.insert(partition, generation);
                if self.starts {
                    let at: Vec<_> = committed.iter().map(|(t, o)| (t.clone(), o.unwrap_or(0))).collect();
                    self.consumer.start(partition, &at);
                }
                Seen::Assigned { partition, generation, committed }
            }
            Ok(Polled::Revoked { partition, generation, lost }) => {
                let held = self.owned.remove(&partition);
                assert_eq!(held, Some(generation), "{} was told to let go what it does not hold", self.name);
                self.leaving = (!lost).then_some(partition);
                Seen::Revoked { partition, generation, lost }
            }
            Ok(Polled::Records(batch)) => {
                assert!(!batch.entries.is_empty(), "{} was delivered an empty batch", self.name);
                fetched = Some(batch.clone());
                Seen::Batch(batch)
            }
            Err(error) => Seen::Failed(error),
        };
        self.seen.push(seen);
        fetched
    }

    /// Commits all of a batch.
    pub(super) async fn commit(&mut self, batch: &Batch) -> Result<(), Error> {
        let (topic, partition, upto) = (batch.topic.clone(), batch.partition, batch.next);
        let at = [(topic.clone(), upto)];
        let outcome = self.consumer.commit(partition, batch.generation, &at).await;
        self.seen.push(Seen::Committed { topic, partition, upto, outcome: outcome.clone() });
        outcome
    }

    /// Partitions that it may think its own.
    pub(super) fn partitions(&self) -> Vec<u16> {
        self.owned.keys().copied().collect()
    }

    /// Texts delivered of one (topic, partition).
    pub(super) fn texts(&self, topic: &Topic, partition: u16) -> Vec<String> {
        let of = self.batches().filter(|batch| batch.topic == *topic && batch.partition == partition);
        of.flat_map(|batch| batch.entries.iter().map(text)).collect()
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Batch(batch) => Some(batch),
            _ => None,
        })
    }

    pub(super) fn records(&self) -> usize {
        self.batches().map(|batch| batch.entries.len()).sum()
    }

    /// One line for a failure.
    fn state(&self) -> String {
        let last = self.seen.iter().rev().find(|seen| !matches!(seen, Seen::Batch(_)));
        let (name, owned, away) = (&self.name, &self.owned, self.away);
        format!("{name}: holds {owned:?}, away {away}, {} records, last told {last:?}", self.records())
    }
}

/// Drives all members that are not away, until `done`.
pub(super) async fn drive(crew: &mut [Member], what: &str, done: impl Fn(&[Member]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(crew) {
        if timeout(deadline - Instant::now(), one_step(crew)).await.is_err() {
            let state: Vec<String> = crew.iter().map(Member::state).collect();
            panic!("waited for {what}; last seen:\n{}", state.join("\n"));
        }
    }
}

/// Drives all members that are not away, for some time.
pub(super) async fn drive_for(crew: &mut [Member], time: Duration) {
    let steps = async {
        loop {
            one_step(crew).await;
        }
    };
    let _ = timeout(time, steps).await;
}

/// Waits for the first member that is told something, checks C1, commits.
async fn one_step(crew: &mut [Member]) {
    let turn: usize = crew.iter().map(|member| member.seen.len()).sum();
    let present = crew.iter_mut().enumerate().filter(|(_, member)| !member.away);
    let mut steps: Vec<_> =
        present.map(|(i, member)| Box::pin(async move { (i, member.step().await) })).collect();
    if steps.is_empty() {
        return std::future::pending().await;
    }
    // Whoever stands first is asked first: by turns, or a busy one would keep the others from being polled
    // past their session.
    let first = turn % steps.len();
    steps.rotate_left(first);
    let ((told, fetched), _, rest) = select_all(steps).await;
    drop(rest);
    if let Some(Seen::Assigned { partition, .. }) = crew[told].seen.last() {
        alone(crew, told, *partition);
    }
    if let Some(batch) = fetched
        && crew[told].commits
    {
        let _ = crew[told].commit(&batch).await;
    }
}

/// C1: nobody who is present has the partition that `owner` was just assigned.
fn alone(crew: &[Member], owner: usize, partition: u16) {
    for (i, other) in crew.iter().enumerate() {
        let holds = other.owned.contains_key(&partition) || other.leaving == Some(partition);
        let state = || format!("{}\n{}", crew[owner].state(), other.state());
        assert!(i == owner || other.away || !holds, "C1: {partition} has two owners\n{}", state());
    }
}

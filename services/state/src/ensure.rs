//! Two ways into the local table: replication usually brings a mirrored segment; after a grace time this
//! region puts the identical item itself (E20). A mirror's offset is committed only behind segments that are
//! readable here.
//!
//! A member segment is put at once, before anybody is shown it: whoever folds members reads the table (E24).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sterna_proto::record::Stored;
use sterna_proto::v1;
use sterna_stream::map::Map;
use sterna_stream::{Origin, StreamId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Inner;

#[cfg(test)]
mod tests;

/// How long the table's own replication has, before this region puts a segment itself.
pub const GRACE: Duration = Duration::from_secs(2);
/// Segments asked for at once.
const AT_ONCE: usize = 100;
/// Pause before the table is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// Longest that one call may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Segments of one partition that are not known to be in the table; at the bound its consumption pauses.
pub const OPEN_MAX: usize = 4_096;

/// Whose segment it was, for the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) partition: u16,
    pub(crate) generation: u32,
    pub(crate) from: From,
    pub(crate) number: u64,
}

/// How a segment came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum From {
    /// As a record of this topic.
    Topic(usize),
    /// By express: nothing is committed for it.
    Express,
    /// In a tail, which an instance before this one filled from express: nothing is committed for it.
    Tail,
    /// From the table itself, because a mirror lacked it (E21).
    Table,
}

/// What became so far of segments of other regions (E20, E23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments that are readable in the local table, each counted per way that it came.
    pub held: u64,
    /// Segments in whose place the table has other bytes (alarm; nothing was overwritten).
    pub forks: u64,
    /// Segments that a tail held and nobody had in hand: an instance had shown them on account of express and
    /// died before it put them into the table.
    pub recovered: u64,
}

/// A job for a segment that came by express, which the mirror's copy takes over.
pub(crate) struct Superseded {
    pub(crate) ticket: Ticket,
    /// What came by express.
    pub(crate) record: Bytes,
}

/// A segment that must become readable here.
pub(crate) struct Job {
    ticket: Ticket,
    chain: Chain,
    first: u64,
    last: u64,
    record: Bytes,
}

type Chain = (StreamId, Origin);

/// Jobs, and tickets of those that are done. Bounded by [`OPEN_MAX`] per partition.
#[derive(Default)]
pub(crate) struct Queue {
    jobs: Mutex<Jobs>,
    done: Mutex<Vec<Ticket>>,
    counters: Mutex<Counters>,
    /// A job came.
    added: Notify,
    /// A job is done.
    finished: Notify,
}

#[derive(Default)]
struct Jobs {
    numbered: u64,
    /// By when they fall due, then by number.
    due: BTreeMap<(Instant, u64), Job>,
    /// First seqs and numbers of the jobs that are not done, of each chain.
    open: Map<Chain, BTreeSet<(u64, u64)>>,
    /// Of those in `due`, the ones for segments that came by express or tail, by chain and first seq.
    express: Map<(Chain, u64), (Instant, u64)>,
}

impl Job {
    /// Makes sure of `stored`, for the record of `ticket`.
    pub(crate) fn new(ticket: Ticket, stored: &Stored) -> Self {
        let segment = &stored.segment;
        let chain = (segment.stream.clone(), segment.origin.clone());
        Self { ticket, chain, first: segment.first, last: segment.last(), record: stored.bytes.clone() }
    }

    fn is_mirrored(&self) -> bool {
        matches!(self.ticket.from, From::Topic(_))
    }
}

// === impl Queue ===

impl Queue {
    /// A job, not to be looked at before it is due. One for a segment that came by mirror takes over a job
    /// that waits for what came of it by express.
    pub(crate) fn add(&self, job: Job, due: Instant) -> Option<Superseded> {
        let mut jobs = self.lock();
        let superseded = if job.is_mirrored() { jobs.supersede(&job) } else { None };
        jobs.numbered += 1;
        let number = jobs.numbered;
        jobs.open.entry(job.chain.clone()).or_default().insert((job.first, number));
        jobs.insert(due, number, job);
        drop(jobs);
        self.added.notify_one();
        superseded
    }

    /// Waits until something is done, and takes its tickets.
    pub(crate) async fn finished(&self) -> Vec<Ticket> {
        loop {
            let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
            if !done.is_empty() {
                return done;
            }
            self.finished.notified().await;
        }
    }

    /// Waits until jobs are due, and takes them with their numbers.
    async fn due(&self) -> Vec<(u64, Job)> {
        loop {
            let next = {
                let mut jobs = self.lock();
                let due = jobs.take(Instant::now());
                if !due.is_empty() {
                    return due;
                }
                jobs.due.first_key_value().map(|((due, _), _)| *due)
            };
            tokio::select! {
                biased;
                () = self.added.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn again(&self, number: u64, job: Job) {
        self.lock().insert(Instant::now() + AGAIN, number, job);
    }

    /// A job is done. Returns up to where the table holds its chain now.
    fn finish(&self, number: u64, job: &Job) -> u64 {
        let upto = self.lock().finish(number, job);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(job.ticket.clone());
        self.finished.notify_one();
        upto
    }

    /// The counters, for one step.
    pub(crate) fn count(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    fn insert(&mut self, due: Instant, number: u64, job: Job) {
        if !job.is_mirrored() {
            self.express.insert((job.chain.clone(), job.first), (due, number));
        }
        self.due.insert((due, number), job);
    }

    fn supersede(&mut self, by: &Job) -> Option<Superseded> {
        let place = self.express.remove(&(by.chain.clone(), by.first))?;
        let job = self.due.remove(&place)?;
        self.finish(place.1, &job);
        Some(Superseded { ticket: job.ticket, record: job.record })
    }

    fn take(&mut self, now: Instant) -> Vec<(u64, Job)> {
        let mut taken = Vec::new();
        while taken.len() < AT_ONCE {
            let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) else { break };
            let ((_, number), job) = first.remove_entry();
            if !job.is_mirrored() {
                self.express.remove(&(job.chain.clone(), job.first));
            }
            taken.push((number, job));
        }
        taken
    }

    fn finish(&mut self, number: u64, job: &Job) -> u64 {
        let Some(open) = self.open.get_mut(&job.chain) else { return job.last };
        open.remove(&(job.first, number));
        let Some((first, _)) = open.first() else {
            self.open.remove(&job.chain);
            return job.last;
        };
        job.last.min(first - 1)
    }
}

/// Makes sure, for the role's life.
pub(crate) async fn run(role: Arc<Inner>) {
    let drain = role.process.drain_signal();
    loop {
        let jobs = tokio::select! {
            biased;
            () = drain.raised() => return,
            jobs = role.ensure.due() => jobs,
        };
        let answers = ensure(&role, &jobs).await;
        let mut ends: BTreeMap<Chain, u64> = BTreeMap::new();
        for ((number, job), answer) in jobs.into_iter().zip(answers) {
            match answer {
                v1::Ensured::Held => role.ensure.count().held += 1,
                v1::Ensured::Fork => forked(&role, &job).await,
                _ => {
                    role.ensure.again(number, job);
                    continue;
                }
            }
            let upto = role.ensure.finish(number, &job);
            role.hub.lock().ensured(&job.chain.0);
            let end = ends.entry(job.chain).or_default();
            *end = upto.max(*end);
        }
        for ((stream, origin), upto) in ends {
            if let Err(error) = role.tails.trim(&stream, &origin, upto).await {
                tracing::warn!(%error, "a tail was not trimmed");
            }
        }
    }
}

/// The table has other bytes: they stay (E23), and the tail must not say otherwise. The segment counts as
/// handled.
async fn forked(role: &Inner, job: &Job) {
    role.ensure.count().forks += 1;
    let ((stream, origin), way) = (&job.chain, job.ticket.from);
    tracing::error!(
        %stream, %origin, first = job.first, ?way,
        "alarm: a fork: the table has another segment in its place, which is kept"
    );
    if let Err(error) = role.tails.forget(stream, origin).await {
        tracing::warn!(%error, "a tail was not forgotten");
    }
}

async fn ensure(role: &Inner, jobs: &[(u64, Job)]) -> Vec<v1::Ensured> {
    let items: Vec<_> = jobs.iter().map(|(_, job)| item(job)).collect();
    let mut answers = ask(role, items).await;
    answers.resize(jobs.len(), v1::Ensured::Unspecified);
    answers
}

/// What stands in the place of each item now.
async fn ask(role: &Inner, items: Vec<v1::Item>) -> Vec<v1::Ensured> {
    let mut request = tonic::Request::new(v1::EnsureRequest { items, grace_ms: 0 });
    request.set_timeout(DEADLINE);
    match role.persistence.clone().ensure(request).await {
        Ok(answer) => {
            let known = |result| v1::Ensured::try_from(result).unwrap_or(v1::Ensured::Unspecified);
            answer.into_inner().results.into_iter().map(known).collect()
        }
        Err(error) => {
            tracing::warn!(%error, "mirrored segments could not be made sure of yet");
            Vec::new()
        }
    }
}

fn item(job: &Job) -> v1::Item {
    let (stream, origin) = (job.chain.0.to_string(), job.chain.1.to_string());
    v1::Item { stream, origin, first: job.first, record: job.record.clone() }
}

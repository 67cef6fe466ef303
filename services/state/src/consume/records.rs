//! The records of an owned partition, one after the other: pushed, then put into the region's tail.
//!
//! A mirrored member segment is shown only when it stands in the table (E24). Until it does, what comes
//! behind it of its stream and origin waits (`parked`); everything else goes on.

use std::time::Duration;

use sterna_access::members::named;
use sterna_log::{Batch, Offset, Record};
use sterna_proto::record::{LOG_POS, LogRecord, Placed, Stored};
use sterna_proto::v1;
use sterna_storage::Appended;
use sterna_storage::tails::Entry;
use sterna_stream::{Segment, fixed, mutant};
use tokio::time::Instant;

use super::Topics;
use super::ahead::{Ahead, Chain};
use super::parked::{Parked, Waits};
use crate::Inner;
use crate::ensure::{From, GRACE, Job, OPEN_MAX, Ticket};
use crate::handled::Handled;
use crate::marks::Counts;

/// A partition that is owned: its generation and what of each topic may be committed.
pub(super) struct Owned {
    pub(super) partition: u16,
    pub(super) generation: u32,
    pub(super) topics: Vec<Handled>,
    pub(super) committed: Vec<Offset>,
    pub(super) paused: bool,
    pub(super) counts: Counts,
    /// What came by express and was shown.
    pub(super) express: Handled,
    /// What mirrors lacked, from the table.
    filled: Handled,
    /// What came by express before what it follows.
    pub(super) ahead: Ahead,
    /// What waits for member segments to stand in the table.
    parked: Parked,
}

impl Owned {
    /// Begins at these offsets, one for each topic.
    pub(super) fn new(partition: u16, generation: u32, starts: Vec<Offset>, counts: Counts) -> Self {
        Self {
            partition,
            generation,
            topics: starts.iter().map(|at| Handled::from(*at)).collect(),
            committed: starts,
            paused: false,
            counts,
            express: Handled::from(0),
            filled: Handled::from(0),
            ahead: Ahead::default(),
            parked: Parked::default(),
        }
    }

    /// Whether nothing more may be delivered: too much is not known to be in the table, or waits.
    pub(super) fn full(&self) -> bool {
        self.topics.iter().map(Handled::open).sum::<usize>() >= OPEN_MAX
    }

    /// Whether a member segment must stand in the table before this goes on.
    pub(super) fn is_parked(&self, chain: &Chain) -> bool {
        self.parked.holds(chain)
    }

    /// Records of one topic came.
    pub(super) async fn take(&mut self, role: &Inner, topics: &Topics, batch: Batch) {
        let Some(topic) = topics.position(&batch.topic) else { return };
        let mut entries = batch.entries.into_iter().peekable();
        while let Some(entry) = entries.next() {
            let next = entries.peek().map_or(batch.next, |following| following.offset);
            self.one(role, topics, topic, next, entry.record).await;
        }
    }

    /// A segment of another region stands in the table.
    pub(super) async fn ensured(&mut self, role: &Inner, from: From, number: u64) {
        match self.parked.ensured((from, number)) {
            None => self.done(from, number),
            Some(chain) => {
                self.go_on(role, &chain).await;
                self.catch_up(role, &chain).await;
            }
        }
    }

    fn done(&mut self, from: From, number: u64) {
        match from {
            From::Topic(topic) => self.topics[topic].done(number),
            From::Express => self.express.done(number),
            From::Table => self.filled.done(number),
            From::Tail => {}
        }
    }

    /// Whether what mirrors lacked before is shown and made sure of.
    pub(super) fn may_take_lacked(&self) -> bool {
        self.filled.open() == 0
    }

    /// Segments that a mirror lacks, from the table: shown as if it had brought them.
    pub(super) async fn lacked(&mut self, role: &Inner, segments: Vec<(Stored, Placed)>) {
        for (stored, _) in segments {
            let number = self.filled.take(0);
            let chain: Chain = (stored.segment.stream.clone(), stored.segment.origin.clone());
            self.foreign(role, From::Table, number, stored).await;
            self.catch_up(role, &chain).await;
        }
    }

    /// Shows what waited in a chain, up to the next member segment that is not known to be in the table.
    async fn go_on(&mut self, role: &Inner, chain: &Chain) {
        while let Some(Waits { ticket: (from, number), stored }) = self.parked.next(chain) {
            if stored.segment.members.is_empty() {
                self.ensure(role, from, number, &stored).await;
                show(role, &stored, 0).await;
            } else {
                show(role, &stored, 0).await;
                self.done(from, number);
            }
        }
        self.ask(role, chain).await;
    }

    /// Puts the member segments into the table with which what waits in a chain begins.
    async fn ask(&mut self, role: &Inner, chain: &Chain) {
        while let Some(Waits { ticket: (from, number), stored }) = self.parked.ask(chain) {
            self.ensure(role, from, number, &stored).await;
        }
    }

    async fn one(&mut self, role: &Inner, topics: &Topics, topic: usize, next: Offset, record: Record) {
        let number = self.topics[topic].take(next);
        let placed = record.header(LOG_POS).and_then(|bytes| Placed::decode(bytes).ok());
        let bytes = record.value;
        let decoded = match LogRecord::decode(bytes.clone()) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::error!(topic = %topics.all[topic].0, %error, "a log holds what is no record");
                return self.topics[topic].done(number);
            }
        };
        if topic > 0 && mutant!("dedupe_against_express") && is_shown(role, &decoded) {
            return self.topics[topic].done(number);
        }
        match topic {
            0 => self.counts.own(&decoded, placed),
            mirror => self.counts.mirrored(mirror - 1, &decoded, &bytes, placed),
        }
        match decoded {
            LogRecord::Segment(stored) if !topics.may_hold(topic, &stored) => {
                let topic = &topics.all[topic].0;
                tracing::error!(%topic, "alarm: a log holds another region's events; they are refused");
            }
            LogRecord::Segment(stored) if topic > 0 => {
                let chain: Chain = (stored.segment.stream.clone(), stored.segment.origin.clone());
                self.foreign(role, From::Topic(topic), number, stored).await;
                return self.catch_up(role, &chain).await;
            }
            LogRecord::Segment(stored) => {
                role.express.offer(&role.config.origin, &stored);
                show(role, &stored, stored.segment.last()).await;
            }
            LogRecord::Mark(mark) if !topics.may_say(topic, self.partition, &mark) => {
                role.mirrors().strange += 1;
                let (topic, origin) = (&topics.all[topic].0, &mark.origin);
                tracing::error!(%topic, %origin, "alarm: a log holds another's mark; it is ignored");
            }
            LogRecord::Mark(mark) => {
                // A sequencer's, which are numbered, carry what its region takes for the time (E14).
                if topic > 0 && placed.is_none() {
                    role.wall.heard(&role.config.origin, self.partition, &mark);
                }
                self.counts.heard(role.config.origin.as_str(), &mark);
            }
            LogRecord::Unknown => role.mirrors().unknown += 1,
        }
        self.topics[topic].done(number);
    }

    /// A segment of another region: shown, if it neither changes members nor comes behind one that does and
    /// is not in the table yet.
    pub(super) async fn foreign(&mut self, role: &Inner, from: From, number: u64, stored: Stored) {
        let chain = (stored.segment.stream.clone(), stored.segment.origin.clone());
        if stored.segment.members.is_empty() && !self.parked.holds(&chain) {
            self.ensure(role, from, number, &stored).await;
            return show(role, &stored, 0).await;
        }
        self.parked.add(&chain, Waits { ticket: (from, number), stored });
        self.go_on(role, &chain).await;
    }

    /// Into the table: at once if members change by it or it was read there, else within the grace time.
    async fn ensure(&mut self, role: &Inner, from: From, number: u64, stored: &Stored) {
        let (partition, generation) = (self.partition, self.generation);
        let ticket = Ticket { partition, generation, from, number };
        let members = !stored.segment.members.is_empty();
        let grace = if members || from == From::Table { Duration::ZERO } else { GRACE };
        let due = Instant::now() + grace;
        let mut differs = false;
        role.hub.lock().arrived(&stored.segment);
        if let Some(before) = role.ensure.add(Job::new(ticket, stored), due) {
            role.hub.lock().ensured(&stored.segment.stream);
            if before.ticket.generation == generation {
                self.parked.superseded((before.ticket.from, before.ticket.number));
                self.done(before.ticket.from, before.ticket.number);
            }
            differs = before.record != stored.bytes;
        }
        if differs {
            replace(role, stored).await;
        }
    }
}

/// Whether express brought a mirrored segment before the mirror did.
fn is_shown(role: &Inner, record: &LogRecord) -> bool {
    let LogRecord::Segment(Stored { segment, .. }) = record else { return false };
    role.hub.lock().next(&segment.stream, &segment.origin).is_some_and(|next| segment.last() < next)
}

/// The mirror brought other bytes than express: the mirror's count. What devices were shown cannot be taken
/// back; tail and table have what the origin's log has (E19).
async fn replace(role: &Inner, stored: &Stored) {
    role.express.count().differing += 1;
    let segment = &stored.segment;
    tracing::error!(
        stream = %segment.stream,
        origin = %segment.origin,
        first = segment.first,
        "alarm: express and mirror brought different segments; the mirror's is kept"
    );
    if let Err(error) = role.tails.forget(&segment.stream, &segment.origin).await {
        tracing::warn!(%error, "a tail was not forgotten");
    }
}

/// Pushes a segment and keeps it in its tail. `ensured`: up to where the table is known to hold its chain;
/// all of the own log is, because the sequencer put it there first.
async fn show(role: &Inner, stored: &Stored, ensured: u64) {
    let (segment, bytes) = (stored.segment.clone(), stored.bytes.clone());
    let changed = members_of(&stored.segment);
    role.hub.lock().push(segment, bytes, Instant::now());
    if let Some(changed) = changed {
        role.watch.lock().changed(&stored.segment.stream);
        role.hub.lock().members_changed(&changed);
        if fixed::is_access(&stored.segment.stream) {
            role.hub.lock().access_shown();
        }
    }
    keep(role, stored, ensured).await;
}

/// Whom a segment's member events name, if it has any.
fn members_of(segment: &Segment) -> Option<v1::MembersChanged> {
    if segment.members.is_empty() {
        return None;
    }
    let (users, everyone) = named(segment);
    let users = users.into_iter().map(|user| user.to_string()).collect();
    Some(v1::MembersChanged { stream: segment.stream.to_string(), users, everyone })
}

/// Adds a segment to its tail.
async fn keep(role: &Inner, stored: &Stored, ensured: u64) {
    let segment = &stored.segment;
    let entry = Entry { first: segment.first, last: segment.last(), bytes: stored.bytes.clone() };
    let appended = role.tails.append(&segment.stream, &segment.origin, entry.clone(), ensured).await;
    let forgotten = match appended {
        Ok(Appended::Done | Appended::Known(_)) => return,
        // What a tail cannot hold is in the table, or in the queue that puts it there: readers wait for it.
        Ok(Appended::Full | Appended::Gap(_)) => role.tails.forget(&segment.stream, &segment.origin).await,
        Err(error) => Err(error),
    };
    let kept = match forgotten {
        Ok(()) => role.tails.append(&segment.stream, &segment.origin, entry, ensured).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "a tail was not kept; resumes read the table");
    }
}

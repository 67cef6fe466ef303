//! A consumer group: who owns which partition under which generation, and what is committed.
//!
//! Handover is cooperative: a partition is taken from a live member only after that member was told and came
//! back. Expiry has no task of its own: every member's heartbeat looks for members whose session has ended,
//! and so does every commit. Assignment is sticky, even to within one partition, and the same for the same
//! history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use sterna_stream::map::Map;
use tokio::time::{Duration, Instant};

use super::topic::Wakers;
use super::wake::Wake;
use crate::error::Error;
use crate::record::{Offset, Topic};

#[cfg(test)]
mod tests;

/// Number of a membership; a member that lost its session gets a new one.
pub(super) type MemberId = u64;

/// One group.
pub(super) struct GroupState {
    generation: u32,
    members: BTreeMap<MemberId, Member>,
    next_member: MemberId,
    owners: Vec<Owner>,
    committed: Map<(Topic, u16), Offset>,
}

struct Member {
    wake: Arc<Wake>,
    seen: Instant,
    session: Duration,
    /// What it has not been told; at most an assignment and a revocation per partition.
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody. → `Held`.
    Free,
    /// A member works on it. → `Leaving` when another should have it, `Free` when the member is gone.
    Held { member: MemberId, generation: u32 },
    /// It is to go to `heir` as soon as its member lets go. → `Free`.
    Leaving { member: MemberId, generation: u32, heir: MemberId },
}

/// What a member is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Assigned { partition: u16, generation: u32 },
    Revoked { partition: u16, generation: u32 },
}

impl GroupState {
    pub(super) fn new(partitions: u16) -> Self {
        Self {
            generation: 0,
            members: BTreeMap::new(),
            next_member: 1,
            owners: vec![Owner::Free; usize::from(partitions)],
            committed: Map::default(),
        }
    }

    pub(super) fn partitions(&self) -> u16 {
        self.owners.len() as u16
    }

    /// Adds a member and shares the partitions out anew.
    pub(super) fn join(
        &mut self,
        wake: Arc<Wake>,
        session: Duration,
        now: Instant,
        wakers: &mut Wakers,
    ) -> MemberId {
        self.expire(now, wakers);
        let id = self.next_member;
        self.next_member += 1;
        self.members.insert(id, Member { wake, seen: now, session, events: VecDeque::new() });
        self.share(wakers);
        id
    }

    /// Removes a member that says goodbye.
    pub(super) fn leave(&mut self, id: MemberId, wakers: &mut Wakers) {
        if self.members.remove(&id).is_some() {
            self.free_all(id);
            self.share(wakers);
        }
    }

    /// A sign of life; false if the session has ended before.
    pub(super) fn heartbeat(&mut self, id: MemberId, now: Instant, wakers: &mut Wakers) -> bool {
        self.expire(now, wakers);
        let member = self.members.get_mut(&id);
        member.map(|member| member.seen = now).is_some()
    }

    /// When the next session ends, if nothing is heard, of the members other than `id`.
    pub(super) fn next_expiry(&self, id: MemberId) -> Option<Instant> {
        self.members.iter().filter(|(other, _)| **other != id).map(|(_, member)| member.ends_at()).min()
    }

    /// The next thing to tell a member, and whether there is more.
    pub(super) fn event(&mut self, id: MemberId) -> Option<(Event, bool)> {
        let events = &mut self.members.get_mut(&id)?.events;
        events.pop_front().map(|event| (event, !events.is_empty()))
    }

    /// The member lets a partition go that it was told to.
    pub(super) fn release(&mut self, id: MemberId, partition: u16, wakers: &mut Wakers) {
        let owner = &mut self.owners[usize::from(partition)];
        if matches!(*owner, Owner::Leaving { member, .. } if member == id) {
            *owner = Owner::Free;
            self.share(wakers);
        }
    }

    pub(super) fn commit(
        &mut self,
        id: MemberId,
        (partition, generation): (u16, u32),
        upto: &[(Topic, Offset)],
        now: Instant,
        wakers: &mut Wakers,
    ) -> Result<(), Error> {
        self.expire(now, wakers);
        match self.owners.get(usize::from(partition)) {
            Some(
                Owner::Held { member, generation: held } | Owner::Leaving { member, generation: held, .. },
            ) if *member == id && *held == generation => {}
            _ => return Err(Error::Fenced),
        }
        for (topic, offset) in upto {
            self.committed.insert((topic.clone(), partition), *offset);
        }
        Ok(())
    }

    pub(super) fn committed(&self, topic: &Topic, partition: u16) -> Option<Offset> {
        self.committed.get(&(topic.clone(), partition)).copied()
    }

    /// Forgets every committed offset, as an expired offsets topic does.
    pub(super) fn forget(&mut self) {
        self.committed.clear();
    }

    /// Ends the sessions of members not heard of in time.
    fn expire(&mut self, now: Instant, wakers: &mut Wakers) {
        let ended = |(id, member): (&MemberId, &Member)| (member.ends_at() < now).then_some(*id);
        let ended: Vec<MemberId> = self.members.iter().filter_map(ended).collect();
        for id in &ended {
            if let Some(member) = self.members.remove(id) {
                wakers.extend(member.wake.news());
            }
            self.free_all(*id);
        }
        if !ended.is_empty() {
            self.share(wakers);
        }
    }

    fn free_all(&mut self, id: MemberId) {
        for owner in &mut self.owners {
            if owner.member() == Some(id) {
                *owner = Owner::Free;
            }
        }
    }

    /// Gives free partitions away, then asks the richest members for what the poorest lack.
    fn share(&mut self, wakers: &mut Wakers) {
        let mut counts: BTreeMap<MemberId, usize> = self.members.keys().map(|id| (*id, 0)).collect();
        for owner in &mut self.owners {
            if let Owner::Leaving { heir, .. } = owner
                && !counts.contains_key(heir)
            {
                *heir = 0;
            }
            if let Some(count) = owner.promised().and_then(|id| counts.get_mut(&id)) {
                *count += 1;
            }
        }
        if counts.is_empty() {
            return;
        }
        let generation = self.generation + 1;
        for partition in 0..self.owners.len() {
            if self.owners[partition] == Owner::Free {
                let Some(id) = poorest(&counts) else { return };
                counts.entry(id).and_modify(|count| *count += 1);
                self.owners[partition] = Owner::Held { member: id, generation };
                self.generation = generation;
                self.tell(id, Event::Assigned { partition: partition as u16, generation }, wakers);
            }
        }
        while let (Some(from), Some(to)) = (richest(&counts), poorest(&counts)) {
            if counts[&from] <= counts[&to] + 1 || !self.take(from, to, wakers) {
                return;
            }
            counts.entry(from).and_modify(|count| *count -= 1);
            counts.entry(to).and_modify(|count| *count += 1);
        }
    }

    /// Asks `from` to let one partition go to `to`.
    fn take(&mut self, from: MemberId, to: MemberId, wakers: &mut Wakers) -> bool {
        let held = |owner: &Owner| matches!(owner, Owner::Held { member, .. } if *member == from);
        let Some(partition) = self.owners.iter().rposition(held) else { return false };
        let Owner::Held { member, generation } = self.owners[partition] else { return false };
        self.owners[partition] = Owner::Leaving { member, generation, heir: to };
        self.tell(from, Event::Revoked { partition: partition as u16, generation }, wakers);
        true
    }

    fn tell(&mut self, id: MemberId, event: Event, wakers: &mut Wakers) {
        if let Some(member) = self.members.get_mut(&id) {
            member.events.push_back(event);
            wakers.extend(member.wake.news());
        }
    }
}

impl Member {
    /// A tenth of grace, because signs of life are that far apart.
    fn ends_at(&self) -> Instant {
        self.seen + self.session + beat_interval(self.session)
    }
}

impl Owner {
    fn member(&self) -> Option<MemberId> {
        match *self {
            Self::Free => None,
            Self::Held { member, .. } | Self::Leaving { member, .. } => Some(member),
        }
    }

    /// Who will have it once all who were told have let go.
    fn promised(&self) -> Option<MemberId> {
        match *self {
            Self::Free => None,
            Self::Held { member, .. } => Some(member),
            Self::Leaving { heir, .. } => Some(heir),
        }
    }
}

/// How far signs of life are apart.
pub(super) fn beat_interval(session: Duration) -> Duration {
    session / 10
}

fn poorest(counts: &BTreeMap<MemberId, usize>) -> Option<MemberId> {
    counts.iter().min_by_key(|(id, count)| (**count, **id)).map(|(id, _)| *id)
}

fn richest(counts: &BTreeMap<MemberId, usize>) -> Option<MemberId> {
    counts.iter().max_by_key(|(id, count)| (**count, std::cmp::Reverse(**id))).map(|(id, _)| *id)
}

/// Calls those who were to be woken; for use after the group's lock is released.
pub(super) fn wake_all(wakers: Wakers) {
    wakers.into_iter().for_each(Waker::wake);
}

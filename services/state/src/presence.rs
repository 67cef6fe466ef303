//! Who is there: the members of the streams that somebody watches, and whether each is online in this region
//! (docs/protocol.md, rules 20 and 23).
//!
//! No I/O. What is told (sessions opened and closed) moves users at once; what the registry answers corrects
//! it: nobody goes offline before the registry was asked after the grace time, and everybody who is watched
//! is asked about again and again, so that neither a lost message nor a crashed gateway leaves a ghost. A
//! user who is not here may be in another region: with other regions the answer is `unknown`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sterna_proto::v1;
use sterna_stream::limits::{PRESENCE_GRACE_MS, PRESENCE_ROOMS, PRESENCE_USERS};
use sterna_stream::map::Map;
use sterna_stream::{StreamId, UserId, partition};
use tokio::time::Instant;

use crate::hub::ShardId;

#[cfg(test)]
mod tests;

/// Users looked up in the registry per second.
pub const LOOKS_PER_S: usize = 256;
/// After so long every watched user is looked up again.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a user without a session is still online.
const GRACE: Duration = Duration::from_millis(PRESENCE_GRACE_MS);

/// A user of a customer.
pub type Who = (String, UserId);

/// Rooms and users.
pub struct Presence {
    /// No other region could know users.
    alone: bool,
    rooms: BTreeMap<StreamId, Room>,
    users: Map<Who, User>,
    /// When each user is to be looked up, at the latest.
    looks: BTreeSet<(Instant, Who)>,
    /// Rooms whose members are to be read.
    unread: VecDeque<StreamId>,
}

#[derive(Default)]
struct Room {
    watchers: BTreeSet<ShardId>,
    /// Of them, who needs all of it.
    fresh: BTreeSet<ShardId>,
    /// `None` until they are read.
    members: Option<BTreeSet<UserId>>,
    changed: BTreeSet<UserId>,
    /// Members changed: everybody needs all of it.
    anew: bool,
}

struct User {
    rooms: BTreeSet<StreamId>,
    is: Is,
    since_ms: u64,
    look: Instant,
}

/// `Unasked → Online ⇄ Leaving → Away → Online`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// Not looked up yet.
    Unasked,
    /// Has a session.
    Online,
    /// Lost the last session that was told of, less than the grace time ago, or is being asked about.
    Leaving,
    /// The registry knows no session.
    Away,
}

impl Presence {
    /// Nobody is watched. `alone`: there are no other regions.
    pub fn new(alone: bool) -> Self {
        let (rooms, users, looks) = (BTreeMap::new(), Map::default(), BTreeSet::new());
        Self { alone, rooms, users, looks, unread: VecDeque::new() }
    }

    /// Whether nobody watches anything.
    pub fn is_idle(&self) -> bool {
        self.rooms.is_empty()
    }

    /// A shard wants to know who is in a stream.
    pub fn watch(&mut self, shard: ShardId, stream: &StreamId) {
        if self.rooms.len() >= PRESENCE_ROOMS && !self.rooms.contains_key(stream) {
            return;
        }
        let room = self.rooms.entry(stream.clone()).or_insert_with(|| {
            self.unread.push_back(stream.clone());
            Room::default()
        });
        room.watchers.insert(shard);
        room.fresh.insert(shard);
    }

    /// A shard wants to know no more.
    pub fn unwatch(&mut self, shard: ShardId, stream: &StreamId) {
        let Some(room) = self.rooms.get_mut(stream) else { return };
        room.watchers.remove(&shard);
        room.fresh.remove(&shard);
        if room.watchers.is_empty() {
            let members = self.rooms.remove(stream).and_then(|room| room.members).unwrap_or_default();
            members.into_iter().for_each(|user| self.leave(stream, user));
        }
    }

    /// A shard is gone.
    pub fn detach(&mut self, shard: ShardId) {
        let watched = self.rooms.iter().filter(|(_, room)| room.watchers.contains(&shard));
        let watched: Vec<StreamId> = watched.map(|(stream, _)| stream.clone()).collect();
        watched.iter().for_each(|stream| self.unwatch(shard, stream));
    }

    /// Another instance answers for `partition`: shards are told to ask there.
    pub fn disown(&mut self, partition: u16, partitions: u16) {
        let of_it = |stream: &&StreamId| partition::of(stream, partitions) == partition;
        let gone: Vec<StreamId> = self.rooms.keys().filter(of_it).cloned().collect();
        for stream in gone {
            let watchers = self.rooms.get(&stream).map(|room| room.watchers.clone()).unwrap_or_default();
            watchers.into_iter().for_each(|shard| self.unwatch(shard, &stream));
        }
    }

    /// Members of a stream changed.
    pub fn changed(&mut self, stream: &StreamId) {
        if self.rooms.contains_key(stream) && !self.unread.contains(stream) {
            self.unread.push_back(stream.clone());
        }
    }

    /// The next room whose members are to be read.
    pub fn next_unread(&mut self) -> Option<StreamId> {
        self.unread.pop_front()
    }

    /// The members of a room were read.
    pub fn members(&mut self, stream: &StreamId, members: BTreeSet<UserId>, now: Instant) {
        let Some(room) = self.rooms.get_mut(stream) else { return };
        room.anew = true;
        let before = room.members.replace(members.clone()).unwrap_or_default();
        before.difference(&members).for_each(|user| self.leave(stream, user.clone()));
        for user in members {
            let who = (stream.tenant().to_owned(), user);
            let user = self.users.entry(who.clone()).or_insert_with(|| {
                self.looks.insert((now, who));
                User { rooms: BTreeSet::new(), is: Is::Unasked, since_ms: 0, look: now }
            });
            user.rooms.insert(stream.clone());
        }
    }

    fn leave(&mut self, stream: &StreamId, user: UserId) {
        let who = (stream.tenant().to_owned(), user);
        let Some(user) = self.users.get_mut(&who) else { return };
        user.rooms.remove(stream);
        if user.rooms.is_empty() {
            self.looks.remove(&(user.look, who.clone()));
            self.users.remove(&who);
        }
    }

    /// A session of a user was opened.
    pub fn opened(&mut self, who: &Who, now: Instant) {
        self.become_of(who, Is::Online, 0, now + LOOK_AGAIN);
    }

    /// A session of a user was closed: perhaps the last one, which the registry knows after the grace time.
    pub fn closed(&mut self, who: &Who, now: Instant) {
        let online = self.users.get(who).is_some_and(|user| user.is == Is::Online);
        if online {
            self.become_of(who, Is::Leaving, 0, now + GRACE);
        }
    }

    /// Users that are to be looked up now, longest due first.
    pub fn to_look(&mut self, now: Instant, most: usize) -> Vec<Who> {
        let due: Vec<(Instant, Who)> =
            self.looks.iter().take_while(|(at, _)| *at <= now).take(most).cloned().collect();
        for (at, who) in &due {
            self.looks.remove(&(*at, who.clone()));
            if let Some(user) = self.users.get_mut(who) {
                user.look = now + LOOK_AGAIN;
                self.looks.insert((user.look, who.clone()));
            }
        }
        due.into_iter().map(|(_, who)| who).collect()
    }

    /// The registry's answer about a user, asked at `asked`; what was told since counts more.
    pub fn looked(&mut self, who: &Who, sessions: usize, asked: Instant, wall_ms: u64, now: Instant) {
        let Some(user) = self.users.get(who) else { return };
        // Somebody spoke while the registry was asked: its next turn comes earlier than it was set to.
        let spoken = user.look != asked + LOOK_AGAIN;
        match (sessions, user.is) {
            (0, Is::Away) => {}
            (0, _) if spoken => {}
            (0, _) => self.become_of(who, Is::Away, wall_ms, now + LOOK_AGAIN),
            (_, Is::Leaving) if spoken => {}
            (_, _) => self.become_of(who, Is::Online, 0, now + LOOK_AGAIN),
        }
    }

    fn become_of(&mut self, who: &Who, is: Is, since_ms: u64, look: Instant) {
        let Some(user) = self.users.get_mut(who) else { return };
        self.looks.remove(&(user.look, who.clone()));
        user.look = look;
        self.looks.insert((look, who.clone()));
        let seen = |is: Is| matches!(is, Is::Online | Is::Leaving);
        let visible = seen(user.is) != seen(is) || user.is == Is::Unasked;
        (user.is, user.since_ms) = (is, since_ms);
        if visible {
            for stream in &user.rooms {
                if let Some(room) = self.rooms.get_mut(stream) {
                    room.changed.insert(who.1.clone());
                }
            }
        }
    }

    /// What is to be told now: to whom, what.
    pub fn told(&mut self) -> Vec<(Vec<ShardId>, v1::Presence)> {
        let mut told = Vec::new();
        for (stream, room) in &mut self.rooms {
            let Some(members) = &room.members else { continue };
            if room.fresh.is_empty() && room.changed.is_empty() && !room.anew {
                continue;
            }
            let tenant = stream.tenant();
            let user_of = |name: &UserId| self.users.get(&(tenant.to_owned(), name.clone()));
            // Told in full only once everybody was looked up.
            if members.iter().any(|name| user_of(name).is_none_or(|user| user.is == Is::Unasked)) {
                continue;
            }
            let online = members.iter().filter(|name| user_of(name).is_some_and(User::is_online)).count();
            let listed = members.len() <= PRESENCE_USERS;
            let frame = |full: bool, names: &BTreeSet<UserId>| {
                let users = names
                    .iter()
                    .filter(|_| listed)
                    .filter_map(|name| Some(user_of(name)?.told(name, self.alone)));
                v1::Presence {
                    stream: stream.to_string(),
                    full,
                    online: u32::try_from(online).unwrap_or(u32::MAX),
                    users: users.collect(),
                }
            };
            let all = std::mem::take(&mut room.anew);
            let fresh = std::mem::take(&mut room.fresh);
            let changed = std::mem::take(&mut room.changed);
            let full: Vec<ShardId> =
                room.watchers.iter().filter(|id| all || fresh.contains(id)).copied().collect();
            let rest: Vec<ShardId> = room.watchers.iter().filter(|id| !full.contains(id)).copied().collect();
            if !full.is_empty() {
                told.push((full, frame(true, members)));
            }
            let changed: BTreeSet<UserId> = changed.intersection(members).cloned().collect();
            if !rest.is_empty() && !changed.is_empty() {
                told.push((rest, frame(!listed, &changed)));
            }
        }
        told
    }

    /// A shard had no room for what it was told: it needs all of it.
    pub fn shed(&mut self, shard: ShardId, stream: &str) {
        let room = stream.parse().ok().and_then(|stream: StreamId| self.rooms.get_mut(&stream));
        if let Some(room) = room.filter(|room| room.watchers.contains(&shard)) {
            room.fresh.insert(shard);
        }
    }
}

impl User {
    fn is_online(&self) -> bool {
        matches!(self.is, Is::Online | Is::Leaving)
    }

    fn told(&self, name: &UserId, alone: bool) -> v1::UserPresence {
        let state = match (self.is_online(), alone) {
            (true, _) => v1::PresenceState::Online,
            (false, true) => v1::PresenceState::Offline,
            (false, false) => v1::PresenceState::Unknown,
        };
        v1::UserPresence { user: name.to_string(), state: state.into(), since_unix_ms: self.since_ms }
    }
}

//! Rooms and users by hand, second by second.
#![allow(clippy::unwrap_used)]

use super::*;

const S: Duration = Duration::from_secs(1);

struct Rig {
    presence: Presence,
    start: Instant,
    at: u64,
}

fn stream() -> StreamId {
    "acme/chat/general".parse().unwrap()
}

fn who(name: &str) -> Who {
    ("acme".into(), name.parse().unwrap())
}

impl Rig {
    /// A room with these members, watched by shard 1.
    fn new(alone: bool, members: &[&str]) -> Self {
        let mut rig = Self { presence: Presence::new(alone), start: Instant::now(), at: 0 };
        rig.presence.watch(1, &stream());
        assert_eq!(rig.presence.next_unread(), Some(stream()));
        rig.members(members);
        rig
    }

    fn now(&self) -> Instant {
        self.start + S * u32::try_from(self.at).unwrap()
    }

    fn members(&mut self, members: &[&str]) {
        let members = members.iter().map(|name| name.parse().unwrap()).collect();
        self.presence.members(&stream(), members, self.now());
    }

    /// Seconds pass; whoever is due is looked up: these have sessions.
    fn pass(&mut self, seconds: u64, online: &[&str]) -> usize {
        let mut looked = 0;
        for _ in 0..seconds {
            self.at += 1;
            let asked = self.now();
            for found in self.presence.to_look(asked, LOOKS_PER_S) {
                looked += 1;
                let sessions = usize::from(online.contains(&found.1.as_str()));
                self.presence.looked(&found, sessions, asked, 1_000 * self.at, asked);
            }
        }
        looked
    }

    /// What shard 1 is told now: whether in full, how many are online, and who is how.
    fn told(&mut self) -> Option<(bool, u32, String)> {
        let mut all = self.presence.told();
        assert!(all.len() <= 1, "{all:?}");
        let (shards, frame) = all.pop()?;
        assert_eq!(shards, [1]);
        let state = |user: &v1::UserPresence| match user.state() {
            v1::PresenceState::Online => format!("+{}", user.user),
            v1::PresenceState::Offline => format!("-{}", user.user),
            _ => format!("?{}@{}", user.user, user.since_unix_ms),
        };
        Some((frame.full, frame.online, frame.users.iter().map(state).collect::<Vec<_>>().join(" ")))
    }
}

/// Rule 23: nothing is told before everybody was looked up; then all, then what changes.
#[test]
fn all_is_told_first_and_changes_after() {
    let mut rig = Rig::new(true, &["ana", "bo"]);
    assert_eq!(rig.told(), None);
    rig.pass(1, &["ana"]);
    assert_eq!(rig.told(), Some((true, 1, "+ana -bo".into())));
    assert_eq!(rig.told(), None);
    rig.presence.opened(&who("bo"), rig.now());
    assert_eq!(rig.told(), Some((false, 2, "+bo".into())));
    rig.presence.opened(&who("eve"), rig.now());
    assert_eq!(rig.told(), None, "of a stranger nothing");
}

/// Rule 20: a lost socket is offline after fifteen seconds and not before; one that comes back was never
/// away.
#[test]
fn a_lost_socket_is_offline_after_the_grace_time() {
    let mut rig = Rig::new(true, &["ana"]);
    rig.pass(1, &["ana"]);
    rig.told();
    rig.presence.closed(&who("ana"), rig.now());
    rig.pass(10, &[]);
    rig.presence.opened(&who("ana"), rig.now());
    rig.pass(20, &["ana"]);
    assert_eq!(rig.told(), None, "no flicker");
    rig.presence.closed(&who("ana"), rig.now());
    rig.pass(14, &[]);
    assert_eq!(rig.told(), None);
    rig.pass(1, &[]);
    assert_eq!(rig.told(), Some((false, 0, "-ana".into())));
}

/// Rule 20, per user over devices: one device of several is gone, and the registry knows of the other.
#[test]
fn another_device_keeps_a_user_online() {
    let mut rig = Rig::new(true, &["ana"]);
    rig.pass(1, &["ana"]);
    rig.told();
    rig.presence.closed(&who("ana"), rig.now());
    rig.pass(30, &["ana"]);
    assert_eq!(rig.told(), None);
}

/// E16: never a ghost: who is online only by hearsay is asked about again, and so is who is not.
#[test]
fn everybody_is_looked_up_again() {
    let mut rig = Rig::new(true, &["ana", "bo"]);
    rig.pass(1, &["ana"]);
    rig.told();
    let again = LOOK_AGAIN.as_secs() + 1;
    assert!(rig.pass(again, &["bo"]) >= 2);
    assert_eq!(rig.told(), Some((false, 1, "-ana +bo".into())));
}

/// What is told while the registry is asked counts more than its answer.
#[test]
fn an_answer_older_than_what_was_told_is_not_believed() {
    let mut rig = Rig::new(true, &["ana"]);
    rig.pass(1, &[]);
    assert_eq!(rig.told(), Some((true, 0, "-ana".into())));
    let asked = rig.now() + LOOK_AGAIN;
    assert_eq!(rig.presence.to_look(asked, 9), [who("ana")]);
    rig.presence.opened(&who("ana"), asked + S);
    rig.presence.looked(&who("ana"), 0, asked, 1, asked + S);
    assert_eq!(rig.told(), Some((false, 1, "+ana".into())));
}

/// Section 5 of the design: with other regions, who is not here is unknown, since when.
#[test]
fn with_other_regions_who_is_not_here_is_unknown() {
    let mut rig = Rig::new(false, &["ana", "bo"]);
    rig.pass(1, &["ana"]);
    assert_eq!(rig.told(), Some((true, 1, "+ana ?bo@1000".into())));
}

/// Rule 23: above five hundred members only their number is told, always in full.
#[test]
fn a_large_room_is_a_number() {
    let names: Vec<String> = (0..=PRESENCE_USERS).map(|n| format!("u{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::new(true, &names);
    assert_eq!(rig.pass(1, &names), LOOKS_PER_S, "so many a second");
    assert_eq!(rig.told(), None);
    rig.pass(1, &names);
    assert_eq!(rig.told(), Some((true, 501, String::new())));
    rig.presence.closed(&who("u0007"), rig.now());
    rig.pass(15, &names[8..]);
    let (full, online, users) = rig.told().unwrap();
    assert_eq!((full, users.as_str(), online), (true, "", 500));
}

/// Members that come and go: the room is told anew, and nobody is kept who is in no room.
#[test]
fn members_that_change_are_told_anew() {
    let mut rig = Rig::new(true, &["ana"]);
    rig.pass(1, &["ana"]);
    rig.told();
    rig.presence.changed(&stream());
    rig.presence.changed(&stream());
    assert_eq!((rig.presence.next_unread(), rig.presence.next_unread()), (Some(stream()), None));
    rig.members(&["bo"]);
    rig.pass(1, &["bo"]);
    assert_eq!(rig.told(), Some((true, 1, "+bo".into())));
    rig.presence.detach(1);
    assert!(rig.presence.is_idle() && rig.presence.users.is_empty() && rig.presence.looks.is_empty());
}

/// E19: who had no room for it is told all of it later.
#[test]
fn what_was_shed_is_told_in_full_later() {
    let mut rig = Rig::new(true, &["ana"]);
    rig.pass(1, &["ana"]);
    rig.told();
    rig.presence.shed(1, stream().as_str());
    assert_eq!(rig.told(), Some((true, 1, "+ana".into())));
    rig.presence.shed(2, stream().as_str());
    assert_eq!(rig.told(), None, "only who watches");
}

/// `PRESENCE_ROOMS`: one more is not served, and costs nothing.
#[test]
fn rooms_are_bounded() {
    let mut presence = Presence::new(true);
    for n in 0..=PRESENCE_ROOMS {
        presence.watch(1, &format!("acme/chat/s{n}").parse().unwrap());
    }
    assert_eq!(presence.rooms.len(), PRESENCE_ROOMS);
    assert_eq!(std::iter::from_fn(|| presence.next_unread()).count(), PRESENCE_ROOMS);
}

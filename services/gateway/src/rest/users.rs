//! What one user may ask at a time and per second: the terms of a session, for requests without one (G9).
//!
//! Counted per shard. Who has not asked for longer than a rate takes to fill up is as if never seen, so the
//! table forgets them when it is full and never anybody whose counts matter.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sterna_access::Identity;
use sterna_protocol::Limits as Terms;
use sterna_protocol::limits::PUBLISH_BURST_S;
use sterna_stream::limits::REST_USERS;
use sterna_stream::map::Map;
use sterna_stream::{Reason, Refusal, UserId};
use tokio::time::Instant;

use crate::conversation::rate::Rate;

/// After so long without a request every rate is full again.
const FULL: Duration = Duration::from_secs(PUBLISH_BURST_S as u64 + 1);

type Who = (String, UserId);

/// The users of one shard.
#[derive(Default)]
pub(crate) struct Users(RefCell<Map<Who, User>>);

struct User {
    writes: Rate,
    reads: Rate,
    /// Connections on which the last request was theirs.
    open: u32,
    asked: Instant,
}

/// A place among a user's connections, given back when it is dropped.
pub(crate) struct Seat {
    users: Rc<Users>,
    who: Who,
}

/// Which rate a request counts against. Both are the session's rate of publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// It reads.
    Read,
    /// It makes so many events.
    Write(usize),
}

impl Users {
    /// Takes a place for one more connection of this user.
    ///
    /// # Errors
    /// `limit_exceeded`, `overloaded`.
    pub(crate) fn seat(self: &Rc<Self>, who: &Identity, terms: &Terms) -> Result<Seat, Refusal> {
        let who = (who.tenant.clone(), who.user.clone());
        let now = Instant::now();
        let mut users = self.0.borrow_mut();
        if users.len() >= REST_USERS && !users.contains_key(&who) {
            users.retain(|_, user| user.open > 0 || now < user.asked + FULL);
            if users.len() >= REST_USERS {
                return Err(Reason::Overloaded.because("too many users ask at once"));
            }
        }
        let rate = || Rate::new(terms.publishes_per_s, PUBLISH_BURST_S);
        let user = users.entry(who.clone());
        let user = user.or_insert_with(|| User { writes: rate(), reads: rate(), open: 0, asked: now });
        if user.open >= terms.max_in_flight {
            return Err(
                Reason::LimitExceeded.because("too many connections at once: reuse those that are open")
            );
        }
        user.open += 1;
        Ok(Seat { users: self.clone(), who })
    }

    /// Counts a request of somebody who has a seat.
    ///
    /// # Errors
    /// `rate_limited`, with the time to wait.
    pub(crate) fn count(&self, who: &Identity, load: Load, terms: &Terms) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut users = self.0.borrow_mut();
        let Some(user) = users.get_mut(&(who.tenant.clone(), who.user.clone())) else { return Ok(()) };
        user.asked = now;
        let (rate, times, what) = match load {
            Load::Read => (&mut user.reads, 1, "requests"),
            Load::Write(events) => (&mut user.writes, events, "publishes"),
        };
        for _ in 0..times {
            rate.take(now).map_err(|too_fast| {
                let ms = u32::try_from(too_fast.wait.as_millis()).unwrap_or(u32::MAX);
                Reason::RateLimited.because(format!("{} {what}/s", terms.publishes_per_s)).after_ms(ms)
            })?;
        }
        Ok(())
    }
}

// === impl Seat ===

impl Seat {
    /// Whether the seat is this user's.
    pub(crate) fn is_of(&self, who: &Identity) -> bool {
        self.who.0 == who.tenant && self.who.1 == who.user
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(user) = self.users.0.borrow_mut().get_mut(&self.who) {
            user.open = user.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn who(n: usize) -> Identity {
        Identity {
            tenant: "acme".into(),
            user: format!("u{n}").parse().unwrap(),
            issued_ms: 0,
            expires_ms: u64::MAX,
        }
    }

    /// G9: a user has as many connections as a session has publishes in flight, and others have theirs.
    #[tokio::test(start_paused = true)]
    async fn connections_of_one_user_are_bounded() {
        let (users, terms) = (Rc::new(Users::default()), Terms { max_in_flight: 2, ..Terms::default() });
        let first = users.seat(&who(1), &terms).unwrap();
        let _second = users.seat(&who(1), &terms).unwrap();
        assert_eq!(users.seat(&who(1), &terms).err().unwrap().reason, Reason::LimitExceeded);
        assert!(users.seat(&who(2), &terms).is_ok());
        assert!(first.is_of(&who(1)) && !first.is_of(&who(2)));
        drop(first);
        assert!(users.seat(&who(1), &terms).is_ok());
    }

    /// G9: the rate is the user's, whatever the connection, and says when to come back; reads have their own.
    #[tokio::test(start_paused = true)]
    async fn a_users_rate_is_shared_by_their_connections() {
        let (users, terms) = (Rc::new(Users::default()), Terms::default());
        let _seats = [users.seat(&who(1), &terms).unwrap(), users.seat(&who(1), &terms).unwrap()];
        users.count(&who(1), Load::Write(60), &terms).unwrap();
        let refused = users.count(&who(1), Load::Write(1), &terms).unwrap_err();
        assert_eq!((refused.reason, refused.retry_after_ms), (Reason::RateLimited, Some(50)));
        users.count(&who(1), Load::Read, &terms).unwrap();
        tokio::time::advance(Duration::from_millis(50)).await;
        users.count(&who(1), Load::Write(1), &terms).unwrap();
    }

    /// G9: the table is bounded, and forgets those only whose rates are full again.
    #[tokio::test(start_paused = true)]
    async fn who_is_forgotten_has_nothing_to_lose() {
        let (users, terms) = (Rc::new(Users::default()), Terms::default());
        for n in 0..REST_USERS {
            drop(users.seat(&who(n), &terms).unwrap());
            users.count(&who(n), Load::Write(60), &terms).unwrap();
        }
        assert_eq!(users.seat(&who(REST_USERS), &terms).err().unwrap().reason, Reason::Overloaded);
        tokio::time::advance(FULL).await;
        assert!(users.seat(&who(REST_USERS), &terms).is_ok());
        assert_eq!(users.0.borrow().len(), 1);
    }
}

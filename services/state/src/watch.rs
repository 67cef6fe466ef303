//! The loop that keeps presence true: reads members and the registry, tells shards (docs/protocol.md, rule
//! 23).
//!
//! Once a second, so that changes are coalesced: a room that changes all the time costs each shard one
//! message a second. A shard whose queue is half full is told nothing and later all of it: presence is shed
//! first.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sterna_access::members::Folds;
use sterna_access::members::stored::StoredEvents;
use sterna_stream::{StreamId, UserId};
use tokio::time::Instant;

use crate::Inner;
use crate::presence::{LOOKS_PER_S, Presence, Who};

/// How often presence is told.
const TICK: Duration = Duration::from_secs(1);
/// Rooms whose members are read per second.
const READS_PER_S: usize = 64;
/// Questions that are open at once.
const AT_ONCE: usize = 16;

/// Presence, shared by the role's tasks.
pub(crate) struct Shared(Mutex<Presence>);

impl Shared {
    pub(crate) fn new(presence: Presence) -> Self {
        Self(Mutex::new(presence))
    }

    /// Presence, for one step.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Presence> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps presence for the role's life.
pub(crate) async fn run(role: Arc<Inner>, folds: Folds<StoredEvents>) {
    let drain = role.process.drain_signal();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = drain.raised() => return,
            _ = tick.tick() => {}
        }
        if role.watch.lock().is_idle() {
            continue;
        }
        read_members(&role, &folds).await;
        look_up(&role).await;
        tell(&role);
    }
}

async fn read_members(role: &Inner, folds: &Folds<StoredEvents>) {
    let rooms: Vec<StreamId> =
        std::iter::from_fn(|| role.watch.lock().next_unread()).take(READS_PER_S).collect();
    let read = |stream: StreamId| async move {
        folds.passed(&stream);
        let fold = folds.of(&stream).await;
        (stream, fold)
    };
    let mut read = stream::iter(rooms.into_iter().map(read)).buffered(AT_ONCE);
    while let Some((stream, fold)) = read.next().await {
        match fold {
            Ok(fold) => {
                let members: BTreeSet<UserId> = fold.members.iter().map(|(user, _)| user.clone()).collect();
                role.watch.lock().members(&stream, members, Instant::now());
            }
            Err(refusal) => {
                tracing::info!(%stream, reason = refusal.reason.code(), "members are read again");
                role.watch.lock().changed(&stream);
            }
        }
    }
}

async fn look_up(role: &Inner) {
    let asked = Instant::now();
    let users = role.watch.lock().to_look(asked, LOOKS_PER_S);
    let look = |who: Who| async move {
        let sessions = role.sessions.of_user(&who.0, &who.1).await;
        (who, sessions)
    };
    let mut looks = stream::iter(users.into_iter().map(look)).buffered(AT_ONCE);
    while let Some((who, sessions)) = looks.next().await {
        match sessions {
            Ok(sessions) => {
                let wall_ms = role.process.clock().wall_ms();
                role.watch.lock().looked(&who, sessions.len(), asked, wall_ms, Instant::now());
            }
            Err(error) => tracing::warn!(%error, "the session registry did not answer; asked again later"),
        }
    }
}

fn tell(role: &Inner) {
    let told = role.watch.lock().told();
    for (shards, frame) in told {
        for shard in shards {
            if !role.hub.lock().presence(shard, &frame) {
                role.watch.lock().shed(shard, &frame.stream);
            }
        }
    }
}

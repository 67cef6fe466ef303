//! Sessions of the region: registered, renewed, bounded per device and user (docs/protocol.md, section 3 and
//! 5; docs/engine.md, E16).
//!
//! The instance that a user's hash belongs to keeps their sessions in the registry; every instance is told of
//! all, for presence. A device's fourth session ends its oldest, a user's twenty-first ends itself; sessions
//! that are about to move elsewhere count for the device alone. What finds no place in a lane is dropped: the
//! gateway renews all its sessions every half minute, and who is not registered then is opened again. If the
//! registry is away nobody is refused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sterna_proto::v1;
use sterna_storage::sessions::{Opened, RENEW_MAX, Session};
use sterna_stream::UserId;
use sterna_stream::limits::{SESSION_LANE_JOBS, SESSIONS_PER_DEVICE, SESSIONS_PER_USER};
use tokio::sync::mpsc;

use crate::Inner;

/// How long a session is registered; a gateway renews it three times within that.
pub const SESSION_TTL: Duration = Duration::from_secs(90);
/// Lanes of the registry; one user's sessions are always in one.
pub const LANES: usize = 8;
/// Closed with this code: the device has a newer session.
const REPLACED: u32 = 4301;
/// Closed with this code: the user has too many sessions.
const TOO_MANY: u32 = 4103;
/// The note of a session that was asked to move.
const LEAVING: Bytes = Bytes::from_static(b"leaving");

/// Something to do for one user.
pub(crate) enum Job {
    Open(Session),
    Renew(Vec<Session>),
    Close(Session),
}

/// The lanes' near ends.
pub(crate) struct Lanes(Vec<mpsc::Sender<Job>>);

impl Lanes {
    /// Lanes, and their far ends.
    pub(crate) fn new() -> (Self, Vec<mpsc::Receiver<Job>>) {
        let (senders, receivers) = (0..LANES).map(|_| mpsc::channel(SESSION_LANE_JOBS)).unzip();
        (Self(senders), receivers)
    }

    fn add(&self, lane: usize, job: Job) {
        if self.0.get(lane).is_none_or(|lane| lane.try_send(job).is_err()) {
            tracing::info!(lane, "the registry is behind; a later renewal makes it good");
        }
    }
}

impl Inner {
    /// A shard's sessions were opened, or are renewed.
    pub(crate) fn sessions_opened(&self, shard: &str, rows: v1::SessionRows) {
        let mut renewed: Vec<Vec<Session>> = vec![Vec::new(); LANES];
        let renewal = rows.renewal;
        for row in rows.sessions {
            let Some(session) = session_of(shard, &row) else { continue };
            let hash = hash(&session);
            if !renewal {
                let who = (session.tenant.to_string(), session.user.clone());
                self.watch.lock().opened(&who, tokio::time::Instant::now());
            }
            if !self.hub.lock().owns(partition_of(hash, self.config.partitions)) {
                continue;
            }
            let lane = lane_of(hash);
            match renewal {
                true => renewed[lane].push(session),
                false => self.lanes.add(lane, Job::Open(session)),
            }
        }
        for (lane, sessions) in renewed.into_iter().enumerate() {
            for sessions in sessions.chunks(RENEW_MAX) {
                self.lanes.add(lane, Job::Renew(sessions.to_vec()));
            }
        }
    }

    /// A shard's sessions were closed.
    pub(crate) fn sessions_closed(&self, shard: &str, rows: v1::SessionRows) {
        for row in rows.sessions {
            let Some(session) = session_of(shard, &row) else { continue };
            let hash = hash(&session);
            let who = (session.tenant.to_string(), session.user.clone());
            self.watch.lock().closed(&who, tokio::time::Instant::now());
            if self.hub.lock().owns(partition_of(hash, self.config.partitions)) {
                self.lanes.add(lane_of(hash), Job::Close(session));
            }
        }
    }
}

/// Works off one lane for the role's life.
pub(crate) async fn run(role: Arc<Inner>, mut jobs: mpsc::Receiver<Job>) {
    let drain = role.process.drain_signal();
    loop {
        let job = tokio::select! {
            biased;
            () = drain.raised() => return,
            job = jobs.recv() => job,
        };
        let Some(job) = job else { return };
        if let Err(error) = work(&role, job).await {
            tracing::warn!(%error, "the session registry did not answer; nobody is refused for it");
        }
    }
}

async fn work(role: &Inner, job: Job) -> Result<(), sterna_storage::Error> {
    match job {
        Job::Open(session) => open(role, session).await,
        Job::Close(session) => role.sessions.close(&session).await,
        Job::Renew(sessions) => {
            for lost in role.sessions.renew(&sessions, SESSION_TTL).await? {
                open(role, lost).await?;
            }
            Ok(())
        }
    }
}

async fn open(role: &Inner, session: Session) -> Result<(), sterna_storage::Error> {
    if role.sessions.open(session.clone(), SESSION_TTL).await? == Opened::Full {
        role.hub.lock().end_session(&session.gateway, &session.id, TOO_MANY);
        return Ok(());
    }
    let mut all = role.sessions.of_user(&session.tenant, &session.user).await?;
    // The one that is opened is the newest, whatever a clock that was set back says of it.
    all.sort_by(|a, b| {
        (a.id == session.id, a.opened_ms, &a.id).cmp(&(b.id == session.id, b.opened_ms, &b.id))
    });
    let of_device = all.iter().filter(|other| other.device == session.device).count();
    let too_many = of_device.saturating_sub(SESSIONS_PER_DEVICE);
    let of_the_device = |other: &&Session| other.device == session.device;
    let replaced: Vec<Session> = all.iter().filter(of_the_device).take(too_many).cloned().collect();
    for old in &replaced {
        end(role, old, REPLACED).await?;
    }
    let counted = all.iter().filter(|other| other.note != LEAVING && !replaced.contains(other));
    let newer: Vec<Session> = counted.skip(SESSIONS_PER_USER).cloned().collect();
    for new in &newer {
        end(role, new, TOO_MANY).await?;
    }
    Ok(())
}

async fn end(role: &Inner, session: &Session, code: u32) -> Result<(), sterna_storage::Error> {
    role.hub.lock().end_session(&session.gateway, &session.id, code);
    role.sessions.close(session).await
}

fn session_of(shard: &str, row: &v1::SessionRow) -> Option<Session> {
    let user: UserId = row.user.parse().ok()?;
    Some(Session {
        id: format!("{shard}-{}", row.session).into(),
        tenant: row.tenant.as_str().into(),
        user,
        device: row.device.as_str().into(),
        gateway: shard.into(),
        opened_ms: row.opened_unix_ms,
        note: if row.leaving { LEAVING } else { Bytes::new() },
    })
}

/// FNV-1a over tenant and user: the same at every instance.
fn hash(session: &Session) -> u64 {
    let bytes = session.tenant.bytes().chain([b'#']).chain(session.user.as_str().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn partition_of(hash: u64, partitions: u16) -> u16 {
    (hash % u64::from(partitions.max(1))) as u16
}

fn lane_of(hash: u64) -> usize {
    ((hash >> 32) % LANES as u64) as usize
}

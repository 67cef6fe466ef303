//! What devices say they have stored of their streams, on its way to persistence and back (docs/protocol.md,
//! rule 4).
//!
//! A session's reports are merged here and written every [`STORED_CURSOR_INTERVAL_MS`] at the earliest, and
//! when its socket goes. It is a hint: a report of a stream that the session does not follow, or of more than
//! this region holds, counts only as far as it can be true; one that finds no place is dropped, and the
//! device is told some events twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use sterna_access::Identity;
use sterna_process::Link;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::{convert, refusal, v1};
use sterna_protocol::frame::{Cursors, Device};
use sterna_stream::limits::{CURSOR_STORES, STORED_CURSOR_INTERVAL_MS};
use sterna_stream::map::Map;
use sterna_stream::{Cursor, Reason, Refusal, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::gateway::Inner;
use crate::outward::pause;
use crate::session::SessionId;

/// Devices whose reports are written at once.
const STORES_AT_ONCE: usize = 64;
/// Streams asked for at once.
const READS_AT_ONCE: usize = 500;
/// How often a write is tried before its reports are dropped.
const TRIES: usize = 3;
/// Longest that one call may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a device stored last, stream by stream.
pub(crate) type StoredCursors = BTreeMap<StreamId, Cursor>;

/// What was reported and is not written yet.
#[derive(Default)]
pub(crate) struct Reports {
    pending: Map<SessionId, Pending>,
    due: BTreeSet<(Instant, SessionId)>,
    /// Being written, or about to be.
    queue: VecDeque<Report>,
}

struct Pending {
    due: Instant,
    report: Report,
}

/// Of one device.
#[derive(Clone)]
struct Report {
    tenant: String,
    user: String,
    device: String,
    streams: BTreeMap<StreamId, Cursor>,
}

/// The reports of a shard, and who wakes their writer.
#[derive(Default)]
pub(crate) struct Stored {
    reports: RefCell<Reports>,
    wake: Notify,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A `cursor` frame.
    pub(crate) fn reported(&self, session: SessionId, cursors: Cursors) {
        let Some((identity, device)) = self.who(session) else { return };
        let most = usize::try_from(self.config.terms.max_subscriptions).unwrap_or(usize::MAX);
        let mut reports = self.stored.reports.borrow_mut();
        for stored in cursors.streams {
            let Some(head) = self.shard.head(session, &stored.stream) else { continue };
            // What this region does not hold it cannot have shown.
            let cursor = stored.cursor.meet(&head);
            if !cursor.is_empty() {
                reports.merge(session, (&identity, device), stored.stream, &cursor, most);
            }
        }
    }

    /// Once a second: what is due goes to the writer.
    pub(crate) fn store_due(&self) {
        if self.stored.reports.borrow_mut().fall_due(Instant::now()) {
            self.stored.wake.notify_one();
        }
    }

    /// The session is gone: what it reported is written at once.
    pub(crate) fn store_of(&self, session: SessionId) {
        self.stored.reports.borrow_mut().end(session);
        self.stored.wake.notify_one();
    }

    /// What the session's device stored last of these streams, by all that is known here.
    ///
    /// # Errors
    /// `unavailable`, with a time to come back.
    pub(crate) async fn stored_cursors(
        &self,
        session: SessionId,
        streams: &[StreamId],
    ) -> Result<BTreeMap<StreamId, Cursor>, Refusal> {
        let mut known = BTreeMap::new();
        let Some((identity, device)) = self.who(session).filter(|_| !streams.is_empty()) else {
            return Ok(known);
        };
        for streams in streams.chunks(READS_AT_ONCE) {
            let mut request = tonic::Request::new(v1::CursorsRequest {
                tenant: identity.tenant.clone(),
                user: identity.user.to_string(),
                device: device.to_string(),
                streams: streams.iter().map(ToString::to_string).collect(),
                now_unix_ms: self.process.clock().wall_ms(),
            });
            request.set_timeout(DEADLINE);
            let answer = PersistenceClient::new(self.persistence.clone()).cursors(request).await;
            let answer = answer.map_err(|status| retried(refusal::from_status(&status)))?.into_inner();
            for (stream, cursor) in streams.iter().zip(&answer.cursors) {
                let damaged = |_| Reason::Unavailable.because("what the device stored cannot be read");
                known.insert(stream.clone(), convert::cursor(Some(cursor)).map_err(damaged)?);
            }
        }
        self.stored.reports.borrow().add(session, (&identity, device), &mut known);
        Ok(known)
    }
}

/// Whatever it was, the client may ask again.
fn retried(refusal: Refusal) -> Refusal {
    tracing::info!(reason = refusal.reason.code(), "what a device stored is not readable now");
    Reason::Unavailable.because("what this device stored cannot be read now").after_ms(1_000)
}

/// Writes reports for the shard's life: until the process drains, nobody is connected and all is written.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: Rc<Inner<S>>, link: Link) {
    let mut rng = inner.process.rng("stored cursors");
    let drain = inner.process.drain_signal();
    loop {
        let left = inner.left.notified();
        let jobs = inner.stored.reports.borrow().first(STORES_AT_ONCE);
        if jobs.is_empty() {
            if drain.is_raised() && inner.conversations.borrow().is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = inner.stored.wake.notified() => {}
                () = left => {}
                () = drain.raised(), if !drain.is_raised() => {}
            }
            continue;
        }
        let devices: Vec<v1::DeviceCursors> = jobs.iter().map(Report::message).collect();
        for tried in 1..=TRIES {
            let now_unix_ms = inner.process.clock().wall_ms();
            let mut request =
                tonic::Request::new(v1::StoreCursorsRequest { devices: devices.clone(), now_unix_ms });
            request.set_timeout(DEADLINE);
            match PersistenceClient::new(link.clone()).store_cursors(request).await {
                Ok(_) => break,
                Err(status) if tried == TRIES => {
                    tracing::warn!(%status, devices = devices.len(), "stored cursors were dropped");
                }
                Err(_) => pause(&mut rng).await,
            }
        }
        inner.stored.reports.borrow_mut().written(jobs.len());
    }
}

// === impl Reports ===

impl Reports {
    fn merge(
        &mut self,
        session: SessionId,
        (identity, device): (&Identity, Device),
        stream: StreamId,
        cursor: &Cursor,
        most: usize,
    ) {
        let due = Instant::now() + Duration::from_millis(STORED_CURSOR_INTERVAL_MS);
        let pending = self.pending.entry(session).or_insert_with(|| {
            self.due.insert((due, session));
            Pending { due, report: Report::new(identity, device) }
        });
        let streams = &mut pending.report.streams;
        if streams.len() < most || streams.contains_key(&stream) {
            streams.entry(stream).or_default().merge(cursor);
        }
    }

    /// Whether something is to be written now.
    fn fall_due(&mut self, now: Instant) -> bool {
        while let Some((_, session)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.end(session);
        }
        !self.queue.is_empty()
    }

    fn end(&mut self, session: SessionId) {
        let Some(pending) = self.pending.remove(&session) else { return };
        self.due.remove(&(pending.due, session));
        if self.queue.len() < CURSOR_STORES {
            self.queue.push_back(pending.report);
        } else {
            tracing::warn!("too many stored cursors wait; one device's were dropped");
        }
    }

    fn first(&self, most: usize) -> Vec<Report> {
        self.queue.iter().take(most).cloned().collect()
    }

    fn written(&mut self, count: usize) {
        self.queue.drain(..count);
    }

    /// Adds what the device said and is not written yet: in this session, and in those that ended.
    fn add(
        &self,
        session: SessionId,
        (identity, device): (&Identity, Device),
        known: &mut BTreeMap<StreamId, Cursor>,
    ) {
        let name = device.to_string();
        let is =
            |r: &&Report| r.device == name && r.user == identity.user.as_str() && r.tenant == identity.tenant;
        let pending = self.pending.get(&session).map(|pending| &pending.report);
        for report in self.queue.iter().filter(is).chain(pending) {
            for (stream, cursor) in &report.streams {
                if let Some(known) = known.get_mut(stream) {
                    known.merge(cursor);
                }
            }
        }
    }
}

impl Report {
    fn new(identity: &Identity, device: Device) -> Self {
        let (tenant, user) = (identity.tenant.clone(), identity.user.to_string());
        Self { tenant, user, device: device.to_string(), streams: BTreeMap::new() }
    }

    fn message(&self) -> v1::DeviceCursors {
        let stream = |(stream, cursor): (&StreamId, &Cursor)| v1::StreamCursor {
            stream: stream.to_string(),
            cursor: convert::cursor_field(cursor),
        };
        v1::DeviceCursors {
            tenant: self.tenant.clone(),
            user: self.user.clone(),
            device: self.device.clone(),
            streams: self.streams.iter().map(stream).collect(),
        }
    }
}

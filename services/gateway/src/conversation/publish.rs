//! `publish` and `ephemeral`: what a session says to others (docs/protocol.md, rules 12 to 16, 22, 23).

use std::rc::Rc;

use bytes::Bytes;
use sterna_access::{Action, Grant, Identity};
use sterna_proto::v1;
use sterna_protocol::frame::{Ephemeral, Error, Publish};
use sterna_stream::ids::EventKind;
use sterna_stream::kind::MEMBER;
use sterna_stream::limits::RATE_IGNORED_MS;
use sterna_stream::{EventId, Hlc, Reason, Refusal, StreamId, created, fixed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant};

use super::{GRANT_SLACK_MS, Granted};
use crate::encode;
use crate::gateway::Inner;
use crate::outward::publish::Unanswered;
use crate::reader::Flow;
use crate::session::SessionId;

/// Who goes on for so long over the rate is closed with 4102.
const RATE_IGNORED: Duration = Duration::from_millis(RATE_IGNORED_MS);

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// At once where the session has a grant for it; else what it asks is decided first.
    pub(super) fn publish(self: Rc<Self>, session: SessionId, publish: Publish) -> Flow {
        if let Err(refusal) = self.takes_publishes(session) {
            self.refuse_publish(session, publish.event_id, refusal);
            return Flow::Continue;
        }
        if let Some(grant) = self.kept(session, &publish) {
            self.send_on(session, publish, grant);
            return Flow::Continue;
        }
        self.clone().carry_out(session, async move {
            let Some(identity) = self.identity(session) else { return };
            match self.grant(session, &identity, &publish).await {
                Ok(grant) => self.send_on(session, publish, grant),
                Err(refusal) => self.refuse_publish(session, publish.event_id, refusal),
            }
        })
    }

    fn refuse_publish(&self, session: SessionId, event_id: EventId, refusal: Refusal) {
        if self.ends_void(session, &refusal) {
            return;
        }
        let mut error = Error::from(refusal).of_event(&event_id.to_string());
        // Only a `seen` makes a well formed publish a bad request.
        if error.code.reason() == Some(Reason::BadRequest) {
            error.time_unix_ms = Some(self.process.clock().wall_ms());
        }
        self.send(session, &encode::error(error));
    }

    /// Whether it takes one more from this session now.
    fn takes_publishes(&self, session: SessionId) -> Result<(), Refusal> {
        if self.process.drain_signal().is_raised() {
            return Err(Reason::Overloaded.because("this gateway stops: take it to another one"));
        }
        self.within_terms(session)
    }

    /// To messaging, under this grant.
    fn send_on(&self, session: SessionId, publish: Publish, grant: Bytes) {
        let event_id = publish.event_id;
        if let Err(refusal) = self.command(session, publish, grant) {
            self.refuse_publish(session, event_id, refusal);
        }
    }

    fn command(&self, session: SessionId, publish: Publish, grant: Bytes) -> Result<(), Refusal> {
        let shown = self.outward.newest_stamp(&publish.stream);
        let seen = publish.seen.unwrap_or(Hlc::ZERO);
        let held = Hlc::at(self.process.clock().wall_ms() + self.config.clock_bound_ms).max(shown);
        if seen > held {
            return Err(Reason::BadRequest.because("seen is a stamp that nothing can have yet"));
        }
        let tag = self.outward.tag();
        let up = v1::PublishUp {
            tag,
            grant,
            event_id: Bytes::from_owner(publish.event_id.to_bytes()),
            kind: publish.kind.as_str().to_owned(),
            payload: publish.payload.into_bytes(),
            seen: seen.max(shown).0,
            resend: publish.resend,
            request_id: self.request_id(),
        };
        let instance = self.outward.instance(&publish.stream);
        if !self.outward.command(instance, up) {
            return Err(Reason::Overloaded.because("the region takes no more commands for the moment"));
        }
        let (event_id, since) = (publish.event_id, Instant::now());
        let unanswered = Unanswered { session, event_id, instance, since };
        self.unanswered.borrow_mut().insert(tag, unanswered);
        if let Some(conversation) = self.conversations.borrow_mut().get_mut(&session) {
            conversation.in_flight += 1;
        }
        Ok(())
    }

    fn within_terms(&self, session: SessionId) -> Result<(), Refusal> {
        let mut conversations = self.conversations.borrow_mut();
        let Some(conversation) = conversations.get_mut(&session) else { return Ok(()) };
        if conversation.in_flight >= self.config.terms.max_in_flight {
            return Err(Reason::LimitExceeded.because("too many publishes without an ack: wait for some"));
        }
        let Some(open) = conversation.open.as_mut() else { return Ok(()) };
        let Err(too_fast) = open.publishes.take(Instant::now()) else { return Ok(()) };
        drop(conversations);
        let detail = format!("{} publishes/s", self.config.terms.publishes_per_s);
        if too_fast.ignored >= RATE_IGNORED {
            self.end(session, Reason::RateLimited, &detail, 4102);
        }
        let ms = u32::try_from(too_fast.wait.as_millis()).unwrap_or(u32::MAX);
        Err(Reason::RateLimited.because(detail).after_ms(ms))
    }

    /// The sealed grant that the session has for this. What is folded is decided each for itself.
    fn kept(&self, session: SessionId, publish: &Publish) -> Option<Bytes> {
        if is_folded(publish) {
            return None;
        }
        self.sealed(session, &publish.stream, &publish.kind, self.process.clock().wall_ms())
    }

    /// A new sealed grant for this publish.
    async fn grant(&self, session: SessionId, who: &Identity, publish: &Publish) -> Result<Bytes, Refusal> {
        let member = publish.kind.as_str() == MEMBER;
        let action = match member && created::is_creation(&publish.stream, &who.user, publish.event_id) {
            true => Action::Create(publish.event_id),
            false => Action::publishing(&publish.kind, publish.payload.as_bytes()),
        };
        let grant = self.decide(who, &action, &publish.stream).await?;
        let granted = self.granted(&publish.stream, &publish.kind, &grant);
        let sealed = granted.sealed.clone();
        if !is_folded(publish) {
            self.keep(session, granted);
        }
        Ok(sealed)
    }

    /// A grant as it is kept.
    fn granted(&self, stream: &StreamId, kind: &EventKind, grant: &Grant) -> Granted {
        let until_ms = grant.expires_ms().saturating_sub(GRANT_SLACK_MS);
        let stream = self.outward.changes.watch(stream);
        let changes = stream.count();
        Granted { stream, changes, kind: kind.clone(), sealed: self.grant_key.seal(grant), until_ms }
    }

    /// The sealed grant that the session has for this, while it is good.
    fn sealed(&self, session: SessionId, stream: &StreamId, kind: &EventKind, now_ms: u64) -> Option<Bytes> {
        let conversations = self.conversations.borrow();
        let open = conversations.get(&session)?.open.as_ref()?;
        open.grants.get(stream, kind, now_ms)
    }

    fn keep(&self, session: SessionId, granted: Granted) {
        let mut conversations = self.conversations.borrow_mut();
        let Some(open) = conversations.get_mut(&session).and_then(|c| c.open.as_mut()) else { return };
        open.grants.keep(granted);
    }

    /// An ephemeral: to whoever follows the stream now. Dropped without an answer if it may not or cannot be
    /// sent.
    pub(super) async fn say(self: Rc<Self>, session: SessionId, ephemeral: Ephemeral) {
        let Some(identity) = self.identity(session) else { return };
        if !self.shard.follows(session, &ephemeral.stream) || !self.within_ephemerals(session) {
            return;
        }
        if !self.may_say(session, &identity, &ephemeral).await {
            return;
        }
        let payload = ephemeral.payload.map(|payload| payload.into_bytes()).unwrap_or_default();
        self.outward.ephemeral(&v1::Ephemeral {
            stream: ephemeral.stream.to_string(),
            user: identity.user.to_string(),
            kind: ephemeral.kind.to_string(),
            payload,
        });
    }

    fn within_ephemerals(&self, session: SessionId) -> bool {
        let mut conversations = self.conversations.borrow_mut();
        let open = conversations.get_mut(&session).and_then(|conversation| conversation.open.as_mut());
        open.is_some_and(|open| open.ephemerals.take(Instant::now()).is_ok())
    }

    /// Who may write an event of its kind may say an ephemeral.
    async fn may_say(&self, session: SessionId, who: &Identity, ephemeral: &Ephemeral) -> bool {
        let Ephemeral { stream, kind, .. } = ephemeral;
        if kind.as_str() == MEMBER {
            return false;
        }
        if self.sealed(session, stream, kind, self.process.clock().wall_ms()).is_some() {
            return true;
        }
        let Ok(grant) = self.decide(who, &Action::Publish(kind.clone()), stream).await else { return false };
        self.keep(session, self.granted(stream, kind, &grant));
        true
    }
}

/// Whether it changes who may do what.
fn is_folded(publish: &Publish) -> bool {
    publish.kind.as_str() == MEMBER || fixed::is_access(&publish.stream)
}

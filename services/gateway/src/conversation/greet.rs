//! `hello`: who a session is, for how long, and on what terms (docs/protocol.md, sections 1, 3; rule 24).

use std::rc::Rc;

use sterna_access::Identity;
use sterna_protocol::frame::{Hello, ServerFrame, Welcome};
use sterna_protocol::limits::{PING_INTERVAL_DEFAULT_MS, PING_INTERVALS_MS, PUBLISH_BURST_S};
use sterna_stream::Reason;
use sterna_stream::limits::{HELLO_TIMEOUT_MS, SUBSCRIPTIONS_BURST, SUBSCRIPTIONS_PER_S};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant};

use super::{Conversation, Open, Rate};
use crate::encode;
use crate::gateway::Inner;
use crate::session::SessionId;
use crate::tenant::Whom;
use crate::wire::Encoding;

/// Time for the first frame to come; 4101 beyond.
const HELLO: Duration = Duration::from_millis(HELLO_TIMEOUT_MS);
/// Seconds' worth of streams that a session may ask to follow at once.
const SUBSCRIPTIONS_BURST_S: u32 = (SUBSCRIPTIONS_BURST / SUBSCRIPTIONS_PER_S) as u32;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A socket was taken on: nobody yet.
    pub(crate) fn greet(&self, session: SessionId, encoding: Encoding) {
        let conversation = Conversation { encoding, in_flight: 0, unknown_frames: 0, open: None, due_ms: 0 };
        self.conversations.borrow_mut().insert(session, conversation);
        self.hellos.borrow_mut().push_back((Instant::now() + HELLO, session));
    }

    pub(super) fn hello(self: &Rc<Self>, session: SessionId, hello: &Hello) {
        let now_ms = self.process.clock().wall_ms();
        let verified = self.verifier.verify(hello.token.reveal(), now_ms);
        let before = self.identity(session);
        match (verified, before) {
            (Ok(identity), None) => {
                let terms = self.config.terms;
                let open = Open {
                    identity: identity.clone(),
                    device: hello.device,
                    opened_ms: now_ms,
                    publishes: Rate::new(terms.publishes_per_s, PUBLISH_BURST_S),
                    ephemerals: Rate::new(terms.ephemeral_per_s, 1),
                    subscriptions: Rate::new(SUBSCRIPTIONS_PER_S as u32, SUBSCRIPTIONS_BURST_S),
                    grants: Default::default(),
                };
                if let Some(conversation) = self.conversations.borrow_mut().get_mut(&session) {
                    conversation.open = Some(Box::new(open));
                }
                self.admitted(session, &identity, hello, now_ms);
                self.register(session, false);
                self.look_at(&identity.tenant, Whom::sessions([session]));
                self.invite(session);
            }
            (Ok(identity), Some(before))
                if identity.tenant == before.tenant && identity.user == before.user =>
            {
                let mut conversations = self.conversations.borrow_mut();
                if let Some(open) = conversations.get_mut(&session).and_then(|c| c.open.as_mut()) {
                    open.identity = identity.clone();
                }
                drop(conversations);
                self.admitted(session, &identity, hello, now_ms);
                self.look_at(&identity.tenant, Whom::sessions([session]));
            }
            (Ok(_), Some(_)) => {
                let refusal =
                    Reason::Forbidden.because("a session's token can only be renewed by its own user");
                self.send(session, &encode::error(refusal.into()));
            }
            (Err(refusal), Some(_)) => self.send(session, &encode::error(refusal.into())),
            (Err(refusal), None) => {
                let code = sterna_protocol::close::of_refused_hello(refusal.reason);
                self.end(session, refusal.reason, &refusal.detail, code);
            }
        }
    }

    fn admitted(&self, session: SessionId, identity: &Identity, hello: &Hello, now_ms: u64) {
        let asked = hello.ping_interval_ms.unwrap_or(PING_INTERVAL_DEFAULT_MS);
        let ping_ms = asked.clamp(*PING_INTERVALS_MS.start(), *PING_INTERVALS_MS.end());
        self.shard.ping_every(session, u16::try_from(ping_ms / 1_000).unwrap_or(u16::MAX));
        self.due_at(session, identity.expires_ms);
        let welcome = Welcome {
            session: format!("{}-{}", self.config.name, session).into(),
            region: self.config.region.clone(),
            origin: Some(self.config.origin.clone()),
            tenant: identity.tenant.as_str().into(),
            user: identity.user.clone(),
            time_unix_ms: now_ms,
            token_expires_in_ms: identity.expires_ms.saturating_sub(now_ms),
            ping_interval_ms: ping_ms,
            limits: self.config.terms,
            endpoints: self.config.endpoints.clone(),
        };
        self.send(session, &ServerFrame::Welcome(Box::new(welcome)));
    }

    fn due_at(&self, session: SessionId, at_ms: u64) {
        let mut due = self.due.borrow_mut();
        let mut conversations = self.conversations.borrow_mut();
        let Some(conversation) = conversations.get_mut(&session) else { return };
        due.remove(&(conversation.due_ms, session));
        conversation.due_ms = at_ms;
        due.insert((at_ms, session));
    }

    /// Once a second: sessions whose hello did not come, and those whose token has ended.
    pub(crate) fn close_due(&self) {
        let now = Instant::now();
        while let Some((_, session)) = self.hellos.borrow_mut().pop_front_if(|(at, _)| *at <= now) {
            if !self.is_greeted(session) {
                self.shard.close(session, 4101, sterna_protocol::close::name(4101));
            }
        }
        let now_ms = self.process.clock().wall_ms();
        loop {
            let first = self.due.borrow().first().copied().filter(|(at, _)| *at <= now_ms);
            let Some((at, session)) = first else { return };
            self.due.borrow_mut().remove(&(at, session));
            self.end(session, Reason::TokenExpired, "the token has ended: get a new one", 4200);
        }
    }
}

//! What one session says, and what it may: greeting, following, publishing (docs/protocol.md, sections 3 and
//! 4).
//!
//! Frames are handled in the order sent. Most are handled at once; where a decision has to be read first, the
//! session is not read any further until it is made, so that order holds without a queue.

use std::rc::Rc;

use futures_util::FutureExt;
use sterna_access::Identity;
use sterna_process::End;
use sterna_protocol::frame::{self, ClientFrame, Device, ServerFrame};
use sterna_stream::limits::UNKNOWN_FRAMES;
use sterna_stream::{Reason, Refusal, StreamId, UserId};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::encode;
use crate::gateway::Inner;
use crate::reader::Flow;
use crate::session::SessionId;
use crate::wire::{Encoding, Message};

mod access;
mod grants;
mod greet;
mod publish;
pub(crate) mod rate;
mod subscribe;

pub(crate) use access::DECISION;
use grants::{Granted, Grants};
pub(crate) use rate::Rate;

/// A grant is renewed this long before it ends, milliseconds.
const GRANT_SLACK_MS: u64 = 5_000;

/// One session.
pub(crate) struct Conversation {
    pub(crate) encoding: Encoding,
    pub(crate) in_flight: u32,
    unknown_frames: u32,
    /// `None` until `hello` is accepted.
    open: Option<Box<Open>>,
    /// When its token ends, wall milliseconds; 0 before hello.
    due_ms: u64,
}

struct Open {
    identity: Identity,
    device: Device,
    /// Wall milliseconds when it was greeted.
    opened_ms: u64,
    publishes: Rate,
    ephemerals: Rate,
    /// Streams named by `subscribe`.
    subscriptions: Rate,
    grants: Grants,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// One message of a session.
    pub(crate) fn hear(self: Rc<Self>, session: SessionId, message: Message<'_>) -> Flow {
        let Some(encoding) = self.conversations.borrow().get(&session).map(|c| c.encoding) else {
            return Flow::Continue;
        };
        let bytes = match (&message, encoding) {
            (Message::Text(text), Encoding::Json) => text.as_bytes(),
            (Message::Binary(bytes), Encoding::Protobuf) => bytes,
            _ => {
                self.shard.close(session, 1003, sterna_protocol::close::name(1003));
                return Flow::Continue;
            }
        };
        match encode::encoding(encoding).decode_client(bytes) {
            Ok(frame) => self.frame(session, frame),
            Err(rejection) => {
                self.reject(session, rejection);
                Flow::Continue
            }
        }
    }

    fn frame(self: Rc<Self>, session: SessionId, frame: ClientFrame) -> Flow {
        if let ClientFrame::Hello(hello) = frame {
            self.hello(session, &hello);
            return Flow::Continue;
        }
        if !self.is_greeted(session) {
            self.end(session, Reason::BadFrame, "the first frame must be hello", 4300);
            return Flow::Continue;
        }
        match frame {
            ClientFrame::Subscribe(subscribe) => {
                let work = self.clone().subscribe(session, subscribe);
                return self.carry_out(session, work);
            }
            ClientFrame::Publish(publish) => return self.publish(session, publish),
            ClientFrame::Unsubscribe(unsubscribe) => {
                for stream in &unsubscribe.streams {
                    self.shard.unfollow(session, stream);
                    self.unwatch(session, stream);
                    self.left_by_itself(session, stream, true);
                }
            }
            ClientFrame::Ephemeral(ephemeral) => {
                let work = self.clone().say(session, ephemeral);
                return self.carry_out(session, work);
            }
            ClientFrame::Ping => self.send(session, &ServerFrame::Pong),
            ClientFrame::MoveFailed(failed) => self.move_failed(session, &failed),
            ClientFrame::Cursor(cursors) => self.reported(session, cursors),
            ClientFrame::Pong | ClientFrame::Hello(_) => {}
        }
        Flow::Continue
    }

    /// Does what a frame asks for: at once if nothing has to be waited for, else before the session is read
    /// further.
    fn carry_out(self: Rc<Self>, session: SessionId, work: impl Future<Output = ()> + 'static) -> Flow {
        let mut work = Box::pin(work);
        if work.as_mut().now_or_never().is_some() {
            return Flow::Continue;
        }
        let shard = self.shard.clone();
        self.process.spawn_local("a session's frame", End::Expected, async move {
            work.await;
            shard.resume(session);
        });
        Flow::Pause
    }

    fn reject(&self, session: SessionId, rejection: sterna_protocol::Rejection) {
        if !self.is_greeted(session) && rejection.reason() != Reason::BadFrame {
            return self.end(session, Reason::BadFrame, "the first frame must be hello", 4300);
        }
        let mut code = rejection.close_code();
        if rejection.reason() == Reason::UnknownFrame {
            let mut conversations = self.conversations.borrow_mut();
            let Some(conversation) = conversations.get_mut(&session) else { return };
            conversation.unknown_frames += 1;
            if conversation.unknown_frames >= UNKNOWN_FRAMES as u32 {
                code = Some(4300);
            }
        }
        let mut error = rejection.into_error();
        if error.code.reason() == Some(Reason::BadEventId) {
            error.time_unix_ms = Some(self.process.clock().wall_ms());
        }
        self.send(session, &encode::error(error));
        if let Some(code) = code {
            self.shard.close(session, code, sterna_protocol::close::name(code));
        }
    }

    /// Whether its hello was accepted.
    fn is_greeted(&self, session: SessionId) -> bool {
        self.conversations.borrow().get(&session).is_some_and(|conversation| conversation.open.is_some())
    }

    /// Who the session is; `None` until its hello is accepted.
    pub(crate) fn identity(&self, session: SessionId) -> Option<Identity> {
        let conversations = self.conversations.borrow();
        Some(conversations.get(&session)?.open.as_ref()?.identity.clone())
    }

    /// All sessions whose hello was accepted and that are not being closed, in no order.
    pub(crate) fn each_identity(&self, mut see: impl FnMut(SessionId, &Identity)) {
        let conversations = self.conversations.borrow();
        let greeted = conversations.iter().filter_map(|(at, one)| Some((*at, &one.open.as_ref()?.identity)));
        greeted.filter(|(session, _)| self.shard.is_open(*session)).for_each(|(at, who)| see(at, who));
    }

    /// Who the session is, and on which device; `None` until its hello is accepted.
    pub(crate) fn who(&self, session: SessionId) -> Option<(Identity, Device)> {
        let conversations = self.conversations.borrow();
        let open = conversations.get(&session)?.open.as_ref()?;
        Some((open.identity.clone(), open.device))
    }

    /// What its registration says; `None` until its hello is accepted.
    pub(crate) fn registered(&self, session: SessionId) -> Option<(Identity, Device, u64)> {
        let conversations = self.conversations.borrow();
        let open = conversations.get(&session)?.open.as_ref()?;
        Some((open.identity.clone(), open.device, open.opened_ms))
    }

    /// Whether the session is `user`'s.
    pub(crate) fn is_by(&self, session: SessionId, user: Option<&UserId>) -> bool {
        let conversations = self.conversations.borrow();
        let open = conversations.get(&session).and_then(|conversation| conversation.open.as_ref());
        open.is_some_and(|open| Some(&open.identity.user) == user)
    }

    /// "You are not subscribed to it (any more)" (rule 25).
    fn refuse_stream(&self, session: SessionId, stream: &StreamId, refusal: Refusal) {
        self.unwatch(session, stream);
        if self.ends_void(session, &refusal) {
            return;
        }
        self.send(session, &encode::error(frame::Error::from(refusal).of_stream(stream.as_str())));
    }

    /// The session's socket is gone.
    pub(crate) fn gone(&self, session: SessionId) {
        self.unregister(session);
        self.unwatch_all(session);
        self.forget_mine(session);
        self.second_acks.borrow_mut().closed(session);
        if let Some(conversation) = self.conversations.borrow_mut().remove(&session) {
            self.due.borrow_mut().remove(&(conversation.due_ms, session));
        }
        self.departed(session);
        self.store_of(session);
        self.left.notify_waiters();
    }
}

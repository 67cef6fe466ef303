//! Requests without a session: streams, members, events over HTTP (docs/protocol.md, section 9).
//!
//! The same ways in and the same services as a session's: a token becomes an identity, an authoriser's
//! decision a grant, commands go to messaging, reads to notification and persistence. Every publish counts as
//! a resend, because proxies repeat (E7). Nothing is kept between requests but what each user may ask.
//!
//! Reading order: [`wish`] (what is asked), [`users`] (how much of it), [`asks`] (calls to other roles), then
//! one file per kind of thing: [`streams`], [`members`], [`events`], [`history`] with [`page`]; [`second`]
//! waits for another region. HTTP itself is the edge's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sterna_access::{Authorizer, GrantKey, Identity, Verifier};
use sterna_process::{End, Process, Seeded};
use sterna_protocol::Problem;
use sterna_protocol::rest::Taken;
use sterna_stream::{Reason, Refusal};
use tokio::sync::oneshot;

use self::reply::Reply;
use self::users::{Load, Seat, Users};
use self::wish::Wish;
use crate::gateway::{Config, Parts};
use crate::outward::Links;
use crate::second_ack::SecondAcks;

mod asks;
mod events;
mod history;
mod members;
pub(crate) mod page;
mod percent;
mod query;
pub(crate) mod reply;
mod second;
mod streams;
pub(crate) mod users;
pub(crate) mod wish;

/// One shard's answers to requests.
pub(crate) struct Rest {
    config: Config,
    process: Process,
    verifier: Arc<dyn Verifier>,
    authorizer: Arc<dyn Authorizer>,
    grant_key: GrantKey,
    links: Links,
    users: Rc<Users>,
    requests: Cell<u64>,
    /// Where ids of events come from that have none of their author's.
    ids: RefCell<Seeded>,
    /// Who waits until another region has something; the sessions' too.
    pub(crate) second_acks: Rc<RefCell<SecondAcks>>,
    /// Requests that wait there.
    waits: Cell<usize>,
}

impl Rest {
    /// What answers for the shard that is made of these.
    pub(crate) fn new(config: &Config, parts: &Parts) -> Self {
        Self {
            config: config.clone(),
            process: parts.process.clone(),
            verifier: parts.verifier.clone(),
            authorizer: parts.authorizer.clone(),
            grant_key: parts.grant_key.clone(),
            links: parts.links.clone(),
            users: Rc::default(),
            requests: Cell::new(0),
            ids: RefCell::new(parts.process.rng("ids of member events")),
            second_acks: Rc::default(),
            waits: Cell::new(0),
        }
    }

    /// Who asks, by the token in `Authorization: Bearer …`; a connection keeps the seat for its next request.
    ///
    /// # Errors
    /// `token_invalid`, `token_expired`, `limit_exceeded`, `overloaded`.
    pub(crate) fn enter(&self, token: Option<&str>, seat: &mut Option<Seat>) -> Result<Identity, Refusal> {
        if self.process.drain_signal().is_raised() {
            return Err(Reason::Overloaded.because("this gateway stops: ask another one"));
        }
        let token =
            token.ok_or_else(|| Reason::TokenInvalid.because("expected Authorization: Bearer <token>"))?;
        let who = self.verifier.verify(token, self.process.clock().wall_ms())?;
        if seat.as_ref().is_none_or(|seat| !seat.is_of(&who)) {
            // The old one first: whoever changes their token on a connection needs one seat, not two.
            *seat = None;
            *seat = Some(self.users.seat(&who, &self.config.terms)?);
        }
        Ok(who)
    }

    /// Answers a request, as a task of the shard's process: a shard that crashes answers nothing more (E34).
    ///
    /// # Errors
    /// The problem that is answered instead.
    pub(crate) async fn answer(self: Rc<Self>, wish: Wish, who: Identity, body: Bytes) -> Taken<Reply> {
        let (done, answer) = oneshot::channel();
        let process = self.process.clone();
        process.spawn_local("a request", End::Expected, async move {
            // Nobody to tell: the connection was given up.
            let outcome = self.carry_out(wish, &who, body).await;
            let _ = done.send(outcome.map_err(|problem| self.judged(problem)));
        });
        answer
            .await
            .unwrap_or_else(|_| Err(Reason::Unavailable.because("the gateway went away: ask again").into()))
    }

    /// A refusal of an event's id says by which time it was judged (E5), whatever was wrong with it.
    pub(crate) fn judged(&self, mut problem: Box<Problem>) -> Box<Problem> {
        if [Reason::BadEventId.code(), Reason::IdTooOld.code()].contains(&&*problem.code) {
            problem.time_unix_ms = Some(self.process.clock().wall_ms());
        }
        problem
    }

    async fn carry_out(&self, wish: Wish, who: &Identity, body: Bytes) -> Taken<Reply> {
        let load = match &wish {
            // Counted by what is in it, once that is known.
            Wish::Create(_) => None,
            Wish::SetMember(..) | Wish::RemoveMember(..) | Wish::Publish(..) => Some(Load::Write(1)),
            _ => Some(Load::Read),
        };
        if let Some(load) = load {
            self.count(who, load)?;
        }
        match wish {
            Wish::Streams(query) => streams::list(self, who, &query).await,
            Wish::Create(kind) => streams::create(self, who, &kind, &body).await,
            Wish::Stream(target) => streams::head(self, who, &target.stream(who)?).await,
            Wish::Members(target, query) => members::list(self, who, &target.stream(who)?, &query).await,
            Wish::SetMember(target, user) => {
                members::set(self, who, &target.stream(who)?, &user, &body).await
            }
            Wish::RemoveMember(target, user) => members::remove(self, who, &target.stream(who)?, &user).await,
            Wish::Events(target, query) => history::page(self, who, &target.stream(who)?, &query).await,
            Wish::Event(target, id, query) => events::find(self, who, &target.stream(who)?, id, &query).await,
            Wish::Publish(target, id, query) => {
                events::publish(self, who, &target.stream(who)?, id, &query, &body).await
            }
        }
    }

    fn count(&self, who: &Identity, load: Load) -> Result<(), Refusal> {
        self.users.count(who, load, &self.config.terms)
    }
}

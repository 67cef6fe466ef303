//! Who may do what: tokens that say it outright, and decisions that a test can refuse, hold up and count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sterna_access::members::MemberEvents;
use sterna_access::{Action, Authorizer, Grant, Identity, MemberAuthorizer, Verifier, View};
use sterna_process::Clock;
use sterna_proto::record::{Body, Stored};
use sterna_stream::kind::Kinds;
use sterna_stream::segment::Position;
use sterna_stream::{
    ContentHash, Cursor, EventId, Hlc, Origin, Policy, Prefix, Reason, Refusal, Segment, StreamId,
};
use tokio::sync::Semaphore;

/// Tokens are `<user>@<end in Unix milliseconds>`; anything else is invalid.
pub(crate) struct Tokens;

/// Decisions.
pub(crate) struct Access {
    members: MemberAuthorizer<Table>,
    table: Table,
    refused: Mutex<BTreeMap<String, Refusal>>,
    readers: Mutex<BTreeSet<String>>,
    /// What whoever is asked about altogether is answered, if not that they may.
    admitted: Mutex<BTreeMap<String, Reason>>,
    asked: Mutex<Vec<(String, Action)>>,
    passed: Mutex<Vec<StreamId>>,
    must: Mutex<Vec<Cursor>>,
    /// Decisions pass one by one while this is open.
    turnstile: Semaphore,
}

/// The creation of each stream, with everybody's membership.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<BTreeMap<StreamId, Stored>>>);

impl Verifier for Tokens {
    fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, Refusal> {
        let invalid = || Reason::TokenInvalid.because("no token");
        let (user, end) = token.split_once('@').ok_or_else(invalid)?;
        let expires_ms = end.parse().map_err(|_| invalid())?;
        if expires_ms <= now_ms {
            return Err(Reason::TokenExpired.because("too old"));
        }
        let user = user.parse().map_err(|_| invalid())?;
        Ok(Identity { tenant: "acme".into(), user, issued_ms: 0, expires_ms })
    }
}

impl Access {
    async fn pass(&self, who: &Identity, what: &Action) -> Result<(), Refusal> {
        self.asked.lock().unwrap().push((who.user.to_string(), what.clone()));
        self.turnstile.acquire().await.unwrap().forget();
        self.refused.lock().unwrap().get(who.user.as_str()).cloned().map_or(Ok(()), Err)
    }

    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let table = Table::default();
        Self {
            members: MemberAuthorizer::new(table.clone(), Kinds::standard(), clock, "a"),
            table,
            refused: Mutex::default(),
            readers: Mutex::default(),
            admitted: Mutex::default(),
            asked: Mutex::default(),
            passed: Mutex::default(),
            must: Mutex::default(),
            turnstile: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    /// What `user` asks is refused from now on.
    pub(crate) fn refuse(&self, user: &str, reason: Reason) {
        self.refused.lock().unwrap().insert(user.into(), reason.because("so"));
    }

    /// `user` may read and nothing else from now on.
    pub(crate) fn only_reads(&self, user: &str) {
        self.readers.lock().unwrap().insert(user.into());
    }

    /// Whether `user` may do anything at all is answered so from now on; `None`: they may.
    pub(crate) fn admits(&self, user: &str, unless: Option<Reason>) {
        let mut admitted = self.admitted.lock().unwrap();
        admitted.remove(user);
        admitted.extend(unless.map(|reason| (user.to_owned(), reason)));
    }

    /// Decisions hang, until so many are let through.
    pub(crate) fn hold(&self) {
        self.turnstile.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn let_through(&self, count: usize) {
        self.turnstile.add_permits(count);
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<(String, Action)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Takes out which access events decisions had to know, in their order.
    pub(crate) fn must(&self) -> Vec<Cursor> {
        std::mem::take(&mut *self.must.lock().unwrap())
    }

    /// Streams whose member events passed.
    pub(crate) fn passed_by(&self) -> Vec<StreamId> {
        self.passed.lock().unwrap().clone()
    }

    pub(crate) fn create(&self, stream: &StreamId, id: EventId) {
        let member = |n: u128, user: &str, role: &str| Body {
            id: if n == 0 { id } else { EventId::mint(id.time_ms(), n << 64) },
            author: "ana".parse().unwrap(),
            kind: "member".parse().unwrap(),
            payload: Bytes::from(format!(r#"{{"user":"{user}","add":"{role}"}}"#)),
            content: ContentHash::default(),
            resend: false,
            key: String::new(),
            deps: Some(Policy { member: format!("us:{n}").parse().unwrap_or_default(), ..Policy::default() }),
        };
        let bodies = [("ana", "owner"), ("bo", "writer"), ("cy", "writer"), ("dee", "writer")];
        let segment = Segment {
            stream: stream.clone(),
            origin: "us".parse().unwrap(),
            first: 1,
            stamps: (1..=bodies.len() as u64).map(Hlc).collect(),
            bodies: (0..).zip(bodies).map(|(n, (user, role))| member(n, user, role).encode()).collect(),
            from: Position { incarnation: 1, partition: 0, offset: 0 },
            policy: Policy::default(),
            prefix: Prefix::START,
            members: (0..bodies.len() as u32).collect(),
            member_before: 0,
        };
        self.table.0.lock().unwrap().insert(stream.clone(), Stored::new(segment));
    }
}

#[tonic::async_trait]
impl Authorizer for Access {
    async fn authorize(&self, who: &Identity, what: &Action, on: &StreamId) -> Result<Grant, Refusal> {
        self.pass(who, what).await?;
        if *what != Action::Read && self.readers.lock().unwrap().contains(who.user.as_str()) {
            return Err(Reason::Forbidden.because("a reader"));
        }
        self.members.authorize(who, what, on).await
    }

    async fn view(&self, who: &Identity, on: &StreamId) -> Result<View, Refusal> {
        self.pass(who, &Action::Read).await?;
        self.members.view(who, on).await
    }

    async fn admit(&self, who: &Identity) -> Result<(), Refusal> {
        let answer = self.admitted.lock().unwrap().get(who.user.as_str()).copied();
        answer.map_or(Ok(()), |reason| Err(reason.because("so")))
    }

    fn passed(&self, stream: &StreamId) {
        self.passed.lock().unwrap().push(stream.clone());
    }

    fn must_know(&self, stream: &StreamId, access: &Cursor) {
        self.must.lock().unwrap().push(access.clone());
        self.members.must_know(stream, access);
    }
}

#[tonic::async_trait]
impl MemberEvents for Table {
    async fn newest(&self, stream: &StreamId) -> Result<Cursor, Refusal> {
        let held = self.0.lock().unwrap();
        let newest = held.get(stream).map(|stored| (stored.segment.origin.clone(), stored.segment.last()));
        Ok(newest.into_iter().collect())
    }

    async fn holding(&self, stream: &StreamId, _: &Origin, _: u64) -> Result<Option<Stored>, Refusal> {
        Ok(self.0.lock().unwrap().get(stream).cloned())
    }

    async fn left(&self, _: &StreamId, _: &Origin, _: u64) -> Result<Option<Stored>, Refusal> {
        Err(Reason::Unavailable.because("not here"))
    }
}

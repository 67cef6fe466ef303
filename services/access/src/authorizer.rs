//! What somebody may do on a stream, decided from this region's data (E32, G7).
//!
//! A stream of another tenant, one that does not exist and one that is not visible give the same answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use sterna_process::Clock;
use sterna_stream::ids::EventKind;
use sterna_stream::kind::{self, History, Kinds};
use sterna_stream::limits::STREAM_MEMBERS;
use sterna_stream::member::{Change, Members, Role};
use sterna_stream::{Cursor, EventId, Policy, Reason, Refusal, StreamId, UserId, created, fixed};

use crate::grant::{Grant, Permission};
use crate::identity::Identity;
use crate::members::{Fold, Folds, MemberEvents, payload};

/// What somebody wants to do on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Follow and read.
    Read,
    /// Publish an event of this kind.
    Publish(EventKind),
    /// Publish a member event that changes this user's membership so.
    Change(UserId, Change),
    /// Publish the creation, which has this id.
    Create(EventId),
}

impl Action {
    /// What publishing an event of this kind with this payload is, unless it creates its stream.
    pub fn publishing(kind: &EventKind, payload: &[u8]) -> Self {
        let change = (kind.as_str() == kind::MEMBER).then(|| payload::parse(payload)).flatten();
        change
            .map_or_else(|| Self::Publish(kind.clone()), |payload| Self::Change(payload.user, payload.change))
    }
}

/// A stream as whoever may read it sees its members.
#[derive(Clone, Debug)]
pub struct View {
    /// The grant to read, from the very same fold.
    pub grant: Grant,
    /// Who is what.
    pub fold: Arc<Fold>,
    /// What new members see: as the stream's creation says, else as its kind does (E31).
    pub history: History,
}

/// Decides. The only way to a [`Grant`].
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// The grant for `who` to do `what` on `on`.
    ///
    /// # Errors
    /// `not_found` for what is absent, another tenant's or invisible; `forbidden`; `token_expired` for a
    /// token that the tenant made void; `bad_stream`; `unavailable`.
    async fn authorize(&self, who: &Identity, what: &Action, on: &StreamId) -> Result<Grant, Refusal>;

    /// The members of `on`, for `who` may read it.
    ///
    /// # Errors
    /// As [`Authorizer::authorize`] for [`Action::Read`].
    async fn view(&self, who: &Identity, on: &StreamId) -> Result<View, Refusal>;

    /// Whether `who` may do anything at all in their tenant (A7).
    ///
    /// # Errors
    /// `forbidden` for whoever is suspended; `token_expired` for a token from before their `not_before`;
    /// `unavailable`; `not_found` for a tenant that cannot be.
    async fn admit(&self, who: &Identity) -> Result<(), Refusal>;

    /// A member event of `stream` passed by: the next decision must know it.
    fn passed(&self, stream: &StreamId);

    /// What rests on these events of the access stream of `stream`'s tenant is about to be shown: the next
    /// decision must know them (E24).
    fn must_know(&self, stream: &StreamId, access: &Cursor);
}

/// Decides by the stream's own members, and by the tenant's access stream.
pub struct MemberAuthorizer<E> {
    folds: Folds<E>,
    kinds: Kinds,
    clock: Arc<dyn Clock>,
    name: String,
    grants: AtomicU64,
}

impl<E: MemberEvents> MemberAuthorizer<E> {
    /// An authoriser over `events`; `name` is unique in the region and begins the ids of its grants.
    pub fn new(events: E, kinds: Kinds, clock: Arc<dyn Clock>, name: &str) -> Self {
        Self { folds: Folds::new(events), kinds, clock, name: name.to_owned(), grants: AtomicU64::new(0) }
    }

    /// The fold of the tenant's access stream, for whom it does not suspend and whose token it leaves good.
    async fn tenant(&self, who: &Identity) -> Result<Arc<Fold>, Refusal> {
        let fold = self.folds.of(&fixed::access(&who.tenant).map_err(|_| absent())?).await?;
        if fold.suspends(&who.user) {
            return Err(Reason::Forbidden.because("you are suspended: ask whoever administers your tenant"));
        }
        if who.issued_ms < fold.not_before_ms(&who.user) {
            return Err(Reason::TokenExpired.because("tokens as old as this one are void: get a new one"));
        }
        Ok(fold)
    }

    fn grant(&self, who: &Identity, what: Permission, on: &StreamId, policy: Policy) -> Grant {
        let n = self.grants.fetch_add(1, Ordering::Relaxed);
        Grant::new(
            format!("{}-{n}", self.name),
            who.user.clone(),
            what,
            on.clone(),
            policy,
            self.clock.wall_ms(),
        )
    }
}

#[async_trait]
impl<E: MemberEvents> Authorizer for MemberAuthorizer<E> {
    async fn authorize(&self, who: &Identity, what: &Action, on: &StreamId) -> Result<Grant, Refusal> {
        if on.tenant() != who.tenant {
            return Err(absent());
        }
        let stream_kind = self.kinds.of(on)?;
        let tenant = self.tenant(who).await?;
        if let Action::Create(id) = what {
            if stream_kind.is_fixed() {
                return Err(Reason::Forbidden.because("streams of this kind come with the tenant alone"));
            }
            let policy = Policy { access: known(&tenant), member: Cursor::new() };
            return match created::is_creation(on, &who.user, *id) {
                true => Ok(self.grant(who, Permission::Create, on, policy)),
                false => {
                    Err(Reason::Forbidden.because("the stream's name does not follow from this creation"))
                }
            };
        }
        let fold = self.folds.of(on).await?;
        let role = fold.members.role_of(&who.user).ok_or_else(absent)?;
        let permission = match what {
            Action::Publish(event) if !stream_kind.may_write(event, role) => {
                return Err(Reason::Forbidden.because("your role in this stream does not allow this"));
            }
            Action::Publish(event) if event.as_str() == kind::MEMBER || stream_kind.is_fixed() => {
                Permission::Manage
            }
            Action::Publish(_) => Permission::Publish,
            Action::Change(subject, change) => {
                may_change(&fold.members, (&who.user, role), subject, *change)?
            }
            Action::Read | Action::Create(_) => Permission::Read,
        };
        Ok(self.grant(who, permission, on, rests_on(&tenant, &fold)))
    }

    async fn view(&self, who: &Identity, on: &StreamId) -> Result<View, Refusal> {
        if on.tenant() != who.tenant {
            return Err(absent());
        }
        let stream_kind = self.kinds.of(on)?;
        let tenant = self.tenant(who).await?;
        let fold = self.folds.of(on).await?;
        fold.members.role_of(&who.user).ok_or_else(absent)?;
        let history = fold.history.unwrap_or_else(|| stream_kind.history());
        Ok(View { grant: self.grant(who, Permission::Read, on, rests_on(&tenant, &fold)), fold, history })
    }

    async fn admit(&self, who: &Identity) -> Result<(), Refusal> {
        self.tenant(who).await.map(drop)
    }

    fn passed(&self, stream: &StreamId) {
        self.folds.passed(stream);
    }

    fn must_know(&self, stream: &StreamId, access: &Cursor) {
        if let Ok(tenant) = fixed::access(stream.tenant())
            && !access.is_empty()
        {
            self.folds.must_know(&tenant, access);
        }
    }
}

/// How far the tenant's access stream is folded.
fn known(tenant: &Fold) -> Cursor {
    tenant.members.cursor().clone()
}

/// What a decision from these folds rests on.
fn rests_on(tenant: &Fold, stream: &Fold) -> Policy {
    Policy { access: known(tenant), member: stream.members.cursor().clone() }
}

/// Owners change members, as far as a stream has room for them; everybody may leave but whoever created it.
fn may_change(
    members: &Members,
    (who, role): (&UserId, Role),
    subject: &UserId,
    change: Change,
) -> Result<Permission, Refusal> {
    let removes = matches!(change, Change::Remove(_));
    if removes && members.root() == Some(subject) {
        return Err(Reason::Forbidden.because("whoever created a stream stays its owner"));
    }
    if removes && who == subject {
        return Ok(Permission::Leave);
    }
    if role != Role::Owner {
        return Err(Reason::Forbidden.because("your role in this stream does not allow this"));
    }
    if !removes && members.role_of(subject).is_none() && members.iter().len() >= STREAM_MEMBERS {
        return Err(Reason::LimitExceeded.because(format!("a stream has at most {STREAM_MEMBERS} members")));
    }
    Ok(Permission::Manage)
}

/// The one answer for what is absent, another tenant's or invisible.
fn absent() -> Refusal {
    Reason::NotFound.because("no such stream, or not visible to you")
}

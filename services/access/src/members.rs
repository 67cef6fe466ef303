//! Members of streams, folded from the streams' own events and kept for a second (E24, G7); of a tenant's
//! access stream also who is suspended.
//!
//! A decision is made from this region's table: the newest member event per origin is looked up, and what is
//! not yet folded is read along the chain of member events that segments carry. A fold younger than [`FRESH`]
//! is used as it is; whoever sees a member event pass says so with [`Folds::passed`], and the next decision
//! looks again. What was read of a chain outlives the decision that read it: one that runs out of time leaves
//! the next less to read.
//!
//! Where the middle of a life that has ended is lost, the chain goes on below the hole as soon as the life is
//! gathered: what is left counts, on both sides, and what was lost says nothing. All tables hold the same of
//! such a life, so that all regions decide alike; what surfaces after all is found, and folded anew.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sterna_proto::record::{Body, Stored};
use sterna_stream::access::{Access, AccessEvent, Whom, payload as suspension};
use sterna_stream::fixed;
use sterna_stream::kind::{self, History};
use sterna_stream::map::Map;
use sterna_stream::map::recent::Recent;
use sterna_stream::member::{MemberEvent, Members};
use sterna_stream::order::{Entry, Place};
use sterna_stream::{Cursor, Origin, Refusal, Segment, StreamId, UserId};
use tokio::time::Instant;

pub mod stored;

pub use sterna_stream::member::payload;

#[cfg(test)]
pub(crate) mod tests;

/// How old a fold may be that a decision rests on.
pub const FRESH: Duration = Duration::from_secs(1);
/// Streams whose fold is kept; at the bound those not used for longest go.
pub const FOLDS: usize = 50_000;

/// Member events that were read and are not folded yet, over all streams; at the bound they are read again.
pub const UNFOLDED: usize = 65_536;

/// Where member events are read.
#[async_trait]
pub trait MemberEvents: Send + Sync {
    /// The newest member event of each origin that this region's table holds.
    ///
    /// # Errors
    /// `unavailable` if the table did not answer.
    async fn newest(&self, stream: &StreamId) -> Result<Cursor, Refusal>;

    /// The segment that holds event `seq` of `origin`; `None` if the table does not have it.
    ///
    /// # Errors
    /// `unavailable` if the table did not answer.
    async fn holding(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal>;

    /// What is left of a life that is gathered: the newest segment at `seq` or below, if any is.
    ///
    /// # Errors
    /// `unavailable` if the table did not answer, or if the life is not gathered: what is missing may come.
    async fn left(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal>;
}

/// The folds of a service instance.
pub struct Folds<E> {
    events: E,
    kept: Mutex<Recent<StreamId, Kept>>,
    unfolded: Mutex<Unfolded>,
    /// Counts member events that were seen to pass, of any stream.
    passes: AtomicU64,
}

/// What was read of chains whose fold is not done.
#[derive(Default)]
struct Unfolded {
    links: Map<StreamId, Map<(Origin, u64), Link>>,
    count: usize,
}

/// One segment's member events, and the seq of the one before them.
#[derive(Clone, Default)]
struct Link {
    events: Vec<(MemberEvent, Option<History>)>,
    access: Vec<AccessEvent>,
    before: u64,
    /// It was lost with its life.
    lost: bool,
}

/// The members of a stream at one moment.
#[derive(Clone, Debug)]
pub struct Fold {
    /// Who is what.
    pub members: Members,
    /// What new members see, if the stream's creation says it; else its kind does.
    pub history: Option<History>,
    /// Who is suspended; nobody, unless it is a tenant's access stream.
    pub access: Access,
    /// Where member events of ended lives are lost.
    lost: Vec<(Origin, u64)>,
}

struct Kept {
    fold: std::sync::Arc<Fold>,
    /// How often it was looked at again: which of what is lost has its turn.
    looks: usize,
    looked: Instant,
    stale: bool,
}

impl<E: MemberEvents> Folds<E> {
    /// Folds over `events`.
    pub fn new(events: E) -> Self {
        Self {
            events,
            kept: Mutex::new(Recent::new(FOLDS)),
            unfolded: Mutex::default(),
            passes: AtomicU64::new(0),
        }
    }

    /// The members of `stream`, not older than [`FRESH`]. A stream that does not exist has none.
    ///
    /// # Errors
    /// `unavailable` if this region's table did not answer.
    pub async fn of(&self, stream: &StreamId) -> Result<std::sync::Arc<Fold>, Refusal> {
        let now = Instant::now();
        let known = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let is_fresh = |kept: &Kept| !kept.stale && now < kept.looked + FRESH;
            kept.get(stream).map(|kept| (kept.fold.clone(), kept.looks, is_fresh(kept)))
        };
        if let Some((fold, _, true)) = known {
            return Ok(fold);
        }
        let passes = self.passes.load(Ordering::Acquire);
        let newest = self.events.newest(stream).await?;
        let (held, looks) = known.map_or((None, 0), |(fold, looks, _)| (Some(fold), looks));
        let held = match held {
            // It surfaced after all, below what is folded: all is read again.
            Some(fold) if self.has_surfaced(stream, &fold, looks).await? => None,
            held => held,
        };
        let fold = match held {
            Some(fold) if fold.members.cursor().covers(&newest) => fold,
            held => {
                let mut fold = held.map_or_else(|| Fold::of(stream), |fold| (*fold).clone());
                self.read(stream, &newest, &mut fold).await?;
                std::sync::Arc::new(fold)
            }
        };
        // One that passed while this was read may be missing in it: it serves whoever asked before that.
        let stale = self.passes.load(Ordering::Acquire) != passes;
        let fold = self.keep(stream, Kept { fold, looks: looks.wrapping_add(1), looked: now, stale });
        self.unfolded.lock().unwrap_or_else(PoisonError::into_inner).folded(stream);
        Ok(fold)
    }

    /// A member event of `stream` was seen: what is kept may be old.
    pub fn passed(&self, stream: &StreamId) {
        self.passes.fetch_add(1, Ordering::AcqRel);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get(stream) {
            kept.stale = true;
        }
    }

    /// The next decision must know these member events of `stream`: what is kept without them is old.
    pub fn must_know(&self, stream: &StreamId, events: &Cursor) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(stream).is_some_and(|kept| kept.fold.members.cursor().covers(events));
        drop(kept);
        if !known {
            self.passed(stream);
        }
    }

    /// Keeps a fold, unless one that knows more was made meanwhile. The one that is kept now.
    fn keep(&self, stream: &StreamId, entry: Kept) -> std::sync::Arc<Fold> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entry.fold.members.cursor();
        if let Some(other) = kept.get(stream).filter(|other| !known.covers(other.fold.members.cursor())) {
            return other.fold.clone();
        }
        let fold = entry.fold.clone();
        kept.insert(stream.clone(), entry);
        fold
    }

    /// Reads what `fold` lacks, backwards along each origin's chain, and folds it in the order it was
    /// written.
    async fn read(&self, stream: &StreamId, newest: &Cursor, fold: &mut Fold) -> Result<(), Refusal> {
        let (mut events, mut access) = (Vec::new(), Vec::new());
        for (origin, newest) in newest.iter() {
            let folded = fold.members.cursor().get(origin);
            let mut seq = newest;
            while seq > folded {
                let link = self.link(stream, origin, seq).await?;
                events.extend(link.events.into_iter().filter(|(event, _)| event.entry.place.seq > folded));
                access.extend(link.access);
                fold.lost.extend(link.lost.then(|| (origin.clone(), seq)));
                seq = link.before;
            }
        }
        events.sort_by(|(a, _), (b, _)| a.entry.place.cmp(&b.entry.place));
        for (event, history) in &events {
            let creates = sterna_stream::created::is_creation(stream, &event.entry.author, event.entry.id);
            fold.history = history.filter(|_| creates).or(fold.history);
        }
        fold.members.extend(events.into_iter().map(|(event, _)| event));
        // What names nobody has no event: it is read all the same, and never again.
        fold.members.read_upto(newest);
        if fixed::is_access(stream) {
            fold.access.extend(access, &fold.members);
        }
        Ok(())
    }
}

impl<E: MemberEvents> Folds<E> {
    /// The member events of the segment that holds `seq`: read now, or by a decision that ran out of time.
    async fn link(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Link, Refusal> {
        let name = (origin.clone(), seq);
        let unfolded = || self.unfolded.lock().unwrap_or_else(PoisonError::into_inner);
        let read = unfolded().links.get(stream).and_then(|links| links.get(&name)).cloned();
        if let Some(link) = read {
            return Ok(link);
        }
        let Some(stored) = self.events.holding(stream, origin, seq).await? else {
            return self.beyond(stream, origin, seq).await;
        };
        let link = Link::of(&stored.segment);
        unfolded().add(stream, name, link.clone());
        Ok(link)
    }

    /// How the chain goes on where the table does not have `seq`, of a life that is gathered.
    async fn beyond(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Link, Refusal> {
        match self.events.left(stream, origin, seq).await? {
            Some(stored) if stored.segment.last() >= seq => Ok(Link::of(&stored.segment)),
            left => {
                tracing::warn!(%stream, %origin, seq, "a member event is lost with its life");
                let before = left.map_or(0, |stored| stored.segment.member_last());
                Ok(Link { before, lost: true, ..Link::default() })
            }
        }
    }

    /// Whether one of the events that `fold` lacks is here now; one a look, in turn.
    async fn has_surfaced(&self, stream: &StreamId, fold: &Fold, looks: usize) -> Result<bool, Refusal> {
        let Some((origin, seq)) = fold.lost.get(looks % fold.lost.len().max(1)) else { return Ok(false) };
        Ok(self.events.holding(stream, origin, *seq).await?.is_some())
    }
}

impl Unfolded {
    fn add(&mut self, stream: &StreamId, name: (Origin, u64), link: Link) {
        if self.count >= UNFOLDED {
            (self.links, self.count) = (Map::default(), 0);
        }
        self.count += link.weight();
        if let Some(before) = self.links.entry(stream.clone()).or_default().insert(name, link) {
            self.count -= before.weight();
        }
    }

    /// The fold of `stream` holds all of it.
    fn folded(&mut self, stream: &StreamId) {
        let links = self.links.remove(stream).unwrap_or_default();
        self.count -= links.values().map(Link::weight).sum::<usize>();
    }
}

impl Link {
    fn of(segment: &Segment) -> Self {
        let (events, access) = (member_events(segment).collect(), access_events(segment).collect());
        Self { events, access, before: segment.member_before, lost: false }
    }

    /// What it counts against [`UNFOLDED`]: also one whose events cannot be understood takes room.
    fn weight(&self) -> usize {
        (self.events.len() + self.access.len()).max(1)
    }
}

impl Fold {
    fn of(stream: &StreamId) -> Self {
        Self {
            members: Members::of(stream.clone()),
            history: None,
            access: Access::default(),
            lost: Vec::new(),
        }
    }

    /// Tokens of `user` that were issued before are void in the tenant whose access stream this is the fold
    /// of, Unix milliseconds.
    pub fn not_before_ms(&self, user: &UserId) -> u64 {
        self.access.not_before_ms(user, self.members.root())
    }

    /// Whether `user` may do nothing in the tenant whose access stream this is the fold of.
    pub fn suspends(&self, user: &UserId) -> bool {
        self.access.is_suspended(user, self.members.root())
    }
}

/// Whom the folded events of a segment name: subjects of member events and suspended users, and whether one
/// of them is about everybody.
pub fn named(segment: &Segment) -> (BTreeSet<UserId>, bool) {
    let mut users: BTreeSet<UserId> = member_events(segment).map(|(event, _)| event.subject).collect();
    let mut everyone = false;
    for event in access_events(segment) {
        match event.suspension.whom {
            Whom::User(user) => drop(users.insert(user)),
            Whom::Everyone => everyone = true,
        }
    }
    (users, everyone)
}

/// The events of a segment of an access stream that suspend or lift. One that is not understood denies whom
/// it names, as [`suspension::read`] says.
pub fn access_events(segment: &Segment) -> impl Iterator<Item = AccessEvent> {
    let members = if fixed::is_access(&segment.stream) { segment.members.as_slice() } else { &[] };
    members.iter().filter_map(|&index| {
        let body = Body::decode(&segment.bodies[index as usize]).ok()?;
        if body.kind.as_str() == kind::MEMBER {
            return None;
        }
        let Some(suspension) = suspension::read(&body.payload) else {
            let (stream, origin) = (&segment.stream, &segment.origin);
            tracing::error!(%stream, %origin, "an access event names nobody: it changes nothing");
            return None;
        };
        let seen = body.deps.clone().unwrap_or_default().access;
        Some(AccessEvent { entry: entry(segment, index, &body), suspension, seen })
    })
}

fn entry(segment: &Segment, index: u32, body: &Body) -> Entry {
    let seq = segment.first + u64::from(index);
    let place = Place { hlc: segment.stamps[index as usize], origin: segment.origin.clone(), seq };
    Entry { place, author: body.author.clone(), id: body.id, content: body.content, resend: body.resend }
}

/// The member events of a segment, with the history that a creation asks for. One that is not understood (the
/// kind's check refuses such before they are acked, so a later version or an earlier one took it) is reported
/// and denies what it touches, in every region alike: see [`payload::read`].
pub fn member_events(segment: &Segment) -> impl Iterator<Item = (MemberEvent, Option<History>)> {
    segment.members.iter().filter_map(|&index| {
        let body = Body::decode(&segment.bodies[index as usize]).ok();
        let other = |body: &Body| body.kind.as_str() != kind::MEMBER;
        if fixed::is_access(&segment.stream) && body.as_ref().is_some_and(other) {
            return None;
        }
        let body = body.filter(|body| !other(body));
        let parsed = body.and_then(|body| Some((payload::read(&body.payload)?, body)));
        let Some((payload, body)) = parsed else {
            let (stream, origin) = (&segment.stream, &segment.origin);
            tracing::error!(%stream, %origin, "a member event names nobody: it changes nothing");
            return None;
        };
        let entry = entry(segment, index, &body);
        let deps = body.deps.unwrap_or_default();
        let event = MemberEvent { entry, subject: payload.user, change: payload.change, deps };
        Some((event, payload.history))
    })
}

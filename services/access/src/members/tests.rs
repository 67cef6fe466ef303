//! The fold cache and the authoriser over a table in memory: a list of segments that can be late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sterna_process::ManualClock;
use sterna_stream::digest::{ContentHash, Prefix};
use sterna_stream::kind::Kinds;
use sterna_stream::limits::STREAM_MEMBERS;
use sterna_stream::member::{Change, Role};
use sterna_stream::{EventId, Hlc, Policy, Position, Reason, UserId, created};
use tokio::sync::Notify;

use super::payload::Payload;
use super::*;
use crate::{Action, Authorizer, Identity, MemberAuthorizer, Permission};

mod history;
mod lost;
mod tenant;

/// Segments of one stream and origin, how often they were read, and whether that life is gathered.
#[derive(Clone, Default)]
pub(crate) struct Table(Arc<Mutex<(Vec<Stored>, usize, bool)>>);

/// A table that takes its time over each segment, and a tenth of a second over heads.
struct Slow(Table, Duration);

#[async_trait]
impl MemberEvents for Slow {
    async fn newest(&self, stream: &StreamId) -> Result<Cursor, Refusal> {
        let newest = self.0.newest(stream).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        newest
    }

    async fn holding(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        tokio::time::sleep(self.1).await;
        self.0.holding(stream, origin, seq).await
    }

    async fn left(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        self.0.left(stream, origin, seq).await
    }
}

#[async_trait]
impl MemberEvents for Table {
    async fn newest(&self, stream: &StreamId) -> Result<Cursor, Refusal> {
        let held = self.0.lock().unwrap();
        let newest = held.0.iter().rfind(|s| s.segment.stream == *stream);
        Ok(newest.map(|s| (s.segment.origin.clone(), s.segment.member_last())).into_iter().collect())
    }

    async fn holding(&self, stream: &StreamId, _: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        let mut held = self.0.lock().unwrap();
        held.1 += 1;
        let of_stream = held.0.iter().filter(|s| s.segment.stream == *stream);
        let found = of_stream.into_iter().find(|s| (s.segment.first..=s.segment.last()).contains(&seq));
        Ok(found.cloned())
    }

    async fn left(&self, stream: &StreamId, _: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        let held = self.0.lock().unwrap();
        let mut of_stream = held.0.iter().filter(|s| s.segment.stream == *stream);
        match held.2 {
            true => Ok(of_stream.rfind(|s| s.segment.first <= seq).cloned()),
            false => Err(Reason::Unavailable.because("it may still come")),
        }
    }
}

struct World {
    table: Table,
    stream: StreamId,
    creation: EventId,
    authorizer: MemberAuthorizer<Table>,
}

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn who(tenant: &str, name: &str) -> Identity {
    Identity { tenant: tenant.to_owned(), user: user(name), issued_ms: 4_000, expires_ms: u64::MAX }
}

impl World {
    fn new() -> Self {
        Self::of("chat", None)
    }

    /// A stream of this kind, whose creation says this about history.
    fn of(kind: &str, history: Option<History>) -> Self {
        let creation = EventId::mint(1_000, 7);
        let stream = created::stream("acme", kind, &user("ana"), creation).unwrap();
        let table = Table::default();
        let clock = Arc::new(ManualClock::new(1_000_000));
        let authorizer =
            MemberAuthorizer::new(table.clone(), Kinds::standard().with(history::Circle), clock, "a");
        let world = Self { table, stream, creation, authorizer };
        let owner = Payload { user: user("ana"), change: Change::Add(Role::Owner), history };
        world.event("ana", &payload::json(&owner), creation);
        world
    }

    /// Adds a segment with one member event by `author`, then one with a message.
    fn member(&self, author: &str, subject: &str, change: Change, id: EventId) {
        self.event(author, &payload::json(&Payload { user: user(subject), change, history: None }), id);
    }

    /// The same with any payload.
    fn event(&self, author: &str, payload: &str, id: EventId) {
        let deps = self.newest_policy();
        let member = Body {
            id,
            author: user(author),
            kind: kind::MEMBER.parse().unwrap(),
            payload: Bytes::from(payload.to_owned()),
            content: ContentHash::default(),
            resend: false,
            key: String::new(),
            deps: Some(deps),
        };
        let message = Body { kind: "message".parse().unwrap(), deps: None, ..member.clone() };
        for (body, members) in [(member, vec![0]), (message, vec![])] {
            let mut held = self.table.0.lock().unwrap();
            let before =
                held.0.last().map(|s| (s.segment.last(), s.segment.member_last())).unwrap_or_default();
            held.0.push(Stored::new(Segment {
                stream: self.stream.clone(),
                origin: "us-east-1".parse().unwrap(),
                first: before.0 + 1,
                stamps: vec![Hlc::at(before.0 + 1)].into(),
                bodies: vec![body.encode()].into(),
                from: Position { incarnation: 1, partition: 0, offset: before.0 },
                policy: Policy::default(),
                prefix: Prefix::START,
                members,
                member_before: before.1,
            }));
        }
    }

    fn newest_policy(&self) -> Policy {
        let held = self.table.0.lock().unwrap();
        let newest = held.0.last().map(|s| (s.segment.origin.clone(), s.segment.member_last()));
        Policy { access: Cursor::new(), member: newest.into_iter().collect() }
    }

    fn change(&self, author: &str, subject: &str, change: Change) {
        let n = self.table.0.lock().unwrap().0.len();
        self.member(author, subject, change, EventId::mint(2_000, n as u128));
        self.authorizer.passed(&self.stream);
    }

    fn says(&self, author: &str, payload: &str) {
        let n = self.table.0.lock().unwrap().0.len();
        self.event(author, payload, EventId::mint(2_000, n as u128));
        self.authorizer.passed(&self.stream);
    }

    async fn may(&self, name: &str, what: Action) -> Result<Permission, Reason> {
        let granted = self.authorizer.authorize(&who("acme", name), &what, &self.stream).await;
        granted.map(|grant| grant.permission()).map_err(|refusal| refusal.reason)
    }
}

fn publish(kind: &str) -> Action {
    Action::Publish(kind.parse().unwrap())
}

/// A5: owners change members, everybody may leave; whoever created the stream stays.
#[tokio::test(start_paused = true)]
async fn everybody_may_leave_but_the_root_and_only_owners_change_others() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Owner));
    world.change("ana", "cy", Change::Add(Role::Reader));
    let remove = |subject: &str| Action::Change(subject.parse().unwrap(), Change::Remove(None));
    let add = |subject: &str| Action::Change(subject.parse().unwrap(), Change::Add(Role::Writer));
    assert_eq!(world.may("cy", remove("cy")).await, Ok(Permission::Leave));
    assert_eq!(world.may("bo", remove("bo")).await, Ok(Permission::Leave));
    assert_eq!(world.may("bo", remove("cy")).await, Ok(Permission::Manage));
    assert_eq!(world.may("bo", add("dee")).await, Ok(Permission::Manage));
    assert_eq!(world.may("cy", remove("bo")).await, Err(Reason::Forbidden));
    assert_eq!(world.may("cy", add("cy")).await, Err(Reason::Forbidden), "nobody raises themselves");
    assert_eq!(world.may("ana", remove("ana")).await, Err(Reason::Forbidden));
    assert_eq!(world.may("bo", remove("ana")).await, Err(Reason::Forbidden));
    assert_eq!(world.may("dee", remove("dee")).await, Err(Reason::NotFound));
}

/// E29: a full stream takes nobody else, by whichever way; its members still change.
#[tokio::test(start_paused = true)]
async fn a_full_stream_takes_no_further_member() {
    let world = World::new();
    let others = STREAM_MEMBERS - 1;
    for n in 0..others {
        world.change("ana", &format!("u{n}"), Change::Add(Role::Reader));
    }
    let change = |subject: &str, change| Action::Change(subject.parse().unwrap(), change);
    assert_eq!(world.may("ana", change("v", Change::Add(Role::Reader))).await, Err(Reason::LimitExceeded));
    assert_eq!(world.may("ana", change("u7", Change::Add(Role::Writer))).await, Ok(Permission::Manage));
    world.change("ana", "u7", Change::Remove(None));
    assert_eq!(world.may("ana", change("v", Change::Add(Role::Reader))).await, Ok(Permission::Manage));
}

/// G7: what a role allows, and that absence, foreign tenants and invisibility look alike.
#[tokio::test(start_paused = true)]
async fn roles_decide_and_strangers_see_nothing() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    world.change("ana", "cy", Change::Add(Role::Reader));
    assert_eq!(world.may("ana", publish("member")).await, Ok(Permission::Manage));
    assert_eq!(world.may("bo", publish("message")).await, Ok(Permission::Publish));
    assert_eq!(world.may("bo", publish("member")).await, Err(Reason::Forbidden));
    assert_eq!(world.may("cy", Action::Read).await, Ok(Permission::Read));
    assert_eq!(world.may("cy", publish("message")).await, Err(Reason::Forbidden));
    assert_eq!(world.may("dee", Action::Read).await, Err(Reason::NotFound));
    let other = world.authorizer.authorize(&who("other", "ana"), &Action::Read, &world.stream).await;
    let none = StreamId::new("acme", "chat", "none").unwrap();
    let absent = world.authorizer.authorize(&who("acme", "dee"), &Action::Read, &none).await;
    assert_eq!(other, absent, "the same refusal to the letter");
}

/// E24: a removal is known to the first decision after it passed.
#[tokio::test(start_paused = true)]
async fn a_removal_that_passed_is_known_to_the_next_decision() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    assert_eq!(world.may("bo", publish("message")).await, Ok(Permission::Publish));
    world.change("ana", "bo", Change::Remove(None));
    assert_eq!(world.may("bo", publish("message")).await, Err(Reason::NotFound));
}

/// E24: without being told, a decision is at most a second old.
#[tokio::test(start_paused = true)]
async fn a_fold_is_looked_up_again_after_a_second() {
    let world = World::new();
    assert_eq!(world.may("bo", Action::Read).await, Err(Reason::NotFound));
    world.member("ana", "bo", Change::Add(Role::Reader), EventId::mint(3_000, 1));
    assert_eq!(world.may("bo", Action::Read).await, Err(Reason::NotFound), "younger than a second");
    tokio::time::advance(FRESH).await;
    assert_eq!(world.may("bo", Action::Read).await, Ok(Permission::Read));
}

/// E24: a fold reads the segments that hold member events, each once, and no other.
#[tokio::test(start_paused = true)]
async fn a_fold_reads_member_segments_only_and_once() {
    let world = World::new();
    for n in 0..20 {
        world.change("ana", &format!("u{n}"), Change::Add(Role::Reader));
    }
    assert_eq!(world.may("u7", Action::Read).await, Ok(Permission::Read));
    assert_eq!(world.table.0.lock().unwrap().1, 21);
    world.change("ana", "v", Change::Add(Role::Reader));
    assert_eq!(world.may("v", Action::Read).await, Ok(Permission::Read));
    assert_eq!(world.table.0.lock().unwrap().1, 22, "what was folded is not read again");
}

/// E27, E31: a member event that names nobody, which no region lets in any more, changes nothing; it is read
/// once, and decisions rest on what comes after it.
#[tokio::test(start_paused = true)]
async fn a_member_event_that_names_nobody_is_read_once_and_changes_nothing() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    for payload in ["{}", "[]", r#"{"add":"owner"}"#] {
        world.says("ana", payload);
    }
    let grant = world.authorizer.authorize(&who("acme", "bo"), &publish("message"), &world.stream).await;
    assert_eq!(grant.unwrap().policy(), &world.newest_policy(), "the last of them is folded");
    assert_eq!(world.table.0.lock().unwrap().1, 5);
    world.authorizer.passed(&world.stream);
    assert_eq!(world.may("bo", publish("message")).await, Ok(Permission::Publish));
    assert_eq!(world.table.0.lock().unwrap().1, 5, "nothing is read again");
    world.change("ana", "bo", Change::Remove(None));
    assert_eq!(world.may("bo", Action::Read).await, Err(Reason::NotFound), "what follows is folded");
}

/// E27: a member event of a later version denies whom it names, if its author may take roles, until somebody
/// who has seen it adds them again.
#[tokio::test(start_paused = true)]
async fn a_member_event_that_is_not_understood_denies_whom_it_names() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    world.change("ana", "cy", Change::Add(Role::Writer));
    world.says("ana", r#"{"user":"bo","add":"moderator"}"#);
    world.says("bo", r#"{"user":"cy","add":"moderator"}"#);
    world.says("ana", r#"{"user":"ana","remove":"moderator"}"#);
    assert_eq!(world.may("bo", Action::Read).await, Err(Reason::NotFound));
    assert_eq!(world.may("cy", publish("message")).await, Ok(Permission::Publish), "bo is no owner");
    assert_eq!(world.may("ana", publish("member")).await, Ok(Permission::Manage), "the root owner stays");
    world.change("ana", "bo", Change::Add(Role::Reader));
    assert_eq!(world.may("bo", Action::Read).await, Ok(Permission::Read));
}

/// E3: only the creation that a name follows from may create the stream.
#[tokio::test(start_paused = true)]
async fn only_the_author_of_the_creation_may_create() {
    let world = World::new();
    assert_eq!(world.may("ana", Action::Create(world.creation)).await, Ok(Permission::Create));
    assert_eq!(world.may("bo", Action::Create(world.creation)).await, Err(Reason::Forbidden));
    assert_eq!(world.may("ana", Action::Create(EventId::mint(9, 9))).await, Err(Reason::Forbidden));
}

/// E24: a grant says what it rests on, so that no region shows what it allows before it knows as much.
#[tokio::test(start_paused = true)]
async fn a_grant_names_the_member_events_it_rests_on() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    let grant =
        world.authorizer.authorize(&who("acme", "bo"), &publish("message"), &world.stream).await.unwrap();
    assert_eq!(grant.policy(), &world.newest_policy());
    assert_eq!(grant.resource(), &world.stream);
}

/// E24, G7: members that take longer to read than a decision may take are known after a few decisions,
/// however slow the table is.
#[tokio::test(start_paused = true)]
async fn a_decision_that_ran_out_of_time_leaves_the_next_less_to_read() {
    let world = World::new();
    for n in 0..11 {
        world.change("ana", &format!("p{n}"), Change::Add(Role::Writer));
    }
    let folds = Folds::new(Slow(world.table.clone(), Duration::from_secs(1)));
    let decision = || tokio::time::timeout(Duration::from_secs(5), folds.of(&world.stream));
    assert!(decision().await.is_err(), "twelve seconds do not fit into five");
    assert!(decision().await.is_err());
    let fold = decision().await.expect("four are left").unwrap();
    assert_eq!(*fold.members.cursor(), world.newest_policy().member);
    assert_eq!(folds.unfolded.lock().unwrap().count, 0, "what is folded is forgotten");
}

/// G9: what is read and not folded is bounded; beyond the bound it is read again.
#[test]
fn what_is_read_and_not_folded_is_bounded() {
    let world = World::new();
    let held = world.table.0.lock().unwrap();
    let event = member_events(&held.0[0].segment).next().unwrap();
    let link = Link { events: vec![event; 4_096], ..Link::default() };
    let mut unfolded = Unfolded::default();
    let origin: Origin = "us-east-1".parse().unwrap();
    for seq in 0..=UNFOLDED as u64 / 4_096 {
        unfolded.add(&world.stream, (origin.clone(), seq), link.clone());
        assert!(unfolded.count <= UNFOLDED);
    }
    assert_eq!(unfolded.count, 4_096, "everything before the last was forgotten");
    unfolded.folded(&world.stream);
    assert_eq!((unfolded.count, unfolded.links.len()), (0, 0));
}

/// A table whose second answer about heads comes only when it is told to, as things were when it was asked.
struct Late(Table, AtomicU64, Arc<Notify>);

#[async_trait]
impl MemberEvents for Late {
    async fn newest(&self, stream: &StreamId) -> Result<Cursor, Refusal> {
        let newest = self.0.newest(stream).await;
        if self.1.fetch_add(1, Ordering::Relaxed) == 1 {
            self.2.notified().await;
        }
        newest
    }

    async fn holding(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        self.0.holding(stream, origin, seq).await
    }

    async fn left(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Result<Option<Stored>, Refusal> {
        self.0.left(stream, origin, seq).await
    }
}

/// E24: a reading that ends after a younger one decides by what the younger one knows, and undoes nothing.
#[tokio::test(start_paused = true)]
async fn an_older_reading_that_ends_later_undoes_nothing() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    let answer = Arc::new(Notify::new());
    let folds = Folds::new(Late(world.table.clone(), AtomicU64::new(0), answer.clone()));
    folds.of(&world.stream).await.unwrap();
    tokio::time::advance(FRESH).await;
    let younger = async {
        world.change("ana", "bo", Change::Remove(None));
        let fold = folds.of(&world.stream).await.unwrap();
        answer.notify_one();
        fold
    };
    let (older, younger) = tokio::join!(folds.of(&world.stream), younger);
    let newest = world.newest_policy().member;
    assert_eq!(*younger.members.cursor(), newest);
    assert_eq!(*older.unwrap().members.cursor(), newest);
    assert_eq!(*folds.of(&world.stream).await.unwrap().members.cursor(), newest);
}

/// E24: who is removed while a fold is being read is removed in the next decision, not a second later.
#[tokio::test(start_paused = true)]
async fn a_fold_that_a_change_passed_by_is_not_fresh() {
    let world = World::new();
    world.change("ana", "bo", Change::Add(Role::Writer));
    let folds = Folds::new(Slow(world.table.clone(), Duration::ZERO));
    let removal = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.change("ana", "bo", Change::Remove(None));
        folds.passed(&world.stream);
    };
    let (before, ()) = tokio::join!(folds.of(&world.stream), removal);
    assert_ne!(*before.unwrap().members.cursor(), world.newest_policy().member, "it was read before");
    let after = folds.of(&world.stream).await.unwrap();
    assert_eq!(*after.members.cursor(), world.newest_policy().member);
}

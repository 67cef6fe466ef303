//! A tenant's access stream and the decisions that rest on it.

use sterna_stream::fixed::{self, PROVISIONER};

use super::*;

impl World {
    /// A chat of ana's and bo's, in a tenant that is founded and that ops owns.
    async fn founded() -> Self {
        let world = Self::new();
        world.change("ana", "bo", Change::Add(Role::Writer));
        world.access(PROVISIONER, "member", r#"{"user":"ops","add":"owner"}"#);
        world
    }

    /// Adds a segment with one event to the access stream, and says that it passed.
    fn access(&self, author: &str, kind: &str, payload: &str) {
        let stream = fixed::access("acme").unwrap();
        let origin: Origin = "us-east-1".parse().unwrap();
        let mut held = self.table.0.lock().unwrap();
        let before = held.0.iter().filter(|stored| stored.segment.stream == stream).count() as u64;
        let seen: Cursor = [(origin.clone(), before)].into_iter().collect();
        let body = Body {
            id: EventId::mint(3_000, u128::from(before)),
            author: user(author),
            kind: kind.parse().unwrap(),
            payload: Bytes::from(payload.to_owned()),
            content: ContentHash([before as u8; 16]),
            resend: false,
            key: String::new(),
            deps: Some(Policy { access: seen.clone(), member: seen }),
        };
        held.0.push(Stored::new(Segment {
            stream: stream.clone(),
            origin,
            first: before + 1,
            stamps: vec![Hlc::at(before + 1)].into(),
            bodies: vec![body.encode()].into(),
            from: Position { incarnation: 1, partition: 0, offset: before },
            policy: Policy::default(),
            prefix: Prefix::START,
            members: vec![0],
            member_before: before,
        }));
        drop(held);
        self.authorizer.passed(&stream);
    }

    fn suspend(&self, author: &str, whom: &str, suspended: bool) {
        self.access(author, "suspension", &format!(r#"{{"v":1,"user":"{whom}","suspended":{suspended}}}"#));
    }

    fn newest_policy_of(&self, stream: &StreamId) -> Cursor {
        let held = self.table.0.lock().unwrap();
        let newest = held.0.iter().rfind(|stored| stored.segment.stream == *stream).unwrap();
        [(newest.segment.origin.clone(), newest.segment.member_last())].into_iter().collect()
    }

    async fn policy(&self, name: &str) -> Policy {
        let grant = self.authorizer.authorize(&who("acme", name), &publish("message"), &self.stream).await;
        grant.unwrap().policy().clone()
    }
}

/// A7, G7: whoever is suspended in the tenant may do nothing on any stream, not create one either, until that
/// is lifted.
#[tokio::test(start_paused = true)]
async fn a_suspended_user_may_do_nothing() {
    let world = World::founded().await;
    assert_eq!(world.may("bo", publish("message")).await, Ok(Permission::Publish));
    world.suspend("ops", "bo", true);
    let creation = EventId::mint(5_000, 1);
    let own = created::stream("acme", "chat", &user("bo"), creation).unwrap();
    for what in [publish("message"), Action::Read, Action::Change(user("bo"), Change::Remove(None))] {
        assert_eq!(world.may("bo", what.clone()).await, Err(Reason::Forbidden), "{what:?}");
    }
    let create = Action::Create(creation);
    let refused = world.authorizer.authorize(&who("acme", "bo"), &create, &own).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Forbidden);
    let refused = world.authorizer.view(&who("acme", "bo"), &world.stream).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Forbidden);
    assert_eq!(world.may("ana", Action::Read).await, Ok(Permission::Read), "nobody else is");
    world.suspend("ops", "bo", false);
    assert_eq!(world.may("bo", publish("message")).await, Ok(Permission::Publish));
}

/// E24, A7: a token from before `not_before` is void, also when the suspension is lifted; one from then on is
/// good. The root owner's stay good, or a tenant could be locked for good (A5).
#[tokio::test(start_paused = true)]
async fn a_token_from_before_not_before_is_void() {
    let world = World::founded().await;
    let issued = |name: &str, issued_ms| Identity { issued_ms, ..who("acme", name) };
    let read = async |identity: &Identity| {
        let refused = |refusal: Refusal| refusal.reason;
        let admitted = world.authorizer.admit(identity).await.map_err(refused);
        let seen = world.authorizer.view(identity, &world.stream).await.map(drop).map_err(refused);
        let granted = world.authorizer.authorize(identity, &Action::Read, &world.stream).await;
        assert_eq!((seen, granted.map(drop).map_err(refused)), (admitted, admitted), "decided alike");
        admitted
    };
    assert_eq!(read(&issued("bo", 0)).await, Ok(()));
    world.access("ops", "suspension", r#"{"v":1,"user":"bo","suspended":true,"not_before_ms":2000}"#);
    assert_eq!(read(&issued("bo", 2_000)).await, Err(Reason::Forbidden), "suspended besides");
    world.suspend("ops", "bo", false);
    for (issued_ms, verdict) in
        [(0, Err(Reason::TokenExpired)), (1_999, Err(Reason::TokenExpired)), (2_000, Ok(()))]
    {
        assert_eq!(read(&issued("bo", issued_ms)).await, verdict, "{issued_ms}");
    }
    assert_eq!(read(&issued("ana", 0)).await, Ok(()), "nobody else's");
    let everyone = r#"{"v":1,"everyone":true,"suspended":true,"not_before_ms":3000}"#;
    world.access("ops", "suspension", everyone);
    world.access("ops", "suspension", r#"{"v":1,"everyone":true,"suspended":false}"#);
    assert_eq!(read(&issued("ana", 2_999)).await, Err(Reason::TokenExpired));
    assert_eq!(world.authorizer.admit(&issued("ops", 0)).await, Ok(()));
}

/// E24: a grant says how far the tenant's access stream was folded, and a decision knows what it must.
#[tokio::test(start_paused = true)]
async fn a_grant_names_the_access_events_it_rests_on() {
    let world = World::founded().await;
    let chat = world.newest_policy_of(&world.stream);
    let at = |seq: u64| format!("us-east-1:{seq}").parse::<Cursor>().unwrap();
    assert_eq!(world.policy("bo").await.access, at(1));
    world.suspend("ops", "cy", true);
    let policy = world.policy("bo").await;
    assert_eq!((policy.access, policy.member), (at(2), chat));

    // Nobody says that it passed: what is about to be shown names it.
    let silent = World::founded().await;
    assert_eq!(silent.policy("bo").await.access, at(1));
    let stored = world.table.0.lock().unwrap().0.last().unwrap().clone();
    silent.table.0.lock().unwrap().0.push(stored);
    assert_eq!(silent.policy("bo").await.access, at(1), "younger than a second");
    silent.authorizer.must_know(&silent.stream, &at(1));
    assert_eq!(silent.policy("bo").await.access, at(1), "as much is known");
    silent.authorizer.must_know(&silent.stream, &at(2));
    assert_eq!(silent.policy("bo").await.access, at(2));
}

/// E3, A5: the access stream is its owners' alone, and nobody creates one beside it.
#[tokio::test(start_paused = true)]
async fn the_access_stream_is_for_those_who_administer_the_tenant() {
    let world = World::founded().await;
    let stream = fixed::access("acme").unwrap();
    let may = async |name: &str, what: Action| {
        let granted = world.authorizer.authorize(&who("acme", name), &what, &stream).await;
        granted.map(|grant| grant.permission()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(may("ops", publish("suspension")).await, Ok(Permission::Manage));
    assert_eq!(may("ana", publish("suspension")).await, Err(Reason::NotFound));
    let add = |subject: &str| Action::Change(user(subject), Change::Add(Role::Owner));
    assert_eq!(may("ops", add("ana")).await, Ok(Permission::Manage));
    world.access("ops", "member", r#"{"user":"ana","add":"owner"}"#);
    world.access("ops", "member", r#"{"user":"bo","add":"writer"}"#);
    assert_eq!(may("ana", publish("suspension")).await, Ok(Permission::Manage));
    assert_eq!(may("bo", publish("suspension")).await, Err(Reason::Forbidden));
    let remove = Action::Change(user("ops"), Change::Remove(None));
    assert_eq!(may("ana", remove).await, Err(Reason::Forbidden), "the root owner stays");

    let creation = EventId::mint(5_000, 1);
    let own = created::stream("acme", "access", &user("bo"), creation).unwrap();
    let refused = world.authorizer.authorize(&who("acme", "bo"), &Action::Create(creation), &own).await;
    assert_eq!(refused.unwrap_err().reason, Reason::Forbidden);
}

/// E27: an access event of a later version denies whom it names, whatever its kind is called.
#[tokio::test(start_paused = true)]
async fn an_access_event_that_is_not_understood_denies_whom_it_names() {
    let world = World::founded().await;
    world.access("ops", "binding", r#"{"v":3,"user":"bo","role":"moderator"}"#);
    assert_eq!(world.may("bo", Action::Read).await, Err(Reason::Forbidden));
    world.access("ops", "alias", r#"{"alias":"general"}"#);
    assert_eq!(world.may("ana", Action::Read).await, Ok(Permission::Read));
}

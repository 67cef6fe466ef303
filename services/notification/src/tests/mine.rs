//! `Mine`: whose streams, in which order, in how many answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream;
use sterna_access::members::payload::{self, Payload};
use sterna_proto::record::{Body, Stored};
use sterna_proto::v1;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_stream::kind::MEMBER;
use sterna_stream::limits::MINE_STREAMS;
use sterna_stream::member::{Change, Role};
use sterna_stream::{ContentHash, EventId, StreamId, created};
use tonic::Code;

use super::*;

/// The world's streams: each ana's, changed through persistence as a sequencer does.
struct Streams {
    world: World,
    ends: BTreeMap<StreamId, End>,
    minted: u64,
}

impl Streams {
    fn new() -> Self {
        Self { world: World::new(), ends: BTreeMap::new(), minted: 0 }
    }

    /// Made by ana at `at_ms`.
    async fn create(&mut self, kind: &str, at_ms: u64) -> StreamId {
        self.minted += 1;
        let id = EventId::mint(NOW, self.minted.into());
        let stream = created::stream("acme", kind, &"ana".parse().unwrap(), id).unwrap();
        self.change(&stream, "ana", Change::Add(Role::Owner), at_ms, Some(id)).await;
        stream
    }

    async fn change(&mut self, stream: &StreamId, user: &str, change: Change, at: u64, id: Option<EventId>) {
        self.minted += 1;
        let id = id.unwrap_or_else(|| EventId::mint(NOW, self.minted.into()));
        let end = self.ends.entry(stream.clone()).or_default();
        let origin: Origin = "us-east-1".parse().unwrap();
        let seen: Cursor = (end.seq > 0).then(|| (origin.clone(), end.seq)).into_iter().collect();
        let json = payload::json(&Payload { user: user.parse().unwrap(), change, history: None });
        let body = Body {
            id,
            author: "ana".parse().unwrap(),
            kind: MEMBER.parse().unwrap(),
            payload: Bytes::from(json),
            content: ContentHash::default(),
            resend: false,
            key: String::new(),
            deps: Some(Policy { member: seen, ..Policy::default() }),
        };
        let segment = Segment {
            stream: stream.clone(),
            origin,
            first: end.seq + 1,
            stamps: vec![Hlc::at(NOW + at)].into(),
            bodies: vec![body.encode()].into(),
            from: Position { incarnation: 1, partition: 0, offset: end.seq },
            policy: Policy::default(),
            prefix: end.prefix,
            members: vec![0],
            member_before: end.member,
        };
        end.admits(&segment).unwrap();
        *end = End::of(&segment);
        let Stored { segment, bytes } = Stored::new(segment);
        let (origin, first) = (segment.origin.to_string(), segment.first);
        let item = v1::Item { stream: stream.to_string(), origin, first, record: bytes };
        let append = v1::AppendRequest { items: vec![item], tag: 0 };
        let answers = self.persistence().append(stream::iter([append])).await.unwrap();
        answers.into_inner().message().await.unwrap().unwrap();
    }

    fn persistence(&self) -> PersistenceClient<Link> {
        let World { table, persistence, notification, keys, .. } = &self.world;
        let routes = require_caller(Persistence::new(table.clone()).routes(), keys);
        let caller = Caller::new("messaging", "us-east-1").unwrap();
        PersistenceClient::new(Link::direct(persistence, routes).called_by(notification, &caller, keys))
    }

    async fn mine(&self, request: v1::MineRequest) -> v1::MineAnswer {
        self.world.called_by("gateway").mine(request).await.unwrap().into_inner()
    }
}

fn of(user: &str) -> v1::MineRequest {
    v1::MineRequest { tenant: "acme".into(), user: user.into(), ..v1::MineRequest::default() }
}

fn names(answer: &v1::MineAnswer) -> Vec<&str> {
    answer.streams.iter().map(|mine| mine.stream.as_str()).collect()
}

/// Rule 6: a user's streams are those that the fold says: added ones, not removed ones, nobody else's; with
/// role and head.
#[tokio::test(start_paused = true)]
async fn a_users_streams_are_what_the_folds_say() {
    let mut streams = Streams::new();
    let (in_it, left, never) =
        (streams.create("chat", 1).await, streams.create("chat", 2).await, streams.create("chat", 3).await);
    for stream in [&in_it, &left] {
        streams.change(stream, "bo", Change::Add(Role::Writer), 4, None).await;
    }
    assert_eq!(streams.mine(of("bo")).await.streams.len(), 2);
    streams.change(&left, "bo", Change::Remove(None), 5, None).await;
    let answer = streams.mine(of("bo")).await;
    assert_eq!(names(&answer), [in_it.as_str()], "not {never}");
    let mine = &answer.streams[0];
    assert_eq!((mine.role.as_str(), mine.newest, answer.next.as_str()), ("writer", Hlc::at(NOW + 4).0, ""));
    assert_eq!(convert::cursor(mine.head.as_ref()).unwrap(), "us-east-1:2".parse().unwrap());
    assert_eq!(names(&streams.mine(of("eve")).await), [""; 0]);
    assert_eq!(streams.mine(of("ana")).await.streams.len(), 3);
    let answer = streams.mine(v1::MineRequest { tenant: "other".into(), ..of("ana") }).await;
    assert_eq!(names(&answer), [""; 0], "another tenant's user of that name");
}

/// Rule 6: a stream whose members cannot be read is named, and keeps no other out of the answer.
#[tokio::test(start_paused = true)]
async fn a_stream_whose_members_cannot_be_read_fails_no_other() {
    let mut streams = Streams::new();
    let (first, last) = (streams.create("chat", 1).await, streams.create("chat", 2).await);
    let broken = StreamId::new("acme", "chat", "0").unwrap();
    // It follows a member event that the table does not have.
    streams.ends.insert(broken.clone(), End { seq: 5, member: 3, ..End::default() });
    for stream in [&first, &broken, &last] {
        streams.change(stream, "bo", Change::Add(Role::Writer), 4, None).await;
    }
    for newest in [false, true] {
        let answer = streams.mine(v1::MineRequest { newest, ..of("bo") }).await;
        let mut named = names(&answer);
        named.sort_unstable();
        let mut readable = [first.as_str(), last.as_str()];
        readable.sort_unstable();
        assert_eq!(named, readable);
        assert_eq!(answer.unknown, [broken.to_string()]);
    }
}

/// Rule 6: who was added a moment ago is in it, although the last fold, just made, says no.
#[tokio::test(start_paused = true)]
async fn a_fold_that_says_no_is_made_again() {
    let mut streams = Streams::new();
    let stream = streams.create("chat", 1).await;
    streams.change(&stream, "bo", Change::Add(Role::Writer), 2, None).await;
    streams.change(&stream, "bo", Change::Remove(None), 3, None).await;
    assert_eq!(names(&streams.mine(of("bo")).await), [""; 0]);
    streams.change(&stream, "bo", Change::Add(Role::Reader), 4, None).await;
    assert_eq!(names(&streams.mine(of("bo")).await), [stream.as_str()]);
}

/// Rule 6: the most recently active first, and a word if there are more; by name in pages, of one kind.
#[tokio::test(start_paused = true)]
async fn the_most_active_come_first_or_all_in_pages() {
    let mut streams = Streams::new();
    let mut made = Vec::new();
    for at in [30, 10, 50, 20, 40] {
        made.push((at, streams.create("chat", at).await));
    }
    let newest = streams.mine(v1::MineRequest { newest: true, limit: 3, ..of("ana") }).await;
    made.sort_by(|a, b| b.cmp(a));
    let order: Vec<&str> = made.iter().map(|(_, stream)| stream.as_str()).collect();
    assert_eq!((names(&newest), newest.next.is_empty()), (order[..3].to_vec(), false));
    let all = streams.mine(v1::MineRequest { newest: true, limit: 5, ..of("ana") }).await;
    assert_eq!((names(&all), all.next.as_str()), (order.clone(), ""));
    let mut by_name: Vec<&str> = order.clone();
    by_name.sort_unstable();
    for limit in 1..=6 {
        let (mut seen, mut after): (Vec<String>, String) = (Vec::new(), String::new());
        loop {
            let page = streams.mine(v1::MineRequest { limit, after, kind: "chat".into(), ..of("ana") }).await;
            assert!(page.streams.len() <= limit as usize);
            seen.extend(page.streams.into_iter().map(|mine| mine.stream));
            after = page.next;
            if after.is_empty() {
                break;
            }
        }
        assert_eq!(seen, by_name, "by {limit}");
    }
    assert_eq!(names(&streams.mine(v1::MineRequest { kind: "files".into(), ..of("ana") }).await), [""; 0]);
}

/// G9, E30: an answer is bounded whatever is asked for; nonsense is refused; only gateways ask.
#[tokio::test(start_paused = true)]
async fn answers_are_bounded_and_only_for_gateways() {
    let mut streams = Streams::new();
    for at in 0..=MINE_STREAMS as u64 {
        streams.create("chat", at).await;
    }
    for newest in [false, true] {
        let answer = streams.mine(v1::MineRequest { newest, limit: 9_999, ..of("ana") }).await;
        assert_eq!((answer.streams.len(), answer.next.is_empty()), (MINE_STREAMS, false));
    }
    let mut notification = streams.world.called_by("gateway");
    let nonsense = v1::MineRequest { newest: true, after: "acme/chat/a".into(), ..of("ana") };
    for request in [of(""), nonsense] {
        assert_eq!(notification.mine(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let status = streams.world.called_by("state").mine(of("ana")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

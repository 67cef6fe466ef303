//! The index of users' streams: there before the segment, in every region's own items, never taken away.

use bytes::Bytes;
use sterna_access::members::payload::{self, Payload};
use sterna_proto::record::{Body, Stored};
use sterna_proto::v1;
use sterna_proto::v1::appended::Outcome;
use sterna_storage::faulty::Fault;
use sterna_storage::{Name, layout};
use sterna_stream::limits::TOUCHED_STREAMS;
use sterna_stream::member::{Change, Role};
use sterna_stream::{ContentHash, EventId, Region, UserId};

use super::{Chain, NOW, STREAM, World, items};
use crate::touched::touch;

/// A member event about `subject`.
fn about(subject: &str, change: Change) -> Bytes {
    let payload = payload::json(&Payload { user: subject.parse().unwrap(), change, history: None });
    let (author, kind) = ("ana".parse().unwrap(), "member".parse().unwrap());
    Body {
        id: EventId::mint(NOW, 7),
        author,
        kind,
        payload: Bytes::from(payload),
        content: ContentHash::default(),
        resend: false,
        key: String::new(),
        deps: None,
    }
    .encode()
}

fn adds(chain: &mut Chain, subjects: &[&str]) -> Stored {
    let events: Vec<(u64, Bytes)> = subjects
        .iter()
        .zip(1..)
        .map(|(subject, ms)| (chain.end.seq + ms, about(subject, Change::Add(Role::Writer))))
        .collect();
    let members: Vec<u32> = (0..subjects.len() as u32).collect();
    chain.next(&events, &members)
}

async fn of(world: &World, user: &str) -> Vec<String> {
    let request = v1::TouchedRequest { tenant: "acme".into(), user: user.into(), ..Default::default() };
    world.called_by("notification").touched(request).await.unwrap().into_inner().streams
}

/// Rule 6: whoever a segment makes a member finds the stream, also after being removed, also when the segment
/// came from another region.
#[tokio::test(start_paused = true)]
async fn whoever_a_member_event_names_finds_the_stream() {
    let world = World::new();
    let mut ours = Chain::of("us-east-1");
    let first = adds(&mut ours, &["bo", "cy", "bo"]);
    world.append(items(&[first])).await.unwrap();
    let theirs = adds(&mut Chain::of("eu-west-1"), &["dee"]);
    let ensure = v1::EnsureRequest { items: items(&[theirs]), grace_ms: 0 };
    world.called_by("state").ensure(ensure).await.unwrap();
    for user in ["bo", "cy", "dee"] {
        assert_eq!(of(&world, user).await, [STREAM], "{user}");
    }
    assert_eq!(of(&world, "eve").await, [""; 0]);
    let other = v1::TouchedRequest { tenant: "acm".into(), user: "bo".into(), ..Default::default() };
    assert_eq!(world.called_by("notification").touched(other).await.unwrap().into_inner().streams, [""; 0]);
}

/// Rule 6: the index is there before the segment: if it cannot be written, the segment is not.
#[tokio::test(start_paused = true)]
async fn a_segment_is_put_only_behind_its_index() {
    let world = World::new();
    let segment = adds(&mut Chain::of("us-east-1"), &["bo"]);
    world.faults.next_write(Fault::Fail);
    let answer = world.append(items(std::slice::from_ref(&segment))).await.unwrap();
    assert_eq!(answer.results[0].outcome, Some(Outcome::Unknown(true)));
    assert!(world.inner.is_empty(Name::Events));
    let answer = world.append(items(std::slice::from_ref(&segment))).await.unwrap();
    assert_eq!(answer.results[0].outcome, Some(Outcome::Stored(true)));
    assert_eq!(of(&world, "bo").await, [STREAM]);
}

/// Pages go on behind a stream, whatever regions have items of it; a kind narrows them.
#[tokio::test(start_paused = true)]
async fn pages_are_by_name_and_each_stream_is_in_one() {
    let world = World::new();
    let user: UserId = "bo".parse().unwrap();
    let names = ["acme/chat/a", "acme/chat/a-b", "acme/chat/a.b", "acme/chat/b", "acme/files/a"];
    for name in names {
        for region in ["us-east-1", "eu-west-1", "ap-south-1"] {
            let region: Region = region.parse().unwrap();
            let key = layout::touched(&user, &name.parse().unwrap(), &region);
            sterna_storage::Table::put(&*world.inner, key, Bytes::new(), sterna_storage::Expect::Any)
                .await
                .unwrap();
        }
    }
    for limit in [1, 2, 3, 0] {
        for (kind, expected) in
            [("", &names[..]), ("chat", &names[..4]), ("files", &names[4..]), ("audit", &[])]
        {
            let (mut seen, mut after): (Vec<String>, String) = (Vec::new(), String::new());
            loop {
                let (tenant, user) = ("acme".into(), "bo".into());
                let request = v1::TouchedRequest { tenant, user, kind: kind.into(), after, limit };
                let page = world.called_by("notification").touched(request).await.unwrap().into_inner();
                assert!(limit == 0 || page.streams.len() <= limit as usize);
                after = page.streams.last().cloned().unwrap_or_default();
                seen.extend(page.streams);
                if !page.more {
                    break;
                }
            }
            assert_eq!(seen, expected, "{kind} by {limit}");
        }
    }
}

/// G9: an answer holds [`TOUCHED_STREAMS`] at most, whatever is asked for.
#[tokio::test(start_paused = true)]
async fn an_answer_is_bounded() {
    let world = World::new();
    let region: Region = "us-east-1".parse().unwrap();
    for n in 0..=TOUCHED_STREAMS {
        let mut chain = Chain::of("us-east-1");
        chain.stream = format!("acme/chat/s{n:05}").parse().unwrap();
        touch(&*world.inner, &region, &adds(&mut chain, &["bo"]).bytes).await.unwrap();
    }
    let request =
        v1::TouchedRequest { tenant: "acme".into(), user: "bo".into(), limit: 5_000, ..Default::default() };
    let answer = world.called_by("notification").touched(request).await.unwrap().into_inner();
    assert_eq!((answer.streams.len(), answer.more), (TOUCHED_STREAMS, true));
}

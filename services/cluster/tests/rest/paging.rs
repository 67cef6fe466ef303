//! Paging a hole over HTTP, in paused time: the answer is the state.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use sterna_cluster::{MemoryStores, Plan, Region};
use sterna_process::ManualClock;
use sterna_proto::record::{Body, encode_segment};
use sterna_storage::{Expect, Key, Put, Table, control, layout};
use sterna_stream::{ContentHash, EventId, Hlc, Policy, Position, Prefix, Segment};
use tokio::time::{Duration, sleep};

use super::asker::cursor;
use super::{NOW, World, run};

/// Pages of (from, to] until nothing remains; the seqs, in the order they were shown.
async fn pages(world: &World, path: &str, (from, to): (u64, u64), order: &str, limit: usize) -> Vec<u64> {
    let (mut from, mut to) = (format!("us-east-1:{from}"), format!("us-east-1:{to}"));
    let mut seqs = Vec::new();
    loop {
        let url = format!("{path}/events?order={order}&limit={limit}&from={from}&to={to}");
        let answer = world.get("ana", &url).await;
        if answer.status == 429 {
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let events = answer.body["events"].as_array().unwrap();
        assert!(!events.is_empty() && events.len() <= limit, "{} of {limit}", events.len());
        assert!(answer.text.len() <= 1024 * 1024);
        seqs.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
        (from, to) = (cursor(&answer.body["from"]), cursor(&answer.body["to"]));
        if answer.body["from"] == answer.body["to"] {
            return seqs;
        }
    }
}

/// Section 9: in either order and with any limit, pages tile the hole exactly once.
#[test]
fn pages_tile_the_hole() {
    run(async {
        let mut world = World::new(31);
        let path = world.stream(&[]).await;
        for n in 0..40 {
            world.say("ana", &path, &n.to_string()).await;
        }
        world.held(&path, 41).await;
        for (from, to) in [(0, 41), (7, 30), (40, 41)] {
            for limit in [1, 7, 500] {
                let up: Vec<u64> = (from + 1..=to).collect();
                let down: Vec<u64> = up.iter().rev().copied().collect();
                assert_eq!(pages(&world, &path, (from, to), "oldest", limit).await, up);
                assert_eq!(pages(&world, &path, (from, to), "newest", limit).await, down);
            }
        }
        sleep(Duration::from_secs(3)).await;
        let whole = world.get("ana", &format!("{path}/events")).await;
        assert_eq!(whole.texts()[0], "39", "without parameters: everything, the newest first");
        let none = world.get("ana", &format!("{path}/events?from=us-east-1:9&to=us-east-1:3")).await;
        assert_eq!((none.texts().len(), &none.body["from"]), (0, &none.body["to"]));
    });
}

/// An answer stays below 1 MiB whatever the limit, and the rest comes with the next.
#[test]
fn a_page_ends_before_it_is_too_large() {
    run(async {
        let mut world = World::new(32);
        let path = world.stream(&[]).await;
        let text = "x".repeat(59 * 1024);
        for _ in 0..40 {
            world.say("ana", &path, &text).await;
        }
        world.held(&path, 41).await;
        for order in ["oldest", "newest"] {
            let seqs = pages(&world, &path, (0, 41), order, 500).await;
            assert_eq!(seqs.iter().copied().collect::<BTreeSet<_>>(), (1..=41).collect());
            assert_eq!(seqs.len(), 41);
        }
    });
}

/// E17: a hole that reaches beyond what this region holds is not done and not jumped: it says when to ask
/// again, and goes on when the events have come.
#[test]
fn what_is_not_here_yet_waits() {
    run(async {
        let mut world = World::new(33);
        let path = world.stream(&[]).await;
        let ahead =
            |order: &str| format!("{path}/events?order={order}&from=us-east-1:1&to=us-east-1:3,eu-west-1:2");
        for order in ["oldest", "newest"] {
            let answer = world.get("ana", &ahead(order)).await;
            assert_eq!((answer.status, answer.texts().len()), (200, 0), "{answer:?}");
            assert_eq!(answer.body["retry_after_ms"], 1_000);
            assert_eq!(cursor(&answer.body["to"]), "eu-west-1:2,us-east-1:3");
        }
        world.say("ana", &path, "a").await;
        world.say("ana", &path, "b").await;
        world.held(&path, 3).await;
        for (order, texts) in [("oldest", ["a", "b"]), ("newest", ["b", "a"])] {
            let answer = world.get("ana", &ahead(order)).await;
            assert_eq!(answer.texts(), texts, "the other origin holds up nothing");
            assert_eq!(answer.body["retry_after_ms"], Value::Null);
            assert_ne!(answer.body["from"], answer.body["to"]);
        }
    });
}

/// Event `seq` of eu-west-1's only life, in a segment of its own.
fn of_eu(path: &str, seq: u64, text: &str, hlc: Hlc, policy: Policy) -> (Key, Bytes) {
    let body = Body {
        id: EventId::mint(NOW, seq.into()),
        author: "ana".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Bytes::from(format!(r#"{{"text":"{text}"}}"#)),
        content: ContentHash([1; 16]),
        resend: false,
        key: String::new(),
        deps: None,
    };
    let segment = Segment {
        stream: format!("acme{}", path.strip_prefix("/v1/streams").unwrap()).parse().unwrap(),
        origin: "eu-west-1".parse().unwrap(),
        first: seq,
        stamps: vec![hlc].into(),
        bodies: vec![body.encode()].into(),
        from: Position { incarnation: 1, partition: 0, offset: seq },
        policy,
        prefix: Prefix::START,
        members: Vec::new(),
        member_before: 0,
    };
    (layout::segment(&segment.stream, &segment.origin, seq), encode_segment(&segment))
}

/// A region by itself, with its stores.
fn alone(seed: u64) -> (World, MemoryStores) {
    let plan = Plan::small("us-east-1".parse().unwrap(), seed);
    let (clock, stores) = (ManualClock::new(NOW), MemoryStores::new(&plan));
    let region = Region::start(plan.clone(), stores.stores(), Arc::new(clock.clone()));
    (World::of(plan, clock, region), stores)
}

/// E1, E24: what rests on an access event that is not here waits, and does no longer once all that is left of
/// the ended life is here.
#[test]
fn a_page_does_not_wait_for_what_was_lost_with_an_ended_life() {
    run(async {
        let (mut world, stores) = alone(36);
        let path = world.stream(&[]).await;
        // It rests on the third of its origin's access events.
        let policy = Policy { access: "eu-west-1:3".parse().unwrap(), ..Policy::default() };
        let (key, record) = of_eu(&path, 1, "left", Hlc::at(NOW), policy);
        assert_eq!(stores.table.put(key, record, Expect::Absent).await.unwrap(), Put::Done(1));
        let left = |order: &str| format!("{path}/events?order={order}&to=eu-west-1:1");
        for order in ["oldest", "newest"] {
            let answer = world.get("ana", &left(order)).await;
            assert_eq!((answer.texts().len(), &answer.body["retry_after_ms"]), (0, &1_000.into()));
        }
        control::declare_gathered(&*stores.table, &"eu-west-1".parse().unwrap()).await.unwrap();
        for order in ["oldest", "newest"] {
            let answer = world.get("ana", &left(order)).await;
            assert_eq!(
                (answer.texts(), &answer.body["retry_after_ms"]),
                (vec!["left".to_owned()], &Value::Null)
            );
            assert_eq!(answer.body["from"], answer.body["to"]);
        }
    });
}

/// E1, E17: pages stop at what is missing of a life that may still bring it. Once all that is left of that
/// life is gathered, the page that begins there says what is lost and goes on behind it, in either order and
/// in display order over all origins.
#[test]
fn pages_go_on_behind_what_was_lost_with_an_ended_life() {
    run(async {
        let (mut world, stores) = alone(37);
        let path = world.stream(&[]).await;
        world.say("ana", &path, "here").await;
        world.held(&path, 2).await;
        for (seq, text, before_ms) in [(1, "one", 9), (3, "three", 5), (4, "four", 4)] {
            let (key, record) = of_eu(&path, seq, text, Hlc::at(NOW - before_ms), Policy::default());
            assert_eq!(stores.table.put(key, record, Expect::Absent).await.unwrap(), Put::Done(1));
        }
        let url =
            |order: &str, from: &str, to: &str| format!("{path}/events?order={order}&from={from}&to={to}");
        for (order, texts) in [("oldest", vec!["one", "here"]), ("newest", vec!["here"])] {
            let answer = world.get("ana", &url(order, "us-east-1:1", "eu-west-1:5,us-east-1:2")).await;
            assert_eq!((answer.texts(), &answer.body["lost"]), (owned(&texts), &Value::Null), "{order}");
            let (from, to) = (cursor(&answer.body["from"]), cursor(&answer.body["to"]));
            let answer = world.get("ana", &url(order, &from, &to)).await;
            assert_eq!((answer.texts().len(), &answer.body["retry_after_ms"]), (0, &1_000.into()), "{order}");
        }
        control::declare_gathered(&*stores.table, &"eu-west-1".parse().unwrap()).await.unwrap();
        let oldest = [(vec!["one"], ""), (vec!["three", "four"], "1-2"), (vec!["here"], "4-5")];
        let newest = [(vec!["here", "four", "three"], "4-5"), (vec!["one"], "1-2")];
        for (order, pages) in [("oldest", &oldest[..]), ("newest", &newest[..])] {
            let (mut from, mut to) = ("us-east-1:1".to_owned(), "eu-west-1:5,us-east-1:2".to_owned());
            for (at, (texts, lost)) in pages.iter().enumerate() {
                let answer = world.get("ana", &url(order, &from, &to)).await;
                let told = answer.body.get("lost").map_or(String::new(), |lost| {
                    format!("{}-{}", lost["from"]["eu-west-1"], lost["to"]["eu-west-1"])
                });
                assert_eq!((answer.texts(), told), (owned(texts), (*lost).to_owned()), "{order} {at}");
                assert_eq!(answer.body["retry_after_ms"], Value::Null, "{order} {at}");
                (from, to) = (cursor(&answer.body["from"]), cursor(&answer.body["to"]));
            }
            assert_eq!(from, to, "{order}: nothing remains");
        }
    });
}

/// E17, E24: who reads from the add on is not told of what was lost below what is hidden from them.
#[test]
fn what_was_lost_below_what_is_hidden_is_hidden_too() {
    run(async {
        let (mut world, stores) = alone(38);
        let body = format!(r#"{{"event_id":"{}","history":"since_joined"}}"#, world.id());
        let path = world.ask("ana", "POST", "/v1/streams/chat", &body).await.headers["location"].clone();
        let (key, record) = of_eu(&path, 3, "before", Hlc::at(NOW - 5), Policy::default());
        assert_eq!(stores.table.put(key, record, Expect::Absent).await.unwrap(), Put::Done(1));
        control::declare_gathered(&*stores.table, &"eu-west-1".parse().unwrap()).await.unwrap();
        let member = r#"{"role":"writer"}"#;
        assert_eq!(world.ask("ana", "PUT", &format!("{path}/members/bo"), member).await.status, 202);
        world.until("bo", &path, "bo's", |answer| answer.status == 200).await;
        let url = format!("{path}/events?order=oldest&from=eu-west-1:1&to=eu-west-1:3");
        for (reader, texts, lost) in [("ana", vec!["before"], "eu-west-1:2"), ("bo", vec![], "")] {
            let answer = world.get(reader, &url).await;
            let told = answer.body.get("lost").map_or(String::new(), |lost| cursor(&lost["to"]));
            assert_eq!((answer.texts(), told), (owned(&texts), lost.to_owned()), "{reader}");
            assert_eq!(answer.body["from"], answer.body["to"], "{reader}: nothing remains");
        }
    });
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Section 2: what is no cursor, no order and no limit is refused by name.
#[test]
fn what_is_no_cursor_is_refused() {
    run(async {
        let mut world = World::new(34);
        let path = world.stream(&[]).await;
        let many = (0..33).map(|n| format!("r{n}:1")).collect::<Vec<_>>().join(",");
        let from = |text: &str| format!("from={text}");
        for (query, field) in [
            (from("us-east-1"), "from"),
            (from("us-east-1:-1"), "from"),
            (from("us-east-1:+1"), "from"),
            (from("us-east-1:1,us-east-1:2"), "from"),
            (from("US:1"), "from"),
            (from("us-east-1:9007199254740992"), "from"),
            (from("us-east-1:18446744073709551616"), "from"),
            (from("us-east-1~1:1"), "from"),
            (from("us-east-1:1,"), "from"),
            (from("%00"), "from"),
            (from(&many), "from"),
            ("to=x".into(), "to"),
            ("from=&from=".into(), "query"),
            ("from=%zz".into(), "query"),
            ("order=random".into(), "order"),
            ("limit=501".into(), "limit"),
            ("limit=18446744073709551616".into(), "limit"),
        ] {
            let answer = world.get("ana", &format!("{path}/events?{query}")).await;
            assert_eq!(
                (answer.refused(), &answer.body["field"]),
                ((400, "bad_request"), &field.into()),
                "{query}"
            );
        }
    });
}

//! Members, in paused time: both writes idempotent, roles as they were asked for, and what a removed member
//! reads.

use serde_json::{Value, json};

use super::{World, run};

fn role(name: &str) -> String {
    json!({ "role": name }).to_string()
}

async fn roles(world: &World, path: &str) -> Value {
    world.get("ana", &format!("{path}/members")).await.body["members"].clone()
}

/// Both writes may be repeated: what is so already is 200, what had to be changed 202 with the ack.
#[test]
fn members_are_set_and_removed_however_often() {
    run(async {
        let mut world = World::new(11);
        let path = world.stream(&[]).await;
        let (bo, list) = (format!("{path}/members/bo"), format!("{path}/members"));
        let is = |want: Value| move |answer: &super::Answer| answer.body["members"] == want;
        let ana = json!({ "user": "ana", "role": "owner" });
        let mut events = 1;
        // Up, down over two roles at once, and gone.
        for (name, changes) in [("writer", 1), ("owner", 1), ("reader", 3)] {
            let changed = world.ask("ana", "PUT", &bo, &role(name)).await;
            assert_eq!((changed.status, &changed.body["durability"]), (202, &"region".into()), "{changed:?}");
            assert_eq!(changed.body["event_ids"].as_array().unwrap().len(), changes);
            events += changes as u64;
            let want = json!([ana, { "user": "bo", "role": name }]);
            world.until("ana", &list, "so", is(want)).await;
            let same = world.ask("ana", "PUT", &bo, &role(name)).await;
            assert_eq!((same.status, &same.body), (200, &json!({ "user": "bo", "role": name })));
        }
        assert_eq!(world.ask("ana", "DELETE", &bo, "").await.status, 202);
        world.until("ana", &list, "empty", is(json!([ana]))).await;
        let gone = world.ask("ana", "DELETE", &bo, "").await;
        assert_eq!((gone.status, &gone.body), (200, &json!({ "user": "bo", "role": null })));
        world.held(&path, events + 1).await;
    });
}

/// A5: only owners change members, nobody removes or lowers whoever created the stream, roles have names.
#[test]
fn who_may_not_change_members_is_told() {
    run(async {
        let mut world = World::new(12);
        let path = world.stream(&["bo"]).await;
        for (user, method, whom, body, refused) in [
            ("bo", "PUT", "cy", role("reader"), (403, "forbidden")),
            ("bo", "DELETE", "ana", String::new(), (403, "forbidden")),
            ("ana", "DELETE", "ana", String::new(), (403, "forbidden")),
            ("ana", "PUT", "ana", role("reader"), (403, "forbidden")),
            ("ana", "PUT", "cy", role("emperor"), (400, "bad_request")),
            ("ana", "PUT", "cy", "{}".into(), (400, "bad_request")),
        ] {
            let answer = world.ask(user, method, &format!("{path}/members/{whom}"), &body).await;
            assert_eq!(answer.refused(), refused, "{user} {method} {whom}");
        }
        world.held(&path, 2).await;
    });
}

/// A5: everybody may leave, whatever they are, and is no member then; by another's name it is refused.
#[test]
fn a_member_may_remove_themselves() {
    run(async {
        let mut world = World::new(19);
        let path = world.stream(&["bo", "cy"]).await;
        let members = |user: &str| format!("{path}/members/{user}");
        assert_eq!(world.ask("bo", "DELETE", &members("cy"), "").await.refused(), (403, "forbidden"));
        assert_eq!(world.ask("bo", "DELETE", &members("bo"), "").await.status, 202);
        world.until("bo", &path, "gone", |answer| answer.status == 404).await;
        let left = json!([{ "user": "ana", "role": "owner" }, { "user": "cy", "role": "writer" }]);
        let list = format!("{path}/members");
        world.until("ana", &list, "two", |answer| answer.body["members"] == left).await;
        let again = world.ask("bo", "DELETE", &members("bo"), "").await;
        assert_eq!(again.refused(), (404, "not_found"), "nobody who is not in it sees it");
    });
}

/// Members come in pages, each once, in the order of their names; any name goes into a path.
#[test]
fn members_come_in_pages() {
    run(async {
        let mut world = World::new(13);
        let names: Vec<String> = (0..23).map(|n| format!("u{n:02}/ä?%")).collect();
        let writers: Vec<&str> = names.iter().map(String::as_str).collect();
        let path = world.stream(&writers[..20]).await;
        for name in &names[20..] {
            let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            assert_eq!(
                world.ask("ana", "PUT", &format!("{path}/members/{escaped}"), &role("writer")).await.status,
                202
            );
        }
        world.held(&path, 24).await;
        for limit in [1, 5, 24, 500] {
            let (mut listed, mut next) = (Vec::new(), String::new());
            loop {
                let answer = world.get("ana", &format!("{path}/members?limit={limit}{next}")).await;
                let page = answer.body["members"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
                assert!(page.len() <= limit && !page.is_empty());
                listed.extend(page.iter().map(|member| member["user"].as_str().unwrap().to_owned()));
                match answer.body["next"].as_str() {
                    Some(token) => next = format!("&page={token}"),
                    None => break,
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert_eq!(listed[0], "ana");
            assert_eq!(listed[1..], names[..], "{limit}");
        }
        let bad = world.get("ana", &format!("{path}/members?page=%00")).await;
        assert_eq!((bad.refused(), &bad.body["field"]), ((400, "bad_request"), &"page".into()));
    });
}

/// E24: whoever was removed reads nothing that was said after, not even within the second that a decision
/// may be old.
#[test]
fn a_removed_member_reads_nothing_that_was_said_after() {
    run(async {
        let mut world = World::new(14);
        let path = world.stream(&["bo"]).await;
        world.say("ana", &path, "before").await;
        let events = format!("{path}/events?order=oldest");
        world.until("bo", &events, "readable", |answer| answer.texts() == ["before"]).await;
        assert_eq!(world.ask("ana", "DELETE", &format!("{path}/members/bo"), "").await.status, 202);
        let _ = roles(&world, &path).await;
        world.say("ana", &path, "after").await;
        // A decision of a moment ago still allows bo; the page holds an event that it does not know.
        for _ in 0..50 {
            let answer = world.get("bo", &events).await;
            if answer.status == 404 {
                return;
            }
            assert_eq!(answer.texts(), ["before"], "{answer:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("bo may still read");
    });
}

/// E24: with `since_joined` a new member's history begins at the add, in either order, and what is hidden is
/// paged as nothing.
#[test]
fn who_comes_later_reads_from_then_on() {
    run(async {
        let mut world = World::new(15);
        let id = world.id();
        let body = format!(r#"{{"event_id":"{id}","history":"since_joined"}}"#);
        let made = world.ask("ana", "POST", "/v1/streams/chat", &body).await;
        let path = made.headers["location"].clone();
        let hidden = world.say("ana", &path, "before").await;
        world.held(&path, 2).await;
        assert_eq!(world.ask("ana", "PUT", &format!("{path}/members/bo"), &role("writer")).await.status, 202);
        world.until("bo", &path, "bo's", |answer| answer.status == 200).await;
        world.say("ana", &path, "after").await;
        world.held(&path, 4).await;
        for order in ["oldest", "newest"] {
            let answer = world.get("bo", &format!("{path}/events?order={order}")).await;
            assert_eq!(answer.texts(), ["after"], "{answer:?}");
            assert_eq!(answer.body["from"], answer.body["to"], "nothing is left");
            assert_eq!(world.get("ana", &format!("{path}/events?order={order}")).await.texts().len(), 2);
        }
        let place = world.get("bo", &format!("{path}/events/{hidden}?author=ana")).await;
        assert_eq!(place.refused(), (404, "not_found"));
    });
}

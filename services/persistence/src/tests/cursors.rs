//! Stored cursors: merged over regions and calls, forgotten with their device.

use sterna_proto::{convert, v1};
use sterna_storage::{Consistency, Expect, Key, Put, Table, layout};
use sterna_stream::limits::{CURSOR_DEVICES, CURSOR_ORIGINS, CURSOR_STREAMS};
use sterna_stream::{Cursor, Region};
use tonic::Code;

use super::{NOW, STREAM, World};
use crate::cursors::{FORGOTTEN_MS, read, store};

const DEVICE: &str = "0000";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn device(streams: Vec<v1::StreamCursor>) -> v1::DeviceCursors {
    v1::DeviceCursors { tenant: "acme".into(), user: "ana".into(), device: DEVICE.into(), streams }
}

fn one(stream: &str, cursor: &str) -> v1::StreamCursor {
    let cursor: Cursor = cursor.parse().unwrap();
    v1::StreamCursor { stream: stream.into(), cursor: convert::cursor_field(&cursor) }
}

/// `name`'s region hears that the device has stored this.
async fn says(world: &World, name: &str, cursor: &str, now_unix_ms: u64) {
    let devices = vec![device(vec![one(STREAM, cursor)])];
    store(&world.table, &region(name), v1::StoreCursorsRequest { devices, now_unix_ms }).await.unwrap();
}

/// What the device gets in `name`'s region.
async fn gets(world: &World, name: &str, now_unix_ms: u64) -> Cursor {
    let (tenant, user, device) = ("acme".into(), "ana".into(), DEVICE.into());
    let request = v1::CursorsRequest { tenant, user, device, streams: vec![STREAM.into()], now_unix_ms };
    let cursors = read(&world.table, &region(name), request).await.unwrap();
    convert::cursor(cursors.first()).unwrap()
}

fn cursor(text: &str) -> Cursor {
    text.parse().unwrap()
}

/// E27: the bytes of a stored cursor, and of when its device was seen, for ever. A red test here means that
/// what devices have stored becomes unreadable.
#[tokio::test(start_paused = true)]
async fn golden_items_of_a_device_never_change() {
    let user = "ana".parse().unwrap();
    let cursor_key = layout::cursor("acme", &user, DEVICE, &STREAM.parse().unwrap(), &region("us"));
    let seen_key = layout::device_seen("acme", &user, DEVICE, &region("us"));
    let world = World::new();
    says(&world, "us", "us:300,eu:4", NOW).await;
    let stored = async |key: &Key| {
        let items = world.inner.get(std::slice::from_ref(key), Consistency::Consistent).await.unwrap();
        items[0].as_ref().unwrap().value.clone()
    };
    assert_eq!((stored(&cursor_key).await, stored(&seen_key).await), (CURSOR.into(), SEEN.into()));
    says(&world, "us", "us:1", NOW + FORGOTTEN_MS).await;
    assert_eq!(stored(&seen_key).await, SEEN_ANEW);

    let world = World::new();
    for (key, golden) in [(cursor_key, CURSOR), (seen_key, SEEN)] {
        assert_eq!(world.inner.put(key, golden.into(), Expect::Absent).await.unwrap(), Put::Done(1));
    }
    assert_eq!(gets(&world, "us", NOW + FORGOTTEN_MS - 1).await, cursor("us:300,eu:4"));
}

const CURSOR: &[u8] =
    b"\x0a\x11\x0a\x06\x0a\x02eu\x10\x04\x0a\x07\x0a\x02us\x10\xac\x02\x10\x80\xb4\xf7\xd8\x9f\x34";
const SEEN: &[u8] = b"\x08\x80\xb4\xf7\xd8\x9f\x34";
const SEEN_ANEW: &[u8] = b"\x08\x80\xc4\xf2\xac\xa9\x34\x10\x80\xc4\xf2\xac\xa9\x34";

/// Rule 4: the greater of each origin, over calls and over regions; each region writes its own item.
#[tokio::test(start_paused = true)]
async fn cursors_are_merged_by_the_greater_over_regions() {
    let world = World::new();
    assert_eq!(gets(&world, "us", NOW).await, Cursor::new());
    says(&world, "us", "us:5,eu:2", NOW).await;
    says(&world, "us", "us:3,eu:4", NOW).await;
    says(&world, "eu", "us:9,ap:1", NOW).await;
    for name in ["us", "eu", "ap"] {
        assert_eq!(gets(&world, name, NOW).await, cursor("us:9,eu:4,ap:1"), "in {name}");
    }
    let key = |name| {
        layout::cursor("acme", &"ana".parse().unwrap(), DEVICE, &STREAM.parse().unwrap(), &region(name))
    };
    let items = world.inner.get(&[key("us"), key("eu")], Consistency::Consistent).await.unwrap();
    assert_eq!(items.into_iter().flatten().map(|item| item.version).collect::<Vec<_>>(), [2, 1]);
    says(&world, "us", "us:4", NOW).await;
    let items = world.inner.get(&[key("us")], Consistency::Consistent).await.unwrap();
    assert_eq!(items[0].as_ref().unwrap().version, 2, "what is known is not written again");
}

/// E17, rule 4: a device not seen for thirty days begins like a new one, in every region, and what it stores
/// then is not merged with what was forgotten; one that comes in time is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_device_not_seen_for_thirty_days_is_forgotten() {
    let world = World::new();
    says(&world, "us", "us:50", NOW).await;
    says(&world, "eu", "eu:70", NOW).await;
    let late = NOW + FORGOTTEN_MS - 1;
    assert_eq!(gets(&world, "us", late).await, cursor("us:50,eu:70"));
    let seen_again = late + FORGOTTEN_MS - 1;
    assert_eq!(gets(&world, "eu", seen_again).await, cursor("us:50,eu:70"), "a read is being seen");
    let too_late = seen_again + FORGOTTEN_MS;
    assert_eq!(gets(&world, "us", too_late).await, Cursor::new());
    assert_eq!(gets(&world, "eu", too_late + 1).await, Cursor::new(), "in every region");
    says(&world, "us", "us:2", too_late + 2).await;
    says(&world, "eu", "eu:3", too_late + 3).await;
    assert_eq!(gets(&world, "ap", too_late + 4).await, cursor("us:2,eu:3"));
    assert_eq!(gets(&world, "ap", too_late + DAY_MS).await, cursor("us:2,eu:3"));
}

/// A report after the thirty days begins anew as a read does.
#[tokio::test(start_paused = true)]
async fn a_report_of_a_forgotten_device_begins_anew() {
    let world = World::new();
    says(&world, "us", "us:50", NOW).await;
    says(&world, "us", "us:4", NOW + FORGOTTEN_MS).await;
    assert_eq!(gets(&world, "us", NOW + FORGOTTEN_MS).await, cursor("us:4"));
}

/// A device that never stored anything leaves nothing behind by asking.
#[tokio::test(start_paused = true)]
async fn asking_for_nothing_stores_nothing() {
    let world = World::new();
    gets(&world, "us", NOW).await;
    assert!(world.inner.is_empty(sterna_storage::Name::Cursors));
}

/// G9: lists are bounded by name, cursors by their origins.
#[tokio::test(start_paused = true)]
async fn lists_and_origins_are_bounded() {
    let world = World::new();
    let streams = |count: usize| (0..count).map(|n| one(&format!("acme/chat/s{n}"), "us:1")).collect();
    let call = async |devices: Vec<v1::DeviceCursors>| {
        let request = v1::StoreCursorsRequest { devices, now_unix_ms: NOW };
        world.called_by("gateway").store_cursors(request).await.map_err(|status| status.code())
    };
    assert!(call(vec![device(streams(CURSOR_STREAMS))]).await.is_ok());
    assert!(call(vec![device(streams(CURSOR_STREAMS + 1))]).await.is_err());
    assert!(call(vec![device(Vec::new()); CURSOR_DEVICES + 1]).await.is_err());
    let names = (0..=CURSOR_STREAMS).map(|n| format!("acme/chat/s{n}")).collect();
    let (tenant, user, name) = ("acme".into(), "ana".into(), DEVICE.into());
    let request = v1::CursorsRequest { tenant, user, device: name, streams: names, now_unix_ms: NOW };
    assert!(world.called_by("gateway").cursors(request.clone()).await.is_err());
    assert_eq!(world.called_by("state").cursors(request).await.unwrap_err().code(), Code::PermissionDenied);
    for n in 0..2 * CURSOR_ORIGINS {
        says(&world, "us", &format!("o{n:02}:1"), NOW).await;
    }
    assert_eq!(gets(&world, "us", NOW).await.len(), CURSOR_ORIGINS);
}

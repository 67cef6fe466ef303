//! Heads: the newest of each origin and life, events and member events.

use bytes::Bytes;
use sterna_proto::{convert, v1};
use sterna_storage::control;
use sterna_stream::limits::CURSOR_ORIGINS;
use sterna_stream::{Cursor, Hlc};
use tonic::Code;

use super::{Chain, NOW, STREAM, World};
use crate::heads::HEADS_STREAMS_MAX;

fn cursor(field: Option<&v1::Cursor>) -> Cursor {
    convert::cursor(field).unwrap()
}

/// E1, E10, E24: each life of a region is an origin of its own; the members' cursor names, per origin, the
/// newest member event, however long ago it was.
#[tokio::test(start_paused = true)]
async fn heads_name_every_origin_in_each_of_its_lives() {
    let world = World::new();
    let text = || Bytes::from_static(b"x");
    let mut home = Chain::of("us-east-1");
    let first = home.next(&[(1, text()), (2, text()), (3, text())], &[1]);
    world.put(&[first, home.next(&[(40, text())], &[])]).await;
    world.put(&Chain::of("us-east-1~2").sized(&[2])).await;
    let mut abroad = Chain::of("eu-west-1");
    world.put(&[abroad.next(&[(7, text())], &[0])]).await;
    let streams = vec![STREAM.to_owned(), "acme/chat/empty".to_owned()];
    let heads = world
        .called_by("state")
        .heads(v1::HeadsRequest { streams, lives: Vec::new() })
        .await
        .unwrap()
        .into_inner()
        .heads;
    assert_eq!(cursor(heads[0].head.as_ref()), "eu-west-1:1,us-east-1:4,us-east-1~2:2".parse().unwrap());
    assert_eq!(cursor(heads[0].members.as_ref()), "eu-west-1:1,us-east-1:2".parse().unwrap());
    assert_eq!(heads[0].max_hlc, Hlc::at(NOW + 40).0);
    assert_eq!(heads[1], v1::StreamHead::default(), "nothing where nothing is");
    assert_eq!(heads.len(), 2);
}

/// E10, E15: heads come from what this region durably holds: consistent reads, never a lagging one.
#[tokio::test(start_paused = true)]
async fn heads_see_the_latest_put() {
    let world = World::new();
    world.inner.set_eventual_lag(std::time::Duration::from_secs(60));
    world.put(&Chain::of("us-east-1").sized(&[2, 3])).await;
    let request = v1::HeadsRequest { streams: vec![STREAM.to_owned()], ..Default::default() };
    let heads = world.called_by("state").heads(request).await.unwrap().into_inner().heads;
    assert_eq!(cursor(heads[0].head.as_ref()), "us-east-1:5".parse().unwrap());
}

/// E29: a request names a bounded number of streams.
#[tokio::test(start_paused = true)]
async fn too_many_streams_are_refused() {
    let world = World::new();
    let heads = |n| {
        let request = v1::HeadsRequest { streams: vec![STREAM.to_owned(); n], ..Default::default() };
        let mut client = world.called_by("state");
        async move { client.heads(request).await }
    };
    assert_eq!(heads(HEADS_STREAMS_MAX).await.unwrap().into_inner().heads.len(), HEADS_STREAMS_MAX);
    assert_eq!(heads(HEADS_STREAMS_MAX + 1).await.unwrap_err().code(), Code::InvalidArgument);
}

/// E1, E24: which lives are gathered is told with the heads, of those that are asked about; a request names a
/// bounded number of them.
#[tokio::test(start_paused = true)]
async fn lives_that_are_gathered_are_told_with_the_heads() {
    let world = World::new();
    world.put(&Chain::of("us-east-1").sized(&[2])).await;
    for life in ["us-east-1", "ap-southeast-1"] {
        control::declare_gathered(&*world.inner, &life.parse().unwrap()).await.unwrap();
    }
    let heads = |lives: Vec<String>| {
        let request = v1::HeadsRequest { streams: vec![STREAM.to_owned()], lives };
        let mut client = world.called_by("state");
        async move { client.heads(request).await.map(tonic::Response::into_inner) }
    };
    let answer = heads(["eu-west-1", "us-east-1", "us-east-1~2"].map(str::to_owned).into()).await.unwrap();
    assert_eq!((answer.heads.len(), answer.gathered), (1, vec!["us-east-1".to_owned()]));
    let most = vec!["us-east-1".to_owned(); CURSOR_ORIGINS + 1];
    assert_eq!(heads(most[1..].to_vec()).await.unwrap().heads.len(), 1);
    assert_eq!(heads(most).await.unwrap_err().code(), Code::InvalidArgument);
}

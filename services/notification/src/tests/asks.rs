//! How asks are answered: each by one page, some at once, refusals included.

use std::time::Duration;

use sterna_proto::v1;
use sterna_storage::faulty::Chances;
use tokio::time::Instant;
use tonic::Code;

use super::{World, ask, pairs};
use crate::PAGES_AT_ONCE;

/// One shard's call carries the asks of all its sessions: what one is refused ends nobody else's.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_page_and_the_call_goes_on() {
    let world = World::new();
    world.put(&pairs("eu", 10, 2, 3)).await;
    let good = || ask("", "eu:4", 0);
    let asks = vec![
        v1::Ask { tag: 7, stream: "no stream".into(), ..good() },
        v1::Ask { tag: 8, head: Some(v1::Cursor { entries: vec![v1::OriginSeq::default()] }), ..good() },
        v1::Ask { tag: 9, ..good() },
    ];
    let pages = world.ask(asks).await;
    let seen: Vec<_> = pages.iter().map(|p| (p.tag, p.refused.as_str(), p.records.len())).collect();
    assert_eq!(seen, [(7, "bad_request", 0), (8, "bad_request", 0), (9, "", 2)]);
}

/// E30: a table that does not answer, and a persistence that is gone, are `unavailable` pages, never empty
/// ones.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_refused_and_never_complete() {
    let world = World::new();
    world.put(&pairs("eu", 10, 2, 3)).await;
    world.faults.set_down(true);
    for tail in [0, 1] {
        let page = world.page(ask("", "eu:4", tail)).await;
        assert_eq!((page.refused.as_str(), page.complete), ("unavailable", false));
        assert!(page.retry_after_ms.is_some(), "the shard may come back");
    }
    world.faults.set_down(false);
    assert!(world.page(ask("", "eu:4", 0)).await.complete);
    world.persistence.kill();
    assert_eq!(world.page(ask("", "eu:4", 0)).await.refused, "unavailable");
}

/// E29: pages of one call that are prepared at once are bounded: one ask more waits for another's page.
#[tokio::test(start_paused = true)]
async fn no_more_than_the_bound_of_pages_are_prepared_at_once() {
    let world = World::new();
    world.put(&pairs("eu", 10, 2, 3)).await;
    let second = Duration::from_secs(1);
    world.faults.set_chances(Chances { delay_min: second, delay_max: second, ..Chances::default() });
    let took = async |asks: usize| {
        let began = Instant::now();
        assert_eq!(world.ask(vec![ask("", "eu:4", 0); asks]).await.len(), asks);
        began.elapsed()
    };
    let one = took(1).await;
    assert!(one >= second);
    assert_eq!(took(PAGES_AT_ONCE).await, one);
    assert_eq!(took(PAGES_AT_ONCE + 1).await, 2 * one);
}

/// E32: only a gateway asks.
#[tokio::test(start_paused = true)]
async fn no_other_role_may_ask() {
    let world = World::new();
    for role in ["messaging", "state", "notification"] {
        let refused = world.called_by(role).backlog(futures_util::stream::iter(vec![])).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role}");
    }
}

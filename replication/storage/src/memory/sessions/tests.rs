//! What the memory registry promises beyond the suite: what Redis may do to its callers.

use std::sync::Arc;

use super::*;

const TTL: Duration = Duration::from_secs(60);

fn session(id: &str) -> Session {
    Session {
        id: id.into(),
        tenant: "acme".into(),
        user: "ana".parse().unwrap(),
        device: "phone".into(),
        gateway: "g1".into(),
        opened_ms: 0,
        note: bytes::Bytes::new(),
    }
}

async fn ids(sessions: &MemorySessions) -> Vec<Arc<str>> {
    let page = sessions.of_gateway("g1", None, 100).await.unwrap();
    page.into_iter().map(|session| session.id).collect()
}

/// E16: the gateway owns the truth about its sockets and opens again what is reported lost.
#[tokio::test(start_paused = true)]
async fn lost_and_wiped_sessions_are_reported_by_renew() {
    let sessions = MemorySessions::new();
    let all = ["a", "b", "c"].map(session);
    for session in &all {
        sessions.open(session.clone(), TTL).await.unwrap();
    }
    sessions.close(&all[0]).await.unwrap();
    sessions.lose_last(2);
    assert_eq!(ids(&sessions).await, ["a".into(), "b".into()], "the close and the open of c are undone");
    assert_eq!(sessions.renew(&all, TTL).await.unwrap(), [all[2].clone()]);
    sessions.wipe();
    assert_eq!(sessions.renew(&all, TTL).await.unwrap(), all);
    assert!(sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_exactly_when_its_time_is_over() {
    let sessions = MemorySessions::new();
    sessions.open(session("a"), TTL).await.unwrap();
    tokio::time::advance(TTL - Duration::from_millis(1)).await;
    assert_eq!(sessions.len(), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(sessions.len(), 0);
    assert!(ids(&sessions).await.is_empty());
}

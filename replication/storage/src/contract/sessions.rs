//! The sentences of [`crate::sessions::Sessions`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use sterna_stream::UserId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::contract::{Holds, Sentence, holds, run};
use crate::error::Error;
use crate::sessions::{
    GATEWAY_PAGE_MAX, NAME_BYTES, NOTE_BYTES, Opened, RENEW_MAX, Session, Sessions, TTL_MAX,
    USER_SESSIONS_MAX,
};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);
/// How much later than its time to live a session may still be seen.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Subject {
    sessions: Arc<dyn Sessions>,
    space: Arc<str>,
}

/// Panics with every sentence that `sessions` breaks. All ids, tenants and gateways begin with `space`.
pub async fn sessions(sessions: Arc<dyn Sessions>, space: &str) {
    run("Sessions", SENTENCES, Subject { sessions, space: space.into() }).await;
}

const SENTENCES: &[Sentence<Subject>] = &[
    ("S1 found by user and gateway", |s| opens(s).boxed()),
    ("S2 opening again replaces", |s| replaces(s).boxed()),
    ("S3 ends with its time to live", |s| ends(s).boxed()),
    ("S4 renew", |s| renews(s).boxed()),
    ("S5 close", |s| closes(s).boxed()),
    ("S6 tenants are apart", |s| tenants(s).boxed()),
    ("S7 order and pages", |s| pages(s).boxed()),
    ("S8 bounded per user", |s| bounded(s).boxed()),
    ("S9 limits", |s| refuses(s).boxed()),
    ("S10 5 workers × 10 opens = 50", |s| concurrent(s).boxed()),
];

impl Subject {
    fn session(&self, sentence: &str, id: &str) -> Session {
        let name = |what: &str| Arc::from(format!("{}-{sentence}-{what}", self.space));
        Session {
            id: name(id),
            tenant: name("tenant"),
            user: user("ana"),
            device: "phone".into(),
            gateway: name("gateway"),
            opened_ms: 1_795_214_400_000,
            note: Bytes::from(id.to_owned()),
        }
    }

    async fn open(&self, session: &Session) -> Result<Opened, Error> {
        self.sessions.open(session.clone(), LONG).await
    }

    /// Both views, which must agree when nobody writes.
    async fn views(&self, like: &Session) -> Result<Vec<Session>, super::Broken> {
        let of_user = self.sessions.of_user(&like.tenant, &like.user).await?;
        let of_gateway = self.sessions.of_gateway(&like.gateway, None, GATEWAY_PAGE_MAX).await?;
        if of_user == of_gateway { Ok(of_user) } else { Err(format!("{of_user:?} {of_gateway:?}").into()) }
    }
}

#[expect(clippy::unwrap_used, reason = "called with constants")]
fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

async fn opens(s: Subject) -> Holds {
    let session = s.session("s1", "a");
    holds!(s.views(&session).await?.is_empty(), "not empty");
    holds!(s.open(&session).await? == Opened::Done, "refused");
    let views = s.views(&session).await?;
    holds!(views == [session], "{views:?}");
    Ok(())
}

async fn replaces(s: Subject) -> Holds {
    let first = s.session("s2", "a");
    s.open(&first).await?;
    let moved = Session {
        gateway: s.session("s2x", "").gateway,
        note: Bytes::from_static(b"moved"),
        ..first.clone()
    };
    holds!(s.open(&moved).await? == Opened::Done, "refused");
    let views = s.views(&moved).await?;
    holds!(views == [moved], "{views:?}");
    let left = s.sessions.of_gateway(&first.gateway, None, 10).await?;
    holds!(left.is_empty(), "at the old gateway: {left:?}");
    Ok(())
}

/// Waits until the user's sessions are these many; gives up at the deadline with what is there.
async fn until_left(s: &Subject, like: &Session, count: usize) -> Result<Vec<Session>, super::Broken> {
    let deadline = Instant::now() + SHORT + GRACE;
    loop {
        let left = s.views(like).await?;
        if left.len() == count || Instant::now() > deadline {
            return Ok(left);
        }
        tokio::time::sleep(SHORT / 10).await;
    }
}

async fn ends(s: Subject) -> Holds {
    let (short, long) = (s.session("s3", "a"), s.session("s3", "b"));
    let begun = Instant::now();
    s.sessions.open(short.clone(), SHORT).await?;
    s.open(&long).await?;
    let left = until_left(&s, &long, 1).await?;
    holds!(left == [long.clone()], "{left:?}");
    holds!(begun.elapsed() >= SHORT, "gone after {:?}", begun.elapsed());
    let lost = s.sessions.renew(std::slice::from_ref(&short), LONG).await?;
    holds!(lost == [short.clone()], "renewed after its end");
    s.sessions.open(long.clone(), SHORT).await?;
    let left = until_left(&s, &long, 0).await?;
    holds!(left.is_empty(), "opened again for less: {left:?}");
    Ok(())
}

async fn renews(s: Subject) -> Holds {
    let all = ["a", "b", "c"].map(|id| s.session("s4", id));
    for session in &all[..2] {
        s.sessions.open(session.clone(), SHORT).await?;
    }
    for ttl in [SHORT, LONG] {
        // So that the ends which are replaced differ.
        tokio::time::sleep(SHORT / 100).await;
        let lost = s.sessions.renew(&[all[2].clone(), all[1].clone()], ttl).await?;
        holds!(lost == all[2..], "lost: {lost:?}");
    }
    let left = until_left(&s, &all[0], 1).await?;
    holds!(left == all[1..2], "{left:?}");
    let many = vec![all[1].clone(); RENEW_MAX + 1];
    let refused = s.sessions.renew(&many, LONG).await;
    holds!(matches!(refused, Err(Error::Limit { .. })), "too many");
    holds!(s.sessions.renew(&many[1..], LONG).await?.is_empty(), "the most");
    Ok(())
}

async fn closes(s: Subject) -> Holds {
    let all = ["a", "b", "c"].map(|id| s.session("s5", id));
    for session in &all {
        s.open(session).await?;
    }
    for _ in 0..2 {
        s.sessions.close(&all[1]).await?;
        let left = s.views(&all[0]).await?;
        holds!(left == [all[0].clone(), all[2].clone()], "{left:?}");
    }
    holds!(s.open(&all[1]).await? == Opened::Done && s.views(&all[0]).await? == all, "opened again");
    Ok(())
}

async fn tenants(s: Subject) -> Holds {
    let ana = s.session("s6", "a");
    let other = Session { id: s.session("s6", "b").id, tenant: s.session("s6x", "").tenant, ..ana.clone() };
    let bob = Session { id: s.session("s6", "c").id, user: user("bob"), ..ana.clone() };
    for session in [&ana, &other, &bob] {
        s.open(session).await?;
    }
    for session in [&ana, &other, &bob] {
        let found = s.sessions.of_user(&session.tenant, &session.user).await?;
        holds!(found == [session.clone()], "{found:?}");
    }
    let all = s.sessions.of_gateway(&ana.gateway, None, 10).await?;
    holds!(all == [ana, other, bob], "{all:?}");
    Ok(())
}

async fn pages(s: Subject) -> Holds {
    let all: Vec<_> = (0..25).map(|n| s.session("s7", &format!("{n:02}"))).collect();
    for session in all.iter().rev() {
        s.open(session).await?;
    }
    holds!(s.views(&all[0]).await? == all, "in order of id");
    for limit in [1, 10, 25] {
        let mut seen: Vec<Session> = Vec::new();
        loop {
            let after = seen.last().map(|session| session.id.clone());
            let page = s.sessions.of_gateway(&all[0].gateway, after.as_deref(), limit).await?;
            let end = page.len() < limit;
            seen.extend(page);
            if end || seen.len() > all.len() {
                break;
            }
        }
        holds!(seen == all, "pages of {limit}: {} sessions", seen.len());
    }
    Ok(())
}

async fn bounded(s: Subject) -> Holds {
    for n in 0..USER_SESSIONS_MAX {
        holds!(s.open(&s.session("s8", &n.to_string())).await? == Opened::Done, "{n}");
    }
    holds!(s.open(&s.session("s8", "more")).await? == Opened::Full, "one more");
    holds!(s.open(&s.session("s8", "0")).await? == Opened::Done, "one that replaces another");
    let bob = Session { user: user("bob"), ..s.session("s8", "bob") };
    holds!(s.open(&bob).await? == Opened::Done, "another user");
    s.sessions.close(&s.session("s8", "3")).await?;
    holds!(s.open(&s.session("s8", "more")).await? == Opened::Done, "after a close");
    Ok(())
}

async fn refuses(s: Subject) -> Holds {
    let good = s.session("s9", "a");
    let long: Arc<str> = "x".repeat(NAME_BYTES + 1).into();
    let bad = [
        Session { id: long.clone(), ..good.clone() },
        Session { gateway: "".into(), ..good.clone() },
        Session { device: long, ..good.clone() },
        Session { note: vec![0; NOTE_BYTES + 1].into(), ..good.clone() },
    ];
    for session in bad {
        let refused = s.sessions.open(session, LONG).await;
        holds!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    }
    let too_long = TTL_MAX + Duration::from_secs(1);
    let refused = s.sessions.open(good.clone(), too_long).await;
    holds!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    let refused = s.sessions.renew(std::slice::from_ref(&good), too_long).await;
    holds!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    for limit in [0, GATEWAY_PAGE_MAX + 1] {
        let refused = s.sessions.of_gateway(&good.gateway, None, limit).await;
        holds!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    }
    holds!(s.views(&good).await?.is_empty(), "refused, yet opened");
    Ok(())
}

async fn concurrent(s: Subject) -> Holds {
    let mut workers = JoinSet::new();
    for worker in 0..5 {
        let s = s.clone();
        workers.spawn(async move {
            for n in 0..10 {
                let (kept, closed) = (format!("{worker}-{n}"), format!("{worker}-closed"));
                s.open(&s.session("s10", &closed)).await?;
                tokio::task::yield_now().await;
                s.open(&s.session("s10", &kept)).await?;
                s.sessions.close(&s.session("s10", &closed)).await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let left = s.views(&s.session("s10", "")).await?;
    holds!(left.len() == 50, "{} sessions", left.len());
    Ok(())
}

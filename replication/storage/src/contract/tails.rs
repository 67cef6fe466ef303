//! The sentences of [`crate::tails::Tails`].

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use sterna_stream::{Cursor, Origin, StreamId};
use tokio::task::JoinSet;

use crate::contract::{Holds, Sentence, holds, run};
use crate::error::Error;
use crate::tails::{Appended, Entry, HEADS_STREAMS_MAX, Limits, Part, Tails};

const ALL: usize = usize::MAX;

#[derive(Clone)]
struct Subject {
    tails: Arc<dyn Tails>,
    limits: Limits,
    space: Arc<str>,
}

/// Panics with every sentence that `tails`, whose configured bounds are `limits` (at least 60 entries of 100
/// bytes), breaks. All streams are of the tenant `space`.
pub async fn tails(tails: Arc<dyn Tails>, limits: Limits, space: &str) {
    run("Tails", SENTENCES, Subject { tails, limits, space: space.into() }).await;
}

const SENTENCES: &[Sentence<Subject>] = &[
    ("L1 an absent tail starts anywhere", |s| starts(s).boxed()),
    ("L2 head + 1 is appended", |s| appends(s).boxed()),
    ("L3 at or below the head is known", |s| knows(s).boxed()),
    ("L4 anything else is a gap", |s| gaps(s).boxed()),
    ("L5 read gives what follows the cursor", |s| reads(s).boxed()),
    ("L6 heads in the order asked", |s| heads(s).boxed()),
    ("L7 streams and origins are apart", |s| apart(s).boxed()),
    ("L8 nothing leaves before it is ensured", |s| full(s).boxed()),
    ("L9 the newest entry stays", |s| newest(s).boxed()),
    ("L10 forget", |s| forgets(s).boxed()),
    ("L11 read in parts", |s| parts(s).boxed()),
    ("L12 concurrent appenders", |s| concurrent(s).boxed()),
];

impl Subject {
    fn stream(&self, name: &str) -> Result<StreamId, sterna_stream::ids::Invalid> {
        StreamId::new(&self.space, "chat", name)
    }

    async fn append(&self, stream: &StreamId, first: u64, last: u64) -> Result<Appended, Error> {
        self.tails.append(stream, &here(), entry(first, last), 0).await
    }

    async fn part(&self, stream: &StreamId) -> Result<Option<Part>, Error> {
        Ok(self.tails.read(stream, &Cursor::new(), ALL).await?.pop())
    }

    async fn head(&self, stream: &StreamId) -> Result<u64, Error> {
        let heads = self.tails.heads(std::slice::from_ref(stream)).await?;
        Ok(heads.first().map_or(0, |cursor| cursor.get(&here())))
    }
}

fn here() -> Origin {
    origin("us-east-1")
}

#[expect(clippy::unwrap_used, reason = "called with constants")]
fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

fn entry(first: u64, last: u64) -> Entry {
    Entry { first, last, bytes: Bytes::from(format!("{first:>49}-{last:<50}")) }
}

async fn starts(s: Subject) -> Holds {
    for (name, first) in [("l1a", 1), ("l1b", 1_000)] {
        let stream = s.stream(name)?;
        holds!(s.part(&stream).await?.is_none() && s.head(&stream).await? == 0, "not absent");
        holds!(s.append(&stream, first, first + 2).await? == Appended::Done, "{first}");
        holds!(s.head(&stream).await? == first + 2, "head");
        let part = s.part(&stream).await?.ok_or("nothing to read")?;
        holds!(part.floor == first && part.entries == [entry(first, first + 2)], "{part:?}");
    }
    Ok(())
}

async fn appends(s: Subject) -> Holds {
    let stream = s.stream("l2")?;
    for (first, last) in [(5, 5), (6, 9), (10, 10)] {
        holds!(s.append(&stream, first, last).await? == Appended::Done, "{first}");
        holds!(s.head(&stream).await? == last, "head after {first}");
    }
    let part = s.part(&stream).await?.ok_or("nothing to read")?;
    holds!(part.floor == 5 && part.head == 10, "{part:?}");
    holds!(part.entries == [entry(5, 5), entry(6, 9), entry(10, 10)], "{part:?}");
    let backwards = s.append(&stream, 12, 11).await;
    holds!(matches!(backwards, Err(Error::Limit { .. })), "{backwards:?}");
    Ok(())
}

async fn knows(s: Subject) -> Holds {
    let stream = s.stream("l3")?;
    s.append(&stream, 5, 9).await?;
    let before = s.part(&stream).await?;
    for (first, last) in [(5, 9), (1, 2), (7, 8), (1, 9), (9, 9)] {
        let appended = s.append(&stream, first, last).await?;
        holds!(appended == Appended::Known(9), "{first}-{last}: {appended:?}");
    }
    holds!(s.part(&stream).await? == before, "changed");
    Ok(())
}

async fn gaps(s: Subject) -> Holds {
    let stream = s.stream("l4")?;
    s.append(&stream, 5, 9).await?;
    let before = s.part(&stream).await?;
    for (first, last) in [(11, 11), (9, 10), (1, 20), (5, 10), (1_000, 1_001)] {
        let appended = s.append(&stream, first, last).await?;
        holds!(appended == Appended::Gap(9), "{first}-{last}: {appended:?}");
    }
    holds!(s.part(&stream).await? == before, "changed");
    Ok(())
}

async fn reads(s: Subject) -> Holds {
    let stream = s.stream("l5")?;
    let (west, east) = (origin("eu-west-1"), here());
    for n in 0..4 {
        s.tails.append(&stream, &east, entry(1 + 2 * n, 2 + 2 * n), 0).await?;
        s.tails.append(&stream, &west, entry(10 + n, 10 + n), 0).await?;
    }
    for (after, entries) in [(0, 4), (1, 4), (2, 3), (7, 1), (8, 0), (99, 0)] {
        let cursor: Cursor = [(east.clone(), after), (west.clone(), 12)].into_iter().collect();
        let parts = s.tails.read(&stream, &cursor, ALL).await?;
        let [first, second] = &parts[..] else { return Err(format!("{parts:?}").into()) };
        holds!(first.origin == west && first.entries == [entry(13, 13)], "{first:?}");
        holds!(second.origin == east && second.entries.len() == entries, "after {after}: {second:?}");
        holds!(second.floor == 1 && second.head == 8 && first.floor == 10, "{parts:?}");
        holds!(second.entries.iter().all(|e| *e == entry(e.first, e.first + 1)), "bytes");
    }
    Ok(())
}

async fn heads(s: Subject) -> Holds {
    let streams = [s.stream("l6c")?, s.stream("l6-none")?, s.stream("l6a")?, s.stream("l6c")?];
    s.append(&streams[0], 1, 3).await?;
    s.append(&streams[2], 1, 7).await?;
    s.tails.append(&streams[2], &origin("us-east-1~2"), entry(4, 5), 0).await?;
    let heads: Vec<_> = s.tails.heads(&streams).await?.iter().map(ToString::to_string).collect();
    holds!(heads == ["us-east-1:3", "", "us-east-1:7,us-east-1~2:5", "us-east-1:3"], "{heads:?}");
    let many = vec![streams[0].clone(); HEADS_STREAMS_MAX + 1];
    let refused = s.tails.heads(&many).await;
    holds!(matches!(refused, Err(Error::Limit { .. })), "too many streams");
    holds!(s.tails.heads(&many[1..]).await?.len() == HEADS_STREAMS_MAX, "the most streams");
    Ok(())
}

async fn apart(s: Subject) -> Holds {
    let streams = [s.stream("l7")?, s.stream("l7.a")?];
    let origins = [origin("us-east-1"), origin("us-east-1~2"), origin("us-east-10")];
    let mut first = 1;
    for stream in &streams {
        for origin in &origins {
            holds!(
                s.tails.append(stream, origin, entry(first, first), 0).await? == Appended::Done,
                "{stream} {origin}"
            );
            first += 10;
        }
    }
    s.tails.forget(&streams[0], &origins[1]).await?;
    let heads: Vec<_> = s.tails.heads(&streams).await?.iter().map(ToString::to_string).collect();
    holds!(heads == ["us-east-1:1,us-east-10:21", "us-east-1:31,us-east-10:51,us-east-1~2:41"], "{heads:?}");
    Ok(())
}

async fn full(s: Subject) -> Holds {
    let stream = s.stream("l8")?;
    let mut next = 1;
    while s.append(&stream, next, next).await? == Appended::Done {
        next += 1;
        holds!(next as usize <= s.limits.entries + 1, "more entries than the limit");
    }
    let part = s.part(&stream).await?.ok_or("nothing to read")?;
    holds!(part.floor == 1 && part.head == next - 1, "something left: {} {}", part.floor, part.head);
    holds!(s.append(&stream, next, next).await? == Appended::Full, "still full");
    s.tails.trim(&stream, &here(), 0).await?;
    holds!(s.append(&stream, next, next).await? == Appended::Full, "nothing was ensured");
    s.tails.trim(&stream, &here(), 2).await?;
    holds!(s.append(&stream, next, next).await? == Appended::Done, "one place");
    holds!(s.append(&stream, next + 1, next + 1).await? == Appended::Done, "two places");
    holds!(s.append(&stream, next + 2, next + 2).await? == Appended::Full, "three places");
    let ensured = s.tails.append(&stream, &here(), entry(next + 2, next + 2), 3).await?;
    holds!(ensured == Appended::Done, "ensured with the append: {ensured:?}");
    let part = s.part(&stream).await?.ok_or("nothing to read")?;
    holds!(part.floor <= 4 && part.head == next + 2, "{} {}", part.floor, part.head);
    holds!(part.entries.first().is_some_and(|first| first.first == part.floor), "floor");
    Ok(())
}

async fn newest(s: Subject) -> Holds {
    let stream = s.stream("l9")?;
    let large = |first| Entry { first, last: first, bytes: Bytes::from(vec![1; s.limits.bytes]) };
    s.tails.append(&stream, &here(), large(1), 0).await?;
    s.tails.trim(&stream, &here(), 1).await?;
    let head = s.head(&stream).await?;
    // What is wholly ensured may vanish, but never leaves a tail without entries.
    holds!(head == 1 || s.part(&stream).await?.is_none(), "head {head}");
    s.tails.append(&stream, &here(), large(2), 1).await?;
    let part = s.part(&stream).await?.ok_or("nothing to read")?;
    holds!(part.floor == 2 && part.head == 2 && part.entries.len() == 1, "{} {}", part.floor, part.head);
    let larger = Entry { first: 3, last: 3, bytes: Bytes::from(vec![1; s.limits.bytes + 1]) };
    let refused = s.tails.append(&stream, &here(), larger, 2).await;
    holds!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    Ok(())
}

async fn forgets(s: Subject) -> Holds {
    let stream = s.stream("l10")?;
    s.append(&stream, 1, 4).await?;
    s.tails.forget(&stream, &here()).await?;
    holds!(s.part(&stream).await?.is_none() && s.head(&stream).await? == 0, "still there");
    holds!(s.append(&stream, 40, 41).await? == Appended::Done, "starts anew");
    s.tails.forget(&s.stream("l10-none")?, &here()).await?;
    s.tails.trim(&s.stream("l10-none")?, &here(), 9).await?;
    holds!(s.part(&s.stream("l10-none")?).await?.is_none(), "trim made a tail");
    Ok(())
}

async fn parts(s: Subject) -> Holds {
    let stream = s.stream("l11")?;
    let origins = [origin("eu-west-1"), here()];
    for n in 1..=10 {
        for origin in &origins {
            s.tails.append(&stream, origin, entry(n, n), 0).await?;
        }
    }
    for max_bytes in [0, 100, 350, ALL] {
        let (mut cursor, mut seen) = (Cursor::new(), 0);
        for _ in 0..=20 {
            let parts = s.tails.read(&stream, &cursor, max_bytes).await?;
            let got: usize = parts.iter().map(|part| part.entries.len()).sum();
            holds!(got <= 1 || got * 100 <= max_bytes, "{got} entries within {max_bytes}");
            for part in &parts {
                holds!(part.floor == 1 && part.head == 10, "bounds");
                for entry in &part.entries {
                    holds!(entry.first == cursor.get(&part.origin) + 1, "not dense");
                    cursor.advance(&part.origin, entry.last);
                }
            }
            seen += got;
            if got == 0 {
                break;
            }
        }
        holds!(seen == 20, "{seen} entries by {max_bytes} bytes");
    }
    Ok(())
}

async fn concurrent(s: Subject) -> Holds {
    let stream = s.stream("l12")?;
    let mut equal = JoinSet::new();
    for _ in 0..8 {
        let (s, stream) = (s.clone(), stream.clone());
        equal.spawn(async move {
            tokio::task::yield_now().await;
            s.append(&stream, 1, 1).await
        });
    }
    let mut done = 0;
    while let Some(appended) = equal.join_next().await {
        match appended?? {
            Appended::Done => done += 1,
            Appended::Known(1) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    holds!(done == 1, "{done} appends of one entry");
    let mut workers = JoinSet::new();
    for _ in 0..5 {
        workers.spawn(append_ten(s.clone(), stream.clone()));
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let part = s.part(&stream).await?.ok_or("nothing to read")?;
    let dense = part.entries.iter().zip(1..).all(|(entry, seq)| entry.first == seq && entry.last == seq);
    holds!(part.head == 51 && part.entries.len() == 51 && dense, "{part:?}");
    Ok(())
}

async fn append_ten(s: Subject, stream: StreamId) -> Holds {
    for _ in 0..10 {
        loop {
            let next = s.head(&stream).await? + 1;
            tokio::task::yield_now().await;
            match s.append(&stream, next, next).await? {
                Appended::Done => break,
                Appended::Known(_) => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
    Ok(())
}

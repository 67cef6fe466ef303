//! The sentences of [`crate::blobs::Blobs`].

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use crate::blobs::{BLOB_BYTES, BLOB_NAME_BYTES, Blobs, Created};
use crate::contract::{Holds, Sentence, holds, run};
use crate::error::Error;

#[derive(Clone)]
struct Subject {
    blobs: Arc<dyn Blobs>,
    space: Arc<str>,
}

/// Panics with every sentence that `blobs` breaks. All names begin with `space`.
pub async fn blobs(blobs: Arc<dyn Blobs>, space: &str) {
    run("Blobs", SENTENCES, Subject { blobs, space: space.into() }).await;
}

const SENTENCES: &[Sentence<Subject>] = &[
    ("B1 create once", |s| creates(s).boxed()),
    ("B2 read in parts", |s| reads(s).boxed()),
    ("B3 size", |s| sizes(s).boxed()),
    ("B4 delete", |s| deletes(s).boxed()),
    ("B5 names are apart", |s| apart(s).boxed()),
];

impl Subject {
    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.space)
    }

    async fn all(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.blobs.read(name, 0, BLOB_BYTES).await
    }
}

async fn creates(s: Subject) -> Holds {
    let name = s.name("b1");
    let mut writers = JoinSet::new();
    for n in 0..8 {
        let (s, name) = (s.clone(), name.clone());
        writers.spawn(async move {
            tokio::task::yield_now().await;
            let bytes = Bytes::from(format!("writer {n}"));
            (bytes.clone(), s.blobs.create(&name, bytes).await)
        });
    }
    let mut done = Vec::new();
    while let Some(writer) = writers.join_next().await {
        let (bytes, created) = writer?;
        if created? == Created::Done {
            done.push(bytes);
        }
    }
    holds!(done.len() == 1 && s.all(&name).await? == done.pop(), "{} created", done.len());
    let large = s.blobs.create(&s.name("b1-large"), vec![0; BLOB_BYTES + 1].into()).await;
    holds!(matches!(large, Err(Error::Limit { .. })), "{large:?}");
    let long = s.blobs.create(&"x".repeat(BLOB_NAME_BYTES + 1), Bytes::new()).await;
    holds!(matches!(long, Err(Error::Limit { .. })), "{long:?}");
    Ok(())
}

async fn reads(s: Subject) -> Holds {
    let name = s.name("b2");
    let bytes: Bytes = (0..=255).collect();
    s.blobs.create(&name, bytes.clone()).await?;
    for (offset, length) in [(0, 256), (0, 10), (250, 10), (256, 1), (9_999, 1), (5, 0)] {
        let part = s.blobs.read(&name, offset as u64, length).await?;
        let (from, to) = (offset.min(256), (offset + length).min(256));
        holds!(part == Some(bytes.slice(from..to.max(from))), "{offset}+{length}: {part:?}");
    }
    holds!(s.all(&s.name("b2-none")).await?.is_none(), "nothing there");
    Ok(())
}

async fn sizes(s: Subject) -> Holds {
    holds!(s.blobs.size(&s.name("b3")).await?.is_none(), "nothing there");
    s.blobs.create(&s.name("b3"), vec![0; 1_000].into()).await?;
    holds!(s.blobs.size(&s.name("b3")).await? == Some(1_000), "1,000 bytes");
    Ok(())
}

async fn deletes(s: Subject) -> Holds {
    let name = s.name("b4");
    for _ in 0..2 {
        s.blobs.create(&name, Bytes::from_static(b"one")).await?;
        s.blobs.delete(&name).await?;
        holds!(s.all(&name).await?.is_none(), "still there");
        s.blobs.delete(&name).await?;
    }
    Ok(())
}

async fn apart(s: Subject) -> Holds {
    let names = ["b5", "b5/a", "b5/", "B5"].map(|name| s.name(name));
    for name in &names {
        s.blobs.create(name, name.clone().into()).await?;
    }
    for name in &names {
        holds!(s.all(name).await? == Some(name.clone().into()), "{name}");
    }
    Ok(())
}

//! The put of a dead writer that lands between its successor's reading of the head and the successor's put.
//!
//! An armed ambush catches the next put of a segment of the region's own origin: its caller hears that the
//! outcome is unknown. Whoever waits for [`Ambush::caught`] then kills the writers. When somebody later puts
//! other bytes under the same key, the caught put lands first: the put that follows loses and has to adopt
//! (E12). A writer that survived and repeats the same bytes meets nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sterna_storage::table::Delete;
use sterna_storage::{
    Consistency, Error, Expect, Item, Key, Name, Page, Put, Range, Table, Token, Write, layout,
};
use sterna_stream::Origin;
use tokio::sync::Notify;

use crate::paths::{Path, Paths};
use crate::trace::Trace;

/// One region's ambush. Clones are the same one.
#[derive(Clone)]
pub struct Ambush {
    state: Arc<Mutex<State>>,
    caught: Arc<Notify>,
    behind: Arc<dyn Table>,
    trace: Trace,
    paths: Paths,
}

#[derive(Default)]
struct State {
    /// Puts of this origin are still to be caught, so many.
    armed: Option<(Origin, usize)>,
    held: Vec<(Key, Bytes)>,
}

/// A table whose puts walk into the ambush.
pub struct AmbushTable {
    inner: Arc<dyn Table>,
    ambush: Ambush,
}

/// What becomes of a put.
enum Fate {
    Goes,
    Caught,
    /// This one lands first.
    Loses(Bytes),
}

impl Ambush {
    /// One that is not armed; what it caught lands in `behind`.
    pub fn new(behind: Arc<dyn Table>, trace: &Trace, paths: &Paths) -> Self {
        let (trace, paths) = (trace.clone(), paths.clone());
        Self { state: Arc::default(), caught: Arc::default(), behind, trace, paths }
    }

    /// The table whose puts it meets.
    pub fn before(&self, inner: Arc<dyn Table>) -> AmbushTable {
        AmbushTable { inner, ambush: self.clone() }
    }

    /// Catches the next so many puts of segments of this origin.
    pub fn arm(&self, origin: Origin, puts: usize) {
        self.lock().armed = Some((origin, puts));
    }

    /// Waits until something is caught.
    pub async fn caught(&self) {
        self.caught.notified().await;
    }

    /// Catches nothing more, and what it holds never lands.
    pub fn give_up(&self) {
        *self.lock() = State::default();
    }

    fn fate(&self, key: &Key, value: &Bytes) -> Fate {
        if key.table != Name::Events {
            return Fate::Goes;
        }
        let mut state = self.lock();
        if let Some(at) = state.held.iter().position(|(held, _)| held == key) {
            let (_, bytes) = state.held.remove(at);
            return if bytes == *value { Fate::Goes } else { Fate::Loses(bytes) };
        }
        let Some((origin, left)) = &mut state.armed else { return Fate::Goes };
        let own = layout::parse_segment(&key.sort).is_some_and(|(of, _)| of == *origin);
        if !own || *left == 0 {
            return Fate::Goes;
        }
        *left -= 1;
        state.held.push((key.clone(), value.clone()));
        drop(state);
        self.trace.line("ambush", "catches", format_args!("{} {}", key.hash, key.sort));
        self.caught.notify_one();
        Fate::Caught
    }

    async fn meet(&self, key: &Key, value: &Bytes) -> Result<(), Error> {
        match self.fate(key, value) {
            Fate::Goes => Ok(()),
            Fate::Caught => Err(Error::Unknown(because("caught in an ambush"))),
            Fate::Loses(bytes) => {
                self.trace.line("ambush", "lands", format_args!("{} {}", key.hash, key.sort));
                let landed = self.behind.put(key.clone(), bytes, Expect::Absent).await;
                self.paths.add(Path::Ambushed, u64::from(matches!(landed, Ok(Put::Done(_)))));
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn because(why: &'static str) -> sterna_storage::error::Source {
    Arc::new(std::io::Error::other(why))
}

#[async_trait]
impl Table for AmbushTable {
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        self.ambush.meet(&key, &value).await?;
        self.inner.put(key, value, expect).await
    }

    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>> {
        let (mut go, mut answers) = (Vec::new(), Vec::new());
        for write in writes {
            match self.ambush.meet(&write.key, &write.value).await {
                Ok(()) => {
                    answers.push(None);
                    go.push(write);
                }
                Err(error) => answers.push(Some(error)),
            }
        }
        let went = if go.is_empty() { Vec::new() } else { self.inner.put_many(go).await };
        let mut went = went.into_iter();
        let answer = |caught: Option<Error>| match caught {
            Some(error) => Err(error),
            None => went.next().unwrap_or_else(|| Err(Error::Unavailable(because("no answer")))),
        };
        answers.into_iter().map(answer).collect()
    }

    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
        self.inner.get(keys, read).await
    }

    async fn query(&self, range: Range) -> Result<Page, Error> {
        self.inner.query(range).await
    }

    async fn delete(&self, key: Key, expect: Expect) -> Result<Delete, Error> {
        self.inner.delete(key, expect).await
    }

    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error> {
        self.inner.scan(table, after).await
    }
}

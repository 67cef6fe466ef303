//! The table as one process meets it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sterna_storage::table::Delete;
use sterna_storage::{
    Consistency, Error, Expect, Item, Key, Name, Page, Put, Range, Table, Token, Write, layout,
};

use super::Witness;
use crate::paths::Path;

/// A table with a witness before it.
pub struct WitnessTable {
    inner: Arc<dyn Table>,
    witness: Witness,
}

impl WitnessTable {
    /// `inner`, as the witness' process meets it.
    pub fn new(inner: Arc<dyn Table>, witness: Witness) -> Self {
        Self { inner, witness }
    }

    fn answered(&self, key: &Key, value: &Bytes, answer: &Result<Put, Error>) {
        let opens = |(_, _, number, _): (u16, u64, u64, u16)| number == 0;
        if key.table == Name::Checkpoints && layout::parse_checkpoint(&key.sort).is_some_and(opens) {
            self.witness.seen().openings += u64::from(matches!(answer, Ok(Put::Done(_))));
        }
        if key.table != Name::Events {
            return;
        }
        let (stream, place) = (&key.hash, &key.sort);
        if layout::parse_segment(&key.sort).is_some_and(|(origin, _)| !self.witness.is_home(&origin)) {
            if let Ok(Put::Done(_)) = answer {
                self.witness.took(Path::Repair);
                self.witness.line("put another region's", format_args!("{stream} {place}"));
            }
            return;
        }
        match answer {
            Ok(Put::Found(item)) if item.value == *value => {
                self.witness.took(Path::FoundOwn);
                self.witness.line("found its own", format_args!("{stream} {place}"));
            }
            Ok(Put::Found(_)) => {
                self.witness.took(Path::Adoption);
                self.witness.line("found another's", format_args!("{stream} {place}"));
            }
            Ok(_) => self.witness.line("put", format_args!("{stream} {place}")),
            Err(error) => {
                if matches!(error, Error::Unknown(_)) {
                    self.witness.took(Path::LostPut);
                }
                self.witness.line("did not put", format_args!("{stream} {place}: {error}"));
            }
        }
    }
}

#[async_trait]
impl Table for WitnessTable {
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        self.witness.calls("put");
        let answer = self.inner.put(key.clone(), value.clone(), expect).await;
        self.answered(&key, &value, &answer);
        answer
    }

    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>> {
        self.witness.calls("put_many");
        let pairs: Vec<(Key, Bytes)> = writes.iter().map(|w| (w.key.clone(), w.value.clone())).collect();
        let answers = self.inner.put_many(writes).await;
        for ((key, value), answer) in pairs.iter().zip(&answers) {
            self.answered(key, value, answer);
        }
        answers
    }

    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
        self.witness.calls("get");
        self.inner.get(keys, read).await
    }

    async fn query(&self, range: Range) -> Result<Page, Error> {
        self.witness.calls("query");
        self.inner.query(range).await
    }

    async fn delete(&self, key: Key, expect: Expect) -> Result<Delete, Error> {
        self.witness.calls("delete");
        self.inner.delete(key, expect).await
    }

    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error> {
        self.witness.calls("scan");
        self.inner.scan(table, after).await
    }
}

//! One region's tables in DynamoDB.
//!
//! A table per [`Name`], called `<prefix><name>`, with string keys `h` and `s`, the value `v` and the version
//! `n`; [`provision`] makes them. The client comes from the caller, with credentials, endpoint and TLS, and
//! with the client library's own retries switched off ([`local`] makes one for DynamoDB Local): what is
//! repeated, and after how long, is decided in [`attempt`] alone.
//!
//! What it does not promise, beyond what [`crate::table::Table`] leaves open: a conditional put that met a
//! broken connection is `Unknown` and may still be applied seconds later (E12); a 5xx answer too. A page may
//! be empty though more follows. `put_many` is up to [`PUTS_AT_ONCE`] independent requests at a time, never a
//! transaction. A global table's other regions are the platform's business, and so is time to live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::error::Error;
use crate::key::{Key, Name};
use crate::table::{
    Consistency, Delete, Expect, GET_KEYS_MAX, Item, Order, PUT_ITEMS_MAX, Page, Put, Range, Table, Token,
    Write, check_write,
};
use attempt::{Attempts, Effect};
use attributes::{Row, key_of, row_of, token_of};

mod attempt;
mod attributes;
mod local;
mod provision;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use local::{local, plain};
pub use provision::{Throughput, provision};

/// Requests of one `put_many` that are under way at the same time.
pub const PUTS_AT_ONCE: usize = 32;

/// How a [`DynamoTable`] behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Stands before every table's name: the deployment.
    pub prefix: String,
    /// Seeds the jitter of repetitions.
    pub seed: u64,
    /// Most repetitions of a throttled request, and of one for keys that were left out of an answer.
    pub repeats_max: u32,
    /// The first pause before a repetition is drawn from zero to this; each further one to twice the last.
    pub pause_first: Duration,
    /// No pause is drawn from more than this.
    pub pause_max: Duration,
    /// How long one request may take; a write that takes longer is `Unknown`.
    pub request_timeout: Duration,
}

/// The tables of one region.
pub struct DynamoTable {
    client: Client,
    prefix: String,
    attempts: Attempts,
}

// === impl Config ===

impl Config {
    /// Settings that suit a region's own DynamoDB.
    pub fn new(prefix: impl Into<String>, seed: u64) -> Self {
        Self {
            prefix: prefix.into(),
            seed,
            repeats_max: 8,
            pause_first: Duration::from_millis(20),
            pause_max: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
        }
    }
}

// === impl DynamoTable ===

impl DynamoTable {
    /// Tables that [`provision`] has made, reached through `client`.
    pub fn new(client: Client, config: Config) -> Self {
        Self { client, prefix: config.prefix.clone(), attempts: Attempts::new(config) }
    }

    fn name(&self, table: Name) -> String {
        format!("{}{table}", self.prefix)
    }

    /// An unconditional put is an update, because only that raises the version it finds.
    async fn replace(&self, key: &Key, value: &Bytes) -> Result<Put, Error> {
        let request = || {
            let request = self.client.update_item().table_name(self.name(key.table));
            let request = request.set_key(Some(row_of(key)));
            let request = request.update_expression("SET v = :v ADD n :one");
            let request = request.expression_attribute_values(":v", blob(value));
            let request = request.expression_attribute_values(":one", number(1));
            Box::pin(request.return_values(ReturnValue::UpdatedNew).send())
        };
        let done = self.attempts.run(Effect::Write, request).await?;
        let version = done.attributes.as_ref().and_then(attributes::version);
        version.map(Put::Done).ok_or(Error::Corrupt("an updated item has no version"))
    }

    async fn put_if(&self, key: &Key, value: &Bytes, condition: Condition) -> Result<Put, Error> {
        let (version, text, expected) = match condition {
            Condition::Absent => (1, "attribute_not_exists(h)", None),
            Condition::Version(version) => {
                let Some(next) = version.checked_add(1) else {
                    return Err(Error::Limit { what: "a version, below", limit: usize::MAX });
                };
                (next, "n = :expected", Some(number(version)))
            }
        };
        let request = || {
            let mut row = row_of(key);
            row.insert("v".to_owned(), blob(value));
            row.insert("n".to_owned(), number(version));
            let request = self.client.put_item().table_name(self.name(key.table)).set_item(Some(row));
            let request = request.condition_expression(text);
            let request = request.return_values_on_condition_check_failure(ALL_OLD);
            let values = expected.clone().map(|value| [(":expected".to_owned(), value)].into());
            Box::pin(request.set_expression_attribute_values(values).send())
        };
        match self.attempts.run_conditional(Effect::Write, request).await? {
            Ok(_) => Ok(Put::Done(version)),
            Err(PutItemError::ConditionalCheckFailedException(failed)) => match failed.item {
                Some(row) => Row::read(key.table, row).map(Put::Found),
                None => Ok(Put::Missing),
            },
            Err(other) => Err(attempt::refused(other)),
        }
    }

    /// Asks for keys of any tables until each was answered; gives what stands.
    async fn fetch(
        &self,
        mut wanted: BTreeSet<Key>,
        read: Consistency,
    ) -> Result<BTreeMap<Key, Item>, Error> {
        let mut found = BTreeMap::new();
        let mut repeats = 0;
        while !wanted.is_empty() {
            let request =
                || Box::pin(self.client.batch_get_item().set_request_items(self.ask(&wanted, read)).send());
            let answer = self.attempts.run(Effect::Read, request).await?;
            for (name, rows) in answer.responses.into_iter().flatten() {
                let table = self.table_called(&name)?;
                for row in rows {
                    let item = Row::read(table, row)?;
                    found.insert(item.key.clone(), item);
                }
            }
            let mut left = BTreeSet::new();
            for (name, keys) in answer.unprocessed_keys.into_iter().flatten() {
                let table = self.table_called(&name)?;
                for row in keys.keys {
                    left.insert(key_of(table, &row)?);
                }
            }
            // An answer that brought something on is no reason to give up: it holds 16 MB at most.
            repeats = if left.len() < wanted.len() { 0 } else { repeats + 1 };
            if !left.is_empty() {
                self.attempts.pause(repeats).await?;
            }
            wanted = left;
        }
        Ok(found)
    }

    #[allow(clippy::disallowed_types, reason = "the client's own type; it is looked into, never walked")]
    fn ask(
        &self,
        wanted: &BTreeSet<Key>,
        read: Consistency,
    ) -> Option<std::collections::HashMap<String, KeysAndAttributes>> {
        let mut by_table: BTreeMap<Name, Vec<_>> = BTreeMap::new();
        for key in wanted {
            by_table.entry(key.table).or_default().push(row_of(key));
        }
        let keys = |keys| {
            KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(is_consistent(read)).build()
        };
        by_table
            .into_iter()
            .map(|(table, rows)| keys(rows).ok().map(|keys| (self.name(table), keys)))
            .collect()
    }

    fn table_called(&self, name: &str) -> Result<Name, Error> {
        let known = Name::ALL.into_iter().find(|table| self.name(*table) == name);
        known.ok_or(Error::Corrupt("an answer names a table that was not asked for"))
    }
}

const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

enum Condition {
    Absent,
    Version(u64),
}

fn blob(value: &Bytes) -> AttributeValue {
    AttributeValue::B(Blob::new(value.to_vec()))
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn is_consistent(read: Consistency) -> bool {
    read == Consistency::Consistent
}

#[async_trait]
impl Table for DynamoTable {
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        check_write(&key, &value)?;
        match expect {
            Expect::Any => self.replace(&key, &value).await,
            Expect::Absent => self.put_if(&key, &value, Condition::Absent).await,
            Expect::Version(version) => self.put_if(&key, &value, Condition::Version(version)).await,
        }
    }

    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>> {
        if writes.len() > PUT_ITEMS_MAX {
            let refused = Error::Limit { what: "items of one put", limit: PUT_ITEMS_MAX };
            return vec![Err(refused); writes.len()];
        }
        let puts = writes.into_iter().map(|write| self.put(write.key, write.value, write.expect));
        stream::iter(puts).buffered(PUTS_AT_ONCE).collect().await
    }

    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
        if keys.len() > GET_KEYS_MAX {
            return Err(Error::Limit { what: "keys of one get", limit: GET_KEYS_MAX });
        }
        for key in keys {
            key.check()?;
        }
        // DynamoDB refuses a batch that names a key twice.
        let found = self.fetch(keys.iter().cloned().collect(), read).await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn query(&self, range: Range) -> Result<Page, Error> {
        range.check()?;
        let (mut condition, mut values) = ("h = :h".to_owned(), vec![(":h", text(&range.hash))]);
        match (&range.from, &range.to) {
            // DynamoDB calls bounds in the wrong order an error; they hold nothing.
            (Some(from), Some(to)) if from > to => return Ok(Page::default()),
            (Some(from), Some(to)) => {
                condition += " AND s BETWEEN :from AND :to";
                values.extend([(":from", text(from)), (":to", text(to))]);
            }
            (Some(from), None) => {
                condition += " AND s >= :from";
                values.push((":from", text(from)));
            }
            (None, Some(to)) => {
                condition += " AND s <= :to";
                values.push((":to", text(to)));
            }
            (None, None) => {}
        }
        let limit = i32::try_from(range.limit).ok();
        let request = || {
            let request = self.client.query().table_name(self.name(range.table));
            let request = request.key_condition_expression(condition.clone());
            let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let request = request.set_expression_attribute_values(Some(values));
            let request = request.consistent_read(is_consistent(range.read)).set_limit(limit);
            let request = request.scan_index_forward(range.order == Order::Forward);
            Box::pin(
                request.set_exclusive_start_key(range.after.as_ref().map(|token| row_of(&token.0))).send(),
            )
        };
        let answer = self.attempts.run(Effect::Read, request).await?;
        let items = answer.items.into_iter().flatten().map(|row| Row::read(range.table, row));
        let next = answer.last_evaluated_key.map(|row| token_of(range.table, &row)).transpose()?;
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }

    async fn delete(&self, key: Key, expect: Expect) -> Result<Delete, Error> {
        key.check()?;
        let (condition, expected) = match expect {
            Expect::Any => (None, None),
            Expect::Absent => (Some("attribute_not_exists(h)"), None),
            Expect::Version(version) => {
                (Some("attribute_not_exists(h) OR n = :expected"), Some(number(version)))
            }
        };
        let request = || {
            let request = self.client.delete_item().table_name(self.name(key.table));
            let request = request.set_key(Some(row_of(&key)));
            let request = request.set_condition_expression(condition.map(str::to_owned));
            let request = request.return_values_on_condition_check_failure(ALL_OLD);
            let values = expected.clone().map(|value| [(":expected".to_owned(), value)].into());
            Box::pin(request.set_expression_attribute_values(values).send())
        };
        match self.attempts.run_conditional(Effect::Write, request).await? {
            Ok(_) => Ok(Delete::Done),
            Err(DeleteItemError::ConditionalCheckFailedException(failed)) => match failed.item {
                Some(row) => Row::read(key.table, row).map(Delete::Found),
                None => Err(Error::Corrupt("a condition failed on an item that is not there")),
            },
            Err(other) => Err(attempt::refused(other)),
        }
    }

    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error> {
        let request = || {
            let request = self.client.scan().table_name(self.name(table)).consistent_read(true);
            Box::pin(request.set_exclusive_start_key(after.as_ref().map(|token| row_of(&token.0))).send())
        };
        let answer = self.attempts.run(Effect::Read, request).await?;
        let items = answer.items.into_iter().flatten().map(|row| Row::read(table, row));
        let next = answer.last_evaluated_key.map(|row| token_of(table, &row)).transpose()?;
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }
}

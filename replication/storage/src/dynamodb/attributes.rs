//! Items as DynamoDB's attributes: `h` and `s` the keys, `v` the value, `n` the version.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use crate::error::Error;
use crate::key::{Key, Name};
use crate::table::{Item, Token};

/// The client's own type.
#[allow(clippy::disallowed_types, reason = "the client's; it is looked into, never walked")]
pub(super) type Attributes = std::collections::HashMap<String, AttributeValue>;

/// Reads whole items.
pub(super) enum Row {}

impl Row {
    /// The item that stands in these attributes.
    pub(super) fn read(table: Name, mut row: Attributes) -> Result<Item, Error> {
        let key = key_of(table, &row)?;
        let version = version(&row).ok_or(Error::Corrupt("an item has no version"))?;
        let Some(AttributeValue::B(value)) = row.remove("v") else {
            return Err(Error::Corrupt("an item has no value"));
        };
        Ok(Item { key, value: Bytes::from(value.into_inner()), version })
    }
}

/// The attributes that address an item.
pub(super) fn row_of(key: &Key) -> Attributes {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    [("h".to_owned(), text(&key.hash)), ("s".to_owned(), text(&key.sort))].into()
}

/// The key that these attributes address.
pub(super) fn key_of(table: Name, row: &Attributes) -> Result<Key, Error> {
    let text =
        |name: &str| row.get(name).and_then(|value| value.as_s().ok()).map(|text| Arc::from(text.as_str()));
    match (text("h"), text("s")) {
        (Some(hash), Some(sort)) => Ok(Key { table, hash, sort }),
        _ => Err(Error::Corrupt("an item has no key")),
    }
}

/// Where a page ended.
pub(super) fn token_of(table: Name, row: &Attributes) -> Result<Token, Error> {
    key_of(table, row).map(Token)
}

pub(super) fn version(row: &Attributes) -> Option<u64> {
    row.get("n")?.as_n().ok()?.parse().ok()
}

//! The port `Blobs`: large immutable objects of a region, written once and read whole or in part.
//!
//! It promises what S3 keeps. Names are chosen by content or by writer, so that nothing is ever replaced: two
//! regions cannot disagree about a name. Other regions get a copy later (usually seconds); a reader that
//! finds nothing here asks the region that the event names. Clients move bytes themselves, by signed URL.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Error;

/// Largest object put or got through this port, bytes; larger ones go by signed URL.
pub const BLOB_BYTES: usize = 8 * 1_024 * 1_024;
/// Longest name, bytes.
pub const BLOB_NAME_BYTES: usize = 1_024;

/// What a signed URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading the object.
    Read,
    /// Creating the object with exactly this many bytes.
    Create(u64),
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// Stored.
    Done,
    /// Something stands under the name; it is unchanged.
    Exists,
}

/// Objects of a region. Shared as `Arc<dyn Blobs>`.
///
/// - B1 `create` stores under a free name and changes nothing under a taken one; of concurrent ones one is
/// `Done`. - B2 `read` gives the bytes as created, from `offset`, at most `length`; past the end none; `None`
/// for no object. - B3 `size` gives the length in bytes, or `None`. - B4 after `delete` the name is free;
/// deleting nothing is no error. - B5 names are apart, also where one begins with another.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores an object under a name that is free.
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, Error>;
    /// A part of an object.
    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Option<Bytes>, Error>;
    /// An object's length, bytes.
    async fn size(&self, name: &str) -> Result<Option<u64>, Error>;
    /// Takes an object away.
    async fn delete(&self, name: &str) -> Result<(), Error>;
    /// A URL that whoever holds it may use for `ttl`, without any other credential.
    async fn sign(&self, name: &str, access: Access, ttl: Duration) -> Result<String, Error>;
}

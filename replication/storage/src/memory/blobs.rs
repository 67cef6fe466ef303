//! Blobs in memory. Its signed URLs name the object and the end of their life in tokio's time; nothing serves
//! them yet, and they are not secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::blobs::{Access, BLOB_BYTES, BLOB_NAME_BYTES, Blobs, Created};
use crate::error::Error;
use crate::memory::lock;

/// The objects of one region.
pub struct MemoryBlobs {
    start: Instant,
    objects: Mutex<BTreeMap<Arc<str>, Bytes>>,
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBlobs {
    /// No objects.
    pub fn new() -> Self {
        Self { start: Instant::now(), objects: Mutex::default() }
    }

    /// Loses everything.
    pub fn wipe(&self) {
        lock(&self.objects).clear();
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, Error> {
        if name.is_empty() || name.len() > BLOB_NAME_BYTES {
            return Err(Error::Limit { what: "bytes of a blob's name, at least 1", limit: BLOB_NAME_BYTES });
        }
        if bytes.len() > BLOB_BYTES {
            return Err(Error::Limit { what: "bytes of a blob", limit: BLOB_BYTES });
        }
        let mut objects = lock(&self.objects);
        if objects.contains_key(name) {
            return Ok(Created::Exists);
        }
        objects.insert(Arc::from(name), bytes);
        Ok(Created::Done)
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Option<Bytes>, Error> {
        let objects = lock(&self.objects);
        let part = objects.get(name).map(|bytes| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            bytes.slice(from..from.saturating_add(length).min(bytes.len()))
        });
        Ok(part)
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, Error> {
        Ok(lock(&self.objects).get(name).map(|bytes| bytes.len() as u64))
    }

    async fn delete(&self, name: &str) -> Result<(), Error> {
        lock(&self.objects).remove(name);
        Ok(())
    }

    async fn sign(&self, name: &str, access: Access, ttl: Duration) -> Result<String, Error> {
        let ends_ms = (self.start.elapsed() + ttl).as_millis();
        Ok(match access {
            Access::Read => format!("memory:{name}?ends={ends_ms}"),
            Access::Create(bytes) => format!("memory:{name}?ends={ends_ms}&create={bytes}"),
        })
    }
}

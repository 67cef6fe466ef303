//! Tails that break on purpose.

use std::sync::Arc;

use async_trait::async_trait;
use sterna_stream::{Cursor, Origin, StreamId};

use crate::error::Error;
use crate::faulty::Faults;
use crate::tails::{Appended, Entry, Part, Tails};

/// `inner`, as far as `faults` let it; the hot key is the stream.
#[derive(Clone)]
pub struct FaultyTails {
    inner: Arc<dyn Tails>,
    faults: Arc<Faults>,
}

impl FaultyTails {
    /// Wraps tails.
    pub fn new(inner: Arc<dyn Tails>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

#[async_trait]
impl Tails for FaultyTails {
    async fn append(
        &self,
        stream: &StreamId,
        origin: &Origin,
        entry: Entry,
        ensured: u64,
    ) -> Result<Appended, Error> {
        let (inner, at, origin) = (self.inner.clone(), stream.clone(), origin.clone());
        let call = async move { inner.append(&at, &origin, entry, ensured).await };
        self.faults.write(stream.as_str(), call).await
    }

    async fn read(&self, stream: &StreamId, after: &Cursor, max_bytes: usize) -> Result<Vec<Part>, Error> {
        self.faults.read(self.inner.read(stream, after, max_bytes)).await
    }

    async fn heads(&self, streams: &[StreamId]) -> Result<Vec<Cursor>, Error> {
        self.faults.read(self.inner.heads(streams)).await
    }

    async fn trim(&self, stream: &StreamId, origin: &Origin, ensured: u64) -> Result<(), Error> {
        let (inner, at, origin) = (self.inner.clone(), stream.clone(), origin.clone());
        self.faults.write(stream.as_str(), async move { inner.trim(&at, &origin, ensured).await }).await
    }

    async fn forget(&self, stream: &StreamId, origin: &Origin) -> Result<(), Error> {
        let (inner, at, origin) = (self.inner.clone(), stream.clone(), origin.clone());
        self.faults.write(stream.as_str(), async move { inner.forget(&at, &origin).await }).await
    }
}

//! One origin's chain of segments in the events table, walked from either end.
//!
//! A walk hands out what stands there, each segment under its own key; whether one continues the other is for
//! its readers to see, [`crate::read`] and [`crate::lookup`] (E17).

use bytes::Bytes;
use sterna_proto::convert::Malformed;
use sterna_proto::record::Stored;
use sterna_storage::{Consistency, Item, Range, Table, layout};
use sterna_stream::ids::Invalid;
use sterna_stream::{Origin, Reason, Refusal, StreamId};

/// Why a table did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller sent what is no id or no record.
    #[error("malformed request: {0}")]
    Request(#[from] Malformed),
    /// The same, for a bare id.
    #[error("malformed id: {0}")]
    Id(#[from] Invalid),
    /// The store did not answer.
    #[error("the table did not answer: {0}")]
    Table(#[from] sterna_storage::Error),
    /// What is stored contradicts itself. Somebody has to look.
    #[error("the stored chain of {stream} from {origin} is broken at seq {seq}: {what}")]
    Broken {
        /// The stream.
        stream: StreamId,
        /// The origin.
        origin: Origin,
        /// The seq at which it is.
        seq: u64,
        /// How.
        what: &'static str,
    },
}

/// Segments of a chain, one after another, read page by page.
pub struct Walk<'a> {
    chain: &'a Chain,
    table: &'a dyn Table,
    rest: Option<Range>,
    items: std::vec::IntoIter<Item>,
}

impl Error {
    /// What the caller is told.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Request(_) | Self::Id(_) => {
                Reason::BadRequest.because("a request between services is malformed")
            }
            Self::Table(_) => Reason::Unavailable.because("the event table did not answer"),
            Self::Broken { .. } => Reason::Internal.because("stored events are damaged"),
        }
    }
}

/// Segments asked of the table at once.
const STEP: usize = 64;

/// One origin's part of a stream.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The stream.
    pub stream: StreamId,
    /// The origin.
    pub origin: Origin,
    /// How fresh reads must be.
    pub read: Consistency,
}

impl Chain {
    /// The segment that holds `seq`, or the newest one below it; with `u64::MAX` the head.
    ///
    /// # Errors
    /// [`Error::Table`], [`Error::Broken`].
    pub async fn at(&self, table: &dyn Table, seq: u64) -> Result<Option<Stored>, Error> {
        let range = Range { read: self.read, ..layout::segment_at(&self.stream, &self.origin, seq) };
        self.first_of(table, range).await
    }

    /// The segments that begin at `first` or later, ascending.
    pub fn up<'a>(&'a self, table: &'a dyn Table, first: u64) -> Walk<'a> {
        self.walk(table, layout::segments_from(&self.stream, &self.origin, first))
    }

    /// The segments that begin at `seq` or earlier, descending.
    pub fn down<'a>(&'a self, table: &'a dyn Table, seq: u64) -> Walk<'a> {
        self.walk(table, layout::segment_at(&self.stream, &self.origin, seq))
    }

    fn walk<'a>(&'a self, table: &'a dyn Table, range: Range) -> Walk<'a> {
        let range = Range { read: self.read, ..range.limit(STEP) };
        Walk { chain: self, table, rest: Some(range), items: Vec::new().into_iter() }
    }

    async fn first_of(&self, table: &dyn Table, range: Range) -> Result<Option<Stored>, Error> {
        Walk { chain: self, table, rest: Some(range), items: Vec::new().into_iter() }.next().await
    }

    fn decode(&self, item: &Item) -> Result<Stored, Error> {
        let broken =
            |seq, what| Error::Broken { stream: self.stream.clone(), origin: self.origin.clone(), seq, what };
        let (_, first) =
            layout::parse_segment(&item.key.sort).ok_or_else(|| broken(0, "not a segment's key"))?;
        let stored =
            Stored::decode(item.value.clone()).map_err(|_| broken(first, "the item is not a segment"))?;
        let segment = &stored.segment;
        if segment.stream != self.stream || segment.origin != self.origin || segment.first != first {
            return Err(broken(first, "the segment stands under another's key"));
        }
        Ok(stored)
    }
}

impl Walk<'_> {
    /// The next segment. A page may be short, or empty, though more follows: only the table's word ends a
    /// walk.
    ///
    /// # Errors
    /// [`Error::Table`], [`Error::Broken`].
    pub async fn next(&mut self) -> Result<Option<Stored>, Error> {
        loop {
            if let Some(item) = self.items.next() {
                return self.chain.decode(&item).map(Some);
            }
            let Some(range) = self.rest.take() else { return Ok(None) };
            let page = self.table.query(range.clone()).await?;
            self.rest = page.next.map(|token| range.after(token));
            self.items = page.items.into_iter();
        }
    }
}

/// The origins that ever wrote to `stream`, each with its newest segment, greatest origin first.
///
/// # Errors
/// [`Error::Table`], [`Error::Broken`].
pub async fn origins(table: &dyn Table, stream: &StreamId) -> Result<Vec<Stored>, Error> {
    let mut newest: Vec<Stored> = Vec::new();
    loop {
        let below = newest.last().map(|stored| &stored.segment.origin);
        let mut range = layout::segment_of_origin_below(stream, below);
        let item = loop {
            let page = table.query(range.clone()).await?;
            match (page.items.into_iter().next(), page.next) {
                (Some(item), _) => break item,
                (None, None) => return Ok(newest),
                (None, Some(token)) => range = range.after(token),
            }
        };
        let broken = || Error::Table(sterna_storage::Error::Corrupt("not a segment's key"));
        let (origin, _) = layout::parse_segment(&item.key.sort).ok_or_else(broken)?;
        let chain = Chain { stream: stream.clone(), origin, read: Consistency::Consistent };
        newest.push(chain.decode(&item)?);
    }
}

/// A segment's bytes for the wire.
pub(crate) fn bytes(stored: Stored) -> Bytes {
    stored.bytes
}

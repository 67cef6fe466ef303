//! Taking a partition over: gathers the evidence in the order that makes it consistent, and raises the term
//! (E10, E21). Before that, whether this life of the region may go on, and whether ingress and log are those
//! that it began with (E1).
//!
//! The pure judgement is `sterna_stream::sequencer::takeover`; this file reads stores until they answer.

use std::ops::Range;

use sterna_log::{Error, Offset};
use sterna_proto::checkpoint;
use sterna_proto::record::{LOG_POS, LogRecord, Placed};
use sterna_storage::control::Standing;
use sterna_storage::{Expect, Item, Put, Range as TableRange, control, layout};
use sterna_stream::mutant;
use sterna_stream::sequencer::takeover::{Evidence, LogEnd, Opening, Tail, open};
use sterna_stream::sequencer::{Checkpoint, Why};

use super::driver::Driver;
use super::{INGRESS, LOG, Shared};

/// Bytes of the log read at once.
const PAGE_BYTES: usize = 1024 * 1024;

/// What a takeover came to.
pub(super) enum Taken {
    /// The term is this instance's.
    Open(Opening),
    /// Nothing may be sequenced.
    Refused(Why),
    /// A store did not answer, or another instance was faster: try again.
    Again,
    /// The log answered that this topic is missing: try again, so often.
    Missing(&'static str),
    /// The partition is not this instance's any more.
    Lost,
}

/// Takes the driver's partition over.
pub(super) async fn take(driver: &Driver) -> Taken {
    match try_take(driver).await {
        Ok(taken) => taken,
        Err(error) => {
            tracing::warn!(partition = driver.partition, error, "a takeover was interrupted");
            Taken::Again
        }
    }
}

async fn try_take(driver: &Driver) -> Result<Taken, String> {
    let (shared, partition) = (&*driver.shared, driver.partition);
    if let Err(why) = own_life(shared).await? {
        return Ok(Taken::Refused(why));
    }
    if let Err(stopped) = own_topics(shared).await? {
        return Ok(stopped);
    }
    let checkpoint = newest_checkpoint(shared, partition).await?;
    let log = match log_tail(shared, partition, checkpoint.as_ref()).await? {
        Ok(tail) => tail,
        Err(stopped) => return Ok(stopped),
    };
    let ingress = ingress(shared, partition).await?;
    let place = shared.place(partition);
    let evidence = Evidence { place, checkpoint: checkpoint.clone(), ingress, log };
    let mut opening = match open(evidence) {
        Ok(opening) => opening,
        Err(why) => return Ok(Taken::Refused(why)),
    };
    // An opening of whoever lost the partition costs its owner another takeover (E21).
    if !driver.is_mine().await {
        return Ok(Taken::Lost);
    }
    if let Some(newest) = checkpoint {
        for part in opening.parts(&newest, shared.config.limits.checkpoint_bytes) {
            put_part(shared, partition, &part).await?;
        }
    }
    let first = opening.checkpoint();
    let key = layout::checkpoint(&shared.config.origin, partition, first.term, first.number, 0);
    match shared.table.put(key, checkpoint::encode(&first), Expect::Absent).await {
        Ok(Put::Done(_)) => Ok(Taken::Open(opening)),
        Ok(Put::Found(_) | Put::Missing) => Ok(Taken::Again),
        Err(error) => Err(error.to_string()),
    }
}

/// Puts a further part of a checkpoint under the first number that is free, unless it stands already.
async fn put_part(shared: &Shared, partition: u16, part: &Checkpoint) -> Result<(), String> {
    let value = checkpoint::encode(part);
    for number in 1..u16::MAX {
        let key = layout::checkpoint(&shared.config.origin, partition, part.term, part.number, number);
        match shared.table.put(key, value.clone(), Expect::Absent).await {
            Ok(Put::Found(item)) if item.value != value => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("a checkpoint has no room for another part".to_owned())
}

/// Whether this life is the one that the region is in, as far as its table knows, and was opened.
async fn own_life(shared: &Shared) -> Result<Result<(), Why>, String> {
    let standing = control::standing(&*shared.table, &shared.config.origin).await;
    Ok(match standing.map_err(|error| error.to_string())? {
        Standing::Present => Ok(()),
        Standing::Ended(present) => Err(Why::LifeEnded(present)),
        Standing::Unopened => Err(Why::Unopened),
    })
}

/// Whether ingress and log are there, and those that this life began with. Offsets say nothing of another
/// topic of the same name, however well they fit (E1).
async fn own_topics(shared: &Shared) -> Result<Result<(), Taken>, String> {
    let config = &shared.config;
    let mut found = [0; 2];
    for (at, (topic, name)) in [(&config.ingress, INGRESS), (&config.log, LOG)].into_iter().enumerate() {
        found[at] = match shared.log.describe(topic, None).await {
            Ok(described) => described.identity.0,
            Err(Error::MissingTopic(..)) => return Ok(Err(Taken::Missing(name))),
            Err(error) => return Err(error.to_string()),
        };
    }
    let [ingress, log] = found;
    let own = control::topics(&*shared.table, &config.origin, (ingress, log)).await;
    let own = own.map_err(|error| error.to_string())?;
    Ok(match (own.0 == ingress, own.1 == log) {
        _ if mutant!("bare_offsets") => Ok(()),
        (true, true) => Ok(()),
        (false, _) => Err(Taken::Refused(Why::TopicOther(INGRESS))),
        (_, false) => Err(Taken::Refused(Why::TopicOther(LOG))),
    })
}

/// The newest checkpoint, or a part of it, which claims the same.
async fn newest_checkpoint(shared: &Shared, partition: u16) -> Result<Option<Checkpoint>, String> {
    let item = first(shared, layout::checkpoints_latest(&shared.config.origin, partition)).await?;
    item.map(|item| checkpoint::decode(&item.value)).transpose().map_err(|error| error.to_string())
}

/// Whether somebody opened a term above `own`.
pub(super) async fn newer_term(shared: &Shared, partition: u16, own: u64) -> Result<bool, String> {
    let range = layout::checkpoints_from(&shared.config.origin, partition, own + 1, 0);
    Ok(first(shared, range).await?.is_some())
}

/// The first item of a range; a page may be empty though more follow.
async fn first(shared: &Shared, range: TableRange) -> Result<Option<Item>, String> {
    let mut range = range.limit(1);
    loop {
        let page = shared.table.query(range.clone()).await.map_err(|error| error.to_string())?;
        match (page.items.into_iter().next(), page.next) {
            (Some(item), _) => return Ok(Some(item)),
            (None, None) => return Ok(None),
            (None, Some(token)) => range = range.after(token),
        }
    }
}

async fn ingress(shared: &Shared, partition: u16) -> Result<Range<Offset>, String> {
    let described = shared.log.describe(&shared.config.ingress, None).await;
    let described = described.map_err(|error| error.to_string())?;
    let extent =
        described.partitions.get(usize::from(partition)).ok_or("the ingress has no such partition")?;
    Ok(extent.earliest..extent.end)
}

/// Reads the log from the checkpoint's record to its end.
async fn log_tail(
    shared: &Shared,
    partition: u16,
    checkpoint: Option<&Checkpoint>,
) -> Result<Result<Tail, Taken>, String> {
    let from = checkpoint.map_or_else(LogEnd::default, |checkpoint| checkpoint.log);
    let mut tail = Tail::from(checkpoint);
    let mut next = if from.at.n == 0 { earliest(shared, partition).await? } else { from.offset };
    loop {
        let page = match shared.log.read(&shared.config.log, partition, next, PAGE_BYTES).await {
            Ok(page) => page,
            Err(Error::OutOfRange { .. }) => {
                let shorter = Why::LogShorter { claimed: from.at.n, found: 0 };
                return Ok(Err(Taken::Refused(shorter)));
            }
            Err(Error::MissingTopic(..)) => return Ok(Err(Taken::Missing(LOG))),
            Err(error) => return Err(error.to_string()),
        };
        if page.entries.is_empty() {
            return Ok(Ok(tail));
        }
        next = page.next;
        for entry in page.entries {
            let placed = entry.record.header(LOG_POS).and_then(|bytes| Placed::decode(bytes).ok());
            let Some(placed) = placed else { continue };
            let value = entry.record.value;
            let record = LogRecord::decode(value.clone()).map_err(|error| error.to_string())?;
            tail.read(&record.counted(&value, placed), record.names(), entry.offset);
        }
    }
}

async fn earliest(shared: &Shared, partition: u16) -> Result<Offset, String> {
    let described = shared.log.describe(&shared.config.log, None).await.map_err(|error| error.to_string())?;
    let extent = described.partitions.get(usize::from(partition)).ok_or("the log has no such partition")?;
    Ok(extent.earliest)
}

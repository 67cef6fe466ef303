//! All that is left of a region's ended lives is put into every region's table, and then each table is told
//! so: from then on nobody waits for what was lost with them (E1, E24).
//!
//! A segment that survives stands in some region's table, or in a log: the life's own, if the region's log is
//! left, or what another region mirrored of it. Everything else only carries on what stands there: whatever
//! takes part in decisions about others is put into a table before anybody decides by it. What is on its way
//! at that moment, in a mirror's or a table's replication or in a call to a table, is given `SETTLE` to
//! arrive, and then all is looked at again, until such a look finds nothing that some table lacked.
//!
//! A log is read once, and then from where that ended, at each look as far as it reached when that began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sterna_log::{Error as LogError, Log, Offset, Topic};
use sterna_persistence::touched::touch;
use sterna_proto::record::{LogRecord, Stored};
use sterna_storage::{Item, control, layout};
use sterna_stream::Origin;

use super::union::{ITEMS_AT_ONCE, United, give, unite};
use super::{Error, Rebuild};
use crate::stores;

/// How long whatever is on its way to a log or a table has to arrive before all is looked at again.
const SETTLE: Duration = Duration::from_secs(15);
/// Looks after which it is given up, nothing declared: something still brings more of what has ended.
pub(super) const LOOKS: u32 = 40;
/// Bytes of a log that are read at once.
const PAGE_BYTES: usize = 1024 * 1024;

/// A partition that is read, and where it ended when that began.
struct Reading<'a> {
    log: &'a Arc<dyn Log>,
    topic: &'a Topic,
    partition: u16,
    end: Offset,
}

/// How far each log was read: its number, topic and partition.
type Read = BTreeMap<(usize, Topic, u16), Offset>;

pub(super) async fn gather(rebuild: &Rebuild) -> Result<United, Error> {
    let mut read = Read::new();
    let found = settled(rebuild, &mut read).await?;
    for table in rebuild.tables() {
        for life in rebuild.ended() {
            control::declare_gathered(table, &life).await?;
        }
    }
    Ok(found)
}

/// Looks at everything until a look finds nothing that some table lacked.
async fn settled(rebuild: &Rebuild, read: &mut Read) -> Result<United, Error> {
    let mut found = look(rebuild, read).await?;
    for _ in 1..LOOKS {
        tokio::time::sleep(SETTLE).await;
        let again = look(rebuild, read).await?;
        found = United { given: found.given + again.given, forks: again.forks };
        if again.given == 0 {
            return Ok(found);
        }
    }
    Err(Error::Unsettled { looks: LOOKS, given: found.given })
}

/// Looks at everything once: gives each table what it lacks of what logs and tables hold.
async fn look(rebuild: &Rebuild, read: &mut Read) -> Result<United, Error> {
    let given = from_logs(rebuild, read).await?;
    let united = unite(rebuild).await?;
    Ok(United { given: given + united.given, ..united })
}

/// Gives each table what it lacks of what logs hold that was not read yet.
async fn from_logs(rebuild: &Rebuild, read: &mut Read) -> Result<u64, Error> {
    let mut given = United::default();
    for life in rebuild.ended() {
        let own = (&rebuild.log, stores::own_log(&life));
        let mirrored = rebuild.mirrored.iter().map(|log| (log, stores::mirrored_log(&life)));
        for (number, (log, topic)) in [own].into_iter().chain(mirrored).enumerate() {
            let described = match log.describe(&topic, None).await {
                Ok(described) => described,
                Err(LogError::MissingTopic(..)) => continue,
                Err(error) => return Err(error.into()),
            };
            for (partition, extent) in (0..).zip(&described.partitions) {
                let next = read.entry((number, topic.clone(), partition)).or_insert(extent.earliest);
                *next = extent.earliest.max(*next);
                let reading = Reading { log, topic: &topic, partition, end: extent.end };
                partition_of(rebuild, reading, &life, next, &mut given).await?;
            }
        }
    }
    Ok(given.given)
}

async fn partition_of(
    rebuild: &Rebuild,
    Reading { log, topic, partition, end }: Reading<'_>,
    life: &Origin,
    next: &mut Offset,
    given: &mut United,
) -> Result<(), Error> {
    while *next < end {
        let page = log.read(topic, partition, *next, PAGE_BYTES).await?;
        if page.entries.is_empty() {
            return Ok(());
        }
        let mut items = Vec::new();
        for entry in page.entries {
            let unreadable = |error| Error::Unreadable(format!("a record of {topic} ({error})"));
            match LogRecord::decode(entry.record.value).map_err(unreadable)? {
                LogRecord::Segment(stored) if stored.segment.origin == *life => items.push(item(stored)),
                LogRecord::Segment(_) | LogRecord::Mark(_) | LogRecord::Unknown => {}
            }
        }
        for table in rebuild.tables() {
            for item in &items {
                touch(table, &rebuild.region, &item.value).await?;
            }
            for items in items.chunks(ITEMS_AT_ONCE) {
                give(table, items, true, given).await?;
            }
        }
        *next = page.next;
    }
    Ok(())
}

fn item(stored: Stored) -> Item {
    let Stored { segment, bytes } = stored;
    Item { key: layout::segment(&segment.stream, &segment.origin, segment.first), value: bytes, version: 0 }
}

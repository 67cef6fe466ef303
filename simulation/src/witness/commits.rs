//! What a commit of state's passes stands in the region's own table (E20).
//!
//! Read behind the faults, whatever roles are told; each record once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sterna_cluster::MemoryStores;
use sterna_log::{Log, Offset, Topic};
use sterna_proto::record::LogRecord;
use sterna_storage::{Consistency, Table, layout};

/// Bytes of a log that are read at once.
const PAGE_BYTES: usize = 1024 * 1024;

/// A region's log and table, and how far they were compared. Clones are the same one.
#[derive(Clone)]
pub struct Commits {
    log: Arc<dyn Log>,
    table: Arc<dyn Table>,
    compared: Arc<Mutex<BTreeMap<(Topic, u16), Offset>>>,
}

impl Commits {
    /// Nothing is compared yet.
    pub fn new(stores: &MemoryStores) -> Self {
        Self { log: stores.log.clone(), table: stores.table.clone(), compared: Arc::default() }
    }

    /// The first segment below these offsets that the table does not hold, in words.
    pub(super) async fn lacks(&self, partition: u16, upto: &[(Topic, Offset)]) -> Option<String> {
        for (topic, upto) in upto {
            let before = {
                let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
                let compared = compared.entry((topic.clone(), partition)).or_default();
                std::mem::replace(compared, (*upto).max(*compared))
            };
            let lacks = self.between((topic, partition), (before, *upto)).await;
            if lacks.is_some() {
                return lacks;
            }
        }
        None
    }

    async fn between(
        &self,
        (topic, partition): (&Topic, u16),
        (mut from, upto): (Offset, Offset),
    ) -> Option<String> {
        while from < upto {
            let page = self.log.read(topic, partition, from, PAGE_BYTES).await.ok()?;
            for entry in page.entries.into_iter().filter(|entry| entry.offset < upto) {
                let Ok(LogRecord::Segment(stored)) = LogRecord::decode(entry.record.value) else { continue };
                let segment = &stored.segment;
                let key = layout::segment(&segment.stream, &segment.origin, segment.first);
                let found = self.table.get(std::slice::from_ref(&key), Consistency::Consistent).await.ok()?;
                if found.into_iter().flatten().next().is_none() {
                    let (stream, first) = (&key.hash, &key.sort);
                    let what = format!("{topic}/{partition} up to {upto}, and lacks {stream} {first}");
                    return Some(what);
                }
            }
            if page.next <= from {
                return None;
            }
            from = page.next;
        }
        None
    }
}

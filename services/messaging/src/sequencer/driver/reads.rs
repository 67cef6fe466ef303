//! What a term reads beside its feed: segments of a stream, newer terms, the ingress once more.

use futures_util::FutureExt;
use sterna_log::Offset;
use sterna_stream::{Hlc, StreamId};

use super::super::ingress;
use super::super::stored::Page;
use super::super::takeover::newer_term;
use super::{Done, Term};

/// Bytes of ingress read again at once.
const REREAD_BYTES: usize = 1024 * 1024;

impl Term<'_> {
    pub(super) fn read_range(&mut self, stream: StreamId, since: Hlc, last: u64) {
        let page = self.tables.clone().range(stream.clone(), since, last);
        let done = page.map(move |page| match page {
            Ok(Page { segments, rest }) => {
                Done::Range { stream, since, segments, rest: rest.map(|span| span.upto) }
            }
            Err(why) => Done::Broken(why),
        });
        self.carry_on(Box::pin(done));
    }

    pub(super) fn read_term(&mut self) {
        let (shared, partition, own) = (self.driver.shared.clone(), self.driver.partition, self.term);
        self.carry_on(Box::pin(async move {
            let newer = newer_term(&shared, partition, own).await.unwrap_or_else(|error| {
                tracing::warn!(
                    partition,
                    error,
                    "no newer term could be looked for; the next tick does again"
                );
                false
            });
            Done::Term { newer }
        }));
    }

    pub(super) fn reread(&mut self, from: Offset, upto: Offset) {
        let shared = self.driver.shared.clone();
        let (partition, mut tables) = (self.driver.partition, self.tables.clone());
        self.carry_on(Box::pin(async move {
            loop {
                match shared.log.read(&shared.config.ingress, partition, from, REREAD_BYTES).await {
                    Ok(page) => {
                        let next = if page.entries.is_empty() { upto } else { page.next.min(upto) };
                        let below = page.entries.into_iter().filter(|entry| entry.offset < upto);
                        return Done::Reread(below.filter_map(ingress::record).collect(), next);
                    }
                    Err(error) => tracing::warn!(%error, "the ingress could not be read again"),
                }
                tables.pause().await;
            }
        }));
    }
}

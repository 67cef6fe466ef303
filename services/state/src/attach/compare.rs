//! Comparison of heads (E16): a shard says how far it has the streams that it follows, and is told only of
//! those of which there is more. Nearly always that is none, so a comparison costs next to nothing but the
//! look into the table, which is never left out (E10).

use sterna_proto::{convert, v1};
use sterna_stream::{Hlc, StreamId};

use super::{Gone, HEADS_AT_ONCE, Shard, heads};
use crate::hub::Head;

impl Shard {
    /// Where the shard lacks something, or gets no pushes, it follows anew and joins at the head. What
    /// another instance owns is that one's to compare.
    pub(super) async fn compare(&self, wish: v1::Heads) -> Result<(), Gone> {
        let mut anew = Vec::new();
        for part in wish.heads.chunks(HEADS_AT_ONCE) {
            let (streams, theirs): (Vec<_>, Vec<_>) = part.iter().filter_map(|of| self.owned(of)).unzip();
            if streams.is_empty() {
                continue;
            }
            let table = heads(&self.role, &streams).await.map_err(|()| Gone)?;
            let mut hub = self.role.hub.lock();
            let compared = streams.into_iter().zip(theirs.iter().zip(&table));
            let lacking =
                compared.filter(|(stream, (theirs, table))| !hub.agrees(self.id, stream, theirs, table));
            anew.extend(lacking.map(|(stream, _)| stream));
        }
        self.join(&anew).await?;
        self.room().await?.compared(self.id);
        Ok(())
    }

    fn owned(&self, of: &v1::HeadOf) -> Option<(StreamId, Head)> {
        let stream: StreamId = of.stream.parse().ok()?;
        let owned = self.role.hub.lock().answers_for(&stream);
        // A head that cannot be read covers nothing.
        let cursor = convert::cursor(of.head.as_ref()).unwrap_or_default();
        owned.then_some((stream, Head { cursor, newest: Hlc(of.newest) }))
    }
}

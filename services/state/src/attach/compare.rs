//! Comparison of heads (E16): a shard says how far it has the streams that it follows, and is told only of
//! those of which there is more. Nearly always that is none, so a comparison costs next to nothing but the
//! look into the table, which a shard of very many streams leaves out in some of its rounds.

use sterna_proto::{convert, v1};
use sterna_stream::{Hlc, StreamId};

use super::{Gone, HEADS_AT_ONCE, Shard, heads};
use crate::hub::Head;

/// What a shard says of a stream that this instance owns.
struct Asked {
    stream: StreamId,
    theirs: Head,
    /// The table is to be looked into.
    look: bool,
}

impl Asked {
    fn to_look_into(&self) -> Option<StreamId> {
        self.look.then(|| self.stream.clone())
    }
}

impl Shard {
    /// Where the shard lacks something, or gets no pushes, it follows anew and joins at the head. What
    /// another instance owns is that one's to compare.
    pub(super) async fn compare(&self, wish: v1::Heads) -> Result<(), Gone> {
        let mut anew = Vec::new();
        for part in wish.heads.chunks(HEADS_AT_ONCE) {
            let owned: Vec<Asked> = part.iter().filter_map(|of| self.owned(of)).collect();
            let to_look_into: Vec<StreamId> = owned.iter().filter_map(Asked::to_look_into).collect();
            let mut table = heads(&self.role, &to_look_into).await.map_err(|()| Gone)?.into_iter();
            let mut hub = self.role.hub.lock();
            for Asked { stream, theirs, look } in owned {
                let table = if look { table.next().ok_or(Gone)? } else { Head::default() };
                if !hub.agrees(self.id, &stream, &theirs, &table) {
                    anew.push(stream);
                }
            }
        }
        self.join(&anew).await?;
        self.room().await?.compared(self.id);
        Ok(())
    }

    fn owned(&self, of: &v1::HeadOf) -> Option<Asked> {
        let stream: StreamId = of.stream.parse().ok()?;
        let owned = self.role.hub.lock().answers_for(&stream);
        // A head that cannot be read covers nothing.
        let cursor = convert::cursor(of.head.as_ref()).unwrap_or_default();
        let theirs = Head { cursor, newest: Hlc(of.newest) };
        owned.then_some(Asked { stream, theirs, look: !of.looked_lately })
    }
}

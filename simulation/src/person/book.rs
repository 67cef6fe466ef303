//! What a device holds of one stream, by the client's rules 7 to 9.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use sterna_protocol::frame::{Event, Gap, GapReason};
use sterna_stream::invariants::{Tiling, Violation};
use sterna_stream::limits::MAX_BACKLOG;
use sterna_stream::order::{Entry, Place};
use sterna_stream::{ContentHash, Cursor, Hlc, Origin};

/// See the file's head.
#[derive(Debug, Default)]
pub struct Book {
    /// Per origin, how events and gaps tile.
    pub tilings: BTreeMap<Origin, Tiling>,
    /// What was shown, in the order it came.
    pub shown: Vec<Entry>,
    /// Where the region said that the stream ends, at the last subscription.
    pub head: Cursor,
    /// Whether the region said so on this socket.
    pub subscribed: bool,
    /// The newest stamp shown.
    pub newest: Hlc,
    /// How far the device ever said that it has stored the stream.
    pub stored: Cursor,
    /// Whether the device asked on this socket as if it had no memory.
    pub forgot: bool,
    /// The last refusal to follow it on this socket, if that stands.
    pub refused: Option<&'static str>,
}

impl Book {
    /// The cursor.
    pub fn cursor(&self) -> Cursor {
        let mut cursor = Cursor::new();
        for (origin, tiling) in &self.tilings {
            cursor.advance(origin, tiling.at());
        }
        cursor
    }

    /// Takes an event in (rule 7); whether it was new.
    ///
    /// # Errors
    /// If something before it is missing.
    pub fn event(&mut self, event: &Event) -> Result<bool, Violation> {
        let tiling = self.tilings.entry(event.origin.clone()).or_default();
        if event.seq <= tiling.at() {
            return Ok(false);
        }
        tiling.event(event.seq)?;
        self.newest = self.newest.max(event.hlc);
        self.shown.push(entry(event));
        Ok(true)
    }

    /// Takes a gap in (rules 8 and 9).
    ///
    /// # Errors
    /// If it leaves a hole before it.
    pub fn gap(&mut self, gap: &Gap) -> Result<(), Violation> {
        if gap.reason == GapReason::Waiting {
            return Ok(());
        }
        // A stored cursor moves by what the device says, and by nothing else (rule 4). It is told first: what
        // is skipped later is of a long backlog.
        let first = gap.reason == GapReason::Skipped && std::mem::take(&mut self.forgot);
        let stored = first && gap.from.is_empty();
        if stored && !self.stored.covers(&gap.to) && !self.is_cut(&gap.to) {
            let (id, words) = ("E17", "a stored cursor is ahead of what its device said");
            return Err(Violation {
                id,
                words,
                numbers: vec![("stored", gap.to.to_string()), ("said", self.stored.to_string())],
            });
        }
        for (origin, to) in gap.to.iter() {
            self.tilings.entry(origin.clone()).or_default().gap(gap.from.get(origin), to)?;
        }
        Ok(())
    }

    /// Whether the stream is far from so long that its backlog is cut off (rule 5): a device that has stored
    /// nothing yet is told a gap then that looks like one of what it has stored.
    pub fn is_short(&self) -> bool {
        let mut known = self.cursor();
        known.merge(&self.head);
        count(&known) < MAX_BACKLOG as u64 / 2
    }

    /// Whether so much comes behind a cursor that a long backlog was cut off there. Half, because the head
    /// moves on while the backlog is read.
    fn is_cut(&self, to: &Cursor) -> bool {
        count(&self.head).saturating_sub(count(to)) >= MAX_BACKLOG as u64 / 2
    }

    /// Whether it is where the region said the stream ends.
    pub fn is_current(&self) -> bool {
        self.subscribed && self.cursor().covers(&self.head)
    }
}

/// Events up to a cursor.
fn count(cursor: &Cursor) -> u64 {
    cursor.iter().map(|(_, seq)| seq).sum()
}

/// What order and twins look at, from what a device sees of an event.
pub(super) fn entry(event: &Event) -> Entry {
    Entry {
        place: Place { hlc: event.hlc, origin: event.origin.clone(), seq: event.seq },
        author: event.author.clone(),
        id: event.event_id,
        content: content(event.kind.as_str(), event.payload.as_str().as_bytes()),
        resend: event.resend,
    }
}

/// Tells contents apart, for a device that does not know the tenant's key.
pub fn content(kind: &str, payload: &[u8]) -> ContentHash {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(payload).finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    ContentHash(hash)
}

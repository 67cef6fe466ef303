//! Lists that may be longer than a frame, as several frames: a `subscribe` to hundreds of streams, and its
//! answer.
//!
//! Lengths are counted as JSON's, which are never below protobuf's, and upwards, so that every part fits in
//! both.

use sterna_stream::limits::FRAME_BYTES;
use sterna_stream::{Cursor, StreamId};

use super::{Cursors, Presence, Subscribe, Subscribed, Unsubscribe};

/// What a frame may take beside the items of its list: its name, a stream's id and its other fields.
const AROUND_BYTES: usize = 512;
/// What an item may take beside its ids, cursors and names: its fields' names and its numbers.
const ITEM_BYTES: usize = 96;
/// What an origin takes in a cursor beside its name.
const PLACE_BYTES: usize = 20;

impl Subscribe {
    /// The same subscriptions in as many frames as they need; `mine` and its tail stand in the first.
    pub fn into_frames(self) -> Vec<Self> {
        let bytes =
            parts(self.streams, |asked| stream(&asked.stream) + asked.cursor.as_ref().map_or(0, cursor));
        let mut frames: Vec<Self> =
            bytes.into_iter().map(|streams| Self { streams, ..Self::default() }).collect();
        frames[0].mine = self.mine;
        frames[0].tail = self.tail;
        frames
    }
}

impl Unsubscribe {
    /// The same streams in as many frames as they need.
    pub fn into_frames(self) -> Vec<Self> {
        parts(self.streams, stream).into_iter().map(|streams| Self { streams }).collect()
    }
}

impl Cursors {
    /// The same cursors in as many frames as they need.
    pub fn into_frames(self) -> Vec<Self> {
        let parts = parts(self.streams, |stored| stream(&stored.stream) + cursor(&stored.cursor));
        parts.into_iter().map(|streams| Self { streams }).collect()
    }
}

impl Subscribed {
    /// The same heads in as many frames as they need.
    pub fn into_frames(self) -> Vec<Self> {
        let parts = parts(self.streams, |of| stream(&of.stream) + cursor(&of.head) + cursor(&of.known));
        parts.into_iter().map(|streams| Self { streams }).collect()
    }
}

impl Presence {
    /// The same users in as many frames as they need; the first is `full` if this is, the others add to it.
    pub fn into_frames(self) -> Vec<Self> {
        // Twice, because JSON may escape every byte of a name.
        let parts = parts(self.users, |of| 2 * of.user.as_str().len() + of.state.as_str().len());
        let first = self.full;
        let frame = |(at, users)| Self {
            stream: self.stream.clone(),
            full: first && at == 0,
            online: self.online,
            users,
        };
        parts.into_iter().enumerate().map(frame).collect()
    }
}

/// Cuts `items` into runs that fit a frame each; there is always one.
fn parts<T>(items: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    let mut taken = AROUND_BYTES;
    for item in items {
        let more = ITEM_BYTES + bytes(&item);
        if taken + more > FRAME_BYTES && taken > AROUND_BYTES {
            parts.push(Vec::new());
            taken = AROUND_BYTES;
        }
        taken += more;
        parts.last_mut().expect("there is always one").push(item);
    }
    parts
}

fn stream(stream: &StreamId) -> usize {
    stream.as_str().len()
}

fn cursor(cursor: &Cursor) -> usize {
    cursor.iter().map(|(origin, _)| origin.as_str().len() + PLACE_BYTES).sum()
}

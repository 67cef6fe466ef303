//! What `state` is told of sessions and of who is watched.

use sterna_proto::v1;
use sterna_stream::StreamId;
use sterna_stream::limits::SESSION_NEWS;

use super::Outward;
use crate::registered::ROWS;

impl Outward {
    /// Somebody wants to know who is in a stream, or nobody any more.
    pub(crate) fn watch(&self, stream: &StreamId, on: bool) {
        for wishes in &self.wishes {
            wishes.changed.borrow_mut().watch.insert(stream.clone(), on);
            wishes.wake.notify_one();
        }
    }

    /// A session was opened or closed.
    pub(crate) fn registered(&self, row: v1::SessionRow, opened: bool) {
        for wishes in &self.wishes {
            let mut changed = wishes.changed.borrow_mut();
            if changed.sessions.len() < SESSION_NEWS {
                changed.sessions.push((opened, row.clone()));
            }
            wishes.wake.notify_one();
        }
    }

    /// Sessions that are still there.
    pub(crate) fn renewed(&self, rows: &[v1::SessionRow]) {
        for wishes in &self.wishes {
            let mut changed = wishes.changed.borrow_mut();
            if changed.renewals.len() + rows.len() <= SESSION_NEWS {
                changed.renewals.extend_from_slice(rows);
            }
            wishes.wake.notify_one();
        }
    }
}

/// Openings and closings in their order, as few messages as keep it.
pub(super) fn in_runs(news: Vec<(bool, v1::SessionRow)>) -> Vec<(bool, v1::SessionRows)> {
    let mut runs: Vec<(bool, v1::SessionRows)> = Vec::new();
    for (opened, row) in news {
        match runs.last_mut().filter(|(of, rows)| *of == opened && rows.sessions.len() < ROWS) {
            Some((_, rows)) => rows.sessions.push(row),
            None => runs.push((opened, v1::SessionRows { sessions: vec![row], renewal: false })),
        }
    }
    runs
}

//! How often in a row the log answered that a topic is missing.
//!
//! One such answer proves nothing: of a broker that restarts, or behind a change of leaders, a topic may be
//! unknown for moments though all of it is there. A row of [`TOPIC_MISSES`] ends the work of whoever counts.
//! This counts only. Whether a topic that *is* there is the one that it was is judged by its identity, at
//! once and whatever was answered before (E1).

use std::time::Duration;

use sterna_stream::limits::TOPIC_MISSES;
use tokio::time::Instant;

/// An answer so long after the one before it begins another row.
const ROW_ENDS: Duration = Duration::from_secs(60);

/// A row of such answers.
#[derive(Default)]
pub(crate) struct Misses {
    row: u32,
    last: Option<Instant>,
}

impl Misses {
    /// The topic was there.
    pub(crate) fn over(&mut self) {
        *self = Self::default();
    }

    /// One more such answer about the topic that is called `name`: whether it is one too many.
    pub(crate) fn once_more(&mut self, name: &str) -> bool {
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last > ROW_ENDS) {
            self.row = 0;
        }
        (self.row, self.last) = (self.row + 1, Some(now));
        let row = self.row;
        tracing::warn!(topic = name, row, limit = TOPIC_MISSES, "the log answers that a topic is missing");
        row >= TOPIC_MISSES
    }

    /// How long the row is.
    pub(crate) fn row(&self) -> u32 {
        self.row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_row_is_ended_by_an_answer_and_by_time() {
        let mut misses = Misses::default();
        for _ in 1..TOPIC_MISSES {
            assert!(!misses.once_more("log"));
        }
        misses.over();
        assert!(!misses.once_more("log"));
        assert_eq!(misses.row(), 1);
        tokio::time::advance(ROW_ENDS * 2).await;
        for _ in 1..TOPIC_MISSES {
            assert!(!misses.once_more("log"));
        }
        assert!(misses.once_more("log"), "so many in a row");
    }
}

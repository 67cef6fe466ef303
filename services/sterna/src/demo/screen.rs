//! What is shown of a demo while it runs: a line that moves on a terminal, plain lines elsewhere, or nothing.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Duration;

use super::ledger::Ledger;

/// Where it is shown.
pub enum Screen {
    /// Nowhere.
    Quiet,
    /// On standard output, line by line.
    Plain,
    /// On standard output, above a line on standard error that moves.
    Moving(ProgressBar),
}

impl Screen {
    /// What suits where the output goes.
    pub fn fitting() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Plain;
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {msg}") {
            bar.set_style(style);
        }
        Self::Moving(bar)
    }

    /// One line.
    pub fn say(&self, line: &str) {
        match self {
            Self::Quiet => {}
            Self::Plain => put(line),
            Self::Moving(bar) => bar.suspend(|| put(line)),
        }
    }

    /// How far it is.
    pub fn progress(&self, at: Duration, of: Duration, ledger: &Ledger) {
        let Self::Moving(bar) = self else { return };
        let (sent, acked, delivered) = ledger.counts();
        bar.set_length(u64::try_from(of.as_millis()).unwrap_or(u64::MAX));
        bar.set_position(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        bar.set_message(format!("{sent} sent, {acked} acked, {delivered} delivered"));
    }

    /// The moving line goes.
    pub fn end(&self) {
        if let Self::Moving(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Whoever closed the output sees nothing; what goes on goes on.
fn put(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

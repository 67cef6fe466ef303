//! What a demo comes to, for people and for programs.

use std::fmt::{self, Write};

use serde::Serialize;

use super::latency::Percentiles;
use super::ledger::Verdict;

/// The end of a demo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The regions that ran.
    pub regions: Vec<String>,
    /// People, each with one device.
    pub people: usize,
    /// Rooms they talked in.
    pub rooms: usize,
    /// How long they talked.
    pub seconds: f64,
    /// Whether every promise was kept.
    pub kept: bool,
    /// The ledger.
    pub verdict: Verdict,
    /// Sending to ack, while nothing was broken.
    pub ack_calm: Percentiles,
    /// Sending to ack, crashes included.
    pub ack: Percentiles,
    /// Sending to another's screen, while nothing was broken.
    pub delivery_calm: Percentiles,
    /// Sending to another's screen, crashes included.
    pub delivery: Percentiles,
    /// Roles that did not end by themselves.
    pub roles_cut_at_the_end: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = String::new();
        writeln!(table, "  {:22}{:>9}{:>12}{:>12}{:>12}", "latency", "samples", "p50", "p99", "longest")?;
        for (what, percentiles) in [
            ("ack", self.ack_calm),
            ("ack, with crashes", self.ack),
            ("delivery", self.delivery_calm),
            ("delivery, with crashes", self.delivery),
        ] {
            let Percentiles { samples, p50_us, p99_us, max_us } = percentiles;
            let [p50, p99, max] = [p50_us, p99_us, max_us].map(milliseconds);
            writeln!(table, "  {what:22}{samples:>9}{p50:>12}{p99:>12}{max:>12}")?;
        }
        let v = &self.verdict;
        writeln!(f, "{table}")?;
        writeln!(f, "  ledger")?;
        writeln!(f, "    sent {}, acked {}, delivered {}", v.sent, v.acked, v.delivered)?;
        for (count, what) in [(v.refused, "refused"), (v.unsaved, "gone with a device before it was stored")]
        {
            if count > 0 {
                writeln!(f, "    {count} {what}")?;
            }
        }
        writeln!(f, "    lost {}, shown twice {}, unanswered {}", v.lost, v.shown_twice, v.unanswered)?;
        if v.invented > 0 {
            writeln!(f, "    shown and never sent {}", v.invented)?;
        }
        let order = match v.reordered {
            0 => "equal everywhere".to_owned(),
            places => format!("DIFFERENT in {places} places"),
        };
        writeln!(f, "    order {order}")?;
        if !self.roles_cut_at_the_end.is_empty() {
            writeln!(f, "  did not end by themselves: {}", self.roles_cut_at_the_end.join(", "))?;
        }
        write!(f, "  {}", if self.kept { "every promise kept" } else { "A PROMISE WAS BROKEN" })
    }
}

fn milliseconds(us: u32) -> String {
    format!("{:.2} ms", f64::from(us) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_plain_to_see() {
        let percentiles = Percentiles { samples: 3, p50_us: 1_250, p99_us: 2_000, max_us: 1_000_000 };
        let mut report = Report {
            regions: vec!["us-east-1".into()],
            people: 2,
            rooms: 1,
            seconds: 1.0,
            kept: true,
            verdict: Verdict { sent: 3, acked: 3, delivered: 6, ..Verdict::default() },
            ack_calm: percentiles,
            ack: percentiles,
            delivery_calm: percentiles,
            delivery: percentiles,
            roles_cut_at_the_end: vec![],
        };
        let text = report.to_string();
        assert!(text.contains("1.25 ms") && text.contains("1000.00 ms"), "{text}");
        assert!(text.ends_with("order equal everywhere\n  every promise kept"), "{text}");
        report.verdict.lost = 2;
        report.verdict.reordered = 1;
        report.kept = report.verdict.holds();
        let text = report.to_string();
        assert!(text.contains("lost 2,") && text.contains("DIFFERENT in 1 places"), "{text}");
        assert!(text.ends_with("A PROMISE WAS BROKEN"), "{text}");
    }
}

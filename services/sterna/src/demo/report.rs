//! What a demo comes to, for people and for programs.

use std::fmt::{self, Write};

use serde::Serialize;

use super::latency::Percentiles;
use super::ledger::Verdict;
use super::unrest::Recovery;

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
    /// Event items of the tables in which a region differs from the first, at the end (G5).
    pub table_differences: usize,
    /// Devices that ended in another region than they began in.
    pub changed_region: usize,
    /// Sending to ack, while nothing was broken.
    pub ack_calm: Percentiles,
    /// Sending to ack, faults included.
    pub ack: Percentiles,
    /// Sending to another's screen, from region to region.
    pub delivery: Vec<Pair>,
    /// How each fault went.
    pub faults: Vec<Recovery>,
    /// Roles that did not end by themselves.
    pub roles_cut_at_the_end: Vec<String>,
}

/// Delivery from one region's people to another's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Where it was sent.
    pub from: String,
    /// Where it was shown.
    pub to: String,
    /// Half a round trip, microseconds.
    pub one_way_us: u32,
    /// The same as it was injected in this run: timers end late. Nothing can be faster.
    pub injected_us: u32,
    /// While nothing was broken.
    pub calm: Percentiles,
    /// Faults included.
    pub all: Percentiles,
}

impl Report {
    fn latencies(&self, out: &mut String) -> fmt::Result {
        let width = self.delivery.iter().map(|pair| pair.from.len() + pair.to.len() + 4).max().unwrap_or(0);
        let head = ["one way", "p50", "p99", "longest", "samples", "p99, with faults"];
        let [one_way, p50, p99, longest, samples, faults] = head;
        writeln!(
            out,
            "  {:width$}{one_way:>10}{p50:>10}{p99:>10}{longest:>10}{samples:>10}{faults:>19}",
            "delivery, ms"
        )?;
        let mut line = |what: &str, one_way: &str, calm: Percentiles, all: Percentiles| {
            let [p50, p99, max] = [calm.p50_us, calm.p99_us, calm.max_us].map(milliseconds);
            let (samples, faults) = (calm.samples, milliseconds(all.p99_us));
            writeln!(out, "  {what:width$}{one_way:>10}{p50:>10}{p99:>10}{max:>10}{samples:>10}{faults:>19}")
        };
        for pair in &self.delivery {
            let what = format!("{} → {}", pair.from, pair.to);
            line(&what, &milliseconds(pair.injected_us), pair.calm, pair.all)?;
        }
        line("ack", "", self.ack_calm, self.ack)
    }

    fn recoveries(&self, out: &mut String) -> fmt::Result {
        let width = self.faults.iter().map(|fault| fault.fault.chars().count()).max().unwrap_or(0);
        for fault in &self.faults {
            let lasted = fault.lasted_ms as f64 / 1_000.0;
            let after = match fault.recovered_ms {
                Some(ms) => format!("made good after {:.1} s", ms as f64 / 1_000.0),
                None => "the next came before it was made good".to_owned(),
            };
            writeln!(out, "    {:width$}{lasted:>6.1} s, {after}", fault.fault)?;
        }
        Ok(())
    }

    fn ledger(&self, out: &mut String) -> fmt::Result {
        let v = &self.verdict;
        writeln!(out, "    sent {}, acked {}, delivered {}", v.sent, v.acked, v.delivered)?;
        if v.judged_early > 0 {
            writeln!(
                out,
                "    {} of them judged when they were on every screen, then forgotten",
                v.judged_early
            )?;
        }
        if self.regions.len() > 1 {
            writeln!(out, "    known in another region {} (second acks)", v.safe)?;
            if v.alone > 0 {
                writeln!(out, "    acked and known in NO other region {}", v.alone)?;
            }
            writeln!(out, "    {} devices went on in another region", self.changed_region)?;
        }
        for (count, what) in [(v.refused, "refused"), (v.unsaved, "gone with a device before it was stored")]
        {
            if count > 0 {
                writeln!(out, "    {count} {what}")?;
            }
        }
        writeln!(out, "    lost {}, shown twice {}, unanswered {}", v.lost, v.shown_twice, v.unanswered)?;
        if v.invented > 0 {
            writeln!(out, "    shown and never sent {}", v.invented)?;
        }
        match v.reordered {
            0 => writeln!(out, "    order equal everywhere"),
            places => writeln!(out, "    order DIFFERENT in {places} places"),
        }?;
        if self.regions.len() > 1 {
            match self.table_differences {
                0 => writeln!(out, "    tables equal in all regions"),
                items => writeln!(out, "    tables DIFFERENT in {items} items"),
            }?;
        }
        if !self.roles_cut_at_the_end.is_empty() {
            writeln!(out, "    did not end by themselves: {}", self.roles_cut_at_the_end.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.latencies(&mut text)?;
        if !self.faults.is_empty() {
            writeln!(text, "\n  faults")?;
            self.recoveries(&mut text)?;
        }
        writeln!(text, "\n  ledger")?;
        self.ledger(&mut text)?;
        write!(f, "{text}  {}", if self.kept { "every promise kept" } else { "A PROMISE WAS BROKEN" })
    }
}

fn milliseconds(us: u32) -> String {
    format!("{:.1}", f64::from(us) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let percentiles = Percentiles { samples: 3, p50_us: 41_250, p99_us: 82_000, max_us: 1_000_000 };
        let pair = |from: &str, to: &str| Pair {
            from: from.into(),
            to: to.into(),
            one_way_us: 33_500,
            injected_us: 34_600,
            calm: percentiles,
            all: percentiles,
        };
        Report {
            regions: vec!["us-east-1".into(), "eu-west-1".into()],
            people: 2,
            rooms: 1,
            seconds: 1.0,
            kept: true,
            verdict: Verdict { sent: 3, acked: 3, safe: 2, delivered: 6, ..Verdict::default() },
            table_differences: 0,
            changed_region: 1,
            ack_calm: percentiles,
            ack: percentiles,
            delivery: vec![pair("us-east-1", "eu-west-1")],
            faults: vec![
                Recovery { fault: "a role".into(), lasted_ms: 500, recovered_ms: Some(1_250) },
                Recovery {
                    fault: "persistence of a region with a long name".into(),
                    lasted_ms: 12_000,
                    recovered_ms: None,
                },
            ],
            roles_cut_at_the_end: vec![],
        }
    }

    #[test]
    fn each_pair_of_regions_stands_beside_its_limit() {
        let text = report().to_string();
        let line = text.lines().nth(1).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..7], ["us-east-1", "→", "eu-west-1", "34.6", "41.2", "82.0", "1000.0"], "{text}");
        assert!(text.contains("0.5 s, made good after 1.2 s"), "{text}");
        let column = |line: &str| line.find(" s, ").unwrap();
        let faults: Vec<usize> = text.lines().filter(|line| line.contains(" s, ")).map(column).collect();
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0], faults[1], "one column, however long a name is: {text}");
        assert!(text.contains("known in another region 2"), "{text}");
        assert!(text.ends_with("tables equal in all regions\n  every promise kept"), "{text}");
    }

    #[test]
    fn a_broken_promise_is_plain_to_see() {
        let mut report = report();
        report.verdict.lost = 2;
        report.verdict.reordered = 1;
        report.table_differences = 7;
        report.kept = report.verdict.holds();
        let text = report.to_string();
        assert!(text.contains("lost 2,") && text.contains("DIFFERENT in 1 places"), "{text}");
        assert!(text.contains("DIFFERENT in 7 items"), "{text}");
        assert!(text.ends_with("A PROMISE WAS BROKEN"), "{text}");
    }
}

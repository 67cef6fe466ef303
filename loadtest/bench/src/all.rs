//! Every benchmark, one after another, each in a process of its own so that none inherits what another left
//! in memory; at the end one Markdown table with the targets, for loadtest/RESULTS.md.
//!
//! Rows of CPU run at real-time priority, so that other processes cost them nothing. Rows of delays do not:
//! at that priority Linux takes 50 ms of each second for everybody else, and that would be the 99th
//! percentile.
//! With `--other` each row is measured by both binaries in turns.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::Value;

use crate::process::median;
use crate::{Outcome, Problem};

#[derive(Args)]
pub(crate) struct Options {
    /// An older sterna-bench, measured in turns with this one.
    #[arg(long)]
    other: Option<PathBuf>,
    /// Turns of each row; the median counts.
    #[arg(long, default_value_t = 1)]
    turns: usize,
    /// Bun's binary; without it `fanout` measures ours alone.
    #[arg(long)]
    bun: Option<PathBuf>,
    /// Where each summary is added as a line of JSON.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Only rows that begin so, e.g. `path` or `"path paced"`.
    #[arg(long)]
    only: Option<String>,
    /// Nothing runs at real-time priority (for whoever may not).
    #[arg(long)]
    ordinary: bool,
}

/// One call, and whether it runs at real-time priority.
struct Row(&'static str, bool);

const ROWS: [Row; 13] = [
    Row("path saturated", true),
    Row("path saturated --together --runs 3", true),
    Row("path paced", true),
    Row("path paced --runs 2", false),
    Row("resume", true),
    Row("sequencer", true),
    Row("growth", true),
    Row("regions", false),
    Row("regions --mirror-only", false),
    Row("fanout --window-ms 700 --pairs 9", true),
    Row("fanout --window-ms 700 --pairs 9 --in-flight 1", true),
    Row("memory", false),
    Row("fairness --seconds 6", true),
];

/// A summary's name, the figure of it that is judged, and its target.
const TARGETS: [(&str, &str, &str); 18] = [
    ("path saturated", "cpu_us_per_event", "≤ 25"),
    ("path paced", "cpu_us_per_event", "≤ 60"),
    ("path paced awake", "cpu_us_per_event", "≤ 60"),
    ("path paced", "p99_ms", "≤ 5 (at ordinary priority)"),
    ("path paced awake", "p99_ms", "≤ 5 (at ordinary priority)"),
    ("resume", "cpu_us_per_event", "≤ 3"),
    ("sequencer", "events_per_cpu_s", "≥ 150,000 with 50 events a segment, ≥ 50,000 with 1"),
    ("growth streams", "ratio", "≤ 1.5"),
    ("growth length", "ratio", "≤ 1.2"),
    ("regions", "p50_ms", ""),
    ("regions", "p99_ms", ""),
    ("regions", "first_ms", ""),
    ("regions", "p50_between_ms", "≤ 1"),
    ("regions", "p99_between_ms", "≤ 3"),
    ("fanout", "ratio", "≤ 1.0 with 16 in flight"),
    ("memory", "bytes_per_session", "≤ 2,048"),
    ("memory", "bytes_per_further_subscription", "≤ 64"),
    ("fairness", "p99_ms", "≤ 10"),
];

pub(crate) fn run(options: &Options) -> Outcome {
    let own = std::env::current_exe()?;
    let mut table = vec!["| row | figure | this | other | target | load |".to_owned()];
    table.push("|---|---|---|---|---|---|".to_owned());
    for Row(words, realtime) in ROWS {
        if options.only.as_ref().is_some_and(|only| !words.starts_with(only.as_str())) {
            continue;
        }
        let (mut these, mut others) = (Vec::new(), Vec::new());
        for _ in 0..options.turns {
            these.push(measure(&own, words, realtime, options)?);
            if let Some(other) = &options.other {
                others.push(measure(other, words, realtime, options)?);
            }
        }
        let priority = if realtime && !options.ordinary { "" } else { ", ordinary priority" };
        table.extend(lines(&format!("{words}{priority}"), &these, &others));
    }
    println!("{}", table.join("\n"));
    Ok(())
}

/// The summaries that one call prints.
fn measure(program: &Path, words: &str, realtime: bool, options: &Options) -> Result<Vec<Value>, Problem> {
    eprintln!("{} {words}", program.display());
    let mut command = Command::new("chrt");
    command.args(if realtime && !options.ordinary { ["-f", "10"] } else { ["-o", "0"] });
    command.arg(program).args(words.split(' '));
    if let Some(bun) = options.bun.as_ref().filter(|_| words.starts_with("fanout")) {
        command.arg("--bun").arg(bun);
    }
    let output = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("{words} failed").into());
    }
    let text = String::from_utf8(output.stdout)?;
    if let Some(results) = &options.results {
        OpenOptions::new().create(true).append(true).open(results)?.write_all(text.as_bytes())?;
    }
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// One line for each judged figure of each summary; what stands at the same place in each turn belongs
/// together.
fn lines(row: &str, these: &[Vec<Value>], others: &[Vec<Value>]) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, summary) in these.first().into_iter().flatten().enumerate() {
        for (what, figure, target) in TARGETS {
            if summary["what"] != what {
                continue;
            }
            let of = |turns: &[Vec<Value>]| {
                let each: Vec<f64> = turns.iter().filter_map(|turn| turn.get(at)?[figure].as_f64()).collect();
                if each.is_empty() { "–".to_owned() } else { format!("{:.2}", median(each)) }
            };
            let (this, other) = (of(these), of(others));
            let load = summary["machine_load"].as_str().unwrap_or("–");
            let place = place(summary);
            lines.push(format!("| {row}{place} | {figure} | **{this}** | {other} | {target} | {load} |"));
        }
    }
    lines
}

/// What tells summaries of one call apart.
fn place(summary: &Value) -> String {
    match (&summary["from"], &summary["events_per_segment"], &summary["few"]) {
        (Value::String(from), ..) => format!(": {from} – {}", summary["to"].as_str().unwrap_or_default()),
        (_, Value::Number(events), _) if summary["what"] == "sequencer" => format!(": {events} a segment"),
        (.., Value::Number(few)) => format!(": {few} beside {}", summary["many"]),
        _ if summary["what"] == "resume" => format!(": {} streams", summary["streams"]),
        _ => String::new(),
    }
}

//! `sterna` as a program among others: how it takes signals.
//! Nothing waits for a time: what it tells is read line by line, and its end is waited for.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn sterna(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna"));
    command.args(arguments).envs(variables.iter().copied());
    command
}

/// A region that serves, and both of its outputs.
struct Region {
    child: Child,
    out: BufReader<ChildStdout>,
    told: BufReader<ChildStderr>,
}

impl Drop for Region {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Region {
    fn serving(notice_s: &str) -> Self {
        let variables = [
            ("STERNA_LISTEN__ADDRESS", "127.0.0.1:0"),
            ("STERNA_LISTEN__SHARDS", "2"),
            ("STERNA_OPERATOR__ADDRESS", ""),
            ("STERNA_DRAIN__NOTICE_S", notice_s),
        ];
        let mut command = sterna(&["serve"], &variables);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let told = BufReader::new(child.stderr.take().unwrap());
        let mut region = Self { child, out, told };
        let mut line = String::new();
        region.out.read_line(&mut line).unwrap();
        assert!(line.starts_with("serving on"), "{line}");
        region
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The next line of its log that has `text`.
    fn tells(&mut self, text: &str) -> String {
        let mut all = String::new();
        for line in self.told.by_ref().lines() {
            let line = line.unwrap();
            if line.contains(text) {
                return line;
            }
            all.push_str(&line);
            all.push('\n');
        }
        panic!("{text} was not told: {all}");
    }

    /// Its exit code and the rest of both outputs.
    fn ends(&mut self) -> (Option<i32>, String, String) {
        let (mut out, mut told) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.told.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), out, told)
    }
}

#[test]
fn each_signal_asks_for_an_end_in_good_order() {
    for signal in [Signal::HUP, Signal::TERM, Signal::INT] {
        let mut region = Region::serving("0");
        region.signal(signal);
        let (code, out, told) = region.ends();
        assert_eq!(code, Some(0), "{signal:?}: {out}{told}");
        assert!(out.ends_with("stopped in good order\n"), "{signal:?}: {out}");
    }
}

#[test]
fn the_end_is_told_with_what_it_waits_for_and_how_to_cut_it_short() {
    let mut region = Region::serving("3600");
    region.signal(Signal::TERM);
    let line = region.tells("stopping");
    for says in ["notice_s=3600", "sessions=0", "within_s=3", "a second Ctrl-C or SIGTERM ends at once"] {
        assert!(line.contains(says), "{says}: {line}");
    }
    // A terminal that closes says so more than once: it asks, and never cuts.
    region.signal(Signal::HUP);
    region.signal(Signal::TERM);
    let (code, _, told) = region.ends();
    assert_eq!(code, Some(130), "{told}");
    assert!(
        told.contains("ended at once, by a second signal: what the stores in memory held is gone"),
        "{told}"
    );
}

#[test]
fn who_was_started_to_ignore_a_hangup_goes_on_ignoring_it() {
    let script = "trap '' HUP; exec \"$0\" serve";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_sterna")]);
    command.env("STERNA_LISTEN__ADDRESS", "127.0.0.1:0").env("STERNA_OPERATOR__ADDRESS", "");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let told = BufReader::new(child.stderr.take().unwrap());
    let mut region = Region { child, out, told };
    region.tells("serving");
    let status = format!("/proc/{}/status", region.child.id());
    // Where the system does not tell, there is nothing to look at.
    if let Ok(status) = std::fs::read_to_string(status) {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        assert_eq!(u64::from_str_radix(mask.trim(), 16).unwrap() & 1, 1, "{status}");
    }
}

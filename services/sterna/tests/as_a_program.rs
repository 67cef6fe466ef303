//! `sterna` as a program among others: how it takes signals, what its last line and its exit code say.
//! Nothing waits for a time: what it tells is read line by line, and its end is waited for.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

fn sterna(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna"));
    command.args(arguments).envs(variables.iter().copied());
    command
}

fn ended(arguments: &[&str], variables: &[(&str, &str)]) -> (Output, String) {
    let output = sterna(arguments, variables).output().unwrap();
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    (output, told)
}

/// Longest that a region may take to end; then it is killed, and what it told is what the test shows.
const PATIENCE: Duration = Duration::from_secs(120);

/// Questions after whose answers a program has heard of a signal that was sent before them.
const QUESTIONS: usize = 20;

/// A region that serves, where clients come once it said so, and both of its outputs.
struct Region {
    child: Child,
    address: String,
    out: BufReader<ChildStdout>,
    told: BufReader<ChildStderr>,
    _here: Sender<()>,
}

/// Programs that are started from here do not ignore SIGHUP, though this one may have been started so: what
/// has a handler here is the system's own in them.
fn heed_hangups() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _within = runtime.enter();
    let _handler = signal(SignalKind::hangup()).unwrap();
}

impl Drop for Region {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Region {
    #[expect(clippy::disallowed_methods, reason = "a thread that ends with its region")]
    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let told = BufReader::new(child.stderr.take().unwrap());
        let (here, gone) = channel();
        let id = Pid::from_child(&child);
        std::thread::spawn(move || {
            if gone.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(id, Signal::KILL);
            }
        });
        Self { child, address: String::new(), out, told, _here: here }
    }

    fn serving(notice_s: &str) -> Self {
        let variables = [
            ("STERNA_LISTEN__ADDRESS", "127.0.0.1:0"),
            ("STERNA_LISTEN__SHARDS", "2"),
            ("STERNA_OPERATOR__ADDRESS", ""),
            ("STERNA_DRAIN__NOTICE_S", notice_s),
        ];
        let mut command = sterna(&["serve"], &variables);
        heed_hangups();
        let mut region = Self::of(&mut command);
        let mut line = String::new();
        region.out.read_line(&mut line).unwrap();
        let (address, _) =
            line.strip_prefix("serving on ").and_then(|rest| rest.split_once(';')).expect(&line);
        region.address = address.to_owned();
        region
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// It goes on serving, whatever was signalled before this.
    fn answers(&self) {
        for _ in 0..QUESTIONS {
            let mut socket = TcpStream::connect(&self.address).expect("it goes on");
            let asked = b"GET /health/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
            let mut answer = String::new();
            let heard = socket.write_all(asked).and_then(|()| socket.read_to_string(&mut answer));
            assert!(heard.is_ok() && answer.starts_with("HTTP/1.1 200 OK"), "{heard:?}: {answer}");
        }
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
    for says in ["notice_s=3600", "sessions=0", "a second Ctrl-C or SIGTERM ends at once"] {
        assert!(line.contains(says), "{says}: {line}");
    }
    let within = line.split("within_s=").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(within.parse::<u64>().unwrap() > 3_600, "the notice and the roles' bounds: {line}");
    // A terminal that closes says so more than once: it asks, and never cuts.
    for _ in 0..2 {
        region.signal(Signal::HUP);
        region.answers();
    }
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
    let mut region = Region::of(&mut command);
    region.tells("serving");
    let status = format!("/proc/{}/status", region.child.id());
    // Where the system does not tell, there is nothing to look at.
    if let Ok(status) = std::fs::read_to_string(status) {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        assert_eq!(u64::from_str_radix(mask.trim(), 16).unwrap() & 1, 1, "{status}");
    }
}

#[test]
fn the_last_error_is_a_line_like_the_others() {
    let missing = ["config", "check", "/no/such/file"];
    let (output, told) = ended(&missing, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.starts_with("error: cannot read /no/such/file") && told.contains("\n  because: "), "{told}");
    for filter in ["error", "off", "=no=filter="] {
        let (output, told) = ended(&missing, &[("STERNA_LOG_JSON", "1"), ("STERNA_LOG", filter)]);
        assert_eq!(output.status.code(), Some(1));
        let line: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(line["level"], "ERROR", "{told}");
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{told}");
        let says = if filter.contains('=') { "is no filter" } else { "cannot read /no/such/file" };
        assert!(line["fields"]["message"].as_str().unwrap().contains(says), "{told}");
    }
}

#[test]
fn the_variable_of_json_logs_is_a_switch() {
    for (value, json) in [("1", true), ("true", true), ("0", false), ("false", false)] {
        let (output, told) = ended(&["config", "check", "/no/such/file"], &[("STERNA_LOG_JSON", value)]);
        assert_eq!((output.status.code(), told.starts_with('{')), (Some(1), json), "{value}: {told}");
    }
    let (output, told) = ended(&["version"], &[("STERNA_LOG_JSON", "perhaps")]);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("write 1 or true, 0 or false"), "{told}");
}

#[test]
fn help_tells_the_exit_codes() {
    let (output, _) = ended(&["--help"], &[]);
    let help = String::from_utf8(output.stdout).unwrap();
    for says in ["Exit codes:", "  0  ", "  1  ", "  2  ", "  130  "] {
        assert!(help.contains(says), "{says}: {help}");
    }
}

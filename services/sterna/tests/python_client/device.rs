//! A device with the Python client: a child process that is told what to do in lines, and tells in lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use sterna_stream::StreamId;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::BOUND;
use crate::shown::Shown;

/// The interpreter, with the package that the client needs; `cargo xtask test` makes one.
const PYTHON: &str = "STERNA_PYTHON";
/// Lines that wait to be looked at.
const LINES: usize = 4_096;
/// So long that a region which is not heard is not noticed while the test says so.
const PING_INTERVAL_MS: &str = "60000";

/// What a device is started with.
pub(crate) struct Setup {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) stream: StreamId,
    /// The file with its cursor, events and outbox.
    pub(crate) storage: PathBuf,
}

/// What the process told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// State and its detail: the region, once there is one.
    pub(crate) state: (String, String),
    /// Own texts with a first ack, and with a second one.
    pub(crate) accepted: BTreeSet<String>,
    pub(crate) safe: BTreeSet<String>,
    /// Texts that arrived in this life, and how often.
    pub(crate) arrived: BTreeMap<String, usize>,
    /// Anything that should not happen.
    pub(crate) complaints: Vec<String>,
    answer: Option<Value>,
}

/// A running device.
pub(crate) struct Device {
    child: Child,
    to: ChildStdin,
    lines: mpsc::Receiver<String>,
    pub(crate) told: Told,
}

impl Device {
    /// Starts the program.
    pub(crate) fn start(setup: &Setup) -> Self {
        let python = std::env::var(PYTHON)
            .unwrap_or_else(|_| panic!("{PYTHON} names no interpreter; `cargo xtask test` runs this test"));
        let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../clients/python");
        let mut child = Command::new(python)
            .args(["-m", "tests.drive", "--url", &setup.url, "--stream", &setup.stream.to_string()])
            .args(["--ping-interval-ms", PING_INTERVAL_MS, "--storage"])
            .arg(&setup.storage)
            .env("STERNA_TOKEN", &setup.token)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let lines = lines(BufReader::new(from));
        Self { child, to, lines, told: Told::default() }
    }

    /// Publishes a text; what becomes of it is told.
    pub(crate) fn say(&mut self, text: &str) {
        self.write(&json!({ "publish": text }));
    }

    /// Waits until what was told is as it should be.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Told) -> bool) {
        let waited = timeout(BOUND, async {
            while !is_so(&self.told) {
                let line = self.lines.recv().await;
                self.told
                    .hear(&line.unwrap_or_else(|| panic!("it ended; waited for {what}: {:#?}", self.told)));
            }
        });
        let in_time = waited.await.is_ok();
        assert!(in_time, "waited for {what}: {:#?}", self.told);
    }

    /// Waits until it is live in a region.
    pub(crate) async fn live_in(&mut self, region: &str) {
        let state = ("live".to_owned(), region.to_owned());
        self.until(&format!("being live in {region}"), |told| told.state == state).await;
    }

    /// Waits until its outbox has sent all that it has, and gives (text, event id).
    pub(crate) async fn all_tried(&mut self) -> BTreeMap<String, String> {
        let asked = timeout(BOUND, async {
            loop {
                let entries = self.outbox().await;
                if entries.iter().all(|entry| entry["tried"] == true) {
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    return entries
                        .iter()
                        .map(|entry| (text(&entry["text"]), text(&entry["event_id"])))
                        .collect();
                }
            }
        });
        asked.await.expect("everything in the outbox was sent in time")
    }

    /// What is not yet safe.
    pub(crate) async fn outbox(&mut self) -> Vec<Value> {
        self.ask("outbox").await.as_array().unwrap().clone()
    }

    /// Everything that it shows, in its order, and everything that it has.
    pub(crate) async fn view(&mut self) -> View {
        let view = self.ask("view").await;
        let events = |name: &str| view[name].as_array().unwrap().iter().map(Shown::parsed).collect();
        let cursor = view["cursor"].as_object().unwrap().iter();
        View {
            shown: events("shown"),
            all: events("all"),
            cursor: cursor.map(|(origin, seq)| (origin.clone(), seq.as_u64().unwrap())).collect(),
            holes: view["holes"].as_array().unwrap().len(),
        }
    }

    /// Kills the process in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
    }

    /// Ends it in good order.
    pub(crate) async fn end(mut self) {
        self.write(&json!({ "ask": "end" }));
        let rest = async { while self.lines.recv().await.is_some() {} };
        timeout(BOUND, rest).await.expect("its output ends");
        assert!(self.child.wait().unwrap().success(), "it ended well");
    }

    async fn ask(&mut self, what: &str) -> Value {
        self.told.answer = None;
        self.write(&json!({ "ask": what }));
        self.until(&format!("the answer about its {what}"), |told| told.answer.is_some()).await;
        self.told.answer.take().unwrap()
    }

    fn write(&mut self, command: &Value) {
        writeln!(self.to, "{command}").and_then(|()| self.to.flush()).unwrap();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a device has of the stream.
pub(crate) struct View {
    pub(crate) shown: Vec<Shown>,
    pub(crate) all: Vec<Shown>,
    pub(crate) cursor: BTreeMap<String, u64>,
    pub(crate) holes: usize,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let told: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        if told.get("state").is_some() {
            self.state = (text("state"), text("detail"));
        } else if told.get("accepted").is_some() {
            self.accepted.insert(text("accepted"));
        } else if told.get("safe").is_some() {
            self.safe.insert(text("safe"));
        } else if let Some(event) = told.get("event") {
            let text = event["payload"]["text"].as_str().unwrap_or_default();
            *self.arrived.entry(text.to_owned()).or_default() += 1;
        } else if let Some(answer) = told.get("outbox").or_else(|| told.get("view")) {
            self.answer = Some(answer.clone());
        } else if told["gap"] != "waiting" {
            self.complaints.push(line.to_owned());
        }
    }
}

/// The program's lines, read on a thread of their own.
#[allow(clippy::disallowed_methods, reason = "reading a pipe blocks; the thread ends with the child")]
fn lines(from: impl BufRead + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        for line in from.lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

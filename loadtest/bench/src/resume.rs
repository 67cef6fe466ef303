//! Resuming: many devices come back at once, each with events that it missed; CPU of the server process per
//! event caught up.
//!
//! Connecting and greeting come before the clock starts: what is measured begins with `subscribe` and ends
//! when the last event is there. Every event is checked as a client would: none may be missing; what the
//! device already has is not shown again, and counted as sent again (a segment is sent whole).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use sterna_process::{Clock, SystemClock};
use sterna_protocol::Payload;
use sterna_protocol::frame::ServerFrame;
use sterna_stream::{Cursor, EventId, StreamId, created};
use tokio::sync::Notify;

use crate::process::{Server, machine_load, median, pin_load};
use crate::session::{Session, TENANT};
use crate::{Outcome, Problem};

const PORT: u16 = 7_812;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions for a stream that is not there yet.
const AGAIN: Duration = Duration::from_millis(20);
/// Events on their way while streams are filled.
const FILLING: u64 = 500;

#[derive(Args)]
pub(crate) struct Options {
    /// Devices that come back.
    #[arg(long, default_value_t = 1_000)]
    devices: usize,
    /// Events that each missed.
    #[arg(long, default_value_t = 100)]
    missed: u64,
    /// Runs of each row.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Serialize)]
struct Summary {
    what: &'static str,
    devices: usize,
    streams: usize,
    missed: u64,
    runs: usize,
    cpu_us_per_event: f64,
    cpu_us: Vec<f64>,
    wall_ms: f64,
    holes: u64,
    /// Events at or below a device's cursor that travelled all the same.
    sent_again: u64,
    machine_load: String,
}

/// What came to whoever listens.
#[derive(Default)]
struct Heard {
    acked: Cell<u64>,
    /// Each device's next seq.
    next: RefCell<Vec<u64>>,
    done: Cell<usize>,
    last: Cell<u64>,
    holes: Cell<u64>,
    sent_again: Cell<u64>,
    /// Streams that their authors follow, and authors whose stream was not there yet.
    following: Cell<usize>,
    unseen: RefCell<Vec<usize>>,
    /// Events that came back to their authors.
    came: Cell<u64>,
    problem: RefCell<Option<String>>,
    changed: Notify,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    for streams in [options.devices, 1] {
        measure(&options, streams).await?;
    }
    Ok(())
}

async fn measure(options: &Options, streams: usize) -> Outcome {
    let server = Server::regions(1, PORT).await?;
    let filled = fill(options, streams).await?;
    let (mut cpu_us, mut wall_ms) = (Vec::new(), Vec::new());
    let (mut holes, mut sent_again) = (0, 0);
    // The first run warms up.
    for run in 0..=options.runs {
        let (cpu, wall, heard) = resume(&server, options, &filled).await?;
        eprintln!("{streams} streams: {cpu:.2} us CPU per event, {wall:.0} ms");
        holes += heard.holes.get();
        sent_again += heard.sent_again.get();
        if run > 0 {
            cpu_us.push(cpu);
            wall_ms.push(wall);
        }
    }
    let summary = Summary {
        what: "resume",
        devices: options.devices,
        streams,
        missed: options.missed,
        runs: options.runs,
        cpu_us_per_event: median(cpu_us.clone()),
        cpu_us,
        wall_ms: median(wall_ms),
        holes,
        sent_again,
        machine_load: machine_load(),
    };
    println!("{}", serde_json::to_string(&summary)?);
    if holes == 0 { Ok(()) } else { Err("a device saw a hole".into()) }
}

/// Who follows what from which seq on.
struct Filled {
    of: Vec<(String, StreamId)>,
    from: u64,
}

/// Creates the streams, makes every device's user a member, and publishes what they will have missed.
async fn fill(options: &Options, streams: usize) -> Result<Filled, Problem> {
    let heard = Rc::new(Heard::default());
    let mut minted = 0;
    let mut id = || {
        minted += 1;
        EventId::mint(SystemClock.wall_ms(), minted)
    };
    let payload = |text: String| Payload::parse(Bytes::from(text)).map_err(|error| format!("{error:?}"));
    let text = payload(format!(r#"{{"text":"{}"}}"#, "abcdefghij".repeat(19)))?;
    let (mut authors, mut sent) = (Vec::new(), 0);
    for n in 0..streams {
        let user = format!("user-{n}");
        let listening = heard.clone();
        let author = Session::open(PORT, n, &user, move |frame| listening.fill(n, &frame)).await?;
        let creation = id();
        let stream = created::stream(TENANT, "chat", &user.parse()?, creation)?;
        author.publish(
            &stream,
            creation,
            "member",
            &payload(format!(r#"{{"user":"{user}","add":"owner"}}"#))?,
        );
        sent += 1;
        authors.push((author, stream));
    }
    heard.acked(sent).await?;
    follow_all(&authors, &heard).await?;
    let (shared, mut of) = (options.devices > streams, Vec::new());
    for (n, (author, stream)) in authors.iter().enumerate() {
        for device in (1..options.devices).filter(|_| shared) {
            let member = payload(format!(r#"{{"user":"user-{device}","add":"reader"}}"#))?;
            author.publish(stream, id(), "member", &member);
            sent += 1;
            heard.acked(sent.saturating_sub(FILLING)).await?;
        }
        for _ in 0..options.missed {
            author.publish(stream, id(), "message", &text);
            sent += 1;
            heard.acked(sent.saturating_sub(FILLING)).await?;
        }
        let devices = if shared { options.devices } else { 1 };
        of.extend((0..devices).map(|device| (format!("user-{}", n + device), stream.clone())));
    }
    heard.acked(sent).await?;
    heard.until("every event", |heard| heard.came.get() == sent).await?;
    Ok(Filled { of, from: if shared { options.devices as u64 } else { 1 } })
}

/// Has every author follow their stream, which is there once its creation is sequenced: then its owner is
/// known, too.
async fn follow_all(authors: &[(Session, StreamId)], heard: &Heard) -> Outcome {
    let (began, mut open) = (Instant::now(), (0..authors.len()).collect::<Vec<_>>());
    while began.elapsed() < PATIENCE {
        for (author, stream) in open.drain(..).map(|n: usize| &authors[n]) {
            author.follow([(stream.clone(), None)]);
        }
        let answered = |heard: &Heard| heard.following.get() + heard.unseen.borrow().len() == authors.len();
        heard.until("an answer to subscribe", answered).await?;
        open.append(&mut heard.unseen.borrow_mut());
        if open.is_empty() {
            return Ok(());
        }
        // Nobody tells that a stream is there now: it is asked for again, and not at once.
        tokio::time::sleep(AGAIN).await;
    }
    Err(format!("{} of {} streams are not there", open.len(), authors.len()).into())
}

/// Everybody connects; then all subscribe, and the server's CPU is taken until all have everything.
async fn resume(
    server: &Server,
    options: &Options,
    filled: &Filled,
) -> Result<(f64, f64, Rc<Heard>), Problem> {
    let heard = Rc::new(Heard::default());
    heard.next.borrow_mut().resize(filled.of.len(), filled.from + 1);
    heard.last.set(filled.from + options.missed);
    let mut sessions = Vec::new();
    for (device, (user, _)) in filled.of.iter().enumerate() {
        let listening = heard.clone();
        sessions.push(Session::open(PORT, device, user, move |frame| listening.take(device, &frame)).await?);
    }
    server.at_rest().await?;
    let (began, cpu_ns) = (Instant::now(), server.cpu_ns()?);
    for (session, (_, stream)) in sessions.iter().zip(&filled.of) {
        let cursor: Cursor = [(session.origin.clone(), filled.from)].into_iter().collect();
        session.follow([(stream.clone(), Some(cursor))]);
    }
    heard.until("everything missed", |heard| heard.done.get() == filled.of.len()).await?;
    let wall_ms = began.elapsed().as_secs_f64() * 1_000.0;
    server.at_rest().await?;
    let events = filled.of.len() as f64 * options.missed as f64;
    Ok(((server.cpu_ns()? - cpu_ns) as f64 / 1_000.0 / events, wall_ms, heard))
}

// === impl Heard ===

impl Heard {
    fn fill(&self, author: usize, frame: &ServerFrame) {
        match frame {
            ServerFrame::Ack(ack) => self.acked.set(self.acked.get() + ack.event_ids.len() as u64),
            ServerFrame::Subscribed(subscribed) => {
                self.following.set(self.following.get() + subscribed.streams.len());
            }
            ServerFrame::Events(events) => self.came.set(self.came.get() + events.events.len() as u64),
            ServerFrame::Error(error) if error.stream.is_some() && error.event_id.is_none() => {
                self.unseen.borrow_mut().push(author);
            }
            ServerFrame::Error(error) => *self.problem.borrow_mut() = Some(format!("{error:?}")),
            _ => {}
        }
        self.changed.notify_one();
    }

    fn take(&self, device: usize, frame: &ServerFrame) {
        match frame {
            ServerFrame::Events(events) => {
                let next = &mut self.next.borrow_mut()[device];
                for event in &events.events {
                    if event.seq < *next {
                        self.sent_again.set(self.sent_again.get() + 1);
                    } else {
                        self.holes.set(self.holes.get() + event.seq - *next);
                        *next = event.seq + 1;
                    }
                    if event.seq == self.last.get() {
                        self.done.set(self.done.get() + 1);
                    }
                }
            }
            ServerFrame::Gap(gap) => *self.problem.borrow_mut() = Some(format!("{gap:?}")),
            ServerFrame::Error(error) => *self.problem.borrow_mut() = Some(format!("{error:?}")),
            _ => {}
        }
        self.changed.notify_one();
    }

    async fn acked(&self, count: u64) -> Outcome {
        self.until("acks", |heard| heard.acked.get() >= count).await
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Outcome {
        let wait = async {
            while !done(self) {
                if let Some(problem) = self.problem.take() {
                    return Err(problem.into());
                }
                self.changed.notified().await;
            }
            Ok(())
        };
        let late = || {
            let (done, acked, came) = (self.done.get(), self.acked.get(), self.came.get());
            let (following, unseen) = (self.following.get(), self.unseen.borrow().len());
            format!("{what}: {done} done, {acked} acked, {came} came, {following} followed, {unseen} unseen")
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| late())?
    }
}

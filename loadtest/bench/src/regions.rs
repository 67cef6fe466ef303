//! Three regions with the delays of a WAN: how long an event takes to a reader beside its author, and to
//! readers in the other regions, beside what light would need (half a typical round trip).
//!
//! Express and the mirrors are the ways between regions, or the mirrors alone; table items travel apart. The
//! first events after the readers came go by the mirrors anyway, as long as the news of the readers is itself
//! on its way between the regions; how long they took is a figure apart.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use sterna_process::{Clock, SystemClock};
use sterna_protocol::Payload;
use sterna_protocol::frame::ServerFrame;
use sterna_regions::RoundTrips;
use sterna_stream::{EventId, StreamId, created};
use tokio::sync::Notify;

use crate::injected::pair;
use crate::process::{Server, machine_load, pin_load, quantile};
use crate::region::{COUNTS, NAMES};
use crate::session::{Session, TENANT, told};
use crate::{Outcome, Problem};

const PORT: u16 = 7_830;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions for a stream that is not there yet.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct Options {
    /// Events, each published in the next region.
    #[arg(long, default_value_t = 3_000)]
    events: u32,
    /// Events a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// How long the readers are there before events count among the others, milliseconds.
    #[arg(long, default_value_t = 1_000)]
    first_ms: u32,
    /// Without express.
    #[arg(long)]
    mirror_only: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    what: &'static str,
    from: &'a str,
    to: &'a str,
    /// Whether segments also went by express.
    express: bool,
    one_way_ms: f64,
    samples: usize,
    p50_ms: f64,
    p99_ms: f64,
    /// The one-way delay as the server's timers really make it, median.
    injected_ms: f64,
    /// Beyond the one-way delay.
    p50_over_ms: f64,
    p99_over_ms: f64,
    /// The slowest of the events that were published when the readers had just come; not in the others.
    first_ms: f64,
    /// Beyond the injected delay, and beyond what the same takes within the author's region.
    p50_between_ms: f64,
    p99_between_ms: f64,
    machine_load: String,
}

/// When events went, and when they came where.
#[derive(Default)]
struct Board {
    sent: RefCell<BTreeMap<EventId, Sent>>,
    /// From, to: milliseconds.
    delays: RefCell<BTreeMap<(usize, usize), Vec<f64>>>,
    /// The same of the first events: the slowest.
    first: RefCell<BTreeMap<(usize, usize), f64>>,
    came: Cell<u32>,
    /// Regions that follow the stream.
    following: Cell<[bool; NAMES.len()]>,
    /// Answers to `subscribe`, of either kind.
    answers: Cell<usize>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Sent {
    from: usize,
    at: Instant,
    /// Among those that were published when the readers had just come.
    first: bool,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    let words: &[&str] = if options.mirror_only { &["--mirror-only"] } else { &[] };
    let _server = Server::regions_by(NAMES.len(), PORT, words).await?;
    let board = Rc::new(Board::default());
    let mut sessions = Vec::new();
    for n in 0..NAMES.len() {
        let listening = board.clone();
        let hear = move |frame| listening.hear(n, frame);
        sessions.push(Session::open(PORT + n as u16, n, "ana", hear).await?);
    }
    let stream = create(&board, &sessions).await?;
    let payload = Payload::parse(Bytes::from_static(br#"{"text":"hello"}"#));
    let payload = payload.map_err(|error| format!("{error:?}"))?;
    let began = tokio::time::Instant::now();
    let firsts = options.first_ms * options.rate / 1_000;
    for n in 0..firsts + options.events {
        tokio::time::sleep_until(began + Duration::from_secs(1) * n / options.rate).await;
        let from = n as usize % NAMES.len();
        let id = EventId::mint(SystemClock.wall_ms(), u128::from(n) + 2);
        board.sent.borrow_mut().insert(id, Sent { from, at: Instant::now(), first: n < firsts });
        sessions[from].publish(&stream, id, "message", &payload);
    }
    let all = (firsts + options.events) * NAMES.len() as u32;
    board.until("every event everywhere", |board| board.came.get() == all).await?;
    report(&board, &told(PORT + COUNTS).await?, !options.mirror_only)
}

/// One stream of one user who is in all regions.
async fn create(board: &Board, sessions: &[Session]) -> Result<StreamId, Problem> {
    let creation = EventId::mint(SystemClock.wall_ms(), 1);
    let stream = created::stream(TENANT, "chat", &"ana".parse()?, creation)?;
    let owner = Payload::parse(Bytes::from_static(br#"{"user":"ana","add":"owner"}"#));
    sessions[0].publish(&stream, creation, "member", &owner.map_err(|error| format!("{error:?}"))?);
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let absent = board.following.get().map(|follows| !follows);
        if absent == [false; NAMES.len()] {
            return Ok(stream);
        }
        let asked = absent.iter().filter(|absent| **absent).count() + board.answers.get();
        for (session, _) in sessions.iter().zip(absent).filter(|(_, absent)| *absent) {
            session.follow([(stream.clone(), None)]);
        }
        board.until("an answer to subscribe", |board| board.answers.get() >= asked).await?;
        // Nobody tells that the stream is there now: it is asked for again, and not at once.
        tokio::time::sleep(AGAIN).await;
    }
    Err(format!("the stream is not there in every region: {:?}", board.following.get()).into())
}

fn report(board: &Board, injected: &BTreeMap<String, f64>, express: bool) -> Outcome {
    let distances = RoundTrips::typical();
    let mut all = board.delays.borrow_mut();
    let local = |from: usize| {
        let within = all.get(&(from, from)).cloned().unwrap_or_default();
        (quantile(&mut within.clone(), 0.50), quantile(&mut within.clone(), 0.99))
    };
    let locals: Vec<(f64, f64)> = (0..NAMES.len()).map(local).collect();
    for ((from, to), delays) in all.iter_mut() {
        let first_ms = board.first.borrow().get(&(*from, *to)).copied().unwrap_or_default();
        let (local_p50_ms, local_p99_ms) = locals[*from];
        let (from, to) = (NAMES[*from], NAMES[*to]);
        let injected_ms = injected.get(&pair(from, to)).copied().unwrap_or_default();
        let one_way = distances.one_way(&from.parse()?, &to.parse()?).ok_or("no such pair")?;
        let one_way_ms = one_way.as_secs_f64() * 1_000.0;
        let (p50_ms, p99_ms) = (quantile(delays, 0.50), quantile(delays, 0.99));
        let summary = Summary {
            what: "regions",
            from,
            to,
            express,
            one_way_ms,
            samples: delays.len(),
            p50_ms,
            p99_ms,
            injected_ms,
            first_ms,
            p50_between_ms: p50_ms - injected_ms - local_p50_ms,
            p99_between_ms: p99_ms - injected_ms - local_p99_ms,
            p50_over_ms: p50_ms - one_way_ms,
            p99_over_ms: p99_ms - one_way_ms,
            machine_load: machine_load(),
        };
        println!("{}", serde_json::to_string(&summary)?);
    }
    Ok(())
}

// === impl Board ===

impl Board {
    fn hear(&self, region: usize, frame: ServerFrame) {
        match frame {
            ServerFrame::Subscribed(_) => {
                let mut following = self.following.get();
                following[region] = true;
                self.following.set(following);
                self.answers.set(self.answers.get() + 1);
            }
            ServerFrame::Error(error) if error.stream.is_some() && error.event_id.is_none() => {
                self.answers.set(self.answers.get() + 1);
            }
            ServerFrame::Events(events) => {
                for event in &events.events {
                    let Some(sent) = self.sent.borrow().get(&event.event_id).copied() else {
                        continue;
                    };
                    let (pair, delay) = ((sent.from, region), sent.at.elapsed().as_secs_f64() * 1_000.0);
                    if sent.first {
                        let mut first = self.first.borrow_mut();
                        let slowest = first.entry(pair).or_default();
                        *slowest = slowest.max(delay);
                    } else {
                        self.delays.borrow_mut().entry(pair).or_default().push(delay);
                    }
                    self.came.set(self.came.get() + 1);
                }
            }
            _ => {}
        }
        self.changed.notify_one();
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Outcome {
        let wait = async {
            while !done(self) {
                self.changed.notified().await;
            }
        };
        let came = || {
            let (came, following, answers) = (self.came.get(), self.following.get(), self.answers.get());
            format!("{what}: {came} came, {following:?} follow, {answers} answers")
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| came().into())
    }
}

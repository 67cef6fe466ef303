//! Drives one partition's machine: carries out its actions, hands the answers back, and takes over again when
//! it says so.
//!
//! One task per assigned partition. Nothing is decided here; what is in flight is bounded by the machine's
//! own limits.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use rand::RngExt;
use sterna_log::{Batch, Offset, Record as LogEntry};
use sterna_proto::checkpoint;
use sterna_proto::record::{self, LOG_POS, Placed, Stored};
use sterna_proto::v1;
use sterna_storage::{Expect, layout};
use sterna_stream::digest::LogHash;
use sterna_stream::limits::CHECKPOINTS_WAITING;
use sterna_stream::map::Map;
use sterna_stream::sequencer::takeover::Opening;
use sterna_stream::sequencer::{Action, Checkpoint, Input, Partition, PutAnswer, Record, What, Why};
use sterna_stream::{Hlc, LogPos, Segment, StreamId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::appends::{Appends, Outcome};
use super::stored::{Tables, item};
use super::takeover::{Taken, take};
use super::{INGRESS, Order, Shared, ingress};
use crate::missing::Misses;

mod answers;
mod pauses;
mod reads;

/// Batches of records that wait for the machine; the consumer pauses the partition at the bound.
pub(super) const FEED_BATCHES: usize = 4;
/// Segments in one append; below the table's bound for one call.
const APPEND_ITEMS: usize = 64;
/// Heartbeat and checkpoint (E22).
const TICK: Duration = Duration::from_secs(1);
/// One partition of this instance.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) partition: u16,
    pub(super) generation: u32,
    pub(super) orders: mpsc::Sender<Order>,
}

enum Done {
    Puts(Vec<Outcome>),
    PutAgain(StreamId),
    Head(StreamId, Vec<Stored>),
    Range {
        stream: StreamId,
        since: Hlc,
        segments: Vec<Stored>,
        rest: Option<u64>,
    },
    Produced(LogPos, Option<Offset>),
    Reread(Vec<Record>, Offset),
    Term {
        newer: bool,
    },
    Broken(Why),
    /// Whether the first checkpoint that waits stands.
    Checkpoint(bool),
}

/// What a turn of a term begins with.
enum Come {
    Tick,
    Answer(Done),
    Batch(Option<Batch>),
}

enum Ended {
    Again,
    Stop(Why),
    Drained,
}

/// One term.
struct Term<'a> {
    driver: &'a Driver,
    tables: Tables,
    machine: Arc<Mutex<Partition>>,
    actions: Vec<Action>,
    /// Room for the puts among them.
    puts: Vec<(v1::Item, Arc<Segment>)>,
    appends: Appends,
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Answers that were there at once. No more than the machine has under way.
    ready: VecDeque<Done>,
    /// Bytes of segments between their put or reading and their production, so that the log gets what the
    /// table has.
    encoded: Map<(StreamId, u64), Bytes>,
    mark: Bytes,
    commit: Offset,
    term: u64,
    /// To be put one after the other; the first is being put.
    checkpoints: VecDeque<Checkpoint>,
    /// Whether the log took a record of this term.
    logged: bool,
    /// Whether the ingress gave one.
    fed: bool,
    /// Since when something that cannot be read stands in the place of a stream's next segment. Streams with
    /// a put under way, no others.
    damaged: Map<StreamId, Instant>,
    /// What was met in the table that nothing can go on from.
    broken: Option<Why>,
    /// The wall's time, read once for what comes in together.
    wall_ms: u64,
}

impl Driver {
    /// Sequences the partition until it is somebody else's, the role drains, or an alarm says that nothing
    /// may go on.
    pub(super) async fn run(self) {
        let mut tables = self.shared.tables(self.partition);
        let (mut refused, mut misses) = (0, Misses::default());
        loop {
            let opening = match take(&self).await {
                Taken::Open(opening) => opening,
                Taken::Refused(why) => return self.alarm(&why),
                Taken::Lost => return,
                Taken::Missing(name) => {
                    if self.missed(name, &mut misses, &mut tables).await {
                        continue;
                    }
                    return;
                }
                Taken::Again => {
                    tables.pause().await;
                    continue;
                }
            };
            let (feed, batches) = mpsc::channel(FEED_BATCHES);
            let (obeyed, begun) = oneshot::channel();
            let (partition, generation, at) = (self.partition, self.generation, opening.resume);
            let start = Order::Start { partition, generation, at, feed, obeyed };
            // Whoever lost the partition meanwhile writes nothing, not even a mark (E21).
            if self.orders.send(start).await.is_err() || begun.await.is_err() {
                return;
            }
            let mut term = Term::new(&self, opening, tables.clone());
            self.shared.machines.insert(self.partition, &term.machine);
            let ended = term.run(batches).await;
            refused = if term.logged { 0 } else { refused + 1 };
            if term.fed {
                misses.over();
            }
            drop(term);
            match ended {
                Ended::Again => self.back_off(refused, &mut tables).await,
                Ended::Drained => return,
                // A feed that ends though the partition is still the driver's was not there to be consumed.
                Ended::Stop(Why::Stale) if self.is_mine().await => {
                    if !self.missed(INGRESS, &mut misses, &mut tables).await {
                        return;
                    }
                }
                Ended::Stop(Why::Stale) => return,
                Ended::Stop(why) => return self.alarm(&why),
            }
        }
    }

    /// Whether the partition is still assigned to this instance, as far as the consumer knows.
    pub(super) async fn is_mine(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        let (partition, generation) = (self.partition, self.generation);
        let asked = self.orders.send(Order::Mine { partition, generation, answer }).await;
        asked.is_ok() && answered.await.is_ok()
    }

    fn alarm(&self, why: &Why) {
        tracing::error!(
            partition = self.partition, %why,
            "alarm: the partition is not sequenced any more; accepted events wait in the ingress"
        );
        self.shared.alarms.raise(self.partition, why.clone());
    }
}

impl<'a> Term<'a> {
    fn new(driver: &'a Driver, opening: Opening, tables: Tables) -> Self {
        let (commit, term) = (opening.resume, opening.term);
        let salt = driver.shared.process.rng(&format!("window {}", driver.partition)).random();
        let machine = Partition::new(opening, driver.shared.config.limits.clone(), record::peek, salt);
        Self {
            driver,
            tables,
            machine: Arc::new(Mutex::new(machine)),
            actions: Vec::new(),
            puts: Vec::new(),
            appends: Appends::new(driver.shared.appends.clone()),
            pending: FuturesUnordered::new(),
            ready: VecDeque::new(),
            encoded: Map::default(),
            mark: Bytes::new(),
            commit,
            term,
            checkpoints: VecDeque::new(),
            logged: false,
            fed: false,
            damaged: Map::default(),
            broken: None,
            wall_ms: 0,
        }
    }

    async fn run(&mut self, mut batches: mpsc::Receiver<Batch>) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let drain = self.driver.shared.process.drain_signal();
        let mut feeding = true;
        loop {
            let come = tokio::select! {
                biased;
                _ = tick.tick() => Come::Tick,
                done = poll_fn(|cx| self.poll_answer(cx)) => Come::Answer(done),
                batch = batches.recv(), if feeding => Come::Batch(batch),
            };
            self.wall_ms = self.driver.shared.process.clock().wall_ms();
            match come {
                Come::Tick => self.tick().await,
                Come::Answer(done) => self.take_answers(done),
                Come::Batch(batch) => match batch {
                    Some(batch) => self.feed(batch, batches.len()).await,
                    None if drain.is_raised() => feeding = false,
                    None => self.handle(Input::Revoked),
                },
            }
            if let Some(why) = self.broken.take() {
                return Ended::Stop(why);
            }
            if let Some(ended) = self.act().await {
                return ended;
            }
            if !feeding && self.is_idle() {
                self.send_commit().await;
                return Ended::Drained;
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.handle(input, self.wall_ms, &mut self.actions);
    }

    /// Hands a batch in, behind which `waiting` others stand in the feed.
    async fn feed(&mut self, batch: Batch, waiting: usize) {
        self.fed = true;
        let records = batch.entries.into_iter().filter_map(ingress::record).collect();
        self.handle(Input::Records(records));
        // The consumer waits for room only where it saw a full feed.
        if waiting + 1 >= FEED_BATCHES {
            let took = Order::Took { partition: self.driver.partition };
            let _ = self.driver.orders.send(took).await;
        }
    }

    async fn tick(&mut self) {
        self.appends.look();
        self.broken = self.broken.take().or_else(|| self.driver.shared.alarms.of_all());
        self.send_commit().await;
        // That may have waited.
        self.wall_ms = self.driver.shared.process.clock().wall_ms();
        let tip = self.machine.lock().unwrap_or_else(PoisonError::into_inner).tip();
        let mark = tip.map(|(_, log_hash)| self.mark(&log_hash));
        self.handle(Input::Tick { mark });
    }

    /// The hash of a mark that is kept until it is handed out: there is no tip, and so no next mark, before.
    fn mark(&mut self, log_hash: &LogHash) -> [u8; 32] {
        let shared = &self.driver.shared;
        self.mark = record::encode_mark(v1::Mark {
            origin: shared.config.origin.to_string(),
            partition: self.driver.partition.into(),
            wall_unix_ms: self.wall_ms,
            log_hash: Bytes::copy_from_slice(&log_hash.0),
            ingress_done: self.commit,
            ..v1::Mark::default()
        });
        LogHash::of_bytes(&self.mark)
    }

    async fn send_commit(&mut self) {
        let (partition, generation) = (self.driver.partition, self.driver.generation);
        let order = Order::Commit { partition, generation, upto: self.commit };
        let _ = self.driver.orders.send(order).await;
    }

    // === answers: taken in by `answers` ===

    fn answer(&mut self, done: Done) {
        match done {
            Done::Puts(answers) => {
                answers.into_iter().for_each(|(s, first, answer)| self.put(s, first, answer))
            }
            Done::PutAgain(stream) => self.handle(Input::Put { stream, answer: PutAnswer::Unknown }),
            Done::Head(stream, chain) => {
                let chain = chain.into_iter().map(|stored| self.keep(stored)).collect();
                self.handle(Input::Head { stream, chain });
            }
            Done::Range { stream, since, segments, rest } => {
                let segments = segments.into_iter().map(|stored| Arc::new(stored.segment)).collect();
                let complete = rest.is_none();
                self.handle(Input::Range { stream: stream.clone(), segments, complete });
                if let Some(last) = rest {
                    self.read_range(stream, since, last);
                }
            }
            Done::Produced(pos, offset) => {
                if offset.is_some() && !std::mem::replace(&mut self.logged, true) {
                    self.driver.shared.alarms.clear(self.driver.partition);
                }
                self.handle(Input::Produced { pos, offset });
            }
            Done::Broken(why) => self.broken = Some(why),
            Done::Reread(records, next) => self.handle(Input::Reread { records, next }),
            Done::Term { newer } => self.handle(Input::Term { newer }),
            Done::Checkpoint(stands) => {
                if stands {
                    self.checkpoints.pop_front();
                }
                self.put_checkpoint(!stands);
            }
        }
    }

    fn keep(&mut self, stored: Stored) -> Arc<Segment> {
        let key = (stored.segment.stream.clone(), stored.segment.first);
        self.encoded.insert(key, stored.bytes);
        Arc::new(stored.segment)
    }

    // === actions ===

    async fn act(&mut self) -> Option<Ended> {
        let mut puts = std::mem::take(&mut self.puts);
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Put(segment) => puts.push((self.encode(&segment), segment)),
                Action::Produce { pos, continues, what } => self.produce(pos, continues, &what),
                Action::ReadHead { stream, resume } => {
                    let head = self.tables.clone().head(stream.clone(), resume);
                    self.carry_on(Box::pin(head.map(|chain| match chain {
                        Ok(chain) => Done::Head(stream, chain),
                        Err(why) => Done::Broken(why),
                    })));
                }
                Action::ReadRange { stream, since, last, .. } => self.read_range(stream, since, last),
                Action::Checkpoint(checkpoint) => {
                    if self.checkpoints.len() >= CHECKPOINTS_WAITING {
                        tracing::error!(
                            partition = self.driver.partition,
                            "alarm: the table takes no checkpoint; the partition is taken over again"
                        );
                        return Some(Ended::Again);
                    }
                    self.checkpoints.push_back(*checkpoint);
                    if self.checkpoints.len() == 1 {
                        self.put_checkpoint(false);
                    }
                }
                Action::ReadTerm => self.read_term(),
                Action::Commit(offset) => self.commit = offset,
                Action::Reread { from, upto } => self.reread(from, upto),
                Action::Pause(on) => {
                    let order = Order::Pause { partition: self.driver.partition, on };
                    let _ = self.driver.orders.send(order).await;
                }
                Action::Duplicate { stream, id, .. } => tracing::debug!(%stream, %id, "proven duplicate"),
                Action::Restart => return Some(Ended::Again),
                Action::Stop(why) => return Some(Ended::Stop(why)),
            }
        }
        self.actions = actions;
        self.append(&mut puts);
        self.puts = puts;
        None
    }

    fn encode(&mut self, segment: &Segment) -> v1::Item {
        let bytes = record::encode_segment(segment);
        self.encoded.insert((segment.stream.clone(), segment.first), bytes.clone());
        item(segment, bytes)
    }

    fn append(&mut self, puts: &mut Vec<(v1::Item, Arc<Segment>)>) {
        let mut puts = puts.drain(..).peekable();
        while puts.peek().is_some() {
            let some = puts.by_ref().take(APPEND_ITEMS);
            let (items, names) = some.map(|(item, put)| (item, (put.stream.clone(), put.first))).unzip();
            self.appends.put(names, items);
        }
    }

    fn produce(&mut self, pos: LogPos, continues: Option<LogPos>, what: &What) {
        let shared = &self.driver.shared;
        let (key, value) = match what {
            What::Segment(segment) => {
                let key = Bytes::from_owner(segment.stream.clone());
                let kept = self.encoded.remove(&(segment.stream.clone(), segment.first));
                (key, kept.unwrap_or_else(|| record::encode_segment(segment)))
            }
            What::Mark => (Bytes::new(), self.mark.clone()),
        };
        let header = (LOG_POS.into(), Placed { pos, continues }.encode());
        let mut produced = shared.log.produce(LogEntry {
            topic: shared.config.log.clone(),
            partition: self.driver.partition,
            key,
            value,
            headers: [header].into_iter().collect(),
            timestamp_ms: self.wall_ms,
        });
        let answered = move |result| match result {
            Ok(offset) => Done::Produced(pos, Some(offset)),
            Err(error) => {
                tracing::warn!(n = pos.n, %error, "a log record was not produced: taking over again");
                Done::Produced(pos, None)
            }
        };
        match produced.as_mut().now_or_never() {
            Some(result) => self.ready.push_back(answered(result)),
            None => self.pending.push(Box::pin(produced.map(answered))),
        }
    }

    /// Puts the first checkpoint that waits. A drain does not wait for a table that takes none: the successor
    /// names what is not named.
    fn put_checkpoint(&mut self, again: bool) {
        let shared = self.driver.shared.clone();
        let Some(made) = self.checkpoints.front() else { return };
        if again && shared.process.drain_signal().is_raised() {
            return;
        }
        let key = layout::checkpoint(&shared.config.origin, self.driver.partition, made.term, made.number, 0);
        let (value, mut tables) = (checkpoint::encode(made), self.tables.clone());
        self.carry_on(Box::pin(async move {
            if again {
                tables.pause().await;
            }
            let put = shared.table.put(key, value, Expect::Absent).await;
            if let Err(error) = &put {
                tracing::warn!(%error, "a checkpoint is not known to be stored; it is put again");
            }
            Done::Checkpoint(put.is_ok())
        }));
    }
}

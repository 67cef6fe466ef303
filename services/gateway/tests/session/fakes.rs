//! State, messaging and notification as the test plays them: each call is handed to it whole.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::Stream;
use sterna_process::{Link, Process};
use sterna_proto::record::encode_segment;
use sterna_proto::v1::attach_down::What as Down;
use sterna_proto::v1::attach_up::What as Up;
use sterna_proto::v1::messaging_server::{Messaging, MessagingServer};
use sterna_proto::v1::notification_server::{Notification, NotificationServer};
use sterna_proto::v1::persistence_server::{Persistence, PersistenceServer};
use sterna_proto::v1::publish_down::Outcome;
use sterna_proto::v1::state_server::{State, StateServer};
use sterna_proto::{convert, v1};
use sterna_stream::{Cursor, Reason, Segment, StreamId};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// Longest that anything may take before a test fails, simulated time.
const PATIENCE: Duration = Duration::from_secs(100);

/// One bidirectional call, the callee's side. Dropping it ends the stream.
pub(crate) struct Call<U, D> {
    ups: Streaming<U>,
    /// News of sessions that came in between.
    pub(crate) news: Vec<U>,
    downs: mpsc::Sender<Result<D, Status>>,
}

/// Calls to come.
pub(crate) struct Calls<U, D>(mpsc::Receiver<Call<U, D>>);

pub(crate) struct Fakes {
    pub(crate) link: Link,
    pub(crate) attaching: Calls<v1::AttachUp, v1::AttachDown>,
    pub(crate) commanding: Calls<v1::PublishUp, v1::PublishDown>,
    pub(crate) asking: Calls<v1::Ask, v1::Page>,
    pub(crate) shelf: Shelf,
}

/// What devices have stored and which streams users are in: persistence and notification as the test sees
/// them.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Held>>);

#[derive(Default)]
pub(crate) struct Held {
    /// Each call that stored.
    pub(crate) stores: Vec<v1::StoreCursorsRequest>,
    /// By (device, stream).
    pub(crate) cursors: BTreeMap<(String, String), Cursor>,
    /// How many questions came.
    pub(crate) reads: usize,
    /// Streams of each user, the most recently active first.
    pub(crate) mine: BTreeMap<String, Vec<String>>,
    pub(crate) listings: usize,
    /// Calls that fail before any succeeds.
    pub(crate) failures: usize,
    /// Told once as streams whose members cannot be read.
    pub(crate) unknown: Vec<String>,
}

struct Fake<U, D>(mpsc::Sender<Call<U, D>>);

type Answers<D> = Pin<Box<dyn Stream<Item = Result<D, Status>> + Send>>;

/// One instance of each role behind one link.
pub(crate) fn fakes(process: &Process) -> Fakes {
    let (attaches, attaching) = mpsc::channel(1);
    let (publishes, commanding) = mpsc::channel(1);
    let (backlogs, asking) = mpsc::channel(1);
    let shelf = Shelf::default();
    let routes = Routes::new(StateServer::new(Fake(attaches)))
        .add_service(MessagingServer::new(Fake(publishes)))
        .add_service(NotificationServer::new(Backlogs(Fake(backlogs), shelf.clone())))
        .add_service(PersistenceServer::new(shelf.clone()));
    Fakes {
        link: Link::direct(process, routes),
        attaching: Calls(attaching),
        commanding: Calls(commanding),
        asking: Calls(asking),
        shelf,
    }
}

/// Pages by the test, lists from the shelf.
struct Backlogs(Fake<v1::Ask, v1::Page>, Shelf);

impl Shelf {
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    fn fails(&self) -> Result<(), Status> {
        let mut held = self.held();
        match held.failures.checked_sub(1) {
            Some(left) => {
                held.failures = left;
                Err(Status::unavailable("as the test wants it"))
            }
            None => Ok(()),
        }
    }
}

impl<U, D: Send + 'static> Fake<U, D> {
    /// Hands the call over; while nobody takes it, it hangs.
    async fn hand(&self, request: Request<Streaming<U>>) -> Response<Answers<D>> {
        let (downs, queue) = mpsc::channel(256);
        let call = Call { ups: request.into_inner(), news: Vec::new(), downs };
        assert!(self.0.send(call).await.is_ok(), "the test has ended");
        Response::new(Box::pin(ReceiverStream::new(queue)))
    }
}

#[tonic::async_trait]
impl State for Fake<v1::AttachUp, v1::AttachDown> {
    type AttachStream = Answers<v1::AttachDown>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachUp>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        Ok(self.hand(request).await)
    }

    type ExpressStream = Answers<v1::Carried>;

    async fn express(
        &self,
        _: Request<Streaming<v1::Carry>>,
    ) -> Result<Response<Self::ExpressStream>, Status> {
        Err(Status::unimplemented("a shard sends nothing by express"))
    }
}

#[tonic::async_trait]
impl Messaging for Fake<v1::PublishUp, v1::PublishDown> {
    type PublishStream = Answers<v1::PublishDown>;

    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishUp>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        Ok(self.hand(request).await)
    }
}

#[tonic::async_trait]
impl Notification for Backlogs {
    type BacklogStream = Answers<v1::Page>;

    async fn backlog(
        &self,
        request: Request<Streaming<v1::Ask>>,
    ) -> Result<Response<Self::BacklogStream>, Status> {
        Ok(self.0.hand(request).await)
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Result<Response<v1::HistoryAnswer>, Status> {
        Err(Status::unimplemented("sessions do not page"))
    }

    async fn mine(&self, request: Request<v1::MineRequest>) -> Result<Response<v1::MineAnswer>, Status> {
        self.1.fails()?;
        let request = request.into_inner();
        let mut held = self.1.held();
        held.listings += 1;
        let all = held.mine.get(&request.user).cloned().unwrap_or_default();
        let one = |stream: &String| v1::MyStream { stream: stream.clone(), ..v1::MyStream::default() };
        let limit = request.limit as usize;
        let next = all.get(limit).cloned().unwrap_or_default();
        let streams = all.iter().take(limit).map(one).collect();
        let unknown = std::mem::take(&mut held.unknown);
        Ok(Response::new(v1::MineAnswer { streams, next, unknown }))
    }
}

#[tonic::async_trait]
impl Persistence for Shelf {
    type AppendStream = ReceiverStream<Result<v1::AppendAnswer, Status>>;

    async fn append(
        &self,
        _: Request<Streaming<v1::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        Err(Status::unimplemented("a gateway does not append"))
    }

    async fn ensure(&self, _: Request<v1::EnsureRequest>) -> Result<Response<v1::EnsureAnswer>, Status> {
        Err(Status::unimplemented("a gateway does not ensure"))
    }

    async fn read(&self, _: Request<v1::ReadRequest>) -> Result<Response<v1::ReadAnswer>, Status> {
        Err(Status::unimplemented("the test's authorizer does not read"))
    }

    async fn heads(&self, _: Request<v1::HeadsRequest>) -> Result<Response<v1::HeadsAnswer>, Status> {
        Err(Status::unimplemented("the test's authorizer does not read"))
    }

    async fn lookup(&self, _: Request<v1::LookupRequest>) -> Result<Response<v1::LookupAnswer>, Status> {
        Err(Status::unimplemented("a gateway does not look up"))
    }

    async fn touched(&self, _: Request<v1::TouchedRequest>) -> Result<Response<v1::TouchedAnswer>, Status> {
        Err(Status::unimplemented("a gateway asks notification"))
    }

    async fn store_cursors(
        &self,
        request: Request<v1::StoreCursorsRequest>,
    ) -> Result<Response<v1::StoreCursorsAnswer>, Status> {
        self.fails()?;
        let mut held = self.held();
        held.stores.push(request.get_ref().clone());
        for device in request.into_inner().devices {
            for stored in device.streams {
                let cursor = convert::cursor(stored.cursor.as_ref()).unwrap();
                held.cursors.entry((device.device.clone(), stored.stream)).or_default().merge(&cursor);
            }
        }
        Ok(Response::new(v1::StoreCursorsAnswer {}))
    }

    async fn cursors(
        &self,
        request: Request<v1::CursorsRequest>,
    ) -> Result<Response<v1::CursorsAnswer>, Status> {
        self.fails()?;
        let request = request.into_inner();
        let mut held = self.held();
        held.reads += 1;
        let of = |stream: String| held.cursors.get(&(request.device.clone(), stream)).cloned();
        let cursors = request.streams.into_iter().map(|stream| (&of(stream).unwrap_or_default()).into());
        Ok(Response::new(v1::CursorsAnswer { cursors: cursors.collect() }))
    }
}

// === impl Calls ===

impl<U, D> Calls<U, D> {
    pub(crate) async fn next(&mut self) -> Call<U, D> {
        timeout(PATIENCE, self.0.recv()).await.expect("the shard calls").unwrap()
    }
}

// === impl Call ===

/// Whether a message comes by itself, between those that a test waits for.
pub(crate) trait News {
    fn is_news(&self) -> bool {
        false
    }
}

impl News for v1::PublishUp {}
impl News for v1::Ask {}
impl News for v1::AttachUp {
    fn is_news(&self) -> bool {
        matches!(self.what, Some(Up::Opened(_) | Up::Closed(_)))
    }
}

impl<U: News, D> Call<U, D> {
    /// The next message of the shard that is no news of sessions.
    pub(crate) async fn up(&mut self) -> U {
        loop {
            let up = timeout(PATIENCE, self.ups.message()).await.expect("the shard says something");
            let up = up.unwrap().expect("the shard keeps the stream");
            if !up.is_news() {
                return up;
            }
            self.news.push(up);
        }
    }

    /// Whether the shard has given the stream up.
    pub(crate) async fn is_left(&mut self) -> bool {
        self.is_left_within(PATIENCE).await
    }

    pub(crate) async fn is_left_within(&mut self, time: Duration) -> bool {
        timeout(time, self.downs.closed()).await.is_ok()
    }

    /// Whether the shard says nothing for so long, but for news of sessions.
    pub(crate) async fn is_quiet(&mut self, s: u64) -> bool {
        timeout(Duration::from_secs(s), self.up()).await.is_err()
    }

    async fn down(&self, down: D) {
        self.downs.send(Ok(down)).await.expect("the shard keeps the stream");
    }
}

impl Call<v1::AttachUp, v1::AttachDown> {
    /// The streams of the next `follow`.
    pub(crate) async fn followed(&mut self) -> Vec<String> {
        loop {
            match self.up().await.what {
                Some(Up::Follow(streams)) => return streams.streams,
                Some(Up::Attaching(attaching)) => assert_eq!(attaching.shard, "gateway-0"),
                other => panic!("a follow was expected, not {other:?}"),
            }
        }
    }

    /// The next comparison, in the order of the streams' names.
    pub(crate) async fn comparison(&mut self) -> Vec<v1::HeadOf> {
        let what = self.up().await.what;
        let Some(Up::Compare(mut compared)) = what else { panic!("a comparison was expected, not {what:?}") };
        compared.heads.sort_unstable_by(|one, other| one.stream.cmp(&other.stream));
        compared.heads
    }

    /// The streams of the next comparison, each with how far the shard has it.
    pub(crate) async fn compared(&mut self) -> Vec<(String, String)> {
        let head = |of: &v1::HeadOf| sterna_proto::convert::cursor(of.head.as_ref()).unwrap().to_string();
        self.comparison().await.iter().map(|of| (of.stream.clone(), head(of))).collect()
    }

    /// The next ephemeral.
    pub(crate) async fn ephemeral(&mut self) -> v1::Ephemeral {
        match self.up().await.what {
            Some(Up::Ephemeral(ephemeral)) => ephemeral,
            other => panic!("an ephemeral was expected, not {other:?}"),
        }
    }

    /// Sends `what` with the next number.
    pub(crate) async fn tell(&self, n: &mut u64, what: Down) {
        *n += 1;
        self.down(v1::AttachDown { n: *n, what: Some(what) }).await;
    }

    pub(crate) async fn joined(&self, n: &mut u64, stream: &StreamId, head: &str) {
        let head = Some((&head.parse::<Cursor>().unwrap()).into());
        let joined = v1::Joined { stream: stream.to_string(), head, ..v1::Joined::default() };
        self.tell(n, Down::Joined(joined)).await;
    }

    pub(crate) async fn push(&self, n: &mut u64, segment: &Segment) {
        let push = v1::Push { record: encode_segment(segment), ..v1::Push::default() };
        self.tell(n, Down::Push(push)).await;
    }
}

impl Call<v1::PublishUp, v1::PublishDown> {
    /// Accepts it; its record stands at this offset of partition 0.
    pub(crate) async fn accept_at(&self, tag: u64, offset: u64) {
        let place = Some(v1::Position { incarnation: 1, partition: 0, offset });
        let accepted = v1::Accepted { place, ..v1::Accepted::default() };
        self.down(v1::PublishDown { tag, outcome: Some(Outcome::Accepted(accepted)) }).await;
    }

    pub(crate) async fn accept(&self, tag: u64) {
        self.down(v1::PublishDown { tag, outcome: Some(Outcome::Accepted(v1::Accepted::default())) }).await;
    }

    pub(crate) async fn refuse(&self, tag: u64, reason: Reason) {
        let refused = v1::Refused { code: reason.code().into(), retry_after_ms: None, detail: "so".into() };
        self.down(v1::PublishDown { tag, outcome: Some(Outcome::Refused(refused)) }).await;
    }
}

impl Call<v1::Ask, v1::Page> {
    /// Answers an ask: of what it asks for this was lost.
    pub(crate) async fn page_behind_lost(&self, tag: u64, lost_to: &str, segments: &[Segment]) {
        let lost_to = Some((&lost_to.parse::<Cursor>().unwrap()).into());
        let records = segments.iter().map(encode_segment).collect();
        self.down(v1::Page { tag, records, lost_to, complete: true, ..v1::Page::default() }).await;
    }

    /// Answers an ask with these segments, all of it.
    pub(crate) async fn page(&self, tag: u64, skipped_to: &str, segments: &[Segment]) {
        let skipped_to = Some((&skipped_to.parse::<Cursor>().unwrap()).into());
        let records = segments.iter().map(encode_segment).collect();
        self.down(v1::Page { tag, records, skipped_to, complete: true, ..v1::Page::default() }).await;
    }

    pub(crate) async fn refuse(&self, tag: u64, reason: Reason) {
        self.down(v1::Page { tag, refused: reason.code().into(), ..v1::Page::default() }).await;
    }
}

//! Waiting until another region has an event (E9, `?durability=global`).
//!
//! A watch attaches to state like a shard that follows this one stream: it sees where in the region's log the
//! event stands, and how far other regions have that log. It is opened before the event is taken. An event
//! that was sequenced before the watch began does not come by; its repeat is told what is certain, `region`.

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, select_all};
use sterna_proto::record::{Body, Stored};
use sterna_proto::v1::attach_down::What;
use sterna_proto::v1::attach_up;
use sterna_proto::v1::state_client::StateClient;
use sterna_proto::v1::{self, AttachUp};
use sterna_stream::limits::DURABILITY_WAIT_MS;
use sterna_stream::{EventId, LogPos, Origin, Segment, StreamId, UserId, partition};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

use super::Rest;

/// Requests of one shard that wait at a time; one more is answered with what is reached without waiting.
pub(super) const WAITS: usize = 64;
/// Longest that state may take to say from where on it watches.
const JOINED: Duration = Duration::from_secs(2);

/// One request's look at what passes by.
pub(super) struct Watch<'a> {
    rest: &'a Rest,
    until: Instant,
    origin: Origin,
    partition: u32,
    downs: BoxStream<'a, v1::AttachDown>,
    covered: Option<LogPos>,
    /// Ends of what is told to state; dropping them ends the watch there.
    _wishes: Vec<mpsc::Sender<AttachUp>>,
    _place: Waiting<'a>,
}

/// One of [`WAITS`].
struct Waiting<'a>(&'a Rest);

impl<'a> Watch<'a> {
    /// Watches `stream` from now on; `None` if that cannot be had.
    pub(super) async fn open(rest: &'a Rest, stream: &StreamId) -> Option<Self> {
        let place = Waiting::take(rest)?;
        let until = Instant::now() + Duration::from_millis(DURABILITY_WAIT_MS);
        let (mut wishes, mut answers) = (Vec::new(), Vec::new());
        for link in &rest.links.state {
            let (told, queue) = mpsc::channel(2);
            let shard = format!("{}/http", rest.config.name);
            let streams = vec![stream.to_string()];
            for what in [
                attach_up::What::Attaching(v1::Attaching { shard }),
                attach_up::What::Follow(v1::Streams { streams }),
            ] {
                told.try_send(AttachUp { what: Some(what) }).ok()?;
            }
            let mut client = StateClient::new(link.clone());
            let attached = timeout_at(until, client.attach(ReceiverStream::new(queue))).await.ok()?.ok()?;
            answers.push(attached.into_inner().filter_map(async |down| down.ok()).boxed());
            wishes.push(told);
        }
        let mut watch = Self {
            rest,
            until,
            origin: rest.config.origin.clone(),
            partition: partition::of(stream, rest.config.partitions).into(),
            downs: select_all(answers).boxed(),
            covered: None,
            _wishes: wishes,
            _place: place,
        };
        watch.joined().await.then_some(watch)
    }

    /// Waits until the stream's owner says from where on it pushes.
    async fn joined(&mut self) -> bool {
        let until = Instant::now() + JOINED;
        while let Ok(Some(down)) = timeout_at(until, self.downs.next()).await {
            match down.what {
                Some(What::Joined(joined)) if !joined.not_owner => return true,
                what => self.note(what.as_ref()),
            }
        }
        false
    }

    /// Whether another region has `author`'s event within the time that a request waits.
    pub(super) async fn covers(mut self, author: &UserId, id: EventId) -> bool {
        let mut stands: Option<LogPos> = None;
        while let Ok(Some(down)) = timeout_at(self.until, self.downs.next()).await {
            if let (None, Some(What::Push(push))) = (stands, &down.what)
                && let (Some(pos), Ok(stored)) = (&push.pos, Stored::decode(push.record.clone()))
                && stored.segment.origin == self.origin
                && holds(&stored.segment, author, id)
            {
                stands = Some(pos.into());
            }
            self.note(down.what.as_ref());
            let reaches = |pos: LogPos, covered: LogPos| pos.n <= covered.n && pos.term <= covered.term;
            if stands.zip(self.covered).is_some_and(|(pos, covered)| reaches(pos, covered)) {
                return true;
            }
        }
        tracing::debug!(shard = self.rest.config.name, "no other region had an event in time");
        false
    }

    fn note(&mut self, what: Option<&What>) {
        if let Some(What::Covered(v1::Covered { partition, pos: Some(pos), .. })) = what
            && *partition == self.partition
        {
            self.covered = Some(pos.into());
        }
    }
}

fn holds(segment: &Segment, author: &UserId, id: EventId) -> bool {
    let bodies = segment.bodies.iter().filter_map(|bytes| Body::decode(bytes).ok());
    bodies.into_iter().any(|body| body.id == id && body.author == *author)
}

impl<'a> Waiting<'a> {
    fn take(rest: &'a Rest) -> Option<Self> {
        if rest.waits.get() >= WAITS {
            return None;
        }
        rest.waits.set(rest.waits.get() + 1);
        Some(Self(rest))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waits.set(self.0.waits.get() - 1);
    }
}

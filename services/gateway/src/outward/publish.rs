//! The stream of commands to one messaging instance, and their answers.
//!
//! Every command is answered to its author once: accepted, refused, or, if the stream or ten seconds end
//! first, with `unavailable`: it may have been taken, and is to be sent again with the same id
//! (docs/protocol.md, rule 13).

use std::rc::Rc;
use std::time::Duration;

use sterna_process::Link;
use sterna_proto::v1;
use sterna_proto::v1::messaging_client::MessagingClient;
use sterna_proto::v1::publish_down::Outcome;
use sterna_protocol::frame::{self, Ack, Durability, ServerFrame};
use sterna_stream::{EventId, Reason, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::pause;
use crate::encode;
use crate::gateway::Inner;
use crate::second_ack::Then;
use crate::session::SessionId;

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(10);

/// Events named in one second ack.
const ACK_IDS: usize = 500;

/// A command that has no answer yet.
pub(crate) struct Unanswered {
    pub(crate) session: SessionId,
    pub(crate) event_id: EventId,
    pub(crate) instance: usize,
    pub(crate) since: Instant,
}

/// Carries commands to the instance behind `link`, for the shard's life.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: Rc<Inner<S>>,
    at: usize,
    mut commands: mpsc::Receiver<v1::PublishUp>,
    link: Link,
) {
    let mut rng = inner.process.rng(&format!("publish {at}"));
    loop {
        if let Err(why) = publishing(&inner, commands, link.clone()).await {
            tracing::info!(at, why, "opening the stream of commands again");
        }
        // What was handed over may have been taken; what was not is lost with the stream all the same.
        commands = inner.outward.queue_anew(at);
        inner.settle_all(|unanswered| unanswered.instance == at);
        pause(&mut rng).await;
    }
}

async fn publishing<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Inner<S>,
    commands: mpsc::Receiver<v1::PublishUp>,
    link: Link,
) -> Result<(), String> {
    let mut client = MessagingClient::new(link.own_connection());
    let answer = client.publish(ReceiverStream::new(commands)).await.map_err(|status| status.to_string())?;
    let mut downs = answer.into_inner();
    loop {
        let down = downs.message().await;
        let down = down.map_err(|status| status.to_string())?.ok_or("the stream ended")?;
        let outcome = match down.outcome {
            Some(Outcome::Accepted(accepted)) => Ok(accepted),
            Some(Outcome::Refused(refused)) => Err(refused.into()),
            None => Err(open()),
        };
        inner.settle(down.tag, outcome);
    }
}

fn open() -> Refusal {
    Reason::Unavailable.because("no answer in time: it may have been taken, send it again with the same id")
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// Answers the author of the command with this tag.
    pub(crate) fn settle(&self, tag: u64, outcome: Result<v1::Accepted, Refusal>) {
        let Some(unanswered) = self.unanswered.borrow_mut().remove(&tag) else { return };
        self.left.notify_waiters();
        let (session, event_id) = (unanswered.session, unanswered.event_id);
        if let Some(conversation) = self.conversations.borrow_mut().get_mut(&session) {
            conversation.in_flight = conversation.in_flight.saturating_sub(1);
        }
        match outcome {
            Ok(accepted) => {
                let single = accepted.single_copy;
                let durability = if single { Durability::SingleCopy } else { Durability::Region };
                self.ack(session, vec![event_id], durability);
                self.taken(session, event_id, accepted.place.as_ref());
            }
            Err(refusal) => {
                let mut error = frame::Error::from(refusal).of_event(&event_id.to_string());
                // An id was judged by this region's time (E5).
                if matches!(error.code.reason(), Some(Reason::BadEventId | Reason::IdTooOld)) {
                    error.time_unix_ms = Some(self.process.clock().wall_ms());
                }
                self.send(session, &encode::error(error));
            }
        }
        if self.process.drain_signal().is_raised() {
            self.restart(session);
        }
    }

    fn ack(&self, session: SessionId, event_ids: Vec<EventId>, durability: Durability) {
        let region = self.config.region.clone();
        self.send(session, &ServerFrame::Ack(Ack { event_ids, region, durability }));
    }

    /// A publish has its first ack: its second follows, if there are other regions (E9).
    fn taken(&self, session: SessionId, event_id: EventId, place: Option<&v1::Position>) {
        let open = self.conversations.borrow().contains_key(&session);
        let Some(place) = place.filter(|_| self.config.mirrored && open) else { return };
        if self.second_acks.borrow_mut().taken(place.into(), event_id, session) == Then::Covered {
            self.ack(session, vec![event_id], Durability::Global);
        }
    }

    /// Another region has what this one took in, up to somewhere: second acks (E9).
    pub(crate) fn covered(&self, covered: &v1::Covered) {
        let acks = self.second_acks.borrow_mut().covered(covered);
        for (session, ids) in acks {
            for ids in ids.chunks(ACK_IDS) {
                self.ack(session, ids.to_vec(), Durability::Global);
            }
        }
    }

    /// Answers those that match with an open outcome.
    pub(crate) fn settle_all(&self, matches: impl Fn(&Unanswered) -> bool) {
        let mut tags: Vec<u64> = {
            let unanswered = self.unanswered.borrow();
            unanswered.iter().filter(|(_, u)| matches(u)).map(|(tag, _)| *tag).collect()
        };
        tags.sort_unstable();
        tags.into_iter().for_each(|tag| self.settle(tag, Err(open())));
    }

    /// Once a second: what has waited too long is answered.
    pub(crate) fn settle_late(&self) {
        let now = Instant::now();
        self.settle_all(|unanswered| now >= unanswered.since + ANSWER);
    }
}

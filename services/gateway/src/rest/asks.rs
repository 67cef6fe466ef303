//! What requests ask of the other roles: each call is bounded, and its refusal is passed on as it is.

use std::future::Future;

use bytes::Bytes;
use sterna_access::{Action, Identity, View};
use sterna_proto::v1::messaging_client::MessagingClient;
use sterna_proto::v1::notification_client::NotificationClient;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::v1::publish_down::Outcome;
use sterna_proto::{convert, refusal, v1};
use sterna_stream::{Cursor, EventId, Hlc, Reason, Refusal, StreamId, UserId, partition};
use tokio::time::{Duration, timeout};
use tonic::{Response, Status};

use super::Rest;

/// Longest that a decision or a read may take.
const READ: Duration = Duration::from_secs(5);
/// Longest that messaging may take to answer commands.
const ANSWER: Duration = Duration::from_secs(10);

/// What is to become an event.
pub(super) struct Command {
    pub(super) id: EventId,
    pub(super) kind: String,
    pub(super) payload: Bytes,
    pub(super) seen: Hlc,
}

/// How far this region holds a stream.
pub(super) struct Held {
    pub(super) head: Cursor,
    /// The newest stamp of any origin.
    pub(super) newest: Hlc,
}

/// Where an event stands, of which nothing else was asked.
pub(super) struct Found {
    pub(super) places: Vec<v1::Place>,
    pub(super) seen: Cursor,
}

impl Rest {
    /// Whether they may ask anything at all (A7): for what no stream's own decision answers.
    pub(super) async fn admit(&self, who: &Identity) -> Result<(), Refusal> {
        let decided = timeout(READ, self.authorizer.admit(who)).await;
        decided.unwrap_or_else(|_| Err(late()))
    }

    /// The stream's members, for whoever may read it.
    pub(super) async fn view(&self, who: &Identity, on: &StreamId) -> Result<View, Refusal> {
        let decided = timeout(READ, self.authorizer.view(who, on)).await;
        decided.unwrap_or_else(|_| Err(late()))
    }

    /// The same, knowing every member event that this region's table holds now.
    pub(super) async fn view_anew(&self, who: &Identity, on: &StreamId) -> Result<View, Refusal> {
        self.authorizer.passed(on);
        self.view(who, on).await
    }

    /// A sealed grant.
    pub(super) async fn grant(&self, who: &Identity, what: &Action, on: &StreamId) -> Result<Bytes, Refusal> {
        let decided = timeout(READ, self.authorizer.authorize(who, what, on)).await;
        Ok(self.grant_key.seal(&decided.unwrap_or_else(|_| Err(late()))?))
    }

    /// How far this region's table holds the stream.
    pub(super) async fn held(&self, stream: &StreamId) -> Result<Held, Refusal> {
        let mut client = PersistenceClient::new(self.links.persistence.clone());
        let answer =
            read(client.heads(v1::HeadsRequest { streams: vec![stream.to_string()], ..Default::default() }))
                .await?;
        let head = answer.heads.into_iter().next().ok_or_else(damaged)?;
        let cursor = convert::cursor(head.head.as_ref()).map_err(|_| damaged())?;
        Ok(Held { head: cursor, newest: Hlc(head.max_hlc) })
    }

    /// Where `author`'s event stands.
    pub(super) async fn lookup(
        &self,
        stream: &StreamId,
        author: &UserId,
        id: EventId,
    ) -> Result<Found, Refusal> {
        let mut client = PersistenceClient::new(self.links.persistence.clone());
        let event_id = Bytes::copy_from_slice(&id.to_bytes());
        let request = v1::LookupRequest { stream: stream.to_string(), event_id, author: author.to_string() };
        let answer = read(client.lookup(request)).await?;
        let seen = convert::cursor(answer.seen.as_ref()).map_err(|_| damaged())?;
        Ok(Found { places: answer.places, seen })
    }

    /// What a page is cut from.
    pub(super) async fn history(&self, request: v1::HistoryRequest) -> Result<v1::HistoryAnswer, Refusal> {
        let mut client = NotificationClient::new(self.links.notification.clone());
        read(client.history(request)).await
    }

    /// The streams of a user.
    pub(super) async fn mine(&self, request: v1::MineRequest) -> Result<v1::MineAnswer, Refusal> {
        let mut client = NotificationClient::new(self.links.notification.clone());
        read(client.mine(request)).await
    }

    /// Hands commands of one stream over, in order; each counts as a resend (E7). Answers with what the
    /// last was answered, and whether the region held any on a single copy.
    ///
    /// # Errors
    /// The first refusal; of those before it some may have been taken.
    pub(super) async fn command(
        &self,
        stream: &StreamId,
        grant: &Bytes,
        commands: Vec<Command>,
    ) -> Result<v1::Accepted, Refusal> {
        let instances = &self.links.messaging;
        let at = usize::from(partition::of(stream, self.config.partitions)) % instances.len().max(1);
        let link = instances.get(at).ok_or_else(open)?.clone();
        let ups: Vec<v1::PublishUp> =
            (1..).zip(commands).map(|(tag, command)| self.up(tag, grant, command)).collect();
        let call = async {
            let mut unanswered = ups.len();
            let mut taken = v1::Accepted::default();
            let answer = MessagingClient::new(link).publish(tokio_stream::iter(ups)).await;
            let mut downs = answer.map_err(|status| refusal::from_status(&status))?.into_inner();
            while unanswered > 0 {
                let down = downs.message().await.map_err(|status| refusal::from_status(&status))?;
                match down.ok_or_else(open)?.outcome {
                    Some(Outcome::Accepted(accepted)) => {
                        let single_copy = taken.single_copy || accepted.single_copy;
                        taken = v1::Accepted { single_copy, ..accepted };
                    }
                    Some(Outcome::Refused(refused)) => return Err(refused.into()),
                    None => return Err(open()),
                }
                unanswered -= 1;
            }
            Ok(taken)
        };
        timeout(ANSWER, call).await.unwrap_or_else(|_| Err(open()))
    }

    fn up(&self, tag: u64, grant: &Bytes, command: Command) -> v1::PublishUp {
        self.requests.set(self.requests.get() + 1);
        v1::PublishUp {
            tag,
            grant: grant.clone(),
            event_id: Bytes::copy_from_slice(&command.id.to_bytes()),
            kind: command.kind,
            payload: command.payload,
            seen: command.seen.0,
            resend: true,
            request_id: format!("{}/http-{}", self.config.name, self.requests.get()),
        }
    }
}

async fn read<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Refusal> {
    let answer = timeout(READ, call).await.map_err(|_| late())?;
    answer.map(Response::into_inner).map_err(|status| refusal::from_status(&status))
}

fn late() -> Refusal {
    Reason::Unavailable.because("no answer in time")
}

fn open() -> Refusal {
    Reason::Unavailable.because("no answer in time: it may have been taken, send it again with the same id")
}

fn damaged() -> Refusal {
    Reason::Internal.because("a service answered what it should not")
}

//! The stream of questions to notification: pulls of a ring, pages of a joining session.

use std::rc::Rc;

use sterna_process::{End, Link};
use sterna_proto::record::Stored;
use sterna_proto::v1::notification_client::NotificationClient;
use sterna_proto::{convert, v1};
use sterna_protocol::frame::GapReason;
use sterna_stream::limits::SHARD_ASKS;
use sterna_stream::policy::access_of;
use sterna_stream::{Cursor, Policy, Segment, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::{Waiting, pause};
use crate::conversation::DECISION;
use crate::gateway::Inner;
use crate::seams::{Gap, Page};
use crate::session::SessionId;

/// Carries asks to the instance behind `link`, for the shard's life. What is unanswered when a stream ends is
/// forgotten: the shard asks again.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: Rc<Inner<S>>,
    mut asks: mpsc::Receiver<v1::Ask>,
    link: Link,
) {
    let mut rng = inner.process.rng("backlog");
    loop {
        if let Err(why) = asking(&inner, &mut asks, link.clone()).await {
            tracing::info!(why, "asking notification again");
        }
        inner.outward.give_up_asks().into_iter().for_each(|waiting| inner.nothing_yet(waiting));
        pause(&mut rng).await;
    }
}

async fn asking<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    inner: &Rc<Inner<S>>,
    asks: &mut mpsc::Receiver<v1::Ask>,
    link: Link,
) -> Result<(), String> {
    let (forward, queue) = mpsc::channel(SHARD_ASKS);
    let mut client = NotificationClient::new(link.own_connection());
    let answer = client.backlog(ReceiverStream::new(queue)).await.map_err(|status| status.to_string())?;
    let mut pages = answer.into_inner();
    loop {
        tokio::select! {
            biased;
            page = pages.message() => {
                let page = page.map_err(|status| status.to_string())?.ok_or("the stream ended")?;
                inner.page(page);
            }
            Some(ask) = asks.recv(), if forward.capacity() > 0 => {
                forward.try_send(ask).map_err(|_| "the stream is closed".to_owned())?;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    fn page(self: &Rc<Self>, page: v1::Page) {
        let Some(waiting) = self.outward.answered(page.tag) else { return };
        if !page.refused.is_empty() {
            tracing::info!(reason = page.refused, "history is not readable now");
        }
        let segments: Result<Vec<Segment>, _> = page
            .records
            .into_iter()
            .map(|record| Stored::decode(record).map(|stored| stored.segment))
            .collect();
        let told = |field: &Option<v1::Cursor>| convert::cursor(field.as_ref());
        let (Ok(segments), Ok(skipped), Ok(lost)) = (segments, told(&page.skipped_to), told(&page.lost_to))
        else {
            tracing::error!("notification answered what is no page");
            return self.nothing_yet(waiting);
        };
        match waiting {
            Waiting::Pull { stream } => {
                self.shard.lost(&stream, &lost);
                segments.into_iter().for_each(|segment| {
                    let others = segment.policy.member.iter().any(|(origin, _)| *origin != segment.origin);
                    let recheck = others || access_of(&segment).is_some();
                    self.pushed(segment, recheck);
                });
            }
            Waiting::Page { session, stream, from } => {
                let lost = gap(&from, lost, GapReason::Lost);
                let page = Page { gap: gap(&from, skipped, GapReason::Skipped).or(lost), segments };
                let changes = page.segments.iter().any(|segment| self.rests_on_changes(segment));
                let access = self.unsettled_access(&stream, &page.segments);
                if !changes && access.is_empty() {
                    return self.shard.page(session, &stream, &page);
                }
                let inner = self.clone();
                self.process.spawn_local("authorising for a page", End::Expected, async move {
                    inner.page_behind_members(session, &stream, (changes, &access), &page).await;
                });
            }
        }
    }

    /// Whether a segment changes members, or rests on changes of another origin that those who follow the
    /// stream here need not have been authorised against: the table may hold what the mirror has not brought.
    fn rests_on_changes(&self, segment: &Segment) -> bool {
        let others = segment.policy.member.iter().filter(|(origin, _)| **origin != segment.origin);
        let member = others.map(|(origin, seq)| (origin.clone(), seq)).collect();
        let others = Policy { member, ..Policy::default() };
        !segment.members.is_empty() || !self.outward.settled(&segment.stream, &others)
    }

    /// The access events of the tenant that these segments rest on, unless everybody who follows the stream
    /// here was authorised against them.
    fn unsettled_access(&self, stream: &StreamId, segments: &[Segment]) -> Cursor {
        let mut policy = Policy::default();
        segments.iter().filter_map(access_of).for_each(|access| policy.access.merge(access));
        if self.outward.settled(stream, &policy) { Cursor::new() } else { policy.access }
    }

    /// A page that changes members, or rests on changes, may come from behind the removal of whoever is to
    /// get it: so it is given only to those who are authorised by what it says (E24). A session asks for one
    /// page of a stream at a time.
    async fn page_behind_members(
        &self,
        session: SessionId,
        stream: &StreamId,
        (changes, access): (bool, &Cursor),
        page: &Page,
    ) {
        if changes {
            self.authorizer.passed(stream);
        }
        self.authorizer.must_know(stream, access);
        self.authorize_again(session, stream, Instant::now() + DECISION).await;
        self.shard.page(session, stream, page);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A question will not be answered: an empty page makes the shard ask again.
    pub(crate) fn nothing_yet(&self, waiting: Waiting) {
        if let Waiting::Page { session, stream, .. } = waiting {
            self.shard.page(session, &stream, &Page::default());
        }
    }
}

fn gap(from: &Cursor, to: Cursor, reason: GapReason) -> Option<Gap> {
    if to.is_empty() {
        return None;
    }
    let before = to.iter().map(|(origin, _)| (origin.clone(), from.get(origin))).collect();
    Some(Gap { reason, from: before, to })
}

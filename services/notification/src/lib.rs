//! Notification: the one backlog path.
//!
//! A gateway shard asks for what a device missed; the answer comes from the region's tails where they reach
//! back far enough, else from persistence. Pages hold whole segments, each origin ascending and dense, and
//! say how far they go. Reading order: [`cut`] (which part of a long backlog is left out), [`gate`] (what may
//! be shown), [`source`] (where segments come from), [`backlog`] (one ask, one page), [`history`] (what REST
//! pages are cut from).
//!
//! It keeps nothing between asks and delivers nothing by itself: joining a page to the live ring is the
//! shard's work.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use sterna_process::{Caller, Link};
use sterna_proto::v1;
use sterna_proto::v1::notification_server::{Notification as Service, NotificationServer};
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_storage::Tails;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

pub mod backlog;
pub mod cut;
pub mod gate;
pub mod history;
pub mod mine;
pub mod source;

#[cfg(test)]
mod tests;

/// Pages of one call that are prepared at once; further asks wait their turn.
pub const PAGES_AT_ONCE: usize = 16;

/// The role, over a region's tails and its persistence.
#[derive(Clone)]
pub struct Notification {
    source: source::Source,
    mine: mine::Mine,
}

impl Notification {
    /// The role over `tails` and the persistence behind `link`.
    pub fn new(tails: Arc<dyn Tails>, link: Link) -> Self {
        let mine = mine::Mine::new(link.clone());
        Self { source: source::Source::new(tails, PersistenceClient::new(link)), mine }
    }

    /// Its services, to be served or linked directly.
    pub fn routes(&self) -> Routes {
        Routes::new(NotificationServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl Service for Notification {
    type BacklogStream = Pin<Box<dyn Stream<Item = Result<v1::Page, Status>> + Send>>;

    async fn backlog(
        &self,
        request: Request<Streaming<v1::Ask>>,
    ) -> Result<Response<Self::BacklogStream>, Status> {
        Caller::of(&request)?.must_be(&["gateway"])?;
        let source = self.source.clone();
        let answer = move |ask: Result<v1::Ask, Status>| {
            let source = source.clone();
            async move { Ok(backlog::answer(&source, ask?).await) }
        };
        let pages = request.into_inner().map(answer).buffer_unordered(PAGES_AT_ONCE);
        Ok(Response::new(Box::pin(pages)))
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryAnswer>, Status> {
        Caller::of(&request)?.must_be(&["gateway"])?;
        let answer = history::answer(&self.source, request.into_inner()).await;
        answer.map(Response::new).map_err(|refusal| sterna_proto::refusal::to_status(&refusal))
    }

    async fn mine(&self, request: Request<v1::MineRequest>) -> Result<Response<v1::MineAnswer>, Status> {
        Caller::of(&request)?.must_be(&["gateway"])?;
        let answer = self.mine.answer(request.into_inner()).await;
        answer.map(Response::new).map_err(|refusal| sterna_proto::refusal::to_status(&refusal))
    }
}

//! Persistence: the only owner of the event tables.
//!
//! It keeps segments under (stream, origin, first seq), each written once and never changed, and reads them
//! back as dense chains. It decides nothing: who may write is the caller's role, what is written is the
//! sequencer's. Reading order: [`chain`], then one file an operation: [`append`], [`ensure`], [`read`],
//! [`heads`], [`lookup`]; beside the segments [`cursors`] and [`touched`].
//!
//! It does not cache, does not gate by policy (the reader does) and never calls another service.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use sterna_process::Caller;
use sterna_proto::v1;
use sterna_proto::v1::persistence_server::{Persistence as Service, PersistenceServer};
use sterna_storage::Table;
use sterna_stream::Region;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

pub mod append;
pub mod chain;
pub mod cursors;
pub mod ensure;
pub mod heads;
pub mod lookup;
pub mod read;
pub mod touched;

#[cfg(test)]
mod tests;

/// The role, over a region's table.
#[derive(Clone)]
pub struct Persistence {
    table: Arc<dyn Table>,
}

impl Persistence {
    /// The role over `table`.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Its services, to be served or linked directly.
    pub fn routes(&self) -> Routes {
        Routes::new(PersistenceServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl Service for Persistence {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<v1::AppendAnswer, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<v1::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        Caller::of(&request)?.must_be(&["messaging"])?;
        let region = region(&request)?;
        let answers = append::Answers::new(self.table.clone(), region, request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn ensure(
        &self,
        request: Request<v1::EnsureRequest>,
    ) -> Result<Response<v1::EnsureAnswer>, Status> {
        Caller::of(&request)?.must_be(&["state"])?;
        let region = region(&request)?;
        let request = request.into_inner();
        let ensured = ensure::ensure(&*self.table, &region, request.items, request.grace_ms).await;
        let results = ensured.map_err(status)?;
        Ok(Response::new(v1::EnsureAnswer { results }))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<v1::ReadAnswer>, Status> {
        read::read(&*self.table, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn heads(&self, request: Request<v1::HeadsRequest>) -> Result<Response<v1::HeadsAnswer>, Status> {
        heads::heads(&*self.table, request.get_ref()).await.map(Response::new).map_err(status)
    }

    async fn lookup(
        &self,
        request: Request<v1::LookupRequest>,
    ) -> Result<Response<v1::LookupAnswer>, Status> {
        lookup::lookup(&*self.table, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn store_cursors(
        &self,
        request: Request<v1::StoreCursorsRequest>,
    ) -> Result<Response<v1::StoreCursorsAnswer>, Status> {
        Caller::of(&request)?.must_be(&["gateway"])?;
        let region = region(&request)?;
        cursors::store(&*self.table, &region, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(v1::StoreCursorsAnswer {}))
    }

    async fn cursors(
        &self,
        request: Request<v1::CursorsRequest>,
    ) -> Result<Response<v1::CursorsAnswer>, Status> {
        Caller::of(&request)?.must_be(&["gateway"])?;
        let region = region(&request)?;
        let cursors = cursors::read(&*self.table, &region, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(v1::CursorsAnswer { cursors }))
    }

    async fn touched(
        &self,
        request: Request<v1::TouchedRequest>,
    ) -> Result<Response<v1::TouchedAnswer>, Status> {
        Caller::of(&request)?.must_be(&["notification"])?;
        touched::touched(&*self.table, request.get_ref()).await.map(Response::new).map_err(status)
    }
}

/// The caller's region, whose items it writes.
fn region<T>(request: &Request<T>) -> Result<Region, Status> {
    let named = Caller::of(request)?.region().parse();
    named.map_err(|_| Status::permission_denied("the caller's region is none"))
}

fn status(error: chain::Error) -> Status {
    tracing::warn!(%error, "an event table did not give what was asked");
    sterna_proto::refusal::to_status(&error.refusal())
}

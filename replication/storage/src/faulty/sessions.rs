//! A session registry that breaks on purpose.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sterna_stream::UserId;

use crate::error::Error;
use crate::faulty::Faults;
use crate::sessions::{Opened, Session, Sessions};

/// `inner`, as far as `faults` let it; the hot key is the user, for a `renew` its first session's.
#[derive(Clone)]
pub struct FaultySessions {
    inner: Arc<dyn Sessions>,
    faults: Arc<Faults>,
}

impl FaultySessions {
    /// Wraps a registry.
    pub fn new(inner: Arc<dyn Sessions>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

#[async_trait]
impl Sessions for FaultySessions {
    async fn open(&self, session: Session, ttl: Duration) -> Result<Opened, Error> {
        let (inner, user) = (self.inner.clone(), session.user.clone());
        self.faults.write(user.as_str(), async move { inner.open(session, ttl).await }).await
    }

    async fn renew(&self, sessions: &[Session], ttl: Duration) -> Result<Vec<Session>, Error> {
        let (inner, renewed) = (self.inner.clone(), sessions.to_vec());
        let user = sessions.first().map_or("", |session| session.user.as_str());
        self.faults.write(user, async move { inner.renew(&renewed, ttl).await }).await
    }

    async fn close(&self, session: &Session) -> Result<(), Error> {
        let (inner, closed) = (self.inner.clone(), session.clone());
        self.faults.write(session.user.as_str(), async move { inner.close(&closed).await }).await
    }

    async fn of_user(&self, tenant: &str, user: &UserId) -> Result<Vec<Session>, Error> {
        self.faults.read(self.inner.of_user(tenant, user)).await
    }

    async fn of_gateway(
        &self,
        gateway: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Session>, Error> {
        self.faults.read(self.inner.of_gateway(gateway, after, limit)).await
    }
}

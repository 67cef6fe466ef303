//! What a change of a tenant's access stream does to its sessions here (E24, A7, A8).
//!
//! Nothing decided before counts any more, and whom it names is authorised again on every stream that they
//! follow. What rests on the change waits for that by itself ([`crate::held`]); what does not rest on it may
//! still pass until then.

use std::collections::BTreeSet;
use std::rc::Rc;

use sterna_process::End;
use sterna_proto::v1;
use sterna_stream::{StreamId, fixed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::conversation::DECISION;
use crate::gateway::Inner;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// `state` saw events of a stream that name these users; of an access stream it is about all they do.
    pub(crate) fn tenant_changed(self: &Rc<Self>, changed: &v1::MembersChanged) {
        let Ok(access) = changed.stream.parse::<StreamId>() else { return };
        if !fixed::is_access(&access) {
            return;
        }
        self.authorizer.passed(&access);
        self.tenant_passed(access.tenant());
        let (inner, everyone) = (self.clone(), changed.everyone);
        let users: BTreeSet<String> = changed.users.iter().cloned().collect();
        self.process.spawn_local("authorising a tenant's users again", End::Expected, async move {
            // One bound for all that follows from one change.
            let until = Instant::now() + DECISION;
            let followed = inner.shard.heads().into_iter().map(|(stream, _)| stream);
            for stream in followed.filter(|stream| stream.tenant() == access.tenant()) {
                for session in inner.shard.followers(&stream) {
                    let who = inner.identity(session);
                    if who.is_some_and(|who| everyone || users.contains(who.user.as_str())) {
                        inner.authorize_again(session, &stream, until).await;
                    }
                }
            }
        });
    }
}

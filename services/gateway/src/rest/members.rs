//! Members: listed in the order of their names, changed by member events of the stream itself (E24).

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use sterna_access::members::payload;
use sterna_access::{Action, Identity, View};
use sterna_protocol::rest::{self, Taken};
use sterna_stream::limits::REST_ITEMS;
use sterna_stream::member::{Change, Membership, Role};
use sterna_stream::{EventId, Reason, StreamId, UserId};

use super::Rest;
use super::asks::Command;
use super::query::{self, Query};
use super::reply::Reply;
use super::streams;

/// Members of a page that asks for no number.
const PAGE: usize = 100;

/// `GET …/members`.
pub(super) async fn list(rest: &Rest, who: &Identity, stream: &StreamId, query: &Query) -> Taken<Reply> {
    let limit = query.limit(PAGE, REST_ITEMS)?;
    let after: Option<UserId> = query.page()?;
    let view = rest.view(who, stream).await?;
    let mut left = view.fold.members.iter().skip_while(|(user, _)| Some(*user) <= after.as_ref()).peekable();
    let page: Vec<(&UserId, &Membership)> = left.by_ref().take(limit).collect();
    let listed: Vec<Value> = page.iter().map(|(user, is)| member(user, is.role)).collect();
    let mut body = json!({ "members": listed });
    if let (Some((last, _)), Some(_)) = (page.last(), left.peek()) {
        body["next"] = Value::from(query::token(last.as_str()));
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

fn member(user: &UserId, role: Role) -> Value {
    json!({ "user": user.as_str(), "role": payload::name(role) })
}

/// `PUT …/members/{user}`: this role from now on, and no higher one. 200 if it is so already, else 202.
pub(super) async fn set(
    rest: &Rest,
    who: &Identity,
    stream: &StreamId,
    user: &UserId,
    body: &Bytes,
) -> Taken<Reply> {
    let role = streams::role(&rest::role(body)?, "role")?;
    let (grant, view) = manage(rest, who, stream, user, Change::Add(role)).await?;
    let present = view.fold.members.role_of(user);
    if present == Some(role) {
        return Ok(Reply::json(StatusCode::OK, &member(user, role)));
    }
    let higher = [Role::Writer, Role::Owner].into_iter().filter(|one| *one > role && present >= Some(*one));
    let mut changes = vec![Change::Add(role)];
    changes.extend(higher.map(|one| Change::Remove(Some(one))));
    if changes.len() > 1 {
        spare_the_root(&view, user)?;
    }
    publish(rest, stream, &grant, user, &changes).await
}

/// `DELETE …/members/{user}`: by an owner, or by themselves. 200 if they are no member, else 202.
pub(super) async fn remove(rest: &Rest, who: &Identity, stream: &StreamId, user: &UserId) -> Taken<Reply> {
    let leaves = Change::Remove(None);
    let (grant, view) = manage(rest, who, stream, user, leaves).await?;
    if view.fold.members.role_of(user).is_none() {
        return Ok(Reply::json(StatusCode::OK, &json!({ "user": user.as_str(), "role": null })));
    }
    publish(rest, stream, &grant, user, &[leaves]).await
}

/// The grant to change what `user` is, and what members are by what this region holds now.
async fn manage(
    rest: &Rest,
    who: &Identity,
    stream: &StreamId,
    user: &UserId,
    change: Change,
) -> Taken<(Bytes, View)> {
    let view = rest.view_anew(who, stream).await?;
    let grant = rest.grant(who, &Action::Change(user.clone(), change), stream).await?;
    Ok((grant, view))
}

fn spare_the_root(view: &View, user: &UserId) -> Taken<()> {
    if view.fold.members.root() == Some(user) {
        return Err(Reason::Forbidden.because("whoever created a stream stays its owner").into());
    }
    Ok(())
}

async fn publish(
    rest: &Rest,
    stream: &StreamId,
    grant: &Bytes,
    user: &UserId,
    changes: &[Change],
) -> Taken<Reply> {
    let commands: Vec<Command> =
        changes.iter().map(|change| streams::change(rest.mint(), user, *change, None)).collect();
    let ids: Vec<String> = commands.iter().map(|command| command.id.to_string()).collect();
    let taken = rest.command(stream, grant, commands).await?;
    let durability = if taken.single_copy { "single_copy" } else { "region" };
    let body = json!({ "event_ids": ids, "region": rest.config.region.as_str(), "durability": durability });
    Ok(Reply::json(StatusCode::ACCEPTED, &body))
}

impl Rest {
    /// An id for an event that a request makes without naming one.
    fn mint(&self) -> EventId {
        let mut rng = self.ids.borrow_mut();
        let random =
            u128::from(rand::Rng::next_u64(&mut *rng)) << 64 | u128::from(rand::Rng::next_u64(&mut *rng));
        EventId::mint(self.process.clock().wall_ms(), random)
    }
}

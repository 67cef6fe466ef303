//! Streams: created under the name that follows from the creation (E3), and looked at.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use sterna_access::members::payload::{self, Payload};
use sterna_access::{Action, Identity, View};
use sterna_proto::{convert, v1};
use sterna_protocol::rest::{self, Member, Taken, bad};
use sterna_stream::kind::{History, MEMBER};
use sterna_stream::limits::{CREATE_MEMBERS, DURABILITY_WAIT_MS, REST_ITEMS, STREAM_MEMBERS};
use sterna_stream::member::{Change, Role};
use sterna_stream::{EventId, Hlc, Reason, StreamId, UserId, created};
use tokio::time::{Duration, Instant, sleep};

use super::Rest;
use super::asks::Command;
use super::query::{self, Query};
use super::reply::{Reply, cursor};
use super::users::Load;
use super::wish::{ROOT, bad_stream};

/// Streams of a page that asks for no number.
const PAGE: usize = 100;
/// Pause between two looks whether a creation has been sequenced: doubled from the first to the last.
const LOOK_MS: (u64, u64) = (10, 200);

/// `GET /v1/streams`: the asker's own, in the order of their names.
pub(super) async fn list(rest: &Rest, who: &Identity, query: &Query) -> Taken<Reply> {
    if query.get("alias").is_some() {
        let detail = "names for people are not served yet: keep the id that the creation answered";
        return Err(Box::new(bad("alias", detail).status(StatusCode::NOT_IMPLEMENTED.as_u16())));
    }
    let kind = query.get("kind").unwrap_or_default();
    if !kind.is_empty() && StreamId::new(&who.tenant, kind, "x").is_err() {
        return Err(bad("kind", "a kind has 1 to 32 of a-z, 0-9, dot, underscore and dash"));
    }
    let request = v1::MineRequest {
        tenant: who.tenant.clone(),
        user: who.user.to_string(),
        kind: kind.to_owned(),
        limit: u32::try_from(query.limit(PAGE, REST_ITEMS)?).unwrap_or(u32::MAX),
        after: query.page()?.map(|after: StreamId| after.to_string()).unwrap_or_default(),
        newest: false,
    };
    rest.admit(who).await?;
    let answer = rest.mine(request).await?;
    let stream = |mine: &v1::MyStream| {
        let head = convert::cursor(mine.head.as_ref()).unwrap_or_default();
        json!({ "stream": mine.stream, "role": mine.role, "head": cursor(&head) })
    };
    let mut body = json!({ "streams": answer.streams.iter().map(stream).collect::<Vec<_>>() });
    if !answer.unknown.is_empty() {
        body["unknown"] = Value::from(answer.unknown);
    }
    if !answer.next.is_empty() {
        body["next"] = Value::from(query::token(&answer.next));
    }
    Ok(Reply { tagged: true, ..Reply::json(StatusCode::OK, &body) })
}

/// `GET /v1/streams/{kind}/{name}`.
pub(super) async fn head(rest: &Rest, who: &Identity, stream: &StreamId) -> Taken<Reply> {
    let view = rest.view(who, stream).await?;
    let held = rest.held(stream).await?;
    let body = json!({
        "stream": stream.as_str(),
        "head": cursor(&held.head),
        "role": role_name(&view, &who.user),
        "history": history_name(view.history),
    });
    Ok(Reply { tagged: true, ..Reply::json(StatusCode::OK, &body) })
}

/// `POST /v1/streams/{kind}`: 201 once the stream can be used here, 200 if it was there before. A repeat adds
/// those members only that the first attempt did not come to.
pub(super) async fn create(rest: &Rest, who: &Identity, kind: &str, body: &Bytes) -> Taken<Reply> {
    let asked = rest::create(body)?;
    if !asked.alias.is_empty() {
        return Err(bad("alias", "names for people are not served yet: leave it out and keep the id"));
    }
    let history = history(&asked.history)?;
    let members = roles(who, asked.members)?;
    let id = asked.event_id;
    let stream = created::stream(&who.tenant, kind, &who.user, id).map_err(|_| bad_stream())?;
    rest.count(who, Load::Write(1 + members.len()))?;
    let (status, view) = match rest.view(who, &stream).await {
        Ok(view) => (StatusCode::OK, view),
        Err(refusal) if refusal.reason == Reason::NotFound => {
            let grant = rest.grant(who, &Action::Create(id), &stream).await?;
            let creation = add(id, &who.user, Role::Owner, history);
            rest.command(&stream, &grant, vec![creation]).await?;
            (StatusCode::CREATED, sequenced(rest, who, &stream).await?)
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let absent = |member: &&(UserId, Role)| view.fold.members.role_of(&member.0).is_none();
    let absent: Vec<_> = members.iter().filter(absent).collect();
    if let Some((first, role)) = absent.first() {
        if view.fold.members.iter().len() + absent.len() > STREAM_MEMBERS {
            let detail = format!("a stream has at most {STREAM_MEMBERS} members");
            return Err(Reason::LimitExceeded.because(detail).into());
        }
        let adds = absent.iter().map(|(user, role)| add(added(id, user, *role), user, *role, None)).collect();
        let action = Action::Change(first.clone(), Change::Add(*role));
        let grant = rest.grant(who, &action, &stream).await?;
        match rest.command(&stream, &grant, adds).await {
            // Past the window nothing of the first attempt is open any more.
            Err(refusal) if refusal.reason == Reason::IdTooOld && status == StatusCode::OK => {}
            outcome => drop(outcome?),
        }
    }
    let body = json!({
        "stream": stream.as_str(),
        "event_id": id.to_string(),
        "role": role_name(&view, &who.user),
        "history": history_name(view.history),
    });
    let location = Some(format!("{ROOT}/{}/{}", stream.kind(), stream.name()));
    Ok(Reply { location, ..Reply::json(status, &body) })
}

/// Waits until the stream is there: the region took its creation and sequences it.
async fn sequenced(rest: &Rest, who: &Identity, stream: &StreamId) -> Taken<View> {
    let until = Instant::now() + Duration::from_millis(DURABILITY_WAIT_MS);
    let mut pause = LOOK_MS.0;
    loop {
        match rest.view_anew(who, stream).await {
            Ok(view) => return Ok(view),
            Err(refusal) if refusal.reason != Reason::NotFound => return Err(refusal.into()),
            Err(_) if Instant::now() >= until => {
                let detail = "the creation was taken and is not sequenced yet: repeat it";
                return Err(Reason::Unavailable.because(detail).into());
            }
            Err(_) => sleep(Duration::from_millis(pause)).await,
        }
        pause = (2 * pause).min(LOOK_MS.1);
    }
}

/// The event by which `user` gets `role`.
pub(super) fn add(id: EventId, user: &UserId, role: Role, history: Option<History>) -> Command {
    change(id, user, Change::Add(role), history)
}

/// The event that changes what `user` is.
pub(super) fn change(id: EventId, user: &UserId, change: Change, history: Option<History>) -> Command {
    let payload = payload::json(&Payload { user: user.clone(), change, history });
    Command { id, kind: MEMBER.to_owned(), payload: payload.into(), seen: Hlc::ZERO }
}

/// The id of the event that adds a member at the creation `id`: the same at every repeat, so that a repeat
/// adds nobody twice.
fn added(id: EventId, user: &UserId, role: Role) -> EventId {
    let hash =
        Sha1::new().chain_update(id.to_bytes()).chain_update(payload::name(role)).chain_update(user.as_str());
    let mut random = [0; 16];
    random.copy_from_slice(&hash.finalize()[..16]);
    EventId::mint(id.time_ms(), u128::from_be_bytes(random))
}

fn roles(who: &Identity, members: Vec<Member>) -> Taken<Vec<(UserId, Role)>> {
    if members.len() > CREATE_MEMBERS {
        let detail =
            format!("a creation names at most {CREATE_MEMBERS} members: add further ones one by one");
        return Err(Reason::LimitExceeded.because(detail).into());
    }
    let mut roles: Vec<(UserId, Role)> = Vec::with_capacity(members.len());
    for Member { user, role } in members {
        let role = self::role(&role, "members")?;
        if roles.iter().any(|(known, _)| *known == user) {
            return Err(bad("members", "a member stands there twice"));
        }
        if user != who.user {
            roles.push((user, role));
        }
    }
    Ok(roles)
}

/// The role of this name.
pub(super) fn role(name: &str, field: &str) -> Taken<Role> {
    payload::role(name).ok_or_else(|| bad(field, "a role is reader, writer or owner"))
}

fn history(name: &str) -> Taken<Option<History>> {
    match name {
        "" => Ok(None),
        "all" => Ok(Some(History::All)),
        "since_joined" => Ok(Some(History::SinceJoined)),
        _ => Err(bad("history", "a history is all or since_joined")),
    }
}

fn history_name(history: History) -> &'static str {
    match history {
        History::All => "all",
        History::SinceJoined => "since_joined",
    }
}

fn role_name(view: &View, user: &UserId) -> Option<&'static str> {
    view.fold.members.role_of(user).map(payload::name)
}

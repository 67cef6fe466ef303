//! One event: published under its author's id, and looked up by it (E7, E9).

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use sterna_access::{Action, Identity};
use sterna_protocol::Problem;
use sterna_protocol::rest::{self, Taken, bad};
use sterna_stream::kind::MEMBER;
use sterna_stream::order::Place;
use sterna_stream::{EventId, Hlc, Reason, StreamId, UserId, created};

use super::Rest;
use super::asks::Command;
use super::query::Query;
use super::reply::{self, Reply};
use super::second;

/// `PUT …/events/{event_id}`: 202 with the ack's body, at every repeat.
pub(super) async fn publish(
    rest: &Rest,
    who: &Identity,
    stream: &StreamId,
    id: EventId,
    query: &Query,
    body: &Bytes,
) -> Taken<Reply> {
    let global = match query.get("durability") {
        None | Some("region") => false,
        Some("global") => true,
        Some(_) => return Err(bad("durability", "a durability is region or global")),
    };
    let asked = rest::publish(body)?;
    let creates = asked.kind.as_str() == MEMBER && created::is_creation(stream, &who.user, id);
    let action = match creates {
        true => Action::Create(id),
        false => Action::publishing(&asked.kind, asked.payload.as_bytes()),
    };
    let grant = rest.grant(who, &action, stream).await?;
    let seen = seen(rest, stream, asked.seen).await?;
    let command = Command { id, kind: asked.kind.to_string(), payload: asked.payload.into_bytes(), seen };
    let taken = rest.command(stream, &grant, vec![command]).await?;
    let elsewhere = match taken.place.filter(|_| global && rest.config.mirrored) {
        Some(place) => second::covers(rest, &place).await,
        None => false,
    };
    let durability = match (elsewhere, taken.single_copy) {
        (true, _) => "global",
        (false, true) => "single_copy",
        (false, false) => "region",
    };
    let region = rest.config.region.as_str();
    let body = json!({ "event_id": id.to_string(), "region": region, "durability": durability });
    Ok(Reply::json(StatusCode::ACCEPTED, &body))
}

/// What its author was shown: their claim, as far as it can be; without one the highest that this region
/// holds (E14).
async fn seen(rest: &Rest, stream: &StreamId, claim: Option<Hlc>) -> Taken<Hlc> {
    let held = rest.held(stream).await?.newest;
    let now_ms = rest.process.clock().wall_ms();
    if claim.is_some_and(|claim| claim > held.max(Hlc::at(now_ms + rest.config.clock_bound_ms))) {
        let problem = bad("seen", "seen is a stamp that nothing can have yet");
        return Err(Box::new(Problem { time_unix_ms: Some(now_ms), ..*problem }));
    }
    Ok(claim.unwrap_or(held))
}

/// `GET …/events/{event_id}`: where the asker's event stands, or that of `?author=`.
pub(super) async fn find(
    rest: &Rest,
    who: &Identity,
    stream: &StreamId,
    id: EventId,
    query: &Query,
) -> Taken<Reply> {
    let author: Option<UserId> =
        query.value("author", "an author has 1 to 128 bytes and no control characters")?;
    let author = author.unwrap_or_else(|| who.user.clone());
    let view = rest.view(who, stream).await?;
    let found = rest.lookup(stream, &author, id).await?;
    let parsed = found.places.into_iter().filter_map(|place| {
        Some(Place { hlc: Hlc(place.hlc), origin: place.origin.parse().ok()?, seq: place.seq })
    });
    let shown = |place: &Place| !view.fold.members.hides(&who.user, view.history, place);
    let mut places: Vec<Place> = parsed.filter(shown).collect();
    places.sort_unstable();
    let Some((first, twins)) = places.split_first() else {
        let refusal = Reason::NotFound.because("this region does not hold the event, as far as it has seen");
        return Err(Box::new(Problem::of(&refusal).seen(&found.seen)));
    };
    let mut body = reply::place(first);
    body["event_id"] = Value::from(id.to_string());
    body["author"] = Value::from(author.as_str());
    body["twins"] = twins.iter().map(reply::place).collect();
    Ok(Reply::json(StatusCode::OK, &body))
}

//! What one region's table holds, read behind the faults.

use std::collections::BTreeMap;

use sterna_proto::record::{Body, Stored};
use sterna_storage::{Name, Table};
use sterna_stream::access::{self, Suspension, Whom};
use sterna_stream::order::{Entry, Place, Timeline};
use sterna_stream::sequencer::invariants;
use sterna_stream::{Cursor, Origin, Policy, StreamId, fixed};

use crate::site::Site;

/// See the file's head.
#[derive(Default)]
pub struct Chains {
    /// Per (stream, origin), segments in seq order.
    pub segments: BTreeMap<(StreamId, Origin), Vec<Stored>>,
    /// Per stream, its events as devices see them: origin by origin, in seq order.
    pub events: BTreeMap<StreamId, Vec<Entry>>,
    /// Per stream, whom a member event puts out, and where it stands.
    pub removals: BTreeMap<StreamId, Vec<(String, Origin, u64)>>,
    /// Whom an event of the tenant's access stream suspends, and how far that stream goes with it.
    pub suspensions: Vec<(String, Origin, u64)>,
}

impl Chains {
    /// Reads the table of a region.
    ///
    /// # Errors
    /// The first chain that is none.
    pub async fn read(site: &Site) -> Result<Self, String> {
        let mut all: BTreeMap<(StreamId, Origin, u64), Stored> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = site.stores.table.scan(Name::Events, after).await.map_err(|e| e.to_string())?;
            for item in page.items {
                let stored =
                    Stored::decode(item.value).map_err(|error| format!("{}: {error}", item.key.sort))?;
                let segment = &stored.segment;
                all.insert((segment.stream.clone(), segment.origin.clone(), segment.first), stored);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut chains = Self::default();
        for ((stream, origin, _), stored) in all {
            chains.segments.entry((stream, origin)).or_default().push(stored);
        }
        for ((stream, origin), stored) in &chains.segments {
            let end = invariants::chain(stored.iter().map(|stored| &stored.segment));
            let region = &site.plan.region;
            end.map_err(|broken| format!("in {region}, the chain of {stream} {origin}: {broken}"))?;
        }
        chains.decode()?;
        Ok(chains)
    }

    /// The chains of one origin.
    pub fn of(&self, origin: &Origin) -> Self {
        let own = self.segments.iter().filter(|((_, of), _)| of == origin);
        Self {
            segments: own.map(|(name, stored)| (name.clone(), stored.clone())).collect(),
            ..Self::default()
        }
    }

    /// What an event rests on.
    pub fn policy(&self, stream: &StreamId, origin: &Origin, seq: u64) -> Policy {
        let segments = self.segments.get(&(stream.clone(), origin.clone()));
        let segment = segments.into_iter().flatten().find(|stored| stored.segment.last() >= seq);
        segment.map(|stored| stored.segment.policy.clone()).unwrap_or_default()
    }

    /// How far a stream goes.
    pub fn head(&self, stream: &StreamId) -> Cursor {
        let mut head = Cursor::new();
        for event in self.events.get(stream).into_iter().flatten() {
            head.advance(&event.place.origin, event.place.seq);
        }
        head
    }

    /// How many events there are.
    pub fn count(&self) -> usize {
        self.events.values().map(Vec::len).sum()
    }

    fn decode(&mut self) -> Result<(), String> {
        for ((stream, origin), stored) in &self.segments {
            for segment in stored.iter().map(|stored| &stored.segment) {
                for (seq, hlc, body) in segment.events() {
                    let body = Body::decode(body).map_err(|error| format!("{stream} {seq}: {error}"))?;
                    if let Some(user) = removed(&body) {
                        let removals = self.removals.entry(stream.clone()).or_default();
                        removals.push((user, origin.clone(), seq));
                    }
                    if let Some(user) = suspended(stream, &body) {
                        self.suspensions.push((user, origin.clone(), seq));
                    }
                    let place = Place { hlc, origin: origin.clone(), seq };
                    self.events.entry(stream.clone()).or_default().push(entry(place, &body));
                }
            }
        }
        Ok(())
    }
}

/// These as a reader shows them: in display order, of twins the first (E13).
pub fn timeline(events: &[Entry]) -> Timeline {
    let mut timeline = Timeline::default();
    for event in events {
        timeline.add(event.clone());
    }
    timeline
}

fn entry(place: Place, body: &Body) -> Entry {
    let content = crate::person::content(body.kind.as_str(), &body.payload);
    Entry { place, author: body.author.clone(), id: body.id, content, resend: body.resend }
}

/// Whom an access event suspends.
fn suspended(stream: &StreamId, body: &Body) -> Option<String> {
    let event = fixed::is_access(stream) && body.kind.as_str() == "suspension";
    match event.then(|| access::payload::read(&body.payload)).flatten()? {
        Suspension { whom: Whom::User(user), suspended: true, .. } => Some(user.to_string()),
        Suspension { .. } => None,
    }
}

/// Whom a member event puts out.
fn removed(body: &Body) -> Option<String> {
    let payload =
        (body.kind.as_str() == "member").then(|| sterna_access::members::payload::parse(&body.payload))?;
    let payload = payload?;
    matches!(payload.change, sterna_stream::member::Change::Remove(_)).then(|| payload.user.to_string())
}

//! The outbox: what is on its way, and what becomes of it (rules 12 to 15 and 22).
//!
//! Where there are several regions an accepted letter is kept until another region has it, too, and offered
//! again, in order, to a region that its author goes to before that.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use sterna_protocol::Payload;
use sterna_protocol::frame::{Ack, ClientFrame, Durability, Error, Event, Publish};
use sterna_stream::{Cursor, EventId, Hlc, Origin, Reason, Retry, StreamId, created};
use tokio::time::Instant;

use super::{Book, Inner};
use crate::paths::Path;

/// Publishes without an ack at once; below the server's bound.
const IN_FLIGHT: usize = 16;
/// After so long without an ack it is sent again.
const ACK: Duration = Duration::from_secs(10);
/// Pause before something that was refused for good reason is tried again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the outbox is looked at, at most.
const LOOK: Duration = Duration::from_millis(50);
/// How often a refusal that may come of a late fold is met with another attempt.
const TRIES: u32 = 20;

/// One publish.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its id, minted before the first attempt.
    pub id: EventId,
    /// Where it goes.
    pub stream: StreamId,
    /// Its kind.
    pub kind: &'static str,
    /// Its payload.
    pub json: String,
    /// The newest stamp of the stream that its author had been shown when it was written.
    pub seen: Hlc,
    /// When it was sent last on this socket.
    sent: Option<Instant>,
    /// Not before this.
    held: Option<Instant>,
    /// How often it was sent.
    tries: u32,
    /// On which socket it was accepted.
    accepted: Option<u64>,
    /// Whether its author followed the stream on the socket that it was sent on last.
    followed: bool,
    /// How often its author did the same before, under ids that were refused.
    before: u32,
}

impl Inner {
    /// Puts a letter into the outbox; it is sent when its turn comes.
    pub(super) fn write(&self, id: EventId, stream: StreamId, kind: &'static str, json: String) {
        let mut ledger = self.ledger.borrow_mut();
        let seen = ledger.books.get(&stream).map_or(Hlc::ZERO, |book| book.newest);
        ledger.seen.insert((stream.clone(), id), seen);
        let letter = Letter {
            id,
            stream,
            kind,
            json,
            seen,
            sent: None,
            held: None,
            tries: 0,
            accepted: None,
            followed: false,
            before: 0,
        };
        ledger.outbox.push_back(letter);
    }

    /// Puts into the outbox, after a while and under an id of its own, what was refused under another.
    pub(super) fn write_again(&self, id: EventId, refused: Letter) {
        self.line("does it again", format_args!("{} as {id}", refused.id));
        self.write(id, refused.stream, refused.kind, refused.json);
        if let Some(letter) = self.ledger.borrow_mut().outbox.back_mut() {
            (letter.held, letter.before) = (Some(Instant::now() + PATIENCE), refused.before + 1);
        }
    }

    /// A new socket: whatever was on its way must be sent again.
    pub(super) fn lost_socket(&self) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.outbox.iter_mut().for_each(|letter| letter.sent = None);
    }

    /// Its access is revoked altogether: what was not taken is given up, as if each had been refused.
    pub(super) fn revoked(&self) {
        let mut ledger = self.ledger.borrow_mut();
        let before = ledger.outbox.len();
        ledger.outbox.retain(Letter::is_accepted);
        let refused = (before - ledger.outbox.len()) as u64;
        *ledger.given_up.entry(Reason::Forbidden.code()).or_default() += refused;
        ledger.revoked = true;
    }

    /// From now on its sockets lead to another region: what no second region is known to have is offered
    /// there.
    pub(super) fn cross(&self, region: usize) {
        if region == self.at.get() {
            return;
        }
        let again = self.offer_again();
        self.line("crosses", format_args!("to region {region} with {again} accepted letters"));
        self.at.set(region);
        self.paths.took(Path::Crossing);
    }

    /// The region says who it is. If it is another one than before, it may not have what that one accepted:
    /// everything is offered again (rule 13).
    pub(super) fn welcomed_by(&self, origin: Option<&Origin>) {
        let before = self.origin.replace(origin.cloned());
        if before.is_some() && before.as_ref() != origin {
            let again = self.offer_again();
            self.line("is at another origin", format_args!("{origin:?} with {again} accepted letters"));
        }
    }

    fn offer_again(&self) -> usize {
        let mut ledger = self.ledger.borrow_mut();
        let mut again = 0;
        for letter in ledger.outbox.iter_mut().filter(|letter| letter.accepted.is_some()) {
            (letter.accepted, letter.sent) = (None, None);
            again += 1;
        }
        again
    }

    /// One more socket, to the region with this number.
    pub(super) fn opened(&self, at: usize) {
        self.sockets.set(self.sockets.get() + 1);
        self.line("opens", format_args!("socket {} in region {at}", self.sockets.get()));
    }

    /// The first letter that has its first ack and is to have its second, because the socket that brought
    /// the first is still open. That of a proven duplicate, and of a stream that its author did not follow,
    /// is not promised yet (E9).
    pub fn unsafe_letter(&self) -> Option<EventId> {
        let promised = |letter: &&Letter| {
            letter.tries == 1 && letter.followed && letter.accepted == Some(self.sockets.get())
        };
        self.ledger.borrow().outbox.iter().find(promised).map(|letter| letter.id)
    }

    /// Events of its own came back; those of another region's origin are in two regions.
    pub(super) fn came_back(&self, events: &[Event]) {
        let mut ledger = self.ledger.borrow_mut();
        for event in events.iter().filter(|event| event.author.as_str() == self.card.name) {
            if self.origin.borrow().as_ref().is_some_and(|here| *here != event.origin) {
                ledger.outbox.retain(|letter| letter.id != event.event_id || letter.accepted.is_none());
            }
        }
    }

    /// What may be sent now, in order; a letter that must wait holds up its stream.
    pub(super) fn due(&self, now: Instant) -> Vec<ClientFrame> {
        let mut ledger = self.ledger.borrow_mut();
        let underway = |l: &&Letter| l.accepted.is_none() && l.sent.is_some_and(|sent| now < sent + ACK);
        let mut room = IN_FLIGHT.saturating_sub(ledger.outbox.iter().filter(underway).count());
        let (mut frames, mut waiting) = (Vec::new(), Vec::new());
        let follows = |(stream, book): (&StreamId, &Book)| book.subscribed.then(|| stream.clone());
        let followed: BTreeSet<StreamId> = ledger.books.iter().filter_map(follows).collect();
        for letter in &mut ledger.outbox {
            if underway(&&*letter) || letter.accepted.is_some() {
                continue;
            }
            if room == 0 || waiting.contains(&letter.stream) || letter.held.is_some_and(|until| now < until) {
                waiting.push(letter.stream.clone());
                continue;
            }
            room -= 1;
            letter.followed = followed.contains(&letter.stream);
            (letter.sent, letter.held) = (Some(now), None);
            letter.tries += 1;
            frames.push(letter.frame());
        }
        drop(ledger);
        frames
    }

    /// When something of the outbox is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let ledger = self.ledger.borrow();
        let open = ledger.outbox.iter().filter(|letter| letter.accepted.is_none());
        let times = open.map(|letter| match (letter.held, letter.sent) {
            (Some(held), _) => held,
            (None, Some(sent)) => sent + ACK,
            (None, None) => Instant::now() + PATIENCE,
        });
        // What is overdue waits for others of its stream: looking again at once would find the same.
        times.min().map(|first| first.max(Instant::now() + LOOK))
    }

    /// An ack came, the first or the second.
    pub(super) fn acked(&self, ack: &Ack) {
        let global = ack.durability == Durability::Global;
        let keeps = self.regions > 1 && !global;
        let mut ledger = self.ledger.borrow_mut();
        for id in &ack.event_ids {
            let Some(at) = ledger.outbox.iter().position(|letter| letter.id == *id) else { continue };
            let stream = ledger.outbox[at].stream.clone();
            ledger.acked.insert((stream.clone(), *id));
            if global {
                self.paths.took(Path::SecondAck);
            } else {
                ledger.acked_by.insert((self.at.get(), stream, *id));
            }
            if keeps {
                ledger.outbox[at].accepted.get_or_insert(self.sockets.get());
            } else {
                ledger.outbox.remove(at);
            }
        }
    }

    /// One of its publishes was refused. Gives it back where its author does it again under a new id: whoever
    /// lets somebody in and is told that only the time of it is wrong, because they came from a region whose
    /// clock is, does not leave it at that.
    pub(super) fn refused(&self, error: &Error) -> Option<Letter> {
        let id = error.event_id.as_deref().and_then(|text| text.parse::<EventId>().ok());
        let mut ledger = self.ledger.borrow_mut();
        let at = id.and_then(|id| ledger.outbox.iter().position(|letter| letter.id == id))?;
        let reason = error.code.reason().unwrap_or(Reason::Internal);
        let after = error.retry_after_ms.map_or(PATIENCE, |ms| Duration::from_millis(ms.into()));
        let letter = &mut ledger.outbox[at];
        let may_change = matches!(reason, Reason::NotFound | Reason::Forbidden | Reason::LimitExceeded);
        if reason.retry() == Retry::Later || (may_change && letter.tries < TRIES) {
            (letter.sent, letter.held) = (None, Some(Instant::now() + after));
            return None;
        }
        let letter = ledger.outbox.remove(at)?;
        *ledger.given_up.entry(reason.code()).or_default() += 1;
        drop(ledger);
        self.line(
            "gives up",
            format_args!("{} {}", error.code.as_str(), error.event_id.as_deref().unwrap_or("")),
        );
        let untimely = matches!(reason, Reason::BadEventId | Reason::BadRequest);
        let deed = letter.kind != "message" && !letter.creates(&self.card.name);
        (untimely && deed && letter.before < TRIES).then_some(letter)
    }
}

impl Letter {
    /// Whether some region has it.
    pub fn is_accepted(&self) -> bool {
        self.accepted.is_some()
    }

    /// Whether it creates its stream, whose name follows from its id.
    fn creates(&self, author: &str) -> bool {
        author.parse().is_ok_and(|author| created::is_creation(&self.stream, &author, self.id))
    }

    fn frame(&self) -> ClientFrame {
        let payload = Payload::parse(Bytes::copy_from_slice(self.json.as_bytes())).expect("it is JSON");
        ClientFrame::Publish(Publish {
            stream: self.stream.clone(),
            event_id: self.id,
            kind: self.kind.parse().expect("an event kind"),
            payload,
            seen: (self.seen > Hlc::ZERO).then_some(self.seen),
            resend: self.tries > 1,
            policy: Cursor::new(),
        })
    }
}

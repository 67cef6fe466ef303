//! The outbox: what is on its way, and what becomes of it (rules 12 to 15 and 22).

use std::time::Duration;

use bytes::Bytes;
use sterna_protocol::Payload;
use sterna_protocol::frame::{ClientFrame, Error, Publish};
use sterna_stream::{Cursor, EventId, Hlc, Reason, Retry, StreamId};
use tokio::time::Instant;

use super::Inner;

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
}

impl Inner {
    /// Puts a letter into the outbox; it is sent when its turn comes.
    pub(super) fn write(&self, id: EventId, stream: StreamId, kind: &'static str, json: String) {
        let mut ledger = self.ledger.borrow_mut();
        let seen = ledger.books.get(&stream).map_or(Hlc::ZERO, |book| book.newest);
        ledger.seen.insert((stream.clone(), id), seen);
        let letter = Letter { id, stream, kind, json, seen, sent: None, held: None, tries: 0 };
        ledger.outbox.push_back(letter);
    }

    /// A new socket: whatever was on its way must be sent again.
    pub(super) fn lost_socket(&self) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.outbox.iter_mut().for_each(|letter| letter.sent = None);
    }

    /// What may be sent now, in order; a letter that must wait holds up its stream.
    pub(super) fn due(&self, now: Instant) -> Vec<ClientFrame> {
        let mut ledger = self.ledger.borrow_mut();
        let underway = |l: &&Letter| l.sent.is_some_and(|sent| now < sent + ACK);
        let mut room = IN_FLIGHT.saturating_sub(ledger.outbox.iter().filter(underway).count());
        let (mut frames, mut waiting) = (Vec::new(), Vec::new());
        for letter in &mut ledger.outbox {
            if underway(&&*letter) {
                continue;
            }
            if room == 0 || waiting.contains(&letter.stream) || letter.held.is_some_and(|until| now < until) {
                waiting.push(letter.stream.clone());
                continue;
            }
            room -= 1;
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
        let times = ledger.outbox.iter().map(|letter| match (letter.held, letter.sent) {
            (Some(held), _) => held,
            (None, Some(sent)) => sent + ACK,
            (None, None) => Instant::now() + PATIENCE,
        });
        // What is overdue waits for others of its stream: looking again at once would find the same.
        times.min().map(|first| first.max(Instant::now() + LOOK))
    }

    pub(super) fn acked(&self, ids: &[EventId]) {
        let mut ledger = self.ledger.borrow_mut();
        for id in ids {
            let Some(at) = ledger.outbox.iter().position(|letter| letter.id == *id) else { continue };
            let letter = ledger.outbox.remove(at).expect("it was found there");
            ledger.acked.insert((letter.stream, letter.id));
        }
    }

    /// One of its publishes was refused.
    pub(super) fn refused(&self, error: &Error) {
        let id = error.event_id.as_deref().and_then(|text| text.parse::<EventId>().ok());
        let mut ledger = self.ledger.borrow_mut();
        let Some(at) = id.and_then(|id| ledger.outbox.iter().position(|letter| letter.id == id)) else {
            return;
        };
        let reason = error.code.reason().unwrap_or(Reason::Internal);
        let after = error.retry_after_ms.map_or(PATIENCE, |ms| Duration::from_millis(ms.into()));
        let letter = &mut ledger.outbox[at];
        let may_change = matches!(reason, Reason::NotFound | Reason::Forbidden | Reason::LimitExceeded);
        if reason.retry() == Retry::Later || (may_change && letter.tries < TRIES) {
            (letter.sent, letter.held) = (None, Some(Instant::now() + after));
            return;
        }
        ledger.outbox.remove(at);
        *ledger.given_up.entry(reason.code()).or_default() += 1;
        drop(ledger);
        self.line(
            "gives up",
            format_args!("{} {}", error.code.as_str(), error.event_id.as_deref().unwrap_or("")),
        );
    }
}

impl Letter {
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

//! The eight states of docs/protocol.md, section 7, and what leads from one to another.

/// Where a client is.
///
/// A close, by whichever side, leads on by its code's range: 40xx, 41xx and 42xx to [`State::Waiting`] (from
/// [`State::Moving`] to the second socket's state, if there is one), 43xx and the like to [`State::Stopped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is open; the outbox accepts up to its bound.
    /// The application connects → Connecting.
    Idle,
    /// After a first jitter and with a fresh token, tries the current endpoint, at most 5 s.
    /// Upgraded → Greeting · failed → Waiting (the second failure: next endpoint).
    Connecting,
    /// `hello` and every `subscribe` are sent, at most 10 s.
    /// `welcome` → CatchingUp · `move` → Moving.
    Greeting,
    /// The backlog comes; the application shows what it has meanwhile.
    /// Every followed stream is at its head, or 5 s → Live · `move` → Moving.
    CatchingUp,
    /// The outbox is re-sent, then publishes go out; the token is renewed.
    /// `move` → Moving · silence → Waiting.
    Live,
    /// Asked to go elsewhere: waits its turn, then has a second socket beside the first; both feed one
    /// cursor. The second is current → Live there · it fails → back to what it was, with `move_failed` · the
    /// deadline → the second if it was welcomed, else Waiting.
    Moving,
    /// Until the back-off is over; a hint of the network redraws what remains.
    /// Timer → Connecting.
    Waiting,
    /// Code and reason stand for the application.
    /// The application connects → Connecting.
    Stopped,
}

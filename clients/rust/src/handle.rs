//! What an application holds: a handle that is cheap to clone, and the receiver of what the client tells.

use std::collections::BTreeMap;

use sterna_protocol::frame::Ephemeral;
use sterna_stream::{Cursor, StreamId};
use tokio::sync::{mpsc, oneshot};

use crate::machine::{Draft, Input, Machine, Notice, Outcome, State, Wish};
use crate::storage::{Hole, Key};

/// What is asked of a driver.
pub(crate) enum Command {
    Input(Input),
    Publish { draft: Draft, first: oneshot::Sender<Outcome>, last: oneshot::Sender<Outcome> },
    Inspect(Box<dyn FnOnce(&Machine) + Send>),
}

/// The client, for the application. When the last clone is dropped the driver disconnects and ends.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

/// What the client tells, in order. It must be read; see [`crate::driver`].
#[derive(Debug)]
pub struct Events {
    notices: mpsc::Receiver<Notice>,
}

/// The driver has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client has ended")]
pub struct Ended;

/// Why an event was not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// The outbox, the service or the clock said no; the outcome says which.
    #[error("not published")]
    Outcome(Outcome),
    /// The driver has ended; what the outbox took goes out when a client starts from the same storage again.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// An accepted event: its first ack came, or it did itself.
#[derive(Debug)]
pub struct Published {
    /// [`Outcome::Accepted`], or [`Outcome::Placed`] if the event came back before its ack.
    pub first: Outcome,
    last: oneshot::Receiver<Outcome>,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    async fn input(&self, input: Input) -> Result<(), Ended> {
        self.commands.send(Command::Input(input)).await.map_err(|_| Ended)
    }

    /// Connects, and stays connected.
    ///
    /// # Errors
    /// [`Ended`], here and everywhere below.
    pub async fn connect(&self) -> Result<(), Ended> {
        self.input(Input::Connect).await
    }

    /// Disconnects; the outbox goes on taking events.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn disconnect(&self) -> Result<(), Ended> {
        self.input(Input::Disconnect).await
    }

    /// Follows a stream from where this device is in it.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn follow(&self, stream: StreamId, wish: Wish) -> Result<(), Ended> {
        self.input(Input::Follow(stream, wish)).await
    }

    /// Leaves a stream; its place is kept.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn unfollow(&self, stream: StreamId) -> Result<(), Ended> {
        self.input(Input::Unfollow(stream)).await
    }

    /// Publishes; resolves when the event is accepted for good, in whatever session that is. Giving up the
    /// wait does not take the event back. It is in the outbox when the driver has taken the command.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, draft: Draft) -> Result<Published, PublishError> {
        let (first_in, first) = oneshot::channel();
        let (last_in, last) = oneshot::channel();
        let command = Command::Publish { draft, first: first_in, last: last_in };
        self.commands.send(command).await.map_err(|_| Ended)?;
        match first.await.map_err(|_| Ended)? {
            first @ (Outcome::Accepted { .. } | Outcome::Placed { .. } | Outcome::Safe) => {
                Ok(Published { first, last })
            }
            other => Err(PublishError::Outcome(other)),
        }
    }

    /// Answers [`Outcome::Unknown`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn resolve(&self, key: Key, found: bool) -> Result<(), Ended> {
        self.input(Input::Resolve { key, found }).await
    }

    /// Sends something that nobody stores, if there is a session.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn ephemeral(&self, ephemeral: Ephemeral) -> Result<(), Ended> {
        self.input(Input::Ephemeral(ephemeral)).await
    }

    /// A hole was fetched, or is not wanted.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn fetched(&self, stream: StreamId, hole: Hole) -> Result<(), Ended> {
        self.input(Input::Fetched(stream, hole)).await
    }

    /// The network is back.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn online(&self) -> Result<(), Ended> {
        self.input(Input::Online).await
    }

    /// The application came to the front, or goes out of sight.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn foreground(&self, front: bool) -> Result<(), Ended> {
        self.input(if front { Input::Foreground } else { Input::Background }).await
    }

    /// Where the client is, how far it is in `stream`, and what it has skipped there.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn look(&self, stream: StreamId) -> Result<(State, Cursor, Vec<Hole>), Ended> {
        let (answer_in, answer) = oneshot::channel();
        let look = move |machine: &Machine| {
            let cursor = machine.cursor(&stream).cloned().unwrap_or_default();
            // Whoever asked may have stopped waiting.
            let _ = answer_in.send((machine.state(), cursor, machine.holes(&stream).to_vec()));
        };
        self.commands.send(Command::Inspect(Box::new(look))).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}

// === impl Events, Published ===

impl Events {
    pub(crate) fn new(notices: mpsc::Receiver<Notice>) -> Self {
        Self { notices }
    }

    /// The next thing told; `None` once the driver has ended.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }
}

impl Published {
    /// The last word: [`Outcome::Safe`] when another region has it too, [`Outcome::GivenUp`] when it left a
    /// full outbox before that.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn last(self) -> Result<Outcome, Ended> {
        self.last.await.map_err(|_| Ended)
    }
}

// === answers ===

/// Who waits for which event. Bounded by the outbox: what left it has had its last word.
pub(crate) struct Answers {
    waiting: BTreeMap<Key, (Option<oneshot::Sender<Outcome>>, oneshot::Sender<Outcome>)>,
    most: usize,
}

impl Answers {
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: BTreeMap::new(), most }
    }

    pub(crate) fn expect(
        &mut self,
        key: Key,
        first: oneshot::Sender<Outcome>,
        last: oneshot::Sender<Outcome>,
    ) {
        self.waiting.insert(key, (Some(first), last));
        while self.waiting.len() > self.most + 1 {
            self.waiting.pop_first();
        }
    }

    pub(crate) fn told(&mut self, notice: &Notice) {
        let Notice::Published { key, outcome, .. } = notice else { return };
        let Some((first, _)) = self.waiting.get_mut(key) else { return };
        if let Some(first) = first.take() {
            // Whoever asked may have stopped waiting.
            let _ = first.send(outcome.clone());
        }
        if outcome.is_last()
            && let Some((_, last)) = self.waiting.remove(key)
        {
            let _ = last.send(outcome.clone());
        }
    }
}

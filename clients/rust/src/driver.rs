//! Runs a machine over a storage and a connector: the one place with sockets, clocks and channels.
//!
//! [`start`] gives a handle, the notices, and a future that the caller owns and polls; nothing is spawned.
//! Actions are carried out in order: neighbouring changes become one transaction, and nothing after them is
//! shown or sent before it is stored. If the storage fails the driver ends, because nothing may be shown that
//! is not kept.
//!
//! The notices must be taken: beyond `config.notices` waiting twice over, the sockets are not read until
//! there is room again, and a gateway cuts who does not read. Do not wait for a publish in the task that
//! takes the notices.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use sterna_protocol::frame::Secret;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::handle::{Answers, Client, Command, Events};
use crate::machine::{Action, Input, Machine, Notice, Now, Random, SocketId};
use crate::storage::{Change, Error as StorageError, Key, Snapshot, Storage};
use crate::transport::Connector;

use self::sockets::Sockets;

mod sockets;

#[cfg(test)]
mod tests;

/// Wall time. It may be wrong and may jump; waits never depend on it.
pub trait Clock: Send {
    /// Milliseconds since the Unix epoch.
    fn wall_ms(&self) -> u64;
}

impl<F: Fn() -> u64 + Send> Clock for F {
    fn wall_ms(&self) -> u64 {
        self()
    }
}

/// The device's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceClock;

impl Clock for DeviceClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where a client reads the device's wall clock"
    )]
    fn wall_ms(&self) -> u64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since_epoch.map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Where the user's token comes from.
pub trait Tokens: Send {
    /// A token that is good for a while; `None` if none is to be had now. Called again 10 s later at the
    /// earliest.
    fn token(&mut self) -> Pin<Box<dyn Future<Output = Option<Secret>> + Send>>;
}

impl<F, R> Tokens for F
where
    F: FnMut() -> R + Send,
    R: Future<Output = Option<Secret>> + Send + 'static,
{
    fn token(&mut self) -> Pin<Box<dyn Future<Output = Option<Secret>> + Send>> {
        Box::pin(self())
    }
}

/// What a client is made of, beside its configuration.
pub struct Parts {
    /// What the device remembers.
    pub storage: Box<dyn Storage>,
    /// How it connects.
    pub connector: Box<dyn Connector>,
    /// The user's tokens.
    pub tokens: Box<dyn Tokens>,
    /// Wall time.
    pub clock: Box<dyn Clock>,
    /// Jitter and the random bits of ids.
    pub random: Box<dyn Random>,
}

/// A client that goes on from what is stored: its handle, what it tells, and the future that runs it until
/// every handle is dropped.
///
/// # Errors
/// The storage could not be read; later, from the future, that it could not be written.
pub fn start(
    config: Config,
    mut parts: Parts,
) -> Result<(Client, Events, impl Future<Output = Result<(), StorageError>> + Send), StorageError> {
    let stored = parts.storage.load()?;
    let (commands_in, commands) = mpsc::channel(config.commands.max(1));
    let (notices, events) = mpsc::channel(config.notices.max(1));
    let next_key = stored.outbox.keys().next_back().map_or(1, |last| last.0 + 1);
    let driver = Driver::new(config, parts, stored, commands, notices, next_key);
    Ok((Client::new(commands_in), Events::new(events), driver.run()))
}

struct Driver {
    machine: Machine,
    storage: Box<dyn Storage>,
    sockets: Sockets,
    tokens: Box<dyn Tokens>,
    token: Option<Pin<Box<dyn Future<Output = Option<Secret>> + Send>>>,
    clock: Box<dyn Clock>,
    started: Instant,
    commands: mpsc::Receiver<Command>,
    notices: mpsc::Sender<Notice>,
    /// Told and not yet taken by the channel.
    untold: VecDeque<Notice>,
    untold_max: usize,
    answers: Answers,
    next_key: u64,
}

/// What the driver woke up for.
enum Woken {
    Command(Option<Command>),
    Input(Input),
}

impl Driver {
    fn new(
        config: Config,
        parts: Parts,
        stored: Snapshot,
        commands: mpsc::Receiver<Command>,
        notices: mpsc::Sender<Notice>,
        next_key: u64,
    ) -> Self {
        let untold_max = config.notices;
        let answers = Answers::new(config.outbox_events);
        Self {
            machine: Machine::new(config, stored, parts.random),
            storage: parts.storage,
            sockets: Sockets::new(parts.connector),
            tokens: parts.tokens,
            token: None,
            clock: parts.clock,
            started: Instant::now(),
            commands,
            notices,
            untold: VecDeque::new(),
            untold_max,
            answers,
            next_key,
        }
    }

    async fn run(mut self) -> Result<(), StorageError> {
        loop {
            match self.woken().await {
                Woken::Command(Some(command)) => self.command(command)?,
                Woken::Command(None) => {
                    self.give(Input::Disconnect)?;
                    self.sockets.finish().await;
                    return Ok(());
                }
                Woken::Input(input) => self.give(input)?,
            }
        }
    }

    /// What has come is read before time is looked at: bytes that wait are life, however late they are read.
    async fn woken(&mut self) -> Woken {
        let deadline = self.machine.deadline().map(|ms| self.started + std::time::Duration::from_millis(ms));
        let reads = self.untold.len() < self.untold_max;
        loop {
            tokio::select! {
                biased;
                room = self.notices.reserve(), if !self.untold.is_empty() => {
                    match (room, self.untold.pop_front()) {
                        (Ok(room), Some(notice)) => room.send(notice),
                        // Nobody listens any more: nothing is told.
                        _ => self.untold.clear(),
                    }
                }
                input = poll_fn(|cx| self.sockets.poll(cx, reads)) => return Woken::Input(input),
                input = poll_fn(|cx| poll_token(&mut self.token, cx)) => return Woken::Input(input),
                command = self.commands.recv() => return Woken::Command(command),
                () = until(deadline) => return Woken::Input(Input::Tick),
            }
            if !reads && self.untold.len() < self.untold_max {
                return Woken::Input(Input::Tick);
            }
        }
    }

    fn command(&mut self, command: Command) -> Result<(), StorageError> {
        match command {
            Command::Input(input) => self.give(input),
            Command::Publish { draft, first, last } => {
                let key = Key(self.next_key);
                self.next_key += 1;
                self.answers.expect(key, first, last);
                self.give(Input::Publish(key, draft))
            }
            Command::Inspect(inspect) => {
                inspect(&self.machine);
                Ok(())
            }
        }
    }

    fn give(&mut self, input: Input) -> Result<(), StorageError> {
        let now = Now {
            mono_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall_ms: self.clock.wall_ms(),
        };
        let mut changes: Vec<Change> = Vec::new();
        let mut stored = false;
        for action in self.machine.handle(now, input) {
            if let Action::Store(change) = action {
                changes.push(change);
                continue;
            }
            stored |= self.apply(&mut changes)?;
            self.carry_out(action);
        }
        stored |= self.apply(&mut changes)?;
        if stored { self.give(Input::Stored) } else { Ok(()) }
    }

    fn apply(&mut self, changes: &mut Vec<Change>) -> Result<bool, StorageError> {
        if changes.is_empty() {
            return Ok(false);
        }
        self.storage.apply(changes)?;
        changes.clear();
        Ok(true)
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Open(id, url) => self.sockets.open(id, &url),
            Action::Send(id, frame) => self.sockets.send(id, &frame),
            Action::Close(id, code) => self.sockets.close(id, code),
            Action::NeedToken => {
                // One that is still under way serves this need too.
                self.token.get_or_insert_with(|| self.tokens.token());
            }
            Action::Tell(notice) => {
                self.answers.told(&notice);
                self.untold.push_back(notice);
            }
            Action::Store(_) => {}
        }
    }
}

fn poll_token(
    token: &mut Option<Pin<Box<dyn Future<Output = Option<Secret>> + Send>>>,
    cx: &mut Context<'_>,
) -> Poll<Input> {
    let Some(asked) = token else { return Poll::Pending };
    let Poll::Ready(came) = asked.as_mut().poll(cx) else { return Poll::Pending };
    *token = None;
    Poll::Ready(Input::Token(came))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

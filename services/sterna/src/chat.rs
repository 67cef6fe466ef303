//! `sterna chat`: a terminal in a stream. History and live, who is typing, and every reconnect visible.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sterna_client::driver::DeviceClock;
use sterna_client::machine::Failure;
use sterna_client::storage::{Error as StorageError, FileOptions, FileStorage, MemoryStorage, Storage};
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Connector, Opening, Transport};
use sterna_client::{Client, Config, Draft, Events, Notice, Outcome, Parts, State, Wish};
use sterna_process::{End, Process, Seeded, SystemClock};
use sterna_protocol::frame::{Device, Ephemeral, Secret};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::{StreamId, UserId};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::founder::{self, Founder};

/// Lines that wait to be sent.
const LINES: usize = 64;
/// Longest line, bytes.
const LINE_BYTES: usize = 16 * 1024;
/// How long lines that were entered before the end may take to be accepted.
const FAREWELL: Duration = Duration::from_secs(30);

/// Why there is nothing to talk in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address.
    #[error("{0:?} is no address: write ws://host:port/v1/connect (wss:// needs a proxy that ends TLS)")]
    Url(String),
    /// Nobody there.
    #[error(
        "cannot connect to {urls}: {failure:?}; is `sterna serve` or `sterna demo --listen` running there?"
    )]
    Connect {
        /// Where.
        urls: String,
        /// How it failed.
        failure: Failure,
    },
    /// The stream was not made.
    #[error("the stream was not made")]
    Founding(#[from] founder::Error),
    /// The file of `--device`.
    #[error("cannot use {0}: choose a file that can be written and is no other chat's")]
    Device(PathBuf, #[source] StorageError),
    /// The session cannot go on.
    #[error("stopped: {0}")]
    Stopped(String),
    /// The client cannot go on.
    #[error(
        "the client stopped: {0}; what is not shown here with your name was not sent: \
         make sure that the file of --device can be written, and enter it again"
    )]
    Client(String),
    /// The lines have ended, and not all were accepted.
    #[error(
        "{0} of the lines were not accepted within {seconds} s: with --device they are sent when it is \
         started again",
        seconds = FAREWELL.as_secs()
    )]
    Unsent(usize),
    /// No randomness.
    #[error("the system gives no randomness")]
    Random(#[from] getrandom::Error),
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Gateways: the first that answers is taken, then those that it names.
    pub urls: Vec<String>,
    /// The user's token.
    pub token: String,
    /// The stream; `None`: make one.
    pub stream: Option<StreamId>,
    /// Who may write in the new one.
    pub invite: Vec<UserId>,
    /// How much of the history.
    pub tail: u32,
    /// Where to remember what was shown and what is to be sent; `None`: in memory.
    pub device: Option<PathBuf>,
}

/// Talks until the lines end and all of them are accepted, or the session stops. `lines` are what the user
/// enters.
///
/// # Errors
/// [`Error`].
pub async fn run(
    options: Options,
    owner: &Process,
    mut lines: mpsc::Receiver<String>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let seed = getrandom::u64()?;
    let random = Seeded::new(seed, "chat");
    let gateways = Gateways::new(&options.urls)?;
    let stream = match &options.stream {
        Some(stream) => stream.clone(),
        None => found(&options, gateways.clone(), random.child("founder")).await?,
    };
    say(out, &format!("stream {stream}"));
    let (client, mut events, place, ended) = start(&options, gateways, &stream, owner, random)?;
    // Whoever goes on where they were lacks nothing in between.
    let wish = Wish { tail: place.is_none().then_some(options.tail), presence: false };
    // A client that has ended says so below.
    let _ = client.follow(stream.clone(), wish).await;
    let _ = client.connect().await;
    let mut messages = FuturesUnordered::new();
    let mut leaving = None;
    while leaving.is_none() || !messages.is_empty() {
        tokio::select! {
            biased;
            notice = events.next() => match notice {
                Some(notice) => {
                    if let Some(line) = told(&notice)? {
                        say(out, &line);
                    }
                }
                None => return ended.await.unwrap_or(Ok(())),
            },
            Some(()) = messages.next() => {}
            line = lines.recv(), if leaving.is_none() && messages.len() < LINES => {
                match line.as_deref().map(str::trim) {
                    None | Some("/quit") => leaving = Some(Instant::now() + FAREWELL),
                    Some("") => {}
                    Some("/typing") => typing(&client, &stream).await,
                    Some(text) => messages.push(publish(client.clone(), draft(&stream, text))),
                }
            }
            () = until(leaving) => return Err(Error::Unsent(messages.len())),
        }
    }
    let _ = client.disconnect().await;
    drop((client, messages));
    while let Some(notice) = events.next().await {
        if let Some(line) = told(&notice)? {
            say(out, &line);
        }
    }
    Ok(())
}

/// Never, if there is no time to wait for.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Makes the stream, at the first gateway that answers.
async fn found(options: &Options, mut gateways: Gateways, random: Seeded) -> Result<StreamId, Error> {
    let urls = options.urls.join(", ");
    let socket = gateways.first().await.map_err(|failure| Error::Connect { urls, failure })?;
    let mut founder = Founder::greet(socket, Secret::new(options.token.clone()), random).await?;
    let stream = founder.create(&options.invite, &SystemClock).await?;
    founder.leave().await;
    Ok(stream)
}

/// What a device was shown before, if anything.
type PlaceBefore = Option<sterna_stream::Cursor>;
/// How the client ended.
type EndOfClient = oneshot::Receiver<Result<(), Error>>;

fn start(
    options: &Options,
    gateways: Gateways,
    stream: &StreamId,
    owner: &Process,
    mut random: Seeded,
) -> Result<(Client, Events, PlaceBefore, EndOfClient), Error> {
    let token = options.token.clone();
    let device = Device(random.event_id(&SystemClock));
    let (storage, place): (Box<dyn Storage>, _) = match &options.device {
        None => (Box::new(MemoryStorage::new(device)), None),
        Some(path) => {
            let failed = |error| Error::Device(path.clone(), error);
            let mut file = FileStorage::open(path, device, FileOptions::default()).map_err(failed)?;
            let mut stored = file.load().map_err(failed)?;
            (Box::new(file), stored.streams.remove(stream).map(|remembered| remembered.cursor))
        }
    };
    let config = Config::new(gateways.urls[0].as_str());
    let parts = Parts {
        storage,
        connector: Box::new(gateways),
        tokens: Box::new(move || std::future::ready(Some(Secret::new(token.clone())))),
        clock: Box::new(DeviceClock),
        random: Box::new(move || rand::Rng::next_u64(&mut random)),
    };
    let (client, events, driver) =
        sterna_client::start(config, parts).map_err(|error| Error::Stopped(error.to_string()))?;
    let (end, ended) = oneshot::channel();
    owner.spawn_local("the client", End::Expected, async move {
        // Whoever does not wait for it any more has left.
        let _ = end.send(driver.await.map_err(|error| Error::Client(with_causes(&error))));
    });
    Ok((client, events, place, ended))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A notice in words, if it is for the user.
fn told(notice: &Notice) -> Result<Option<String>, Error> {
    Ok(Some(match notice {
        Notice::Shown { event, late, .. } => {
            let text = match serde_json::from_slice::<serde_json::Value>(event.payload.as_bytes()) {
                Ok(payload) if event.kind.as_str() == "message" => {
                    payload["text"].as_str().map_or_else(|| payload.to_string(), str::to_owned)
                }
                _ => format!("({}) {}", event.kind, event.payload.as_str()),
            };
            // Whoever wrote it shall not move this terminal's cursor.
            let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
            let late = if *late { "(late) " } else { "" };
            format!("{late}{}: {text}", event.author)
        }
        Notice::State(State::Live) => "-- live".to_owned(),
        Notice::State(State::Waiting) => "-- connection lost, coming back".to_owned(),
        Notice::State(State::Connecting) => "-- connecting".to_owned(),
        Notice::Welcome { region, user } => format!("-- in {region} as {user}"),
        Notice::Skipped(_, holes) if !holes.is_empty() => "-- earlier messages are not shown".to_owned(),
        Notice::Struggling { attempts, .. } => format!("-- {attempts} attempts failed in a row"),
        Notice::Ephemeral(ephemeral) => match &ephemeral.user {
            Some(user) if ephemeral.kind.as_str() == "typing" => format!("-- {user} is typing"),
            _ => return Ok(None),
        },
        Notice::Left { stream, code, retry_after_ms: None } => {
            return Err(Error::Stopped(format!("{stream}: {code}; ask a member to invite you")));
        }
        Notice::Published { outcome: Outcome::Refused { code, detail }, .. } => {
            format!("-- not sent: {code} {}", detail.as_deref().unwrap_or_default())
        }
        Notice::Stopped { end, error } => {
            let said = error.as_ref().map(|error| error.code.to_string()).unwrap_or_default();
            return Err(Error::Stopped(format!("{end:?} {said}")));
        }
        _ => return Ok(None),
    }))
}

fn draft(stream: &StreamId, text: &str) -> Draft {
    let end = text.floor_char_boundary(LINE_BYTES);
    let json = serde_json::json!({ "text": &text[..end] }).to_string();
    let payload = Payload::parse(Bytes::from(json)).expect("serde writes JSON");
    Draft { stream: stream.clone(), kind: "message".parse().expect("a kind's name"), payload }
}

/// Until it is accepted. What becomes of it is told as a notice.
async fn publish(client: Client, draft: Draft) {
    let _ = client.publish(draft).await;
}

async fn typing(client: &Client, stream: &StreamId) {
    let kind = "typing".parse().expect("a kind's name");
    let _ = client.ephemeral(Ephemeral { stream: stream.clone(), user: None, kind, payload: None }).await;
}

fn say(out: &mut dyn Write, line: &str) {
    // Whoever closed the output sees nothing either.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Lines of standard input, read on a thread of their own: nothing else can wait for a terminal.
#[allow(clippy::disallowed_methods, reason = "reading a terminal blocks; the thread ends with the process")]
pub fn lines() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// Connects over TCP. What the user gave stands for one service, as a DNS name with several addresses does:
/// the first that answers is taken; the next time the one after is asked first.
#[derive(Clone)]
struct Gateways {
    urls: Vec<String>,
    at: usize,
}

impl Gateways {
    fn new(urls: &[String]) -> Result<Self, Error> {
        if urls.is_empty() {
            return Err(Error::Url(String::new()));
        }
        urls.iter().try_for_each(|url| address(url).map(drop))?;
        Ok(Self { urls: urls.to_vec(), at: 0 })
    }

    /// The first that answers.
    async fn first(&mut self) -> Result<WebSocket<TcpStream>, Failure> {
        let mut failed = Failure::Unreachable;
        for _ in 0..self.urls.len() {
            match open(&self.urls[self.at]).await {
                Ok(socket) => return Ok(socket),
                Err(failure) => failed = failure,
            }
            self.at = (self.at + 1) % self.urls.len();
        }
        Err(failed)
    }
}

impl Connector for Gateways {
    fn open(&mut self, url: &str) -> Opening {
        let by_name = self.urls[0] == url;
        let (url, mut all) = (url.to_owned(), self.clone());
        if by_name {
            // Whichever does not answer in time is not asked first again.
            self.at = (self.at + 1) % self.urls.len();
        }
        Box::pin(async move {
            let socket = if by_name { all.first().await? } else { open(&url).await? };
            Ok(Box::new(socket) as Box<dyn Transport>)
        })
    }
}

async fn open(url: &str) -> Result<WebSocket<TcpStream>, Failure> {
    let address = address(url).map_err(|_| Failure::Unreachable)?;
    let socket = TcpStream::connect(address).await.map_err(|_| Failure::Unreachable)?;
    let _ = socket.set_nodelay(true);
    WebSocket::upgrade(socket, url, Encoding::Json).await
}

/// Host and port of a `ws://` address.
fn address(url: &str) -> Result<String, Error> {
    let none = || Error::Url(url.to_owned());
    let rest = url.strip_prefix("ws://").ok_or_else(none)?;
    let host = rest.split('/').next().filter(|host| !host.is_empty()).ok_or_else(none)?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { host.to_owned() } else { format!("{host}:80") })
}

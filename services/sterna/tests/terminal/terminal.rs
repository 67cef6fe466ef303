//! `sterna chat` in a test: what its terminal shows, and what its user types. Over real sockets, so nothing
//! runs in paused time: what a terminal shows is looked at again and again, with a bound.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

use sterna::{chat, tokens};
use sterna_process::{End, Process, SystemClock};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, sleep, timeout};

/// What a terminal shows.
#[derive(Clone, Default)]
pub(crate) struct Terminal(pub(crate) Rc<RefCell<String>>);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    /// Waits until `text` is shown.
    pub(crate) async fn shows(&self, text: &str) {
        let shown = async {
            while !self.0.borrow().contains(text) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(60), shown).await;
        assert!(in_time.is_ok(), "waited for {text:?}: {}", self.0.borrow());
    }
}

/// Somebody at a terminal.
pub(crate) struct Person {
    pub(crate) terminal: Terminal,
    pub(crate) types: mpsc::Sender<String>,
    pub(crate) ended: oneshot::Receiver<Result<(), chat::Error>>,
}

/// Opens `sterna chat`, owned by `owner`; without a stream it makes one.
pub(crate) fn chat(
    owner: &Process,
    urls: &[&str],
    name: &str,
    stream: Option<&str>,
    device: Option<PathBuf>,
) -> Person {
    let token = tokens::issue("demo", &name.parse().unwrap(), 1, None, &SystemClock).unwrap();
    let options = chat::Options {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        token,
        stream: stream.map(|stream| stream.parse().unwrap()),
        invite: vec!["bo".parse().unwrap()],
        tail: 50,
        device,
    };
    let (types, lines) = mpsc::channel(8);
    let (end, ended) = oneshot::channel();
    let terminal = Terminal::default();
    let (mut out, inside) = (terminal.clone(), owner.clone());
    owner.spawn_local("a chat", End::Expected, async move {
        let _ = end.send(chat::run(options, &inside, lines, &mut out).await);
    });
    Person { terminal, types, ended }
}

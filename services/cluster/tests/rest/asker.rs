//! A client without any library: what it sends is in the test, byte for byte.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Duration, timeout};

/// Longest that an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(crate) struct Request {
    lines: Vec<String>,
    body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
    /// Null if the text is no JSON.
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let lines = vec![format!("{method} {path} HTTP/1.1"), "Host: x".into(), "Connection: close".into()];
        Self { lines, body: Vec::new() }
    }

    pub(crate) fn header(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header(&format!("Authorization: Bearer {token}"))
    }

    pub(crate) fn json(self, body: &str) -> Self {
        self.header("Content-Type: application/json").body(body.as_bytes())
    }

    /// A body, and how long it is.
    pub(crate) fn body(self, body: &[u8]) -> Self {
        let length = format!("Content-Length: {}", body.len());
        Self { body: body.to_vec(), ..self.header(&length) }
    }

    /// A body without a word about its length.
    pub(crate) fn bare_body(self, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.lines.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Sends a request and reads until the other side closes.
pub(crate) async fn exchange(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &Request,
) -> Answer {
    let bytes = request.bytes();
    let (mut read, mut write) = tokio::io::split(socket);
    let mut answer = Vec::new();
    let both = async {
        // Who is refused before their body was read is cut off while they still send it.
        tokio::join!(async { write.write_all(&bytes).await.is_ok() }, read.read_to_end(&mut answer))
    };
    let _ = timeout(PATIENCE, both).await.expect("an answer comes");
    Answer::parse(&answer)
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {head:?}")),
            headers: lines.map(header).collect(),
            text: body.to_owned(),
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }

    /// The code of a problem, which must be one whole.
    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert_eq!(self.headers["sterna-region"], "us-east-1");
        let code = self.body["code"].as_str().unwrap();
        assert_eq!(self.body["type"], format!("urn:sterna:error:{code}"));
        code
    }

    /// Status and code of a problem.
    pub(crate) fn refused(&self) -> (u16, &str) {
        (self.status, self.code())
    }

    /// The texts of the messages in it, in their order.
    pub(crate) fn texts(&self) -> Vec<String> {
        let events = self.body["events"].as_array().unwrap_or_else(|| panic!("no events: {self:?}"));
        let text = |event: &Value| event["payload"]["text"].as_str().map(str::to_owned);
        events.iter().filter_map(text).collect()
    }
}

/// A cursor as it stands in a URL.
pub(crate) fn cursor(value: &Value) -> String {
    let entries = value.as_object().unwrap().iter();
    entries.map(|(origin, seq)| format!("{origin}:{seq}")).collect::<Vec<_>>().join(",")
}

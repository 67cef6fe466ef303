//! The WebSocket handshake (RFC 6455, section 4.2): which requests are upgraded, and to what.
//!
//! Pure. Whoever asks has already looked at the limits: the cheapest check comes first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body_util::Full;
use sha1::{Digest, Sha1};
use sterna_protocol::Encoding as Spoken;
use sterna_stream::Reason;

use super::Origins;
use super::answer::{self, Answer};
use crate::wire::Encoding;

/// What is appended to a key before it is hashed (RFC 6455, section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key.
const KEY_BYTES: usize = 16;
/// The version spoken here.
const VERSION: &str = "13";

/// An upgrade that was agreed on.
pub(super) struct Agreed {
    /// What is spoken from now on.
    pub(super) encoding: Encoding,
    accept: HeaderValue,
}

/// Checks a request for an upgrade.
///
/// # Errors
/// The answer that refuses it.
pub(super) fn check(request: &Parts, origins: &Origins) -> Result<Agreed, Box<Answer>> {
    let headers = &request.headers;
    if !origins.accept(headers) {
        return Err(refuse(Reason::OriginNotAllowed, None, "add this origin to the gateway's allow-list"));
    }
    if request.method != Method::GET || request.version < Version::HTTP_11 {
        return Err(refuse(Reason::BadRequest, None, "expected GET and HTTP/1.1"));
    }
    if !lists(headers, &UPGRADE, "websocket") || !lists(headers, &CONNECTION, "upgrade") {
        return Err(upgrade_required("this address speaks WebSocket only"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(upgrade_required("expected Sec-WebSocket-Version: 13"));
    }
    let Some(accept) = single(headers, &SEC_WEBSOCKET_KEY).and_then(accept_value) else {
        return Err(refuse(Reason::BadRequest, None, "Sec-WebSocket-Key is not 16 bytes in base64"));
    };
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|offer| offer.to_str().ok());
    match offers.filter_map(Spoken::offered).next() {
        Some(Spoken::Json) => Ok(Agreed { encoding: Encoding::Json, accept }),
        Some(Spoken::Protobuf) => Ok(Agreed { encoding: Encoding::Protobuf, accept }),
        None => Err(refuse(Reason::BadSubprotocol, None, "offer sterna.v1.json or sterna.v1.protobuf")),
    }
}

// === impl Agreed ===

impl Agreed {
    /// The answer after which both sides speak WebSocket.
    pub(super) fn answer(self) -> Answer {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        let spoken = crate::encode::encoding(self.encoding).subprotocol();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(spoken));
        answer
    }
}

// === impl Origins ===

impl Origins {
    /// Whether a request from where `Origin` says, or from no page at all, is taken.
    pub(super) fn accept(&self, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(ORIGIN).iter();
        match (self, named.next(), named.next()) {
            (Self::Any, ..) | (_, None, _) => true,
            (Self::Listed(listed), Some(origin), None) => listed.iter().any(|one| origin == one.as_str()),
            (Self::Listed(_), Some(_), Some(_)) => false,
        }
    }
}

fn refuse(reason: Reason, status: Option<StatusCode>, detail: &str) -> Box<Answer> {
    Box::new(answer::problem(&reason.because(detail), status))
}

/// 426, naming what to upgrade to (RFC 9110, section 15.5.22).
fn upgrade_required(detail: &str) -> Box<Answer> {
    let mut answer = refuse(Reason::BadRequest, Some(StatusCode::UPGRADE_REQUIRED), detail);
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    answer
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a header that is a list holds `token`, in any case of letters.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
}

/// `Sec-WebSocket-Accept` for a key, if it is one.
fn accept_value(key: &HeaderValue) -> Option<HeaderValue> {
    let decoded = STANDARD.decode(key.as_bytes()).ok()?;
    if decoded.len() != KEY_BYTES {
        return None;
    }
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(KEY_SUFFIX).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_accept_value_is_the_standards() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_value(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for bad in ["", "dGhl", "dGhlIHNhbXBsZSBub25jZQ", "!!!!"] {
            assert_eq!(accept_value(&HeaderValue::from_str(bad).unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn a_page_is_taken_if_listed_and_no_page_always() {
        let from = |origin: &'static str| HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        let listed = Origins::Listed(vec!["https://app.example.com".into()]);
        assert!(listed.accept(&HeaderMap::new()) && listed.accept(&from("https://app.example.com")));
        for other in ["https://app.example.com.evil.com", "http://app.example.com", "null", ""] {
            assert!(!listed.accept(&from(other)), "{other}");
            assert!(Origins::Any.accept(&from(other)));
        }
        let mut twice = from("https://app.example.com");
        twice.append(ORIGIN, HeaderValue::from_static("https://app.example.com"));
        assert!(!listed.accept(&twice));
    }
}

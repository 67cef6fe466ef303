//! WebSocket over any byte stream (docs/protocol.md, section 1): one frame per message, at most 64 KiB, no
//! compression, small buffers.
//!
//! [`WebSocket::upgrade`] does the HTTP handshake; [`WebSocket::raw`] is for two sides that have agreed to be
//! past it already, as the simulation's memory sockets are. TLS is whatever the byte stream does below.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use sterna_protocol::frame::ClientFrame;
use sterna_protocol::{Encoding, Rejection, close};
use sterna_stream::limits::FRAME_BYTES;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Incoming, Transport};
use crate::machine::Failure;

#[cfg(test)]
mod tests;

/// Bytes read at once. The library's default is 128 KiB, allocated for every idle socket.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that are written together.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that wait for a slow connection inside the WebSocket, beside what waits here.
const WRITE_BUFFER_MAX_BYTES: usize = 2 * FRAME_BYTES;
/// Frames that wait for a slow connection. The window of publishes and the pings stay far below it; a large
/// `subscribe` of many frames fits.
const QUEUED_FRAMES: usize = 256;

/// A WebSocket over a byte stream.
#[derive(Debug)]
pub struct WebSocket<S> {
    socket: WebSocketStream<S>,
    encoding: Encoding,
    queue: VecDeque<Message>,
    /// Whether something was handed to the socket since it was flushed last.
    unflushed: bool,
    /// What to end with: overrides what the connection says.
    ends: Option<u16>,
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_MAX_BYTES)
        .max_message_size(Some(FRAME_BYTES))
        .max_frame_size(Some(FRAME_BYTES))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocket<S> {
    /// Both sides are past the upgrade and speak `encoding`.
    pub async fn raw(stream: S, encoding: Encoding) -> Self {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits())).await;
        Self::over(socket, encoding)
    }

    /// Upgrades `stream` at `url`, offering `encoding` only.
    ///
    /// # Errors
    /// [`Failure::Refused`] if the answer is another status, or selects another subprotocol; else
    /// [`Failure::Unreachable`].
    pub async fn upgrade(stream: S, url: &str, encoding: Encoding) -> Result<Self, Failure> {
        let mut request = url.into_client_request().map_err(|_| Failure::Unreachable)?;
        let offer = HeaderValue::from_static(encoding.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offer);
        match client_async_with_config(request, stream, Some(limits())).await {
            Ok((socket, _)) => Ok(Self::over(socket, encoding)),
            Err(Error::Http(response)) => Err(Failure::Refused {
                status: response.status().as_u16(),
                retry_after_s: retry_after(&response),
            }),
            Err(_) => Err(Failure::Unreachable),
        }
    }

    fn over(socket: WebSocketStream<S>, encoding: Encoding) -> Self {
        Self { socket, encoding, queue: VecDeque::new(), unflushed: false, ends: None }
    }

    /// Hands queued messages over as far as the connection takes them, and flushes.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !self.queue.is_empty() {
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(()),
            }
            if let Some(message) = self.queue.pop_front() {
                Pin::new(&mut self.socket).start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }

    fn decode(&mut self, message: Message) -> Incoming {
        let bytes: Bytes = match (message, self.encoding) {
            (Message::Text(text), Encoding::Json) => text.into(),
            (Message::Binary(bytes), Encoding::Protobuf) => bytes,
            (Message::Text(_) | Message::Binary(_), _) => return self.refuse(close::WRONG_MESSAGE_TYPE),
            (Message::Close(frame), _) => {
                return Incoming::Closed(self.ends.unwrap_or(frame.map_or(1005, |frame| frame.code.into())));
            }
            (Message::Ping(_) | Message::Pong(_) | Message::Frame(_), _) => return Incoming::Heard,
        };
        match self.encoding.decode_server(&bytes) {
            Ok(frame) => Incoming::Frame(Box::new(frame)),
            Err(Rejection::Unknown(_)) => Incoming::Heard,
            Err(Rejection::Bad(_) | Rejection::Refused(_)) => self.refuse(1002),
        }
    }

    /// The other side does not keep to the protocol: closes, and ends as a lost connection does (1006),
    /// because it is not this client that has to stop.
    fn refuse(&mut self, code: u16) -> Incoming {
        self.close(code);
        self.ends = Some(1006);
        Incoming::Heard
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for WebSocket<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.write(cx).is_err() {
            return Poll::Ready(Incoming::Closed(1006));
        }
        loop {
            let lost = self.ends.unwrap_or(1006);
            let message = match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(Error::Capacity(_)))) => {
                    self.refuse(close::FRAME_TOO_LARGE);
                    let _ = self.write(cx);
                    return Poll::Ready(Incoming::Closed(1006));
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Incoming::Closed(lost)),
                Poll::Pending => return Poll::Pending,
            };
            let closing = self.ends.is_some();
            let incoming = self.decode(message);
            if self.ends.is_some() && self.write(cx).is_err() {
                return Poll::Ready(Incoming::Closed(lost));
            }
            // Once closing, only the end is of interest.
            if !closing || matches!(incoming, Incoming::Closed(_)) {
                return Poll::Ready(incoming);
            }
        }
    }

    fn send(&mut self, frame: &ClientFrame) {
        if self.ends.is_some() {
            return;
        }
        if self.queue.len() >= QUEUED_FRAMES {
            self.close(close::PEER_SILENT);
            self.ends = Some(1006);
            return;
        }
        let mut bytes = Vec::new();
        self.encoding.encode_client(frame, &mut bytes);
        self.queue.push_back(match self.encoding {
            Encoding::Protobuf => Message::Binary(bytes.into()),
            Encoding::Json => match String::from_utf8(bytes) {
                Ok(text) => Message::Text(text.into()),
                Err(not_text) => Message::Binary(not_text.into_bytes().into()),
            },
        });
    }

    fn close(&mut self, code: u16) {
        if self.ends.is_none() {
            let reason = close::name(code).into();
            self.queue.push_back(Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason })));
            self.ends = Some(code);
        }
    }
}

fn retry_after<B>(response: &tokio_tungstenite::tungstenite::http::Response<B>) -> Option<u32> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

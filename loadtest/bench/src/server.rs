//! The server under measurement: the gateway's own shard on one thread, with the smallest upgrade in front.
//!
//! `GET /follow?streams=a,b[&encoding=protobuf]` is a session that follows these streams; text `follow a,b`
//! makes it follow more and is answered `ok`. A binary message on `/publish`, `[length of
//! name][name][frame]`, is pushed into the shard as `state` would push it. The handshake is not checked;
//! nothing else of HTTP is there.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use sterna_gateway::SessionId;
use sterna_gateway::limits::Limits;
use sterna_gateway::reader::Flow;
use sterna_gateway::seams::{Ask, Encode, Gap, Upstream};
use sterna_gateway::shard::{Shard, Start};
use sterna_gateway::wire::{Encoding, Message, Messages};
use sterna_stream::map::Map;
use sterna_stream::segment::Position;
use sterna_stream::{Cursor, Hlc, Origin, Policy, Prefix, Segment, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::Outcome;

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: unchecked\r\n\r\n";

/// A body is a frame's payload already: both servers send the same bytes.
struct Bodies;

impl Encode for Bodies {
    fn events(&self, segment: &Segment, out: &mut Messages) {
        for body in &segment.bodies {
            out.add(body);
        }
    }

    fn gap(&self, _: &StreamId, _: &Gap, _: &mut Messages) {}

    fn subscribed(&self, _: &StreamId, _: &Cursor, _: &Cursor, _: &mut Messages) {}

    fn ping(&self, out: &mut Messages) {
        out.add(b"{\"ping\":{}}");
    }
}

/// A `state` that has nothing and answers at once.
#[derive(Default)]
struct Nothing(OnceCell<Shard<TcpStream>>);

impl Upstream for Nothing {
    fn interest(&self, stream: &StreamId, on: bool) {
        if let Some(shard) = self.0.get().filter(|_| on) {
            shard.joined(stream, &Cursor::new(), &Cursor::new());
        }
    }

    fn pull(&self, _: &StreamId, _: &Cursor, _: &Cursor) {}

    fn backlog(&self, _: Ask) {}
}

struct Injector {
    shard: Shard<TcpStream>,
    origin: Origin,
    seqs: RefCell<Map<String, (StreamId, u64)>>,
}

pub(crate) async fn serve(port: u16) -> Outcome {
    crate::process::end_with_input();
    let upstream = Rc::new(Nothing::default());
    let limits = Limits { ping_s: 3_600, ..Limits::default() };
    let shard = Shard::new(limits, Rc::new(Bodies), upstream.clone());
    let _ = upstream.0.set(shard.clone());
    spawn_local(shard.clone().run());
    let injector = Rc::new(Injector { shard, origin: "us-east-1".parse()?, seqs: RefCell::default() });
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let injector = injector.clone();
        spawn_local(async move {
            if let Err(error) = greet(socket, injector).await {
                eprintln!("session refused: {error}");
            }
        });
    }
}

/// Reads the request, answers it and hands the socket to the shard; the session's task is a small one of its
/// own.
async fn greet(mut socket: TcpStream, injector: Rc<Injector>) -> Outcome {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8(request)?;
    let target = request.split(' ').nth(1).unwrap_or("/");
    let value = |name: &str| target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name));
    socket.write_all(SWITCHED).await?;
    let encoding = if value("encoding=") == Some("json") { Encoding::Json } else { Encoding::Protobuf };
    let reader = injector.shard.open(socket, encoding)?;
    for name in value("streams=").unwrap_or("").split(',').filter(|name| !name.is_empty()) {
        injector.follow(reader.id(), name)?;
    }
    if target.starts_with("/publish") {
        spawn_local(reader.run(move |_, message| {
            if let Message::Binary(bytes) = &message {
                injector.push(bytes);
            }
            Flow::Continue
        }));
    } else {
        spawn_local(reader.run(move |id, message| {
            if let Message::Text(text) = &message {
                injector.more(id, text);
            }
            Flow::Continue
        }));
    }
    Ok(())
}

impl Injector {
    fn follow(&self, id: SessionId, name: &str) -> Outcome {
        self.shard.follow(id, &StreamId::new("bench", "chat", name)?, Start::default())?;
        Ok(())
    }

    fn more(&self, id: SessionId, text: &str) {
        for name in text.strip_prefix("follow ").unwrap_or("").split(',') {
            if let Err(error) = self.follow(id, name) {
                eprintln!("not followed: {error}");
            }
        }
        let mut out = Messages::new(Encoding::Json);
        out.add(b"ok");
        self.shard.deliver(id, out);
    }

    fn push(&self, message: &[u8]) {
        let Some((&length, rest)) = message.split_first() else { return };
        let (name, frame) = rest.split_at(usize::from(length).min(rest.len()));
        let Ok(name) = std::str::from_utf8(name) else { return };
        let mut seqs = self.seqs.borrow_mut();
        if !seqs.contains_key(name) {
            let Ok(stream) = StreamId::new("bench", "chat", name) else { return };
            seqs.insert(name.to_owned(), (stream, 0));
        }
        let Some((stream, seq)) = seqs.get_mut(name) else { return };
        *seq += 1;
        self.shard.push(Segment {
            stream: stream.clone(),
            origin: self.origin.clone(),
            first: *seq,
            stamps: vec![Hlc(*seq)].into(),
            bodies: vec![Bytes::copy_from_slice(frame)].into(),
            from: Position { incarnation: 1, partition: 0, offset: *seq },
            policy: Policy::default(),
            prefix: Prefix::START,
            members: Vec::new(),
            member_before: 0,
        });
    }
}

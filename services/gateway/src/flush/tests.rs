//! The bounds of writing and reading, each hit once (G9): what one system call is given, and how often a
//! socket is asked before others have their turn.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;

use crate::limits::{
    COPY_BYTES, Limits, READS_PER_TURN, RUN_BYTES, TURN_BYTES, WRITE_BUFFERS, WRITE_BYTES, WRITES_PER_TURN,
};
use crate::reader::{Flow, Reader};
use crate::session::SessionId;
use crate::shard::tests::world::{Asked, Text, cursor, paused, segment, spawn, stream};
use crate::shard::{Shard, Start};
use crate::wire::{Encoding, Messages};

/// What a socket was asked, and what it does.
#[derive(Default)]
struct Log {
    /// Buffers and bytes of each write.
    writes: Vec<(usize, usize)>,
    reads: usize,
    /// Most bytes taken of a write; 0: it is full.
    takes: usize,
    /// Whether there is always another ping to be read.
    talks: bool,
    /// It fills the whole buffer each time.
    floods: bool,
}

#[derive(Clone)]
struct Socket(Rc<RefCell<Log>>);

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut log = self.0.borrow_mut();
        log.reads += 1;
        if !log.talks {
            return Poll::Pending;
        }
        let message = &[0x81, 0x81, 0, 0, 0, 0, b'x'];
        let count = if log.floods { buf.remaining() / message.len() } else { 1 };
        (0..count).for_each(|_| buf.put_slice(message));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut log = self.0.borrow_mut();
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        log.writes.push((bufs.len(), bytes));
        if log.takes == 0 { Poll::Pending } else { Poll::Ready(Ok(log.takes.min(bytes))) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// A session whose socket takes everything.
struct Open {
    log: Rc<RefCell<Log>>,
    id: SessionId,
    reader: Reader<Socket>,
}

fn shard() -> Shard<Socket> {
    // Turns are what is counted here, not seconds.
    let limits = Limits { frames_burst: u32::MAX, ..Limits::default() };
    Shard::new(limits, Rc::new(Text), Rc::new(Asked::default()))
}

fn open(shard: &Shard<Socket>) -> Open {
    let log = Rc::new(RefCell::new(Log { takes: usize::MAX, ..Log::default() }));
    let reader = shard.open(Socket(log.clone()), Encoding::Json).unwrap();
    Open { log, id: reader.id(), reader }
}

impl Open {
    fn writes(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.log.borrow_mut().writes)
    }

    /// Delivers frames of its own, each of so many bytes on the wire.
    fn deliver(&self, shard: &Shard<Socket>, count: usize, bytes: usize) {
        let head = if bytes < 128 { 2 } else { 4 };
        for _ in 0..count {
            let mut out = Messages::new(Encoding::Json);
            out.add(&vec![b'x'; bytes - head]);
            assert!(shard.deliver(self.id, out));
        }
    }
}

/// Writes all there is to be written.
fn slices(shard: &Shard<Socket>) {
    while shard.with(|contents| contents.is_dirty()) {
        shard.with(|contents| contents.slice());
    }
}

/// Followers of one stream, all live.
fn room(count: usize) -> (Shard<Socket>, Vec<Open>) {
    let (shard, room) = (shard(), stream("room"));
    let opens: Vec<Open> = (0..count).map(|_| open(&shard)).collect();
    for open in &opens {
        shard.follow(open.id, &room, Start::default()).unwrap();
    }
    shard.joined(&room, &cursor(""), &cursor(""));
    slices(&shard);
    opens.iter().for_each(|open| drop(open.writes()));
    (shard, opens)
}

#[test]
fn little_is_copied_into_one_buffer_and_more_is_not() {
    let shard = shard();
    let session = open(&shard);
    session.deliver(&shard, 4, COPY_BYTES / 4);
    slices(&shard);
    session.deliver(&shard, 4, COPY_BYTES / 4 + 1);
    slices(&shard);
    assert_eq!(session.writes(), [(1, COPY_BYTES), (4, COPY_BYTES + 4)]);
}

#[test]
fn a_write_takes_no_more_buffers_than_its_bound() {
    let shard = shard();
    let session = open(&shard);
    session.deliver(&shard, WRITE_BUFFERS + 6, 100);
    slices(&shard);
    assert_eq!(session.writes(), [(WRITE_BUFFERS, 100 * WRITE_BUFFERS), (1, 600)]);
}

#[test]
fn a_write_takes_no_further_buffer_above_its_bytes() {
    let (shard, sessions) = room(1);
    let size = 50_000;
    for seq in 1..=12 {
        shard.push(segment(&stream("room"), "us", seq, seq, size));
    }
    slices(&shard);
    let writes = sessions[0].writes();
    assert_eq!(writes.iter().map(|(buffers, _)| buffers).sum::<usize>(), 12);
    assert!(writes.len() > 1, "{writes:?}");
    assert!(writes.iter().all(|(_, bytes)| *bytes < WRITE_BYTES + size + 100), "{writes:?}");
    assert!(writes[0].1 > WRITE_BYTES, "{writes:?}");
}

/// A run of entries is one buffer for each of its many readers, unless it is too long to be copied.
#[test]
fn a_run_is_copied_together_up_to_its_bound() {
    for (size, buffers) in [(COPY_BYTES, 1), (RUN_BYTES / 2, 2)] {
        let (shard, sessions) = room(4);
        for seq in 1..=2 {
            shard.push(segment(&stream("room"), "us", seq, seq, size));
        }
        slices(&shard);
        for session in &sessions {
            let writes = session.writes();
            assert_eq!((writes.len(), writes[0].0), (1, buffers), "{size}: {writes:?}");
        }
    }
}

#[test]
fn a_socket_that_talks_all_the_time_is_read_a_few_times_per_turn() {
    let shard = shard();
    let Open { log, reader, .. } = open(&shard);
    log.borrow_mut().talks = true;
    let mut heard = 0;
    let mut running = Box::pin(reader.run(|_, _| {
        heard += 1;
        Flow::Continue
    }));
    for turn in 1..=3 {
        assert!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(log.borrow().reads, turn * READS_PER_TURN);
    }
    drop(running);
    assert_eq!(heard, 3 * READS_PER_TURN, "nothing is left out");
}

/// G9: a turn ends after so many bytes, too: what is said in them takes time to be read.
#[test]
fn a_socket_that_floods_is_read_up_to_its_bytes_per_turn() {
    let shard = shard();
    let Open { log, reader, .. } = open(&shard);
    (log.borrow_mut().talks, log.borrow_mut().floods) = (true, true);
    let mut heard = 0;
    let mut running = Box::pin(reader.run(|_, _| {
        heard += 7;
        Flow::Continue
    }));
    assert!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(running);
    assert!(heard < 2 * TURN_BYTES, "{heard} bytes in one turn");
}

/// G9, E29: who talks without end has one turn before all other sockets are asked for news, not as many as
/// the runtime gives to tasks that are always ready.
#[test]
fn who_talks_without_end_has_one_turn_between_two_looks_at_other_sockets() {
    sterna_process::runtime().unwrap().block_on(async {
        let shard = shard();
        let Open { log, reader, .. } = open(&shard);
        log.borrow_mut().talks = true;
        spawn(async move {
            reader.run(|_, _| Flow::Continue).await;
        });
        let (mut near, mut far) = tokio::net::UnixStream::pair().unwrap();
        for _ in 0..20 {
            far.write_all(b"x").await.unwrap();
            let before = log.borrow().reads;
            near.read_exact(&mut [0]).await.unwrap();
            let turns = (log.borrow().reads - before) / READS_PER_TURN;
            assert!(turns <= 3, "{turns} turns of another session until this one is heard");
        }
    });
}

#[test]
fn a_socket_that_takes_a_little_each_time_is_written_to_a_few_times_per_turn() {
    let shard = shard();
    let session = open(&shard);
    session.log.borrow_mut().takes = 0;
    session.deliver(&shard, 1, 1_000);
    slices(&shard);
    assert_eq!(session.writes().len(), 1, "it is full, and left alone");
    session.log.borrow_mut().takes = 10;
    let log = session.log.clone();
    let mut running = Box::pin(session.reader.run(|_, _| Flow::Continue));
    for turn in 1..=3 {
        assert!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(log.borrow().writes.len(), turn * WRITES_PER_TURN);
    }
}

/// E29: the shard writes when those who can run have run, so what one task after the other brings takes one
/// write.
#[test]
fn what_tasks_bring_one_after_the_other_goes_out_together() {
    paused(async {
        let shard = shard();
        spawn(shard.clone().run());
        let session = Rc::new(open(&shard));
        let first_is_there = Rc::new(Notify::new());
        let (told, other, second) = (first_is_there.clone(), shard.clone(), session.clone());
        spawn(async move {
            told.notified().await;
            second.deliver(&other, 1, 10);
        });
        let rest = async || {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        };
        rest().await;
        session.deliver(&shard, 1, 10);
        first_is_there.notify_one();
        rest().await;
        assert_eq!(session.writes().iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [&20]);
    });
}

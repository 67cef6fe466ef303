//! What survives, at every byte.

#![allow(clippy::unwrap_used)]

use std::fs;

use bytes::Bytes;
use sterna_protocol::frame::{Endpoint, Event};
use sterna_protocol::payload::Payload;
use sterna_stream::{EventId, Hlc, StreamId};

use super::*;
use crate::storage::{Hole, Key, MemoryStorage, Queued};

const CHAT: &str = "acme/chat/general";

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sterna-client-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("device.sterna")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options() -> Options {
    Options { sync: false, ..Options::default() }
}

fn open(path: &Path) -> Result<FileStorage, Error> {
    FileStorage::open(path, Device(7), options())
}

fn event(seq: u64) -> Change {
    let event = Event {
        origin: "us-east-1".parse().unwrap(),
        seq,
        hlc: Hlc(seq),
        event_id: EventId::mint(seq, 1),
        author: "ana".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Payload::parse(Bytes::from_static(b"{\"text\":\"hi\"}")).unwrap(),
        erased: seq.is_multiple_of(2),
        resend: seq.is_multiple_of(3),
    };
    Change::Event(CHAT.parse().unwrap(), event)
}

fn queued(key: u64, event_id: Option<EventId>) -> Change {
    Change::Queued(Queued {
        key: Key(key),
        stream: CHAT.parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Payload::parse(Bytes::from_static(b"null")).unwrap(),
        seen: event_id.map(|_| Hlc(9)),
        event_id,
        accepted: event_id.is_some(),
    })
}

/// Some transactions with every kind of change.
fn transactions() -> Vec<Vec<Change>> {
    let hole =
        Hole { origin: "eu-west-1".parse().unwrap(), after: 0, upto: 7, reason: "skipped".parse().unwrap() };
    let moved = Change::Moved {
        stream: CHAT.parse().unwrap(),
        cursor: "eu-west-1:7,us-east-1:3".parse().unwrap(),
        holes: vec![hole],
    };
    let endpoints = vec![Endpoint { region: "us-east-1".parse().unwrap(), url: "wss://x".into() }];
    vec![
        vec![event(1), event(2), event(3)],
        vec![Change::Terms { endpoints, home: Some("us-east-1".parse().unwrap()) }],
        vec![queued(1, None), queued(2, Some(EventId::mint(5, 5)))],
        vec![moved],
        vec![Change::Released(Key(1)), event(4)],
    ]
}

/// P7: a crash at any byte leaves the transactions that ended before it, whole, and the file takes more.
#[test]
fn a_file_cut_at_any_byte_holds_whole_transactions() {
    let folder = Folder::new("cut");
    let mut file = open(&folder.file()).unwrap();
    let mut memory = MemoryStorage::new(Device(7));
    let mut after = vec![(file.length(), memory.load().unwrap())];
    for changes in transactions() {
        file.apply(&changes).unwrap();
        memory.apply(&changes).unwrap();
        after.push((file.length(), memory.load().unwrap()));
        assert_eq!(file.load().unwrap(), memory.load().unwrap());
    }
    drop(file);
    let bytes = fs::read(folder.file()).unwrap();
    let cut = folder.0.join("cut.sterna");
    for length in 0..=bytes.len() {
        fs::write(&cut, &bytes[..length]).unwrap();
        let mut file = open(&cut).unwrap();
        let whole = after.iter().rev().find(|(end, _)| *end <= length as u64);
        let mut expected = whole.map_or_else(|| after[0].1.clone(), |(_, stored)| stored.clone());
        assert_eq!(file.load().unwrap(), expected, "cut at {length}");
        file.apply(&[event(9)]).unwrap();
        drop(file);
        expected.apply(&event(9), options().events_max);
        assert_eq!(open(&cut).unwrap().load().unwrap(), expected, "goes on after a cut at {length}");
    }
}

/// A byte that changed in the middle is no crash: the file is refused rather than cut.
#[test]
fn a_changed_byte_is_found() {
    let folder = Folder::new("changed");
    let mut file = open(&folder.file()).unwrap();
    for changes in transactions() {
        file.apply(&changes).unwrap();
    }
    drop(file);
    let bytes = fs::read(folder.file()).unwrap();
    for at in (0..HEAD).chain(HEAD + PREFIX..HEAD + PREFIX + 40) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(folder.file(), changed).unwrap();
        assert!(matches!(open(&folder.file()), Err(Error::Corrupt(_))), "byte {at}");
    }
}

/// G9: the file does not grow with what has passed, and writing it anew changes nothing that is remembered.
#[test]
fn the_file_is_bounded_by_what_is_remembered() {
    let folder = Folder::new("bounded");
    let options = Options { events_max: 10, sync: true, compact_above: 4_096 };
    let mut file = FileStorage::open(folder.file(), Device(7), options).unwrap();
    let mut memory = MemoryStorage::new(Device(7)).keeping(10);
    let other = StreamId::new("acme", "chat", "other").unwrap();
    for seq in 1..=2_000 {
        let key = Key(seq);
        let moved = Change::Moved { stream: other.clone(), cursor: Default::default(), holes: Vec::new() };
        let changes = [event(seq), queued(seq, None), Change::Released(key), moved];
        file.apply(&changes).unwrap();
        memory.apply(&changes).unwrap();
        assert!(file.length() <= 3 * 4_096, "{} bytes after {seq}", file.length());
    }
    let expected = memory.load().unwrap();
    assert_eq!(file.load().unwrap(), expected);
    drop(file);
    assert_eq!(FileStorage::open(folder.file(), Device(8), options).unwrap().load().unwrap(), expected);
}

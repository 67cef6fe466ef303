//! One append-only file: a record per transaction, each with its length and checksum.
//!
//! A record that a crash cut short is dropped at the next start, with all of its changes: a transaction is
//! one record. When more than half of the file is history it is written anew beside the old one and takes its
//! name. A record that is whole but wrong before the end is [`Error::Corrupt`]: a disk did that, not a crash.
//! One process per file; nothing locks it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sterna_protocol::frame::Device;

use super::encoding::{decode, encode};
use super::{Change, Error, Snapshot, Storage};

#[cfg(test)]
mod tests;

/// What the file opens with: format and version, then the device's 16 bytes and their checksum.
const MAGIC: [u8; 8] = *b"sterna\x00\x01";
const HEAD: usize = 8 + 16 + CHECK;
/// Bytes of checksum: the first of a SHA-256.
const CHECK: usize = 8;
/// Length and checksum of a record.
const PREFIX: usize = 4 + CHECK;
/// Changes are cut into records of about this size when the file is written anew.
const RECORD_BYTES: usize = 1024 * 1024;

/// How a file is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Events that are kept per stream.
    pub events_max: usize,
    /// Whether a transaction waits for the disk (`fsync`). Without it a power cut may undo the latest ones,
    /// which costs repeats and, worse, what the outbox took last; a crash of the process alone costs nothing.
    pub sync: bool,
    /// The file is not written anew below this size, bytes.
    pub compact_above: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { events_max: 1_000, sync: true, compact_above: 1024 * 1024 }
    }
}

/// Remembers in a file.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    file: File,
    options: Options,
    stored: Snapshot,
    /// Bytes of the file that count.
    length: u64,
    /// Its length when it was last written anew.
    compacted: u64,
    record: Vec<u8>,
}

impl FileStorage {
    /// Opens or makes the file at `path`; a new one belongs to `device`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: impl AsRef<Path>, device: Device, options: Options) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if bytes.len() < HEAD {
            // Nothing, or a head that was cut short: no transaction has ended yet.
            bytes = head(device);
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&bytes)?;
            sync(&file, &path, options)?;
        }
        let mut stored = Snapshot::new(read_head(&bytes)?);
        let length = read_records(&bytes, &mut stored, options.events_max)?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(Self { path, file, options, stored, length, compacted: length, record: Vec::new() })
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Writes the file anew with what is remembered and nothing else.
    fn compact(&mut self) -> Result<(), Error> {
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        let mut bytes = head(self.stored.device);
        let mut record = Vec::new();
        for change in changes_of(&self.stored) {
            encode(&change, &mut record);
            if record.len() > RECORD_BYTES {
                frame(&record, &mut bytes);
                record.clear();
            }
        }
        if !record.is_empty() {
            frame(&record, &mut bytes);
        }
        file.write_all(&bytes)?;
        if self.options.sync {
            file.sync_all()?;
        }
        std::fs::rename(&beside, &self.path)?;
        sync(&file, &self.path, self.options)?;
        self.file = file;
        self.length = bytes.len() as u64;
        self.compacted = self.length;
        Ok(())
    }
}

impl Storage for FileStorage {
    fn load(&mut self) -> Result<Snapshot, Error> {
        Ok(self.stored.clone())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        self.record.clear();
        for change in changes {
            encode(change, &mut self.record);
        }
        let mut framed = Vec::with_capacity(self.record.len() + PREFIX);
        frame(&self.record, &mut framed);
        // A write that failed half-way is cut off, so that the next record does not stand behind rubbish.
        let written = self.file.write_all(&framed).and_then(|()| match self.options.sync {
            true => self.file.sync_data(),
            false => Ok(()),
        });
        if let Err(error) = written {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error.into());
        }
        self.length += framed.len() as u64;
        for change in changes {
            self.stored.apply(change, self.options.events_max);
        }
        if self.length > self.options.compact_above.max(2 * self.compacted) {
            self.compact()?;
        }
        Ok(())
    }
}

/// The changes that lead from nothing to `stored`.
fn changes_of(stored: &Snapshot) -> impl Iterator<Item = Change> + '_ {
    let terms = Change::Terms { endpoints: stored.endpoints.clone(), home: stored.home.clone() };
    let streams = stored.streams.iter().flat_map(|(stream, remembered)| {
        let events = remembered.events.iter().map(|event| Change::Event(stream.clone(), event.clone()));
        let (cursor, holes) = (remembered.cursor.clone(), remembered.holes.clone());
        events.chain([Change::Moved { stream: stream.clone(), cursor, holes }])
    });
    let outbox = stored.outbox.values().cloned().map(Change::Queued);
    [terms].into_iter().chain(streams).chain(outbox)
}

/// Makes what was written, and its name in the folder, survive a power cut.
fn sync(file: &File, path: &Path, options: Options) -> Result<(), Error> {
    if !options.sync {
        return Ok(());
    }
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

// === bytes ===

fn checksum(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&Sha256::digest(bytes)[..CHECK]);
    check
}

fn head(device: Device) -> Vec<u8> {
    let mut head = [MAGIC.as_slice(), &device.0.to_be_bytes()].concat();
    head.extend_from_slice(&checksum(&head));
    head
}

fn read_head(bytes: &[u8]) -> Result<Device, Error> {
    let (said, check) = bytes[..HEAD].split_at(HEAD - CHECK);
    if said[..8] != MAGIC || checksum(said) != check {
        return Err(Error::Corrupt(0));
    }
    let device = said[8..].try_into().map(u128::from_be_bytes).map_err(|_| Error::Corrupt(8))?;
    Ok(Device(device))
}

fn frame(record: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(record.len() as u32).to_be_bytes());
    out.extend_from_slice(&checksum(record));
    out.extend_from_slice(record);
}

/// Applies every whole record and gives where the last one ends.
fn read_records(bytes: &[u8], stored: &mut Snapshot, events_max: usize) -> Result<u64, Error> {
    let mut at = HEAD;
    while let Some(prefix) = bytes.get(at..at + PREFIX) {
        let length = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
        let Some(record) = bytes.get(at + PREFIX..at + PREFIX + length) else { break };
        if checksum(record) != prefix[4..] {
            if at + PREFIX + length == bytes.len() {
                break;
            }
            return Err(Error::Corrupt(at as u64));
        }
        let changes = decode(record).ok_or(Error::Corrupt(at as u64))?;
        for change in &changes {
            stored.apply(change, events_max);
        }
        at += PREFIX + length;
    }
    Ok(at as u64)
}

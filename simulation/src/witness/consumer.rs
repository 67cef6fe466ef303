//! A member of a group as one process meets it.

use async_trait::async_trait;
use sterna_log::{Batch, Consumer, Error, Group, Offset, Polled, Topic};

use super::Witness;
use crate::paths::Path;

/// See the file's head.
pub(super) struct WitnessConsumer {
    inner: Box<dyn Consumer>,
    group: String,
    sequences: bool,
    witness: Witness,
}

impl WitnessConsumer {
    pub(super) fn new(inner: Box<dyn Consumer>, group: &Group, witness: Witness) -> Self {
        let sequences = group.as_str() == "sterna-sequencers";
        Self { inner, group: group.to_string(), sequences, witness }
    }

    fn polled(&self, polled: &Polled) {
        match polled {
            Polled::Assigned { partition, generation, committed } => {
                let committed = committed.first().and_then(|(_, offset)| *offset);
                let numbers =
                    format_args!("{}/{partition} generation {generation} at {committed:?}", self.group);
                self.witness.line("is assigned", numbers);
                let key = (self.group.clone(), *partition);
                let mut seen = self.witness.seen();
                let times = seen.assigned.entry(key).or_default();
                *times += 1;
                let again = *times > 1;
                drop(seen);
                if again {
                    self.witness.took(if self.sequences { Path::Takeover } else { Path::Resync });
                }
            }
            Polled::Revoked { partition, generation, lost } => {
                let numbers = format_args!("{}/{partition} generation {generation} lost {lost}", self.group);
                self.witness.line("is revoked", numbers);
            }
            Polled::Records(batch) if self.sequences => self.records(batch),
            Polled::Records(batch) => {
                let Batch { topic, partition, entries, next, .. } = batch;
                let numbers = format_args!("{topic}/{partition} {} up to {next}", entries.len());
                self.witness.line("is fed", numbers);
            }
        }
    }

    fn records(&self, batch: &Batch) {
        let mut seen = self.witness.seen();
        let high = seen.delivered.entry(batch.partition).or_default();
        let again = batch.entries.iter().filter(|entry| entry.offset < *high).count() as u64;
        *high = batch.next.max(*high);
        drop(seen);
        self.witness.paths.add(Path::Replay, again);
        let numbers = format_args!("{} {} up to {}", batch.partition, batch.entries.len(), batch.next);
        self.witness.line("is fed", numbers);
    }
}

#[async_trait]
impl Consumer for WitnessConsumer {
    async fn next(&mut self) -> Result<Polled, Error> {
        self.witness.calls("next");
        let polled = self.inner.next().await?;
        self.polled(&polled);
        Ok(polled)
    }

    fn start(&mut self, partition: u16, at: &[(Topic, Offset)]) {
        self.witness.calls("start");
        for (topic, offset) in at {
            self.witness.line("starts", format_args!("{topic}/{partition} at {offset}"));
        }
        self.inner.start(partition, at);
    }

    fn pause(&mut self, partition: u16, on: bool) {
        self.inner.pause(partition, on);
    }

    async fn commit(
        &mut self,
        partition: u16,
        generation: u32,
        upto: &[(Topic, Offset)],
    ) -> Result<(), Error> {
        self.witness.calls("commit");
        if !self.sequences {
            self.witness.commits(partition, upto).await;
        }
        let answer = self.inner.commit(partition, generation, upto).await;
        if let Err(error) = &answer {
            self.witness.line("did not commit", format_args!("{}/{partition}: {error}", self.group));
            if matches!(error, Error::Fenced) {
                self.witness.took(Path::Fenced);
            }
        }
        answer
    }
}

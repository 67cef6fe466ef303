//! Producing: one idempotent producer, replaced when it has failed for good.

use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, ready};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};

use super::context::Reporting;
use super::settings::Config;
use super::{convert, errors};
use crate::error::Error;
use crate::record::{Offset, Record};

type Client = FutureProducer<Reporting>;

/// Produces to any topic of the cluster.
pub(super) struct Producer {
    config: Config,
    client: Mutex<Client>,
}

impl Producer {
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        let client = create(&config)?;
        Ok(Self { config, client: Mutex::new(client) })
    }

    /// Enqueues a record now; the answer follows when every replica in sync has it.
    pub(super) fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, Error>> {
        if record.size() > self.config.message_bytes_max {
            return ready(Err(Error::Refused("record too large".into()))).boxed();
        }
        match self.enqueue(&record) {
            Ok(delivery) => async move {
                match delivery.await {
                    Ok(Ok(delivered)) => Ok(delivered.offset as Offset),
                    Ok(Err((error, _))) => Err(errors::produced(&error, &record.topic, record.partition)),
                    Err(_) => Err(Error::Unknown("the producer was closed".into())),
                }
            }
            .boxed(),
            Err(error) => ready(Err(errors::produced(&error, &record.topic, record.partition))).boxed(),
        }
    }

    fn enqueue(&self, record: &Record) -> Result<DeliveryFuture, KafkaError> {
        // Held while enqueuing, so that calls stand in one order also while the client is replaced.
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match enqueue(&client, record) {
            Err(error) if client.client().fatal_error().is_some() => error,
            done => return done,
        };
        // A producer that lost its place in the sequence of its batches refuses all work for ever; what it
        // had accepted is answered `Unknown`. A new one begins a sequence of its own.
        tracing::error!(%refused, "the producer failed for good and is replaced");
        *client = create(&self.config).map_err(|_| refused)?;
        enqueue(&client, record)
    }
}

fn create(config: &Config) -> Result<Client, Error> {
    let client = config.producer().create_with_context(Reporting);
    client.map_err(|error| Error::Unavailable(errors::said(&error)))
}

fn enqueue(client: &Client, record: &Record) -> Result<DeliveryFuture, KafkaError> {
    let Ok(timestamp) = i64::try_from(record.timestamp_ms) else {
        return Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTimestamp));
    };
    let message = FutureRecord::<[u8], [u8]>::to(record.topic.as_str())
        .partition(i32::from(record.partition))
        .key(&record.key)
        .payload(&record.value)
        .timestamp(timestamp);
    let message = if record.headers.is_empty() { message } else { message.headers(convert::headers(record)) };
    client.send_result(message).map_err(|(error, _)| error)
}

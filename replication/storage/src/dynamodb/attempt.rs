//! When a request is repeated, after how long, and what its failure means for the data.
//!
//! Repeated is only what certainly changed nothing: throttled requests, and reads. Pauses are drawn with full
//! jitter, from zero to a bound that doubles, so that those who were throttled together do not come back
//! together.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::time::{sleep, timeout};

use super::Config;
use crate::error::Error;
use crate::memory::lock;

/// Answers that say that nothing was applied and that the same request may succeed later.
const THROTTLED: [&str; 7] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
    "LimitExceededException",
    "TransactionConflictException",
    "ReplicatedWriteConflictException",
];
const CONDITION: &str = "ConditionalCheckFailedException";

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Read,
    Write,
}

/// Makes requests and repeats them.
pub(super) struct Attempts {
    config: Config,
    jitter: Mutex<Pcg64Mcg>,
}

impl Attempts {
    pub(super) fn new(config: Config) -> Self {
        let jitter = Mutex::new(Pcg64Mcg::seed_from_u64(config.seed));
        Self { config, jitter }
    }

    /// Runs a request without a condition.
    pub(super) async fn run<T, E, F>(&self, effect: Effect, request: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.run_conditional(effect, request).await?.map_err(refused)
    }

    /// Runs a request; a condition that did not hold is an answer.
    pub(super) async fn run_conditional<T, E, F>(
        &self,
        effect: Effect,
        mut request: impl FnMut() -> F,
    ) -> Result<Result<T, E>, Error>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut repeats = 0;
        loop {
            let error = match timeout(self.config.request_timeout, request()).await {
                Ok(Ok(done)) => return Ok(Ok(done)),
                Ok(Err(SdkError::ServiceError(answer))) if answer.err().code() == Some(CONDITION) => {
                    return Ok(Err(answer.into_err()));
                }
                Ok(Err(error)) => meaning(effect, error),
                Err(_) if effect == Effect::Write => return Err(Error::unknown("no answer in time")),
                Err(_) => Error::unavailable("no answer in time"),
            };
            let again = matches!(error, Error::Throttled)
                || (effect == Effect::Read && matches!(error, Error::Unavailable(_)));
            repeats += 1;
            if !again || repeats > self.config.repeats_max {
                return Err(error);
            }
            self.pause(repeats).await?;
        }
    }

    /// Waits before the `nth` repetition.
    ///
    /// # Errors
    /// `Throttled` if there have been enough.
    pub(super) async fn pause(&self, nth: u32) -> Result<(), Error> {
        if nth > self.config.repeats_max {
            return Err(Error::Throttled);
        }
        let most = bound(&self.config, nth);
        let pause = most.mul_f64(lock(&self.jitter).random::<f64>());
        sleep(pause).await;
        Ok(())
    }
}

/// The longest pause before the `nth` repetition, from 1; a 0th (there was progress) waits like the first.
fn bound(config: &Config, nth: u32) -> Duration {
    let doubled = config.pause_first.checked_mul(1 << nth.saturating_sub(1).min(20));
    doubled.map_or(config.pause_max, |pause| pause.min(config.pause_max))
}

/// What a failed request means for the data.
fn meaning<E>(effect: Effect, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    if code.is_some_and(|code| THROTTLED.contains(&code)) {
        return Error::Throttled;
    }
    let never_sent = match &error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(_) => was_refused(&error),
        SdkError::ServiceError(answer) => answer.raw().status().as_u16() < 500,
        _ => false,
    };
    if never_sent || effect == Effect::Read {
        Error::Unavailable(Arc::new(error))
    } else {
        Error::Unknown(Arc::new(error))
    }
}

/// Whether nobody listened: then nothing was sent.
fn was_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = error.source();
    while let Some(one) = cause {
        let kind = one.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = one.source();
    }
    false
}

/// An answer that refuses the request for good, after which nothing has changed.
pub(super) fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unavailable(Arc::new(error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

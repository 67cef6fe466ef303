//! Repetitions under paused time: how often, how long, and of what.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::ErrorMetadata;
use aws_sdk_dynamodb::operation::query::QueryError;
use tokio::time::Instant;

use super::*;

fn answer(status: u16, code: &str) -> SdkError<QueryError> {
    let error = QueryError::generic(ErrorMetadata::builder().code(code).build());
    let raw = HttpResponse::new(status.try_into().unwrap(), "".into());
    SdkError::service_error(error, raw)
}

async fn run(effect: Effect, status: u16, code: &'static str) -> (Result<(), Error>, u32) {
    let calls = AtomicU32::new(0);
    let attempts = Attempts::new(Config::new("", 7));
    let request = || {
        calls.fetch_add(1, Ordering::Relaxed);
        async move { Err::<(), _>(answer(status, code)) }
    };
    let done = attempts.run(effect, request).await;
    (done, calls.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_is_repeated_and_then_said_to_be_throttled() {
    for effect in [Effect::Read, Effect::Write] {
        let (done, calls) = run(effect, 400, "ProvisionedThroughputExceededException").await;
        assert!(matches!(done, Err(Error::Throttled)), "{done:?}");
        assert_eq!(calls, 1 + Config::new("", 7).repeats_max);
    }
}

/// E12: a write that the server failed on may have been applied: it is never repeated here.
#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_not_repeated() {
    let (done, calls) = run(Effect::Write, 500, "InternalServerError").await;
    assert!(matches!(done, Err(Error::Unknown(_))) && calls == 1, "{done:?} after {calls} calls");
    let (done, calls) = run(Effect::Read, 500, "InternalServerError").await;
    assert!(matches!(done, Err(Error::Unavailable(_))) && calls > 1, "{done:?} after {calls} calls");
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_changed_nothing_and_is_not_repeated() {
    let (done, calls) = run(Effect::Write, 400, "ValidationException").await;
    assert!(matches!(done, Err(Error::Unavailable(_))) && calls == 1, "{done:?} after {calls} calls");
}

/// The pauses are spread over the whole of a doubling bound, up to the longest.
#[tokio::test(start_paused = true)]
async fn pauses_have_full_jitter_below_a_doubling_bound() {
    let config = Config::new("", 7);
    let attempts = Attempts::new(config.clone());
    for nth in 1..=config.repeats_max {
        let most = bound(&config, nth);
        assert!(most <= config.pause_max && (nth == 1 || most >= bound(&config, nth - 1)));
        let mut pauses = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            attempts.pause(nth).await.unwrap();
            pauses.push(began.elapsed());
        }
        // Paused time moves in whole milliseconds.
        assert!(pauses.iter().all(|pause| *pause <= most + Duration::from_millis(1)));
        assert!(*pauses.iter().min().unwrap() < most / 5 + Duration::from_millis(1), "down to nothing");
        assert!(*pauses.iter().max().unwrap() > most / 5 * 4, "up to the bound");
    }
    assert!(attempts.pause(config.repeats_max + 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_in_time_is_unknown() {
    let attempts = Attempts::new(Config::new("", 7));
    let silent = || std::future::pending::<Result<(), SdkError<QueryError>>>();
    assert!(matches!(attempts.run(Effect::Write, silent).await, Err(Error::Unknown(_))));
    assert!(matches!(attempts.run(Effect::Read, silent).await, Err(Error::Unavailable(_))));
}

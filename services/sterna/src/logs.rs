//! Logs go to standard error, as text or as JSON.

use std::error::Error;
use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The filter of `--log` is none.
#[derive(Debug, thiserror::Error)]
#[error("--log {0:?} is no filter: try warn, info or sterna_gateway=debug,info")]
pub struct Invalid(String);

/// Begins to log.
///
/// # Errors
/// [`Invalid`].
pub fn start(filter: &str, json: bool) -> Result<(), Invalid> {
    let parsed: Targets = filter.parse().map_err(|_| Invalid(filter.to_owned()))?;
    let text = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let logs = if json { text.json().boxed() } else { text.boxed() };
    tracing_subscriber::registry().with(logs.with_filter(parsed)).init();
    Ok(())
}

/// What the program failed of, and what caused it: a line each, or one line of JSON like the others. It is
/// told whatever the filter says, also when that is none.
pub fn last(error: &dyn Error, json: bool) {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
    let causes: Vec<String> = causes.collect();
    if json {
        let lines = fmt::layer().json().with_writer(std::io::stderr);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::error!(because = causes.join(": "), "{error}");
        });
        return;
    }
    eprintln!("error: {error}");
    for cause in causes {
        eprintln!("  because: {cause}");
    }
}

//! Logs go to standard error, as text or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The filter of `--log` is none.
#[derive(Debug, thiserror::Error)]
#[error("--log {0:?} is no filter: try warn, info or sterna_gateway=debug,info")]
pub struct Invalid(String);

/// Begins to log.
///
/// # Errors
/// [`Invalid`].
pub fn start(filter: &str, json: bool) -> Result<(), Invalid> {
    let parsed = EnvFilter::try_new(filter).map_err(|_| Invalid(filter.to_owned()))?;
    let colours = std::io::stderr().is_terminal();
    let logs =
        tracing_subscriber::fmt().with_env_filter(parsed).with_ansi(colours).with_writer(std::io::stderr);
    if json {
        logs.json().init()
    } else {
        logs.init()
    }
    Ok(())
}

//! Ctrl-C and SIGTERM: the first asks for an end in good order, the second ends at once.

use sterna_process::{Drain, End, Process};
use tokio::signal::unix::{SignalKind, signal};

/// The exit code after a second signal: that of an interrupted program.
const INTERRUPTED: i32 = 130;

/// A signal that is raised by the first Ctrl-C or SIGTERM.
///
/// # Errors
/// The system's, if it lets nobody listen to signals.
pub fn on_signals(owner: &Process) -> std::io::Result<Drain> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = Drain::new();
    let raised = stop.clone();
    owner.spawn_local("signals", End::Expected, async move {
        loop {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if raised.is_raised() {
                std::process::exit(INTERRUPTED);
            }
            raised.raise();
        }
    });
    Ok(stop)
}

//! Ctrl-C, SIGTERM and SIGHUP: the first asks for an end in good order, a further one may end at once.
//!
//! SIGHUP only ever asks: a terminal that closes sends it more than once, systemd may send it right after
//! SIGTERM. Started by `nohup`, which has it ignored, the program goes on ignoring it.

use sterna_process::{Drain, End, Process};
use tokio::signal::unix::{SignalKind, signal};

/// The exit code after a second signal: that of an interrupted program.
const INTERRUPTED: i32 = 130;
/// SIGHUP in the system's masks of signals.
const HANGUP_BIT: u64 = 1;

/// A signal that is raised by the first Ctrl-C, SIGTERM or SIGHUP. `lost` tells what an end at once means.
///
/// # Errors
/// The system's, if it lets nobody listen to signals.
pub fn on_signals(owner: &Process, lost: &'static str) -> std::io::Result<Drain> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // To listen to it would end its being ignored.
    let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
    let stop = Drain::new();
    let raised = stop.clone();
    owner.spawn_local("signals", End::Expected, async move {
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let asks_only = tokio::select! {
                biased;
                _ = interrupt.recv() => false,
                _ = terminate.recv() => false,
                _ = hung_up => true,
            };
            if raised.is_raised() && !asks_only {
                tracing::error!("ended at once, by a second signal: {lost}");
                std::process::exit(INTERRUPTED);
            }
            raised.raise();
        }
    });
    Ok(stop)
}

/// Whether this process was started with SIGHUP ignored. Where the system does not tell, it was not.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANGUP_BIT != 0)
}

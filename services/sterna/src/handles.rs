//! File handles: each connection takes one, and the system gives a process only so many.
//!
//! The system has two bounds: the soft one counts, and a process may raise it up to the hard one. `serve`
//! does, and says so where even that is not enough: what happens then, and what to do.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Handles beside those of clients' connections: stores, listeners, logs.
pub const RESERVE: u64 = 256;

/// Raises the soft bound as far as `wanted` needs and the system allows. Returns the bound that holds;
/// `None`: there is none.
pub fn raise(wanted: u64) -> Option<u64> {
    let bound = getrlimit(Resource::Nofile);
    let raised = raised(bound, wanted);
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        // It was not ours to raise: what was, holds.
        Err(_) => bound.current,
    }
}

/// The bounds to ask for: never lower than they are, never above the hard one.
fn raised(bound: Rlimit, wanted: u64) -> Rlimit {
    let current = bound.current.map(|soft| soft.max(bound.maximum.map_or(wanted, |hard| hard.min(wanted))));
    Rlimit { current, maximum: bound.maximum }
}

/// What to tell where `bound` handles are fewer than `wanted`.
pub fn warning(bound: Option<u64>, wanted: u64) -> Option<String> {
    let bound = bound.filter(|bound| *bound < wanted)?;
    Some(format!(
        "the system lets this process have {bound} open files and sockets, and [listen] asks for up to \
         {wanted}: beyond that new connections wait unanswered until others end, nobody who is connected \
         loses anything; raise it (`ulimit -n {wanted}` before the start, LimitNOFILE={wanted} in a systemd \
         unit), or set [listen] sessions to at most {}",
        bound.saturating_sub(RESERVE)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(soft: Option<u64>, hard: Option<u64>) -> Rlimit {
        Rlimit { current: soft, maximum: hard }
    }

    /// G9: as far as it is wanted and allowed, and never down.
    #[test]
    fn the_soft_bound_goes_as_far_as_is_wanted_and_allowed() {
        for (soft, hard, wanted, expected) in [
            (Some(1_024), Some(4_096), 2_000, Some(2_000)),
            (Some(1_024), Some(4_096), 20_000, Some(4_096)),
            (Some(1_024), None, 20_000, Some(20_000)),
            (Some(30_000), Some(40_000), 20_000, Some(30_000)),
            (None, None, 20_000, None),
        ] {
            assert_eq!(raised(limits(soft, hard), wanted).current, expected);
        }
    }

    #[test]
    fn too_few_are_told_with_what_it_means_and_what_to_do() {
        assert_eq!(warning(Some(2_000), 2_000), None);
        assert_eq!(warning(None, 2_000), None);
        let told = warning(Some(1_024), 21_280).unwrap_or_default();
        for says in
            ["1024 open files", "21280", "wait unanswered", "ulimit -n 21280", "sessions to at most 768"]
        {
            assert!(told.contains(says), "{says}: {told}");
        }
    }

    /// On the system that this runs on: what is asked for and allowed is given.
    #[test]
    fn the_system_raises_it() {
        let before = getrlimit(Resource::Nofile);
        let Some(soft) = before.current else { return };
        let hard = before.maximum.unwrap_or(u64::MAX);
        assert_eq!(raise(soft.min(hard)), Some(soft));
        assert_eq!(raise(soft.saturating_add(1)), Some(soft.saturating_add(1).min(hard)));
    }
}

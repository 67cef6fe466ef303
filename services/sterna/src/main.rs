//! The binary `sterna`.

use std::process::ExitCode;

/// A server keeps millions of small values for long and takes as many for a moment: with glibc's allocator
/// those come from the places used least lately, each a wait for memory (loadtest/RESULTS.md, growth).
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sterna::commands::run()
}

//! The binary `sterna`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sterna::commands::run()
}

//! Measures: builds the benchmarks as servers are built ([`dist`]), fetches the peer, runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{child, dist};

/// Where the peer is installed; git ignores it.
const PEER: &str = ".stack/bun";
/// What names the peer and its version.
const MANIFEST: &str = "loadtest/bench/peers/bun/package.json";

/// Runs all benchmarks, or what `words` say, as `sterna-bench` takes it.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    // Before all that takes long.
    let bun = if wants_peer(words) { Some(peer(root)?) } else { None };
    let program = dist::build(root, &dist::BENCH)?;
    let mut command = Command::new(program);
    command.current_dir(root).args(words);
    if words.is_empty() {
        command.arg("all");
    }
    if let Some(bun) = bun {
        command.arg("--bun").arg(bun);
    }
    child::run(&mut command)
}

/// Whether the peer is measured, too, and nobody has named another one.
fn wants_peer(words: &[String]) -> bool {
    let first = words.first().map_or("all", String::as_str);
    ["all", "fanout"].contains(&first)
        && !words.iter().any(|word| word.starts_with("--bun") || word == "--help")
}

/// Installs the peer where its version is not there yet.
fn peer(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join(PEER);
    let (asked, manifest) = (root.join(MANIFEST), folder.join("package.json"));
    let bun = folder.join("node_modules/.bin/bun");
    let same = fs::read(&asked).is_ok_and(|asked| fs::read(&manifest).is_ok_and(|there| there == asked));
    if !same || !bun.exists() {
        let copied = fs::create_dir_all(&folder).and_then(|()| fs::copy(&asked, &manifest));
        copied.map_err(|error| format!("{} cannot be copied to {PEER}: {error}", asked.display()))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-fund", "--no-audit", "--prefix"]).arg(&folder);
        child::run(&mut npm)
            .map_err(|problem| format!("{problem}; the peer comes from npm (Debian: npm)"))?;
    }
    Ok(bun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_fetched_for_what_measures_it_and_for_nothing_else() {
        let wants = |line: &str| wants_peer(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert!(wants("") && wants("all --turns 2") && wants("fanout"));
        assert!(!wants("path") && !wants("fanout --bun /usr/bin/bun") && !wants("all --help"));
    }
}

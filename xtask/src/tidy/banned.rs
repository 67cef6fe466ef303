//! Calls and constructs that may not appear, where clippy cannot see them: inside macros, in attributes, in
//! protos.
//!
//! Determinism is why most are here (docs/engine.md, E35): an order drawn at random, an unordered map on the
//! wire or a real wait in a test makes a run that no seed repeats.

use super::Finding;
use super::code::{Code, Word};
use super::tree::Tree;

/// Tests that need what cargo does not bring. Each is run by a step of `cargo xtask test`, never passed over.
const RUN_BY_A_STEP: [&str; 1] = ["services/sterna/tests/python_client/main.rs"];
/// Where a known mistake may be built in (`mutant!`): the crates whose rules the simulation must be able to
/// break.
const MUTANTS: [&str; 8] = [
    "clients/rust/",
    "replication/stream/",
    "services/messaging/",
    "services/persistence/",
    "services/state/",
    "services/notification/",
    "services/gateway/",
    "simulation/",
];
/// Who may name a concrete backend. The crates that own one are below `replication/`.
const BACKEND_USERS: [&str; 2] = ["services/cluster/", "services/sterna/"];
/// The concrete backends of the ports, as modules of `sterna_log` and `sterna_storage`.
const BACKENDS: [&str; 5] = ["memory", "kafka", "dynamodb", "redis", "s3"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text, code) in tree.rust() {
        for word in code.words() {
            if let Some((rule, message)) = word_rule(path, text, &code, &word) {
                findings.push(Finding::new(path, word.line, rule, message));
            }
        }
    }
    for (path, text) in tree.ending(".proto") {
        for (index, line) in text.lines().enumerate() {
            if line.split("//").next().is_some_and(|code| code.replace(' ', "").contains("map<")) {
                let message = "no `map` on the wire: its order is random; repeated entries, sorted by key";
                findings.push(Finding::new(path, index + 1, "proto-map", message));
            }
        }
    }
    findings
}

fn word_rule(path: &str, text: &str, code: &Code, word: &Word) -> Option<(&'static str, String)> {
    let found = |rule, message: &str| Some((rule, message.to_owned()));
    let is_macro = || code.after(word, 1) == "!" && code.after(word, 2) != "!=";
    match word.text.as_str() {
        "select" if is_macro() && !code.after(word, 9).ends_with("biased;") => {
            found("select", "`select!` begins with `biased;`: otherwise it draws a random order (E35)")
        }
        "todo" | "unimplemented" | "dbg" if is_macro() => {
            found("unfinished", "what is not built is not called; delete it, or build it")
        }
        "ignore" if code.before(word, 2) == "#[" && !RUN_BY_A_STEP.contains(&path) => found(
            "ignored-test",
            "a test runs or does not exist; make it quick, or move it to the simulation",
        ),
        "sleep" | "sleep_until" if code.after(word, 1) == "(" && code.in_test(word.line) && !paused(text) => {
            found(
                "sleep",
                "a test waits for a condition, unless `start_paused`, or `paused time` in the file's docs",
            )
        }
        "mutant" if is_macro() && !MUTANTS.iter().any(|home| path.starts_with(home)) => {
            Some(("mutant", format!("`mutant!` stands only in {}", MUTANTS.join(", "))))
        }
        "sterna_log" | "sterna_storage" if !may_name_backends(path) && !code.in_test(word.line) => {
            let backend = backend_after(code, word)?;
            Some(("backend", format!("`{backend}` is a concrete backend: take the port; cluster chooses")))
        }
        name if is_unbounded(name) => found("unbounded", "every queue has a named limit (G9)"),
        _ => None,
    }
}

fn is_unbounded(name: &str) -> bool {
    // `Unbounded` alone is `std::ops::Bound`'s.
    name == "unbounded"
        || name.starts_with("unbounded_")
        || (name.starts_with("Unbounded") && name != "Unbounded")
}

fn paused(text: &str) -> bool {
    ["start_paused", "time::pause(", "paused time"].iter().any(|sign| text.contains(sign))
}

fn may_name_backends(path: &str) -> bool {
    path.starts_with("replication/") || BACKEND_USERS.iter().any(|user| path.starts_with(user))
}

fn backend_after(code: &Code, word: &Word) -> Option<&'static str> {
    let follows = code.after(word, 12);
    let group = Code::of("", &code.braces_after(word));
    let grouped = group.words();
    BACKENDS.into_iter().find(|name| {
        let path = follows.strip_prefix("::").and_then(|rest| rest.strip_prefix(name));
        let direct = path.is_some_and(|rest| !rest.starts_with(super::code::is_word));
        direct || grouped.iter().any(|word| word.text == *name)
    })
}

#[cfg(test)]
mod tests;

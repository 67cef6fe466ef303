//! Whether the documents tell the truth: files and commands that they name exist, and no file speaks of a
//! particular machine.
//!
//! A path is looked up when it stands in backticks and begins with one of the repository's folders, or is a
//! link. Blocks between ``` fences are searched for commands only: they hold samples and plans.

use super::Finding;
use super::policy::Policy;
use super::tree::Tree;
use crate::command;

/// First folder of a path of ours, existing or planned.
const FOLDERS: [&str; 12] = [
    "proto",
    "replication",
    "regions",
    "services",
    "clients",
    "simulation",
    "deploy",
    "loadtest",
    "xtask",
    "docs",
    ".ci",
    ".cargo",
];
/// Endings that make a bare name in backticks a file of ours.
const FILES: [&str; 3] = [".rs", ".md", ".proto"];
/// The file that lists the forbidden words.
const WORD_LIST: &str = "xtask/tidy.toml";

pub(super) fn check(tree: &Tree, policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            let mut add = |rule, message| findings.push(Finding::new(path, index + 1, rule, message));
            for name in commands(line).filter(|name| !command::NAMES.contains(name)) {
                add(
                    "command",
                    format!("there is no `cargo xtask {name}`; there are {}", command::NAMES.join(", ")),
                );
            }
            fenced ^= line.trim_start().starts_with("```");
            if fenced {
                continue;
            }
            for quoted in quoted(line).filter(|quoted| !exists(tree, path, quoted)) {
                add("path", format!("`{quoted}` does not exist; correct the document or the tree"));
            }
            for target in links(line).filter(|target| !tree.has(&resolved(path, target))) {
                add("link", format!("the link to `{target}` leads nowhere"));
            }
        }
    }
    findings.extend(words(tree, policy));
    findings
}

fn words(tree: &Tree, policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending("").filter(|(path, _)| *path != WORD_LIST) {
        for (index, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for word in policy.words.iter().filter(|word| lower.contains(&word.to_lowercase())) {
                let message =
                    format!("`{word}`: files speak of the project, not of a machine or how it was written");
                findings.push(Finding::new(path, index + 1, "word", message));
            }
        }
    }
    findings
}

/// The command of every `cargo xtask <command>` in the line; a placeholder such as `<command>` is none.
fn commands(line: &str) -> impl Iterator<Item = &str> {
    line.split("cargo xtask ").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        Some(&rest[..end]).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
    })
}

/// What stands between pairs of backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether what a document quotes is there, if it looks like a file or folder of ours at all.
fn exists(tree: &Tree, document: &str, quoted: &str) -> bool {
    let name = quoted.split("::").next().unwrap_or(quoted);
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    if !name.chars().all(plain) {
        return true;
    }
    match name.split_once('/') {
        Some((first, _)) if FOLDERS.contains(&first) => tree.has(name),
        Some(("..", _)) => tree.has(&resolved(document, name)),
        Some(_) => true,
        None => !FILES.iter().any(|end| name.len() > end.len() && name.ends_with(end)) || tree.has_name(name),
    }
}

/// Targets of the line's links that point into the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.map(|target| target.split('#').next().unwrap_or(target));
    local.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

/// A target as seen from the document's folder, as a path from the root.
fn resolved(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<&'static str> {
        let tree = Tree::of(&[("docs/engine.md", ""), ("services/state/src/lib.rs", ""), (path, text)]);
        let policy = Policy { words: vec!["/SRV/box/".to_owned()], ..Policy::default() };
        check(&tree, &policy).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        assert_eq!(found("README.md", "see `services/stat/` and `services/state/src/hub.rs`"), ["path"; 2]);
        assert_eq!(found("README.md", "see `hub.rs` and `docs/engine.md`"), ["path"]);
        assert_eq!(
            found("README.md", "see `services/state/`, `services/state/src/lib.rs::join`, `lib.rs`"),
            [""; 0]
        );
        assert_eq!(found("README.md", "`acme/chat/general`, `GET /v1/x`, `services/<role>`, `.rs`"), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        assert_eq!(found("README.md", "[a](docs/engine.md#e1) [b](docs/gone.md)"), ["link"]);
        assert_eq!(found("docs/a.md", "[a](engine.md) [b](../docs/engine.md) [c](docs/engine.md)"), ["link"]);
        assert_eq!(found("docs/a.md", "[a](https://example.com) [b](#here)"), [""; 0]);
    }

    #[test]
    fn a_command_that_does_not_exist_is_found_in_samples_too() {
        assert_eq!(found("README.md", "```\ncargo xtask tset --fast\n```"), ["command"]);
        assert_eq!(found("README.md", "`cargo xtask test`, `cargo xtask <command>`, cargo xtask."), [""; 0]);
    }

    #[test]
    fn samples_may_name_files_of_others() {
        assert_eq!(found("README.md", "```\n`docs/gone.md`\n```\n`docs/gone.md`"), ["path"]);
    }

    #[test]
    fn a_forbidden_word_is_found_in_any_file() {
        assert_eq!(found("services/a.rs", "let a = \"/srv/box/a\";"), ["word"]);
        assert_eq!(found(".ci/run", "cd /srv/box/"), ["word"]);
        assert_eq!(found(WORD_LIST, "/srv/box/"), [""; 0]);
    }
}

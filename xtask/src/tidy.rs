//! What must hold about the sources themselves, checked on every run of the tests.
//!
//! Each check is a function from the tree of files (or from cargo's metadata) to findings; a finding names
//! the file, the line, the rule and what to do. Each has tests that show it bites. What clippy and rustfmt
//! can see is theirs and is not repeated here. Numbers and lists that people change stand in
//! `xtask/tidy.toml`, with their reasons.

mod arrows;
mod banned;
mod code;
mod documents;
mod licences;
mod limits;
mod mistakes;
mod names;
mod packages;
mod policy;
mod rules;
mod sizes;
mod tree;

use std::fmt;
use std::path::Path;

use packages::Packages;
use policy::Policy;
use tree::Tree;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 where the whole file is meant.
    line: usize,
    rule: &'static str,
    /// What is wrong and what to do about it.
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, rule, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, rule, message } = self;
        match line {
            0 => write!(f, "{path}: [{rule}] {message}"),
            _ => write!(f, "{path}:{line}: [{rule}] {message}"),
        }
    }
}

/// Runs every check on the checkout at `root`; the error lists all findings.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let policy = Policy::read(tree.text("xtask/tidy.toml").unwrap_or_default())?;
    let mut findings = sources(&tree, &policy);
    match packages(root, &policy) {
        Ok(more) => findings.extend(more),
        Err(problem) => findings.push(Finding::new("Cargo.toml", 0, "packages", problem)),
    }
    findings.sort();
    if findings.is_empty() {
        println!("tidy: {} files, nothing found", tree.len());
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(format!("tidy found\n{}\ntidy: {} findings", lines.join("\n"), findings.len()))
}

/// Everything that the files alone show.
fn sources(tree: &Tree, policy: &Policy) -> Vec<Finding> {
    let mut findings = sizes::check(tree);
    findings.extend(names::check(tree));
    findings.extend(banned::check(tree));
    findings.extend(mistakes::check(tree));
    findings.extend(documents::check(tree, policy));
    findings.extend(rules::check(tree));
    findings.extend(limits::check(tree));
    findings
}

/// Everything that needs cargo's view of crates and their dependencies.
fn packages(root: &Path, policy: &Policy) -> Result<Vec<Finding>, String> {
    let all = Packages::read(root)?;
    let mut findings = arrows::check(&all, policy);
    findings.extend(licences::check(&all, policy));
    for package in policy.absent.keys() {
        findings.extend(arrows::check_tree(package, &packages::tree_of(root, package)?, policy));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_repository_is_tidy() {
        if let Err(findings) = super::run(&crate::root()) {
            panic!("{findings}");
        }
    }
}

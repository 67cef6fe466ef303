//! Names that say nothing, folders with `mod.rs`, files that do not say what they are.

use super::Finding;
use super::code::is_test_file;
use super::tree::Tree;

/// A crate or module called so collects what has no home.
const SAY_NOTHING: [&str; 10] =
    ["common", "core", "types", "util", "utils", "helper", "helpers", "manager", "misc", "shared"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text, code) in tree.rust() {
        let message = |name: &str| format!("`{name}` says nothing about what is inside; name the idea");
        if let Some(name) = path.trim_end_matches(".rs").split('/').find(|part| SAY_NOTHING.contains(part)) {
            findings.push(Finding::new(path, 0, "name", message(name)));
        }
        for pair in code.words().windows(2).filter(|pair| pair[0].text == "mod") {
            if SAY_NOTHING.contains(&pair[1].text.as_str()) {
                findings.push(Finding::new(path, pair[1].line, "name", message(&pair[1].text)));
            }
        }
        if path.ends_with("/mod.rs") {
            let message = "no `mod.rs`: `foo.rs` beside `foo/`, so that an editor's tabs can be told apart";
            findings.push(Finding::new(path, 0, "mod-rs", message));
        }
        if !is_test_file(path) && !opens_with_docs(text) {
            let message = "opens with `//!` lines: what it is, what it guarantees, what it does not do";
            findings.push(Finding::new(path, 1, "module-docs", message));
        }
    }
    for (path, text) in tree.ending("Cargo.toml") {
        let named = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let Some(name) = named else { continue };
        if SAY_NOTHING.contains(&name.trim_start_matches("sterna-")) {
            let message = format!("the crate `{name}` says nothing about what is inside; name the idea");
            findings.push(Finding::new(path, 0, "name", message));
        }
    }
    findings
}

/// Whether the first thing in the file, attributes of the file aside, is its documentation.
fn opens_with_docs(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("#!["));
    lines.next().is_some_and(|line| line.starts_with("//! "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<&'static str> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn names_that_say_nothing_are_found_as_file_folder_module_and_crate() {
        assert_eq!(found("log/src/util.rs", "//! Docs."), ["name"]);
        assert_eq!(found("log/common/src/lib.rs", "//! Docs."), ["name"]);
        assert_eq!(found("log/src/lib.rs", "//! Docs.\nmod helpers;"), ["name"]);
        assert_eq!(found("log/Cargo.toml", "[package]\nname = \"sterna-core\""), ["name"]);
        assert_eq!(found("log/src/lib.rs", "//! Docs.\nuse core::fmt; // mod util"), [""; 0]);
    }

    #[test]
    fn mod_rs_is_found() {
        assert_eq!(found("log/src/memory/mod.rs", "//! Docs."), ["mod-rs"]);
        assert_eq!(found("log/src/my_mod.rs", "//! Docs."), [""; 0]);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_found() {
        assert_eq!(found("log/src/a.rs", "use std::fmt;\n//! Late."), ["module-docs"]);
        assert_eq!(found("log/src/a.rs", ""), ["module-docs"]);
        assert_eq!(found("log/src/a.rs", "#![allow(missing_docs)]\n\n//! Docs."), [""; 0]);
        assert_eq!(found("log/src/a/tests.rs", "use super::*;"), [""; 0]);
    }
}

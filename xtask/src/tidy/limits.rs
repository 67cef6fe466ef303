//! The page of limits is what counts (E29): whatever stands on it is used by code outside of it, or makes up
//! another of its limits, and no other constant bears one of its names, which would leave the page without
//! effect. That a limit is enforced as the page says is for its owner's tests.

use std::collections::BTreeMap;

use super::Finding;
use super::code::is_test_file;
use super::tree::Tree;

/// The page, and the table beside it.
const PAGE: &str = "replication/stream/src/limits.rs";
const BESIDE: &str = "replication/stream/src/limits/";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Each name with its line and how often it is used.
    let mut names: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let code = |wanted: bool| tree.rust().filter(move |(path, ..)| (*path == PAGE) == wanted);
    for (_, _, code) in code(true) {
        let words = code.words();
        for pair in words.windows(2).filter(|pair| pair[0].text == "const") {
            names.insert(pair[1].text.clone(), (pair[1].line, 0));
        }
        for word in words {
            if let Some((line, uses)) = names.get_mut(&word.text) {
                *uses += usize::from(*line != word.line);
            }
        }
    }
    for (path, _, code) in code(false).filter(|(path, ..)| !path.starts_with(BESIDE) && !is_test_file(path)) {
        let words = code.words();
        for (at, word) in words.iter().enumerate() {
            let known = names.get_mut(&word.text).filter(|_| !code.in_test(word.line));
            let Some((_, uses)) = known else { continue };
            if at > 0 && words[at - 1].text == "const" {
                let message =
                    format!("`{}` is a limit of {PAGE}: use that, or name this otherwise", word.text);
                findings.push(Finding::new(path, word.line, "limit-twin", message));
            } else {
                *uses += 1;
            }
        }
    }
    for (name, (line, _)) in names.iter().filter(|(_, (_, uses))| *uses == 0) {
        let message = format!("nothing uses `{name}`: enforce it, or take it off the page");
        findings.push(Finding::new(PAGE, *line, "limit-unused", message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str, path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let tree = Tree::of(&[(PAGE, page), (path, text), ("replication/stream/src/limits/table.rs", "A B")]);
        check(&tree).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn a_limit_that_nothing_uses_is_found() {
        let page = "//! Docs.\n/// A.\npub const A: usize = 1;\npub const B: usize = A;";
        assert_eq!(found(page, "log/src/a.rs", "use limits::B;"), []);
        assert_eq!(found(page, "log/src/a.rs", "// B"), [(4, "limit-unused")]);
        assert_eq!(found(page, "log/src/a/tests.rs", "use limits::B;"), [(4, "limit-unused")]);
    }

    #[test]
    fn a_constant_with_a_limits_name_is_found() {
        let page = "pub const A: usize = 1;";
        assert_eq!(
            found(page, "log/src/a.rs", "const A: usize = 2;\nconst B: usize = A;"),
            [(1, "limit-twin")]
        );
        assert_eq!(found(page, "log/src/a/tests.rs", "const A: usize = 2;"), [(1, "limit-unused")]);
    }
}

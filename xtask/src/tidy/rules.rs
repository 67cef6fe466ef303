//! The table in ARCHITECTURE.md that says which tests show which of the engine's rules.
//!
//! A row is `| E12 | file::test, file::test | note |`, files from the root. Every rule that docs/engine.md
//! defines has its row; every named test exists, is a test, and names the rule in its doc comment. A rule
//! that has no test yet says `waits: <why>` in place of tests. Whether a test shows what it claims is for
//! readers to judge.

use std::collections::BTreeMap;

use super::Finding;
use super::code::Code;
use super::tree::Tree;

const TABLE: &str = "ARCHITECTURE.md";
const RULES: &str = "docs/engine.md";
/// How many rules the engine has: a heading lost in an edit is noticed.
const COUNT: usize = 35;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let rules = tree.text(RULES).map(headings).unwrap_or_default();
    let expected: Vec<String> = (1..=COUNT).map(|n| format!("E{n}")).collect();
    if rules != expected {
        let message = format!("has the headings `### E1 …` to `### E{COUNT} …`, each once and in order");
        return vec![Finding::new(RULES, 0, "rules", message)];
    }
    let Some(table) = tree.text(TABLE) else {
        return vec![Finding::new(
            TABLE,
            0,
            "rules",
            "is missing; it holds the table of rules and their tests",
        )];
    };
    let mut findings = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (line, rule, tests) in rows(table) {
        let mut add = |message| findings.push(Finding::new(TABLE, line, "rules", message));
        if !expected.iter().any(|one| one == rule) {
            add(format!("{RULES} has no rule {rule}"));
        }
        if let Some(first) = seen.insert(rule, line) {
            add(format!("{rule} has a row already, in line {first}; one row holds all its tests"));
        }
        for problem in row_problems(tree, rule, tests) {
            add(problem);
        }
    }
    for rule in expected.iter().filter(|rule| !seen.contains_key(rule.as_str())) {
        let message = format!("{rule} has no row `| {rule} | file::test | note |` (or `waits: <why>`)");
        findings.push(Finding::new(TABLE, 0, "rules", message));
    }
    findings
}

/// The ids of the headings `### E12 …`, in order.
fn headings(text: &str) -> Vec<String> {
    let ids = text.lines().filter_map(|line| line.strip_prefix("### ")?.split(' ').next());
    ids.filter(|id| is_rule(id)).map(str::to_owned).collect()
}

fn is_rule(id: &str) -> bool {
    id.strip_prefix('E').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}

/// (line, rule, tests) of every row of the table.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let rule = cells.next()?.trim_matches(['*', '`']);
        is_rule(rule).then(|| (index + 1, rule, cells.next().unwrap_or_default()))
    })
}

fn row_problems(tree: &Tree, rule: &str, tests: &str) -> Vec<String> {
    if let Some(why) = tests.strip_prefix("waits:") {
        let empty = why.trim().is_empty().then(|| format!("{rule} waits without saying for what"));
        return empty.into_iter().collect();
    }
    let names: Vec<&str> = tests.split(',').map(|one| one.trim().trim_matches('`')).collect();
    names.into_iter().filter_map(|name| test_problem(tree, rule, name)).collect()
}

fn test_problem(tree: &Tree, rule: &str, name: &str) -> Option<String> {
    let Some((path, test)) = name.split_once("::") else {
        return Some(format!("{rule}: `{name}` is not `file::test`; without a test yet: `waits: <why>`"));
    };
    let Some(text) = tree.text(path) else { return Some(format!("{rule}: there is no file `{path}`")) };
    let test = test.rsplit("::").next().unwrap_or(test);
    let code = Code::of(path, text);
    let words = code.words();
    let found = words.windows(2).find(|pair| pair[0].text == "fn" && pair[1].text == test);
    let Some(line) = found.map(|pair| pair[0].line) else {
        return Some(format!("{rule}: `{path}` has no `fn {test}`; was it renamed?"));
    };
    let above = above(text, line);
    if !above.iter().any(|line| line.starts_with("#[") && line.contains("test")) {
        return Some(format!("{rule}: `{path}::{test}` is not a test"));
    }
    let docs = above.iter().filter(|line| line.starts_with("///"));
    let mut words = docs.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    let named = words.any(|word| word == rule);
    (!named).then(|| format!("{path}::{test}: its doc comment does not name {rule} (`/// {rule}: …`)"))
}

/// The comments and attributes right above a line (from 1).
fn above(text: &str, line: usize) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().take(line - 1).map(str::trim).collect();
    let belongs = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
    lines.iter().rev().take_while(belongs).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "/// E12: lost puts.\n#[tokio::test]\nasync fn a_lost_put_is_adopted() {}\n\n\
        /// E12.\nfn no_test() {}\n\n#[test]\nfn silent() {}\n";

    fn found(row: &str) -> Vec<String> {
        let rules: String = (1..=COUNT).map(|n| format!("### E{n} Name\n")).collect();
        let others = (1..=COUNT).filter(|n| *n != 12).map(|n| format!("| E{n} | waits: sample | |\n"));
        let table = format!("| rule | tests | note |\n|---|---|---|\n{row}\n{}", others.collect::<String>());
        let tree = Tree::of(&[(RULES, &rules), (TABLE, &table), ("log/tests.rs", TEST)]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    fn one(row: &str) -> String {
        let all = found(row);
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn a_row_with_a_test_that_names_the_rule_is_right() {
        assert_eq!(found("| E12 | `log/tests.rs::a_lost_put_is_adopted` | note |"), [""; 0]);
        assert_eq!(found("| **E12** | waits: the table's real backend | |"), [""; 0]);
    }

    #[test]
    fn a_row_that_names_what_is_not_there_is_found() {
        assert!(one("| E12 | log/gone.rs::a | |").contains("no file"));
        assert!(one("| E12 | log/tests.rs::a_lost_put | |").contains("no `fn a_lost_put`"));
        assert!(one("| E12 | log/tests.rs::no_test | |").contains("not a test"));
        assert!(one("| E12 | log/tests.rs::silent | |").contains("does not name E12"));
        assert!(one("| E12 | the log's suite | |").contains("is not `file::test`"));
        assert!(one("| E12 | waits: | |").contains("without saying"));
        assert!(
            one("| E12 | log/tests.rs::a_lost_put_is_adopted, log/tests.rs::gone | |").contains("`fn gone`")
        );
    }

    #[test]
    fn a_missing_a_second_and_an_unknown_row_are_found() {
        assert!(one("").contains("E12 has no row"));
        assert!(one("| E12 | waits: a | |\n| E12 | waits: b | |").contains("has a row already"));
        assert!(one("| E12 | waits: a | |\n| E99 | waits: b | |").contains("no rule E99"));
    }

    #[test]
    fn a_missing_table_and_a_lost_heading_are_found() {
        assert!(check(&Tree::of(&[(RULES, "### E1 Name")]))[0].message.contains("each once and in order"));
        let rules: String = (1..=COUNT).map(|n| format!("### E{n} Name\n")).collect();
        assert!(check(&Tree::of(&[(RULES, &rules)]))[0].message.contains("is missing"));
    }
}

//! Known mistakes: each that is built in (`mutant!`) stands in a list, whose every name is looked for, and
//! each name of a list is built in. A switch that nobody throws shows nothing.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

/// Where the lists stand: the file, and the constant.
const LISTS: [(&str, &str); 3] = [
    ("replication/stream/src/sequencer/model.rs", "const MISTAKES:"),
    ("services/cluster/tests/protocol_model/main.rs", "const MISTAKES:"),
    ("simulation/src/mutants.rs", "const MUTANTS:"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut built: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for (path, text, code) in tree.rust() {
        for word in code.words().iter().filter(|word| word.text == "mutant" && code.after(word, 2) == "!(") {
            let line = text.lines().nth(word.line - 1).unwrap_or_default();
            let names = line.split("mutant!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            built.extend(names.map(|name| (name.to_owned(), (path, word.line))));
        }
    }
    let mut listed: BTreeMap<String, &str> = BTreeMap::new();
    for (path, list) in LISTS {
        let names = tree.text(path).and_then(|text| names(text, list));
        match names {
            Some(names) => listed.extend(names.into_iter().map(|name| (name, path))),
            None => findings.push(Finding::new(path, 0, "mutant", format!("there is no `{list}` here"))),
        }
    }
    for (name, (path, line)) in built.iter().filter(|(name, _)| !listed.contains_key(*name)) {
        let message = format!("`{name}` is in no list of known mistakes: nobody would look for it");
        findings.push(Finding::new(path, *line, "mutant", message));
    }
    for (name, path) in listed.iter().filter(|(name, _)| !built.contains_key(*name)) {
        let message = format!("`{name}` is listed and built in nowhere");
        findings.push(Finding::new(path, 0, "mutant", message));
    }
    findings
}

/// The names in a list.
fn names(text: &str, list: &str) -> Option<Vec<String>> {
    let body = text.split_once(list)?.1.split_once('=')?.1.split_once("];")?.0;
    Some(body.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str, model: &str, simulated: &str) -> Vec<String> {
        let list = |name: &str, names: &str| format!("pub const {name}: [&str; 9] =\n    [{names}];\n");
        let simulation = list("MUTANTS", &format!("(\"two_puts\", 1), {simulated}"));
        let code = format!("if mutant!(\"two_puts\") {{}}\n{code}");
        let files = [
            (LISTS[0].0, list("MISTAKES", model)),
            (LISTS[1].0, list("MISTAKES", "")),
            (LISTS[2].0, simulation),
            ("services/state/src/a.rs", code),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        check(&Tree::of(&files)).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_mistake_in_no_list_is_found() {
        assert_eq!(found("// mutant!(\"b\")", "", ""), [""; 0]);
        let found = found("a || mutant!(\"b\")", "\"two_puts\"", "");
        assert!(found.len() == 1 && found[0].contains("a.rs:2: [mutant] `b` is in no list"), "{found:?}");
    }

    #[test]
    fn a_list_that_names_what_is_not_built_in_is_found() {
        assert_eq!(found("mutant!(\"b\")", "", "(\"b\", 3)"), [""; 0]);
        let found = found("", "\"b\"", "(\"c\", 3)");
        assert!(found.len() == 2 && found[0].contains("`b` is listed and built in nowhere"), "{found:?}");
    }

    #[test]
    fn a_list_that_is_gone_is_found() {
        assert_eq!(check(&Tree::of(&[])).len(), LISTS.len());
    }
}

//! Dependency arrows: who may ask for whom among our crates, and what some of them do without.
//!
//! The arrows are docs/design.md's section 9, written out in `xtask/tidy.toml`. They count for tests too: a
//! test that needs more than its crate may see belongs in the crate above, but for the few that
//! `[test_arrows]` names.

use std::collections::BTreeSet;

use super::Finding;
use super::packages::Packages;
use super::policy::{Policy, fits};

pub(super) fn check(all: &Packages, policy: &Policy) -> Vec<Finding> {
    let ours: BTreeSet<&str> = all.ours().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in all.ours() {
        let (name, path) = (&package.name, package.manifest.as_str());
        let Some(may) = policy.arrows.get(name) else {
            let message = format!("`{name}` has no line in xtask/tidy.toml [arrows]; say whom it may use");
            findings.push(Finding::new(path, 0, "arrows", message));
            continue;
        };
        let tests_may = policy.test_arrows.get(name).map(Vec::as_slice).unwrap_or_default();
        let own = |other: &&String| ours.contains(other.as_str()) && *other != name && !may.contains(other);
        for other in package.asks_for.iter().filter(own) {
            let message = format!("`{name}` may not use `{other}` (docs/design.md section 9)");
            findings.push(Finding::new(path, 0, "arrows", message));
        }
        for other in package.tests_ask_for.iter().filter(own).filter(|other| !tests_may.contains(other)) {
            let message = format!("tests of `{name}` may not use `{other}` (xtask/tidy.toml, [test_arrows])");
            findings.push(Finding::new(path, 0, "arrows", message));
        }
    }
    for (name, may) in policy.arrows.iter().chain(&policy.test_arrows) {
        for unknown in may.iter().chain([name]).filter(|one| !ours.contains(one.as_str())) {
            let message = format!("[arrows] of `{name}` names `{unknown}`, which is no crate of ours");
            findings.push(Finding::new("xtask/tidy.toml", 0, "arrows", message));
        }
    }
    findings
}

/// What is compiled for `package` against what may not be.
pub(super) fn check_tree(package: &str, linked: &BTreeSet<String>, policy: &Policy) -> Vec<Finding> {
    let patterns = policy.absent.get(package).map(Vec::as_slice).unwrap_or_default();
    let banned = linked.iter().filter(|name| patterns.iter().any(|pattern| fits(pattern, name)));
    let finding = |name: &String| {
        let message = format!(
            "`{name}` is compiled for `{package}`, which must do without it; \
             `cargo tree --package {package} --edges normal,build --invert {name}` shows by whom"
        );
        Finding::new("xtask/tidy.toml", 0, "absent", message)
    };
    banned.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::packages::{Package, sample};
    use super::*;

    fn ours(name: &str, asks_for: &[&str]) -> Package {
        let asks_for = asks_for.iter().map(|one| (*one).to_owned()).collect();
        Package { asks_for, ..sample(name, "0.1.0", None, None) }
    }

    fn policy(arrows: &[(&str, &[&str])]) -> Policy {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        let arrows = arrows.iter().map(|(name, may)| ((*name).to_owned(), owned(may))).collect();
        Policy { arrows, ..Policy::default() }
    }

    fn messages(packages: Vec<Package>, policy: &Policy) -> Vec<String> {
        check(&Packages(packages), policy).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let policy = policy(&[("stream", &[]), ("state", &["stream"])]);
        assert_eq!(messages(vec![ours("stream", &["bytes"]), ours("state", &["stream"])], &policy), [""; 0]);
        let found = messages(vec![ours("stream", &["state"]), ours("state", &["stream"])], &policy);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`stream` may not use `state`"));
    }

    #[test]
    fn tests_may_use_what_their_own_list_names_and_no_more() {
        let tests_of = |others: &[&str]| {
            let tests_ask_for = others.iter().map(|one| (*one).to_owned()).collect();
            vec![ours("store", &[]), Package { tests_ask_for, ..ours("state", &[]) }]
        };
        let mut policy = policy(&[("store", &[]), ("state", &[])]);
        assert!(messages(tests_of(&["store"]), &policy)[0].contains("tests of `state` may not use `store`"));
        policy.test_arrows.insert("state".into(), vec!["store".into()]);
        assert_eq!(messages(tests_of(&["store"]), &policy), [""; 0]);
        assert_eq!(messages(vec![ours("store", &[]), ours("state", &["store"])], &policy).len(), 1);
    }

    #[test]
    fn a_crate_without_arrows_and_an_arrow_without_a_crate_are_found() {
        let found = messages(vec![ours("stream", &[]), ours("new", &[])], &policy(&[("stream", &["gone"])]));
        assert!(found[0].contains("`new` has no line"));
        assert!(found[1].contains("`gone`, which is no crate"));
    }

    #[test]
    fn a_crate_that_must_not_be_linked_is_found() {
        let absent = [("client".to_owned(), vec!["tonic*".to_owned()])].into();
        let policy = Policy { absent, ..Policy::default() };
        let linked = |names: &[&str]| names.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(check_tree("client", &linked(&["client", "tokio"]), &policy), []);
        let found = check_tree("client", &linked(&["client", "tonic-prost"]), &policy);
        assert!(found[0].message.contains("--invert tonic-prost"));
    }
}

//! What we link: licences that we accept, one source only, and no crate twice without a reason.
//!
//! Looks at everything the lock file may bring in, on every platform and for tests too. It does not look for
//! known vulnerabilities: that list lives outside the repository.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::packages::Packages;
use super::policy::Policy;

/// The only place that dependencies come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(all: &Packages, policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |rule, message: String| findings.push(Finding::new("Cargo.lock", 0, rule, message));
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in all.theirs() {
        let (name, version) = (package.name.as_str(), package.version.as_str());
        let licence = package.licence.as_deref().unwrap_or_default();
        if !accepted(licence, &policy.licences) {
            add(
                "licence",
                format!("{name} {version} is under `{licence}`; xtask/tidy.toml [licences] lists ours"),
            );
        }
        if package.source.as_deref() != Some(REGISTRY) {
            add("source", format!("{name} {version} does not come from the crate registry"));
        }
        versions.entry(name).or_default().insert(line_of(version));
    }
    for (name, lines) in &versions {
        if lines.len() > 1 && !policy.duplicates.contains_key(*name) {
            let lines = lines.iter().cloned().collect::<Vec<_>>().join(" and ");
            let message = format!(
                "{name} is there as {lines}; agree on one (`cargo tree --invert {name}`), \
                 or give the reason in xtask/tidy.toml [duplicates]"
            );
            add("duplicate", message);
        }
    }
    for name in policy.duplicates.keys() {
        if versions.get(name.as_str()).is_none_or(|lines| lines.len() < 2) {
            add("duplicate", format!("{name} is there once: take it out of xtask/tidy.toml [duplicates]"));
        }
    }
    findings
}

/// The line of compatible releases that a version belongs to: its first number that is not zero.
fn line_of(version: &str) -> String {
    let numbers: Vec<&str> = version.split(['.', '-', '+']).take(3).collect();
    let upto = numbers.iter().position(|number| *number != "0").unwrap_or(2);
    numbers[..=upto.min(numbers.len() - 1)].join(".")
}

/// Whether an SPDX expression can be met with the licences we accept.
fn accepted(expression: &str, ours: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, ours) && rest.is_empty()
}

fn either(rest: &mut &[&str], ours: &[String]) -> bool {
    let mut good = both(rest, ours);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        good |= both(rest, ours);
    }
    good
}

fn both(rest: &mut &[&str], ours: &[String]) -> bool {
    let mut good = single(rest, ours);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        good &= single(rest, ours);
    }
    good
}

fn single(rest: &mut &[&str], ours: &[String]) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let good = either(rest, ours);
            let closed = rest.first() == Some(&")");
            *rest = rest.get(1..).unwrap_or_default();
            good && closed
        }
        [licence, "WITH", exception, after @ ..] => {
            *rest = after;
            ours.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, after @ ..] => {
            *rest = after;
            ours.iter().any(|one| one == licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::packages::{Package, sample};
    use super::*;

    fn found(packages: Vec<Package>, duplicates: &[&str]) -> Vec<(&'static str, String)> {
        let duplicates = duplicates.iter().map(|name| ((*name).to_owned(), "why".to_owned())).collect();
        let policy = Policy { licences: ours(), duplicates, ..Policy::default() };
        check(&Packages(packages), &policy).into_iter().map(|one| (one.rule, one.message)).collect()
    }

    fn ours() -> Vec<String> {
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"].map(str::to_owned).to_vec()
    }

    #[test]
    fn an_expression_is_accepted_if_our_licences_can_meet_it() {
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
            assert!(accepted(good, &ours()), "{good}");
        }
        assert!(accepted("GPL-2.0 OR Apache-2.0 WITH LLVM-exception", &ours()));
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH GPL-exception", "(MIT", "MIT MIT", "MIT )"] {
            assert!(!accepted(bad, &ours()), "{bad}");
        }
    }

    #[test]
    fn a_licence_that_is_not_ours_and_a_missing_one_are_found() {
        let gpl = sample("a", "1.0.0", Some("GPL-3.0"), Some(REGISTRY));
        let none = sample("b", "1.0.0", None, Some(REGISTRY));
        let rules: Vec<_> = found(vec![gpl, none], &[]).into_iter().map(|one| one.0).collect();
        assert_eq!(rules, ["licence", "licence"]);
    }

    #[test]
    fn a_dependency_from_elsewhere_is_found() {
        let git = sample("a", "1.0.0", Some("MIT"), Some("git+https://example.com/a"));
        assert_eq!(found(vec![git], &[])[0].0, "source");
    }

    #[test]
    fn a_crate_in_two_incompatible_versions_needs_a_reason() {
        let of = |version| sample("a", version, Some("MIT"), Some(REGISTRY));
        assert_eq!(found(vec![of("1.2.0"), of("1.9.0")], &[]), []);
        assert_eq!(found(vec![of("0.1.2"), of("0.2.0")], &["a"]), []);
        assert_eq!(found(vec![of("0.1.2"), of("0.2.0")], &[])[0].0, "duplicate");
        assert!(found(vec![of("1.0.0")], &["a"])[0].1.contains("take it out"));
    }

    #[test]
    fn releases_are_compatible_up_to_the_first_number_that_is_not_zero() {
        assert_eq!(["1.2.3", "0.4.1", "0.0.7", "1.0.0-rc.1"].map(line_of), ["1", "0.4", "0.0.7", "1"]);
    }
}

//! The lists of `xtask/tidy.toml`, read once: who may use whom, which licences, which repeated crates, which
//! words.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Our crate → our crates it may ask for.
    pub(super) arrows: BTreeMap<String, Vec<String>>,
    pub(super) test_arrows: BTreeMap<String, Vec<String>>,
    /// Our crate → name patterns of what may not be linked into it; `*` at the end stands for anything.
    pub(super) absent: BTreeMap<String, Vec<String>>,
    /// SPDX identifiers that we accept.
    pub(super) licences: Vec<String>,
    /// Crate → why two incompatible versions of it are in the lock file.
    pub(super) duplicates: BTreeMap<String, String>,
    /// Words that no file may hold.
    pub(super) words: Vec<String>,
}

impl Policy {
    /// Parses the file; the error names what is not as expected.
    pub(super) fn read(text: &str) -> Result<Policy, String> {
        let table: Table = text.parse().map_err(|error| format!("xtask/tidy.toml: {error}"))?;
        let section = |name: &str| {
            let found = table.get(name).and_then(Value::as_table);
            found.ok_or_else(|| format!("xtask/tidy.toml has no section [{name}]"))
        };
        let lists = |name: &str| -> Result<BTreeMap<String, Vec<String>>, String> {
            section(name)?.iter().map(|(key, value)| Ok((key.clone(), list(name, key, value)?))).collect()
        };
        let one = |name: &str, key: &str| {
            let value = section(name)?.get(key);
            list(name, key, value.ok_or_else(|| format!("xtask/tidy.toml: [{name}] has no `{key}`"))?)
        };
        let reason = |(key, value): (&String, &Value)| match value.as_str() {
            Some(reason) if !reason.trim().is_empty() => Ok((key.clone(), reason.to_owned())),
            _ => Err(format!("xtask/tidy.toml: [duplicates] `{key}` needs a reason")),
        };
        Ok(Policy {
            arrows: lists("arrows")?,
            test_arrows: lists("test_arrows")?,
            absent: lists("absent")?,
            licences: one("licences", "accepted")?,
            duplicates: section("duplicates")?.iter().map(reason).collect::<Result<_, _>>()?,
            words: one("words", "forbidden")?,
        })
    }
}

fn list(section: &str, key: &str, value: &Value) -> Result<Vec<String>, String> {
    let problem = || format!("xtask/tidy.toml: [{section}] `{key}` is not a list of texts");
    let values = value.as_array().ok_or_else(problem)?;
    values.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(problem)).collect()
}

/// Whether `name` fits `pattern`, which may end in `*`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "arrows = { a = ['b'] }\ntest_arrows = {}\n\
                         absent = { a = ['c*'] }\nlicences = { accepted = ['MIT'] }\n\
        duplicates = { d = 'why' }\nwords = { forbidden = ['w'] }";

    #[test]
    fn the_whole_file_is_read() {
        let policy = Policy::read(WHOLE).unwrap();
        assert_eq!(policy.arrows["a"], ["b"]);
        assert_eq!(policy.duplicates["d"], "why");
    }

    #[test]
    fn what_is_missing_or_has_no_reason_is_named() {
        assert!(Policy::read("").unwrap_err().contains("[arrows]"));
        assert!(Policy::read(&WHOLE.replace("'why'", "' '")).unwrap_err().contains("`d` needs a reason"));
        assert!(Policy::read(&WHOLE.replace("['b']", "'b'")).unwrap_err().contains("not a list"));
    }

    #[test]
    fn a_star_stands_for_any_ending() {
        assert!(fits("aws-*", "aws-sdk-s3") && fits("redis", "redis"));
        assert!(!fits("redis", "redis-x") && !fits("aws-*", "raws-x"));
    }
}

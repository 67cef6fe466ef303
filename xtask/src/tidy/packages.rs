//! Cargo's view of the workspace: packages, what they ask for, and what is linked into one of them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::child::Cargo;

/// One package, ours or a dependency.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// SPDX expression, as its author wrote it.
    pub(super) licence: Option<String>,
    /// Where it was downloaded from; none for our own.
    pub(super) source: Option<String>,
    /// Its `Cargo.toml`, from the repository's root, if it is our own.
    pub(super) manifest: String,
    /// Names of the packages it asks for, in builds and in tests.
    pub(super) asks_for: BTreeSet<String>,
    /// The same, for its tests alone.
    pub(super) tests_ask_for: BTreeSet<String>,
}

/// Every package that any feature of ours brings in.
pub(super) struct Packages(pub(super) Vec<Package>);

impl Packages {
    pub(super) fn read(root: &Path) -> Result<Packages, String> {
        let text = Cargo::new(root, "metadata --format-version 1 --all-features").output()?;
        let value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        Packages::parse(&value)
    }

    pub(super) fn parse(metadata: &Value) -> Result<Packages, String> {
        let root = metadata["workspace_root"].as_str().unwrap_or_default();
        let list = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
        list.iter().map(|value| Package::parse(value, root)).collect::<Result<_, _>>().map(Packages)
    }

    /// Our own packages.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.0.iter().filter(|package| package.source.is_none())
    }

    /// Everybody else's.
    pub(super) fn theirs(&self) -> impl Iterator<Item = &Package> {
        self.0.iter().filter(|package| package.source.is_some())
    }
}

fn names(asked: &[Value], which: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let chosen = asked.iter().filter(|one| which(one));
    chosen.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}

impl Package {
    fn parse(value: &Value, root: &str) -> Result<Package, String> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let asked = value["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let manifest = text("manifest_path").unwrap_or_default();
        Ok(Package {
            name: text("name").ok_or("a package without a name in cargo metadata")?,
            version: text("version").ok_or("a package without a version in cargo metadata")?,
            licence: text("license"),
            source: text("source"),
            manifest: manifest.trim_start_matches(root).trim_start_matches('/').to_owned(),
            asks_for: names(asked, |one| one["kind"].as_str() != Some("dev")),
            tests_ask_for: names(asked, |one| one["kind"].as_str() == Some("dev")),
        })
    }
}

/// Names of everything that is compiled for `package` with its default features, and for its compiling.
pub(super) fn tree_of(root: &Path, package: &str) -> Result<BTreeSet<String>, String> {
    let call = format!("tree --package {package} --edges normal,build --prefix none --format {{p}}");
    let text = Cargo::new(root, &call).var("CARGO_TERM_COLOR", "never").output()?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

#[cfg(test)]
pub(super) fn sample(name: &str, version: &str, licence: Option<&str>, source: Option<&str>) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: licence.map(str::to_owned),
        source: source.map(str::to_owned),
        manifest: format!("{name}/Cargo.toml"),
        asks_for: BTreeSet::new(),
        tests_ask_for: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_into_packages() {
        let text = r#"{"workspace_root":"/repo","packages":[
            {"name":"sterna-log","version":"0.1.0","license":"Apache-2.0","source":null,
             "manifest_path":"/repo/replication/log/Cargo.toml","dependencies":[{"name":"bytes"}]},
            {"name":"bytes","version":"1.0.0","license":"MIT","source":"registry+x",
             "manifest_path":"/elsewhere/Cargo.toml","dependencies":[]}]}"#;
        let all = Packages::parse(&serde_json::from_str(text).unwrap()).unwrap();
        let ours: Vec<_> = all.ours().collect();
        assert_eq!((ours.len(), all.theirs().count()), (1, 1));
        assert_eq!(ours[0].manifest, "replication/log/Cargo.toml");
        assert!(ours[0].asks_for.contains("bytes"));
    }

    #[test]
    fn metadata_of_another_shape_is_an_error() {
        assert!(Packages::parse(&Value::Null).is_err());
    }
}

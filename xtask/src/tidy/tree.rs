//! The repository's files as the checks see them: every path, and the text of those that are text.
//!
//! Built products and hidden folders are left out, except `.ci` and `.cargo`. Tests build trees of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::code::Code;

/// Folders that are never looked into.
const LEFT_OUT: [&str; 3] = ["target", "node_modules", "fuzz-corpus"];
/// Hidden folders that are looked into.
const HIDDEN: [&str; 2] = [".ci", ".cargo"];
/// Endings of files whose text is read.
const TEXT: [&str; 5] = [".rs", ".md", ".proto", ".toml", ".yml"];
/// What programs write: known by its path, and not read. No other folder, whatever its name.
const GENERATED: [&str; 2] = ["proto/src/generated/", "clients/protocol/src/generated/"];
/// Files that are read for their name.
const TEXT_NAMES: [&str; 2] = ["justfile", "run"];

/// All files: path from the root with `/`, and the text where it was read.
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the checkout at `root`.
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let mut tree = Tree { files: BTreeMap::new() };
        tree.walk(root, "")
            .map_err(|error| format!("cannot read the tree at {}: {error}", root.display()))?;
        Ok(tree)
    }

    /// A tree of samples: (path, text).
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let entry = |(path, text): &(&str, &str)| ((*path).to_owned(), Some((*text).to_owned()));
        Tree { files: files.iter().map(entry).collect() }
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                let hidden = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
                if !hidden && !LEFT_OUT.contains(&name.as_str()) {
                    self.walk(&entry.path(), &format!("{path}/"))?;
                }
            } else {
                let is_text =
                    TEXT.iter().any(|end| name.ends_with(end)) || TEXT_NAMES.contains(&name.as_str());
                let read = is_text && !GENERATED.contains(&prefix);
                let text = if read { Some(fs::read_to_string(entry.path())?) } else { None };
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Every path, sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// (path, text) of every file whose path ends so.
    pub(crate) fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let with_text =
            |(path, text): (&'a String, &'a Option<String>)| Some((path.as_str(), text.as_deref()?));
        self.files.iter().filter_map(with_text).filter(move |(path, _)| path.ends_with(end))
    }

    /// Every Rust file with its code.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str, Code)> {
        self.ending(".rs").map(|(path, text)| (path, text, Code::of(path, text)))
    }

    /// Whether a file or a folder stands at `path`; a `/` at the end does not matter.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }

    /// Whether any file, anywhere, has this name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.paths().any(|path| path.rsplit('/').next() == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_found_by_their_whole_path() {
        let tree = Tree::of(&[("docs/engine.md", ""), ("documents.md", "")]);
        assert!(tree.has("docs/engine.md") && tree.has("docs") && tree.has("docs/"));
        assert!(!tree.has("doc") && !tree.has("docs/engine") && !tree.has("engine.md"));
        assert!(tree.has_name("engine.md") && !tree.has_name("docs"));
    }
}

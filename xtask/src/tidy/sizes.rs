//! How long a file and a line may be. How long a function may be is clippy's (`clippy.toml`).

use super::Finding;
use super::tree::Tree;

/// Most lines of a Rust file; ~200 is normal.
const FILE_LINES: usize = 500;
/// Most characters of a line of Rust, also where rustfmt cannot break it; only an address may stand out.
const LINE_CHARS: usize = 110;
/// Most lines of the README.
const README_LINES: usize = 150;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs") {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            let message =
                format!("{lines} lines, at most {FILE_LINES}: a file is one idea, move the second out");
            findings.push(Finding::new(path, 0, "file-length", message));
        }
        for (index, line) in text.lines().enumerate() {
            let chars = without_address(line).chars().count();
            if chars > LINE_CHARS {
                let message =
                    format!("{chars} characters, at most {LINE_CHARS}: break it (a string with `concat!`)");
                findings.push(Finding::new(path, index + 1, "line-length", message));
            }
        }
    }
    if let Some(text) = tree.text("README.md") {
        let lines = text.lines().count();
        if lines > README_LINES {
            let message = format!("{lines} lines, at most {README_LINES}: move detail to docs/");
            findings.push(Finding::new("README.md", 0, "readme-length", message));
        }
    }
    findings
}

/// The line without a web address in it, which nobody can break.
fn without_address(line: &str) -> String {
    let words = line.split(' ').filter(|word| !word.contains("://"));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn a_file_one_line_too_long_is_found() {
        assert_eq!(found("a.rs", &"\n".repeat(FILE_LINES)), []);
        assert_eq!(found("a.rs", &"\n".repeat(FILE_LINES + 1)), [(0, "file-length")]);
        assert_eq!(found("a.md", &"\n".repeat(FILE_LINES + 1)), []);
    }

    #[test]
    fn a_line_is_measured_in_characters() {
        assert_eq!(found("a.rs", &"ü".repeat(LINE_CHARS)), []);
        assert_eq!(found("a.rs", &format!("\n{}", "ü".repeat(LINE_CHARS + 1))), [(2, "line-length")]);
    }

    #[test]
    fn an_address_does_not_count_but_the_words_beside_it_do() {
        let address = format!("https://example.com/{}", "a".repeat(LINE_CHARS));
        assert_eq!(found("a.rs", &format!("// see {address}")), []);
        assert_eq!(found("a.rs", &format!("// {} {address}", "a".repeat(LINE_CHARS))), [(1, "line-length")]);
    }

    #[test]
    fn a_long_readme_is_found() {
        assert_eq!(found("README.md", &"\n".repeat(README_LINES)), []);
        assert_eq!(found("README.md", &"\n".repeat(README_LINES + 1)), [(0, "readme-length")]);
    }
}

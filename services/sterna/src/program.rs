//! What a shell has to be told to start this program again: commands that are printed are there to be pasted.

/// The path this program was started by, or its bare name if the shell found it by `PATH`, quoted where a
/// shell needs it.
#[must_use]
pub fn program() -> String {
    named(&std::env::args().next().unwrap_or_default())
}

fn named(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    match path {
        path if !path.contains('/') => "sterna".to_owned(),
        path if path.chars().all(plain) => path.to_owned(),
        path => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_path_is_told_so_that_a_shell_takes_it() {
        assert_eq!(named("target/release/sterna"), "target/release/sterna");
        assert_eq!(named("sterna"), "sterna");
        assert_eq!(named(""), "sterna");
        assert_eq!(named("/my things/ana's/sterna"), r"'/my things/ana'\''s/sterna'");
    }
}

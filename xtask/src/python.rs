//! The client in Python: its own tests, then the test that runs it against three regions.
//!
//! The interpreter gets an environment of its own under `target/python`, with the one package that
//! `clients/python/requirements.txt` pins. What cannot be had is an error that says what to install: a client
//! that was not tried is not a client that works.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::{Cargo, Tally};

const NEEDED: &str = "the client in Python needs Python 3.9 or newer with venv and pip (Debian, Ubuntu: \
    apt install python3-venv) and, the first time, a package index for clients/python/requirements.txt";
/// Names the interpreter for the test in Rust.
const PYTHON: &str = "STERNA_PYTHON";

/// Runs both and counts their tests. The error says which of them failed, or what is missing.
pub(crate) fn run(root: &Path) -> (Tally, Result<(), String>) {
    let python = match environment(root) {
        Ok(python) => python,
        Err(problem) => return (Tally::default(), Err(problem)),
    };
    let (mut tally, units) = units(root, &python);
    let (counted, regions) = regions(root, &python).run();
    tally.add(counted);
    (tally, units.and(regions))
}

/// The test against three regions. The whole workspace is named so that nothing is built another time.
fn regions(root: &Path, python: &Path) -> Cargo {
    let call = Cargo::new(root, "test --workspace --test python_client -- --ignored");
    call.var(PYTHON, python.display().to_string())
}

/// The interpreter of the environment, which is made unless it is as the requirements say.
fn environment(root: &Path) -> Result<PathBuf, String> {
    let home = root.join("target/python");
    let python = home.join("bin/python");
    let requirements = root.join("clients/python/requirements.txt");
    let wanted =
        std::fs::read_to_string(&requirements).map_err(|error| format!("{requirements:?}: {error}"))?;
    let stamp = home.join("made-for.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made_for| made_for == wanted)
        && called(Command::new(&python).args(["-c", "import websockets"])).is_ok()
    {
        return Ok(python);
    }
    let needed = |problem: String| format!("{problem}\n{NEEDED}");
    called(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home)).map_err(needed)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    called(Command::new(&python).args(pip).arg(&requirements)).map_err(needed)?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{stamp:?}: {error}"))?;
    Ok(python)
}

/// The client's own tests.
fn units(root: &Path, python: &Path) -> (Tally, Result<(), String>) {
    let mut tests = Command::new(python);
    tests.args([
        "-B",
        "-m",
        "unittest",
        "discover",
        "--start-directory",
        "tests",
        "--top-level-directory",
        ".",
    ]);
    tests.current_dir(root.join("clients/python"));
    let result = called(&mut tests);
    let said = match &result {
        Ok(said) | Err(said) => said,
    };
    println!("{said}");
    (counted(said), result.map(drop).map_err(|_| "unit tests in clients/python failed".to_owned()))
}

/// Runs a program; what it wrote, with the call in front if it failed.
fn called(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let done = command.output().map_err(|error| format!("{shown}: {error}"))?;
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim_end().to_owned();
    if done.status.success() { Ok(said) } else { Err(format!("{shown}: {}\n{said}", done.status)) }
}

/// What unittest's last lines say: `Ran 9 tests in 0.1s`, then `OK` or `FAILED (failures=1, errors=2)`.
fn counted(said: &str) -> Tally {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let ran = said.lines().find_map(|line| number(line.strip_prefix("Ran ")?)).unwrap_or(0);
    let last = said.lines().last().unwrap_or_default();
    let of = |name: &str| last.split_once(name).and_then(|(_, rest)| number(rest)).unwrap_or(0);
    let failed: u64 = of("failures=") + of("errors=");
    Tally { passed: ran.saturating_sub(failed), failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_unittest_are_counted() {
        assert_eq!(counted("...\nRan 42 tests in 0.8s\n\nOK"), Tally { passed: 42, failed: 0 });
        let red = "Ran 42 tests in 0.8s\n\nFAILED (failures=1, errors=2)";
        assert_eq!(counted(red), Tally { passed: 39, failed: 3 });
        assert_eq!(counted("no such module"), Tally::default());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_with_its_name() {
        let error = called(&mut Command::new("no-such-python")).unwrap_err();
        assert!(error.contains("no-such-python"), "{error}");
    }
}

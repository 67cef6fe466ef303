//! Builds programs as servers run them: optimised as a whole (profile `dist`) and laid out by a profile of
//! themselves at work.
//!
//! An event passes some thousand functions, none of which stands out: what helps is that the compiler knows
//! which of them are used, and how often. So a program is built twice. The first build records while it does
//! its lessons; the second is compiled by that record. What it costs and gives is in loadtest/RESULTS.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::{Cargo, run};

/// Where the recording build lives, and the records; a folder of its own, so that no other build is thrown
/// away.
const RECORDING: &str = "target/recording";
/// Where the build by the record lives.
const GUIDED: &str = "target/guided";
/// The component of the toolchain that turns records into a profile.
const COMPONENT: &str = "llvm-tools";

/// A program and what it does while it records, each a command line of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    lessons: &'static [&'static str],
}

/// The product.
pub(crate) const STERNA: Program = Program {
    name: "sterna",
    lessons: &[
        "demo --seconds 30 --people 60 --rate 400 --seed 1",
        "demo --seconds 15 --people 9 --rate 5 --seed 2",
    ],
};

/// The benchmarks, with the roles in them.
pub(crate) const BENCH: Program = Program {
    name: "sterna-bench",
    lessons: &[
        "path --runs 1 --seconds 3 --paced-seconds 6",
        "path saturated --runs 1 --seconds 3 --together",
        "resume --runs 1",
        "fairness --seconds 3",
        "regions --events 600",
    ],
};

/// Builds `program`; returns where it stands.
pub(crate) fn build(root: &Path, program: &Program) -> Result<PathBuf, String> {
    let merge = tool(root)?;
    let Program { name, lessons } = program;
    let records = root.join(RECORDING).join(format!("{name}.records"));
    let profile = root.join(RECORDING).join(format!("{name}.profdata"));

    say(&format!("1 of 3: {name}, built to record"));
    compile(root, name, RECORDING, &format!("-Cprofile-generate={}", records.display()))?;
    let recorder = root.join(RECORDING).join("dist").join(name);
    if is_newer(&profile, &recorder) {
        say("2 of 3: the record at hand is of this very build");
    } else {
        let _ = fs::remove_dir_all(&records);
        for (n, lesson) in lessons.iter().enumerate() {
            say(&format!("2 of 3: lesson {} of {}: {name} {lesson}", n + 1, lessons.len()));
            run(Command::new(&recorder).args(lesson.split(' ')).current_dir(root).stdout(Stdio::null()))?;
        }
        run(Command::new(merge).arg("merge").arg("--output").arg(&profile).arg(&records))?;
    }
    say(&format!("3 of 3: {name}, built by the record"));
    compile(root, name, GUIDED, &format!("-Cprofile-use={}", profile.display()))?;
    let (built, stands) = (root.join(GUIDED).join("dist").join(name), root.join("target/dist").join(name));
    let put = fs::create_dir_all(root.join("target/dist")).and_then(|()| fs::copy(&built, &stands));
    put.map_err(|error| format!("{} cannot be put to {}: {error}", built.display(), stands.display()))?;
    Ok(stands)
}

fn compile(root: &Path, name: &str, folder: &str, flag: &str) -> Result<(), String> {
    let what = format!("--package {name} --features {name}/mimalloc");
    Cargo::new(root, &format!("build --profile dist {what} --target-dir {folder}")).rustflag(flag).run_alone()
}

/// The program that merges records, of the toolchain that compiles: formats differ between versions.
fn tool(root: &Path) -> Result<PathBuf, String> {
    let asked = Command::new("rustc").args(["--print", "target-libdir"]).current_dir(root).output();
    let asked = asked.map_err(|error| format!("cannot start rustc ({error}); install it from rustup.rs"))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    let tool = libraries.with_file_name("bin").join("llvm-profdata");
    if tool.is_file() {
        return Ok(tool);
    }
    Err(format!("{} is missing: `rustup component add {COMPONENT}`", tool.display()))
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    changed(file).is_some_and(|file| changed(than).is_some_and(|than| file > than))
}

fn say(what: &str) {
    eprintln!("=== {what} ===");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_used_again_only_if_it_is_newer_than_what_recorded_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (there, nowhere) = (here.join("Cargo.toml"), here.join("no-such-file"));
        assert!(!is_newer(&nowhere, &there), "there is none");
        assert!(!is_newer(&there, &nowhere), "nobody knows what recorded it");
        assert!(!is_newer(&there, &there), "it may be of the build before");
    }
}

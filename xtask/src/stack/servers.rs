//! Which servers there are and with what settings: small, quick to start, nothing outside their folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::FOLDER;
use super::fetch;
use super::server::{Ready, Server, free_port};

/// A heap and a compiler for a server that lives for minutes.
const JAVA: [&str; 3] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
/// Any 16 bytes in base64: the cluster lives as long as its folder.
const CLUSTER_ID: &str = "c3Rlcm5hLXN0YWNrLTAwMQ";

/// All servers, fetched and with their settings written, each in a fresh folder below `.stack/<life>`.
pub(super) fn all(root: &Path, life: &str) -> Result<Vec<Server>, String> {
    let cache = fetch::cache(root);
    fetch::tools(&cache)?;
    fetch::kafka(&cache)?;
    fetch::dynamodb(&cache)?;
    let folder = root.join(FOLDER).join(life);
    Ok(vec![kafka(&cache, &folder.join("kafka"))?, dynamodb(&cache, &folder.join("dynamodb"))?])
}

fn kafka(cache: &Path, folder: &Path) -> Result<Server, String> {
    let (port, controller) = (free_port()?, free_port()?);
    fresh(folder)?;
    let settings = folder.join("server.properties");
    let written = fs::write(&settings, kafka_settings(port, controller, &folder.join("data")));
    written.map_err(|error| format!("cannot write {}: {error}", settings.display()))?;
    let classes = format!("{}/*", cache.join(fetch::KAFKA).display());
    let settings = settings.display().to_string();
    let java = |class: &str, rest: &[&str]| -> Vec<String> {
        let words = ["java", "-Xmx384m"].into_iter().chain(JAVA);
        let words = words.chain(["-cp", classes.as_str(), class]).chain(rest.iter().copied());
        words.map(str::to_owned).collect()
    };
    let format =
        java("kafka.tools.StorageTool", &["format", "--standalone", "-t", CLUSTER_ID, "-c", &settings]);
    let done = Command::new(&format[0]).args(&format[1..]).output();
    let done = done.map_err(|error| format!("cannot start java: {error}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(format!("formatting Kafka's folder ended with {}:\n{said}", done.status));
    }
    Ok(Server {
        name: "kafka",
        folder: folder.to_owned(),
        call: java("kafka.Kafka", &[&settings]),
        variable: "STERNA_KAFKA",
        address: format!("127.0.0.1:{port}"),
        port,
        ready: Ready::Says("Kafka Server started"),
    })
}

/// One node that is broker and controller. Sessions may be short, so that tests of lost ones are quick; no
/// topic is made by being mentioned.
fn kafka_settings(port: u16, controller: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         log.dirs={}\n\
         num.partitions=1\nauto.create.topics.enable=false\ndelete.topic.enable=true\n\
         offsets.topic.num.partitions=4\noffsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=2\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=500\n\
         log.segment.delete.delay.ms=1000\nlog.retention.check.interval.ms=500\n",
        data.display()
    )
}

fn dynamodb(cache: &Path, folder: &Path) -> Result<Server, String> {
    let port = free_port()?;
    fresh(folder)?;
    let home = fetch::dynamodb_home(cache)?;
    let words = ["java", "-Xmx256m"].into_iter().chain(JAVA).map(str::to_owned);
    let library = format!("-Djava.library.path={}", home.join("DynamoDBLocal_lib").display());
    let jar = home.join("DynamoDBLocal.jar").display().to_string();
    let rest = [
        library.as_str(),
        "-Ddynamodblocal.stack=.stack",
        "-jar",
        jar.as_str(),
        "-inMemory",
        "-disableTelemetry",
    ];
    let mut call: Vec<String> = words.chain(rest.map(str::to_owned)).collect();
    call.extend(["-port".to_owned(), port.to_string()]);
    Ok(Server {
        name: "dynamodb",
        folder: folder.to_owned(),
        call,
        variable: "STERNA_DYNAMODB",
        address: format!("http://127.0.0.1:{port}"),
        port,
        ready: Ready::AnswersHttp,
    })
}

/// Takes away what an earlier life left.
fn fresh(folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot prepare {}: {error}", folder.display());
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::create_dir_all(folder).map_err(failed)
}

//! Server processes: started on a core of their own, measured through /proc, killed when dropped.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Core of every server; the load runs on the other.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// How long a server may take to end by itself before it is ended.
const FAREWELL: Duration = Duration::from_secs(5);
/// Between two looks whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A server that takes less than a twentieth of this as CPU time is at rest.
const REST: Duration = Duration::from_millis(50);

/// A server under measurement.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// The gateway shard.
    pub(crate) async fn sterna(port: u16) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        Self::start(pinned(&program).arg("serve"), port).await
    }

    /// Whole regions.
    pub(crate) async fn regions(count: usize, port: u16) -> std::io::Result<Self> {
        Self::regions_by(count, port, &[]).await
    }

    /// The same, with these words of `region`'s command line.
    pub(crate) async fn regions_by(count: usize, port: u16, words: &[&str]) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = pinned(&program);
        command.args(["region", "--regions", &count.to_string()]).args(words);
        Self::start(&mut command, port).await
    }

    /// Bun's publish; `program` is its binary, `script` peers/bun/server.ts.
    pub(crate) async fn bun(program: &Path, script: &Path, port: u16) -> std::io::Result<Self> {
        Self::start(pinned(program).arg("run").arg(script), port).await
    }

    async fn start(command: &mut Command, port: u16) -> std::io::Result<Self> {
        let child = command.arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let server = Self { child, port };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(std::io::Error::other("the server does not listen after 10 s"))
    }

    /// Waits until the server takes next to no CPU: nothing that was asked of it is under way.
    pub(crate) async fn at_rest(&self) -> std::io::Result<()> {
        let (mut before, mut taken_ns) = (self.cpu_ns()?, None);
        for _ in 0..200 {
            tokio::time::sleep(REST).await;
            let now = self.cpu_ns()?;
            // None: a thread has ended, and its time with it. That is no rest.
            taken_ns = now.checked_sub(before);
            if taken_ns.is_some_and(|ns| u128::from(ns) < REST.as_nanos() / 20) {
                return Ok(());
            }
            before = now;
        }
        let last = format!("the server does not come to rest: {taken_ns:?} ns of CPU in the last {REST:?}");
        Err(std::io::Error::other(last))
    }

    /// CPU time of all its threads, nanoseconds.
    pub(crate) fn cpu_ns(&self) -> std::io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += stat.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }

    /// Resident memory, bytes.
    pub(crate) fn resident_bytes(&self) -> std::io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(kilobytes.unwrap_or(0) * 1024)
    }
}

impl Drop for Server {
    /// A server ends by itself when its standard input does: one built to record a profile writes it then.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let asked = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < FAREWELL {
            std::thread::sleep(LOOK_AGAIN);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            eprintln!("a server did not end by itself within {FAREWELL:?} and is killed: it left no record");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the servers' core from sleeping, at a priority that gives way to everything, until dropped.
pub(crate) struct Awake(Child);

impl Awake {
    pub(crate) fn start() -> std::io::Result<Self> {
        let mut command = Command::new("chrt");
        command
            .args(["--idle", "0", "taskset", "-c", SERVER_CORE])
            .arg(std::env::current_exe()?)
            .arg("awake");
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.0.try_wait() {
            eprintln!(
                "the servers' core was not kept awake, the figure is one of a core that slept: {status}"
            );
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What [`Awake`] starts.
pub(crate) fn awake() -> ! {
    end_with_input();
    loop {
        std::hint::spin_loop();
    }
}

/// In a server: ends the process when its standard input ends, so that none outlives its benchmark. A
/// forgotten one would share the port and take half of the next one's connections.
pub(crate) fn end_with_input() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}

/// A command on the servers' core.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CORE]).arg(program);
    command
}

/// Moves this process, the load, off the servers' core.
pub(crate) fn pin_load() -> std::io::Result<()> {
    let id = std::process::id().to_string();
    Command::new("taskset").args(["-cp", LOAD_CORE, &id]).stdout(Stdio::null()).status().map(|_| ())
}

/// The machine's load averages, to stand beside every figure.
pub(crate) fn machine_load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// CPU time of the calling thread, nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// The value that `share` (0 to 1) of the values do not exceed.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

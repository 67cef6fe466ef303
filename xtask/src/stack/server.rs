//! One server: how it is started, how it is known to be ready, how it is stopped.
//!
//! A server of a test dies with whoever started it, however that ends: it holds the reading end of a pipe
//! that only the starter has open, and a shell beside it ends it when the pipe closes. So a Ctrl-C, a panic
//! or a kill of the starter leaves nothing behind.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a server may take until it is ready, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// Lines of a log that stand in an error.
const TAIL_LINES: usize = 15;
/// Ends the program when standard input closes; the program takes the shell's place, and so its number.
const KEEPER: &str =
    r#"exec 3<&0; (cat <&3 >/dev/null; kill -TERM $$ 2>/dev/null) & exec "$@" </dev/null 3<&-"#;

/// A server that can be started.
pub(super) struct Server {
    pub(super) name: &'static str,
    /// Where its data and its log stand.
    pub(super) folder: PathBuf,
    /// Program and arguments.
    pub(super) call: Vec<String>,
    /// The environment variable by which tests find it, and what it says.
    pub(super) variable: &'static str,
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) ready: Ready,
}

/// By what a server is known to be ready.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    /// This stands in its log.
    Says(&'static str),
    /// It answers HTTP, whatever.
    AnswersHttp,
}

/// A server that stops when this is dropped, or when this process ends.
pub(super) struct Running {
    name: &'static str,
    child: Child,
}

/// A port of loopback that nobody listens on now.
pub(super) fn free_port() -> Result<u16, String> {
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|error| format!("no free port on 127.0.0.1: {error}"))
}

/// Asks a process to end and waits until it has.
pub(super) fn end(pid: u32) -> Result<(), String> {
    let gone = || !PathBuf::from(format!("/proc/{pid}")).exists();
    let _ = Command::new("kill").arg(pid.to_string()).status();
    wait("the process to end", || if gone() { Ok(true) } else { Ok(false) }, || format!("{pid} is there"))
}

#[allow(clippy::disallowed_methods, reason = "a program of the stack is waited for in real time")]
fn wait(
    what: &str,
    mut done: impl FnMut() -> Result<bool, String>,
    state: impl Fn() -> String,
) -> Result<(), String> {
    let began = std::time::Instant::now();
    while !done()? {
        if began.elapsed() > PATIENCE {
            return Err(format!("waited {} s for {what}; last seen: {}", PATIENCE.as_secs(), state()));
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

// === impl Server ===

impl Server {
    /// The file that everything goes to which the server prints.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Starts it so that it outlives this program; gives its number once it is ready.
    pub(super) fn start_detached(&self) -> Result<u32, String> {
        let mut command = Command::new(&self.call[0]);
        command.args(&self.call[1..]).stdin(Stdio::null()).process_group(0);
        let mut child = self.spawn(&mut command)?;
        let ready = self.wait(&mut child);
        if ready.is_err() {
            let _ = child.kill().and_then(|()| child.wait());
        }
        ready.map(|()| child.id())
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, String> {
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", self.name);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let log = File::create(self.log()).map_err(failed)?;
        let both = log.try_clone().map_err(failed)?;
        command.current_dir(&self.folder).stdout(log).stderr(both).spawn().map_err(failed)
    }

    fn wait(&self, child: &mut Child) -> Result<(), String> {
        let ready = || match child.try_wait() {
            Ok(None) => Ok(self.is_ready()),
            Ok(Some(status)) => {
                Err(format!("{} ended with {status}; its log ends:\n{}", self.name, self.tail()))
            }
            Err(error) => Err(format!("{}: {error}", self.name)),
        };
        wait(&format!("{} to be ready", self.name), ready, || format!("its log ends:\n{}", self.tail()))
    }

    fn is_ready(&self) -> bool {
        match self.ready {
            Ready::Says(line) => fs::read_to_string(self.log()).is_ok_and(|log| log.contains(line)),
            Ready::AnswersHttp => self.answers().is_ok_and(|start| start.starts_with(b"HTTP/")),
        }
    }

    fn answers(&self) -> std::io::Result<Vec<u8>> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, GLANCE)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut start = vec![0; 16];
        let read = stream.read(&mut start)?;
        start.truncate(read);
        Ok(start)
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

// === impl Running ===

impl Running {
    /// Starts a server and waits until it is ready.
    pub(super) fn start(server: &Server) -> Result<Running, String> {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).args(&server.call).stdin(Stdio::piped());
        let mut running = Running { name: server.name, child: server.spawn(&mut command)? };
        server.wait(&mut running.child)?;
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Closing the pipe is what ends it, here as in a crash.
        drop(self.child.stdin.take());
        let child = &mut self.child;
        let ended = || child.try_wait().map(|status| status.is_some()).map_err(|error| error.to_string());
        if let Err(problem) = wait(&format!("{} to stop", self.name), ended, || "it runs".to_owned()) {
            eprintln!("{problem}; it is killed");
            let _ = self.child.kill().and_then(|()| self.child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &'static str, call: &[&str], ready: Ready) -> Server {
        let folder = std::env::temp_dir().join(format!("sterna-stack-{}", std::process::id()));
        let call = call.iter().map(|word| (*word).to_owned()).collect();
        Server { name, folder, call, variable: "X", address: String::new(), port: 1, ready }
    }

    fn alive(pid: u32) -> bool {
        PathBuf::from(format!("/proc/{pid}")).exists()
    }

    #[test]
    fn a_server_ends_when_its_starter_lets_go() {
        let sleeper = server("sleeper", &["sh", "-c", "echo ready; exec sleep 600"], Ready::Says("ready"));
        let running = Running::start(&sleeper).unwrap();
        let pid = running.child.id();
        assert!(alive(pid));
        drop(running);
        assert!(!alive(pid), "{pid} still runs");
    }

    /// The starter is killed: nobody runs its destructors, its end of the pipe closes all the same.
    #[test]
    fn a_server_ends_when_its_starter_is_killed() {
        let sleeper = server("orphan", &["sh", "-c", "echo ready; exec sleep 600"], Ready::Says("ready"));
        let mut running = Running::start(&sleeper).unwrap();
        drop(running.child.stdin.take());
        let status = running.child.wait().unwrap();
        assert!(!status.success(), "ended by a signal");
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_last_words() {
        let broken = server("broken", &["sh", "-c", "echo no memory; exit 3"], Ready::Says("ready"));
        let problem = Running::start(&broken).err().unwrap();
        assert!(problem.contains("exit status: 3") && problem.contains("no memory"), "{problem}");
    }

    #[test]
    fn a_server_that_was_left_running_is_stopped_by_its_number() {
        let sleeper = server("detached", &["sh", "-c", "echo ready; exec sleep 600"], Ready::Says("ready"));
        let mut command = Command::new("sh");
        command.args(&sleeper.call[1..]);
        let mut child = sleeper.spawn(&mut command).unwrap();
        let pid = child.id();
        let waiter = std::thread::scope(|scope| {
            let ended = scope.spawn(|| child.wait());
            end(pid).unwrap();
            ended.join().unwrap()
        });
        assert!(waiter.is_ok() && !alive(pid));
    }
}

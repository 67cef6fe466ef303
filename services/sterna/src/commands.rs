//! What the binary does: parses the command line, makes the one thread's runtime, runs one command, says how
//! it went.
//!
//! It is here and not in the binary because a future's code is made by the crate that runs it: everything
//! that the commands await would be compiled a second time there.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use sterna_process::{End, Process, SystemClock};
use tokio::sync::oneshot;

use crate::cli::{ChatArgs, Cli, Command, ConfigCommand, DemoArgs, TokenArgs};
use crate::demo::screen::Screen;
use crate::program::program;
use crate::{chat, config, demo, logs, serve, stop, tokens};

/// What a command comes to: `Ok(false)` is a failure that was already told.
type Done = Result<bool, Box<dyn std::error::Error>>;

/// The command that this process was started with, to its end.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.log_json;
    let done = logs::start(cli.log_filter(), json).map_err(Into::into).and_then(|()| perform(cli.command));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            logs::last(error.as_ref(), json);
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Option<Command>) -> Done {
    let demo = || DemoArgs::of(demo::Options::default());
    match command {
        None => on_runtime(|owner| run_demo(demo(), owner)),
        Some(Command::Demo(args)) => on_runtime(|owner| run_demo(args, owner)),
        Some(Command::Serve { config }) => {
            let config = config::Config::read(config.as_deref())?;
            on_runtime(|owner| run_serve(config, owner))
        }
        Some(Command::Config(ConfigCommand::Print)) => {
            answer(config::DEFAULT.trim_end())?;
            Ok(true)
        }
        Some(Command::Config(ConfigCommand::Check { file })) => {
            let config = config::Config::read(Some(&file))?;
            for warning in config.warnings() {
                answer(format_args!("warning: {warning}"))?;
            }
            answer(format_args!("{} is good", file.display()))?;
            Ok(true)
        }
        Some(Command::Chat(args)) => on_runtime(|owner| run_chat(args, owner)),
        Some(Command::Token(TokenArgs { user, tenant, hours, config })) => {
            answer(tokens::issue(&tenant, &user, hours, config.as_deref(), &SystemClock)?)?;
            Ok(true)
        }
        Some(Command::Version) => {
            answer(format_args!("sterna {}", env!("CARGO_PKG_VERSION")))?;
            Ok(true)
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sterna", &mut script);
            answer(String::from_utf8_lossy(&script).trim_end())?;
            Ok(true)
        }
    }
}

/// Writes what was asked for. Whoever closed the pipe has what they wanted of it.
fn answer(text: impl Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(std::io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
        }
        Ok(()) => Ok(()),
    }
}

/// Tells what goes on. A region serves whether or not its output can be written.
fn say(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Runs a command as a task of this thread's runtime: the root future of a runtime is a slow place.
fn on_runtime<F: Future<Output = Done> + 'static>(command: impl FnOnce(Process) -> F) -> Done {
    sterna_process::runtime()?.block_on(async {
        let owner = Process::new("sterna", 0, Arc::new(SystemClock));
        let (send, done) = oneshot::channel();
        let command = command(owner.clone());
        owner.spawn_local("the command", End::Expected, async move {
            // Nobody else waits for it.
            let _ = send.send(command.await);
        });
        done.await?
    })
}

async fn run_demo(args: DemoArgs, owner: Process) -> Done {
    let options = args.options();
    options.check()?;
    let stop = stop::on_signals(&owner, "there is no report")?;
    let mut screen = if args.json { Screen::Quiet } else { Screen::fitting() };
    let report = demo::run(&options, &stop, &mut screen).await?;
    screen.end();
    if args.json {
        answer(serde_json::to_string_pretty(&report)?)?;
    } else {
        answer(&report)?;
    }
    Ok(report.kept)
}

async fn run_serve(config: config::Config, owner: Process) -> Done {
    let (kept, lost) = (config.stores().told(), config.stores().lost());
    let stop = stop::on_signals(&owner, lost)?;
    serve::run(&config, &stop, |at| {
        let url = config.url_at(at.clients);
        say(format_args!("serving on {}; {kept}", at.clients));
        if let Some(operators) = at.operators {
            say(format_args!("metrics: http://{operators}/metrics"));
        }
        let program = program();
        say(format_args!("talk:  {program} chat --url {url} --token $({program} token --user ana) --create"));
    })
    .await?;
    say("stopped in good order");
    Ok(true)
}

async fn run_chat(args: ChatArgs, owner: Process) -> Done {
    let ChatArgs { url: urls, token, stream, create: _, invite, tail, device } = args;
    let options = chat::Options { urls, token, stream, invite, tail, device };
    chat::run(options, &owner, chat::lines(), &mut std::io::stdout()).await?;
    Ok(true)
}

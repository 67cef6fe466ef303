//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use sterna_stream::{Region, StreamId, UserId};

use crate::demo;

/// What is told by the exit code: docs/serve.md says the same.
const EXIT_CODES: &str = "Exit codes:\n  0    done, or stopped in good order\n  \
    1    failed: the last line on standard error says of what; in a demo, a promise was broken\n  \
    2    the command line, or a variable that stands for a part of it, is wrong\n  \
    130  ended at once by a second Ctrl-C or SIGTERM";

/// A multi-region active-active real-time backend.
#[derive(Debug, Parser)]
#[command(
    name = "sterna",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = false,
    after_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do; without it, the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What is logged to standard error, as `tracing` filters say it [default: info for serve, else error].
    #[arg(long, global = true, env = "STERNA_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Logs as JSON, a line each, and the error that ended the program, too. The variable is 1 or true, 0 or
    /// false.
    #[arg(long, global = true, env = "STERNA_LOG_JSON", action = ArgAction::SetTrue, value_parser = switch)]
    pub log_json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run three regions in memory with simulated people, break what can break, check that nothing is lost.
    #[command(after_help = "Examples:\n  sterna demo\n  sterna demo --people 60 --rate 200 --seconds 40\n  \
        sterna demo --regions eu-west-1,eu-central-1\n  sterna demo --json > report.json\n  \
        sterna demo --listen\n\n\
        The exit code is 1 if any promise was broken.")]
    Demo(DemoArgs),
    /// Serve one region, with stores in memory unless a configuration names others.
    #[command(after_help = "Examples:\n  sterna serve\n  sterna serve --config region.toml\n  \
        STERNA_LISTEN__ADDRESS=0.0.0.0:8080 sterna serve\n\n\
        Ctrl-C, SIGTERM or SIGHUP ends it in good order; a second Ctrl-C or SIGTERM at once: what was acked \
        stays as far as the stores keep it, what was not is sent again by the devices. Exit codes are those \
        of `sterna --help`.")]
    Serve {
        /// Laid over the defaults that `sterna config print` shows.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show or check a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Talk in a stream from this terminal.
    #[command(
        after_help = "Examples:\n  sterna chat --token $(sterna token --user ana) --create --invite bo\n  \
        sterna chat --token $(sterna token --user bo) --stream demo/chat/4fzq...\n\n\
        A line is a message. /typing says that you are typing, /quit leaves."
    )]
    Chat(ChatArgs),
    /// Issue a token for a user, signed with the development secret or a configuration's.
    #[command(after_help = "Example:\n  sterna token --user ana --tenant acme --hours 8")]
    Token(TokenArgs),
    /// Print the version.
    Version,
    /// Print a completion script.
    #[command(
        after_help = "Example:\n  sterna completions bash > ~/.local/share/bash-completion/completions/sterna"
    )]
    Completions {
        /// For this shell.
        shell: Shell,
    },
}

/// `sterna demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// The regions, by name, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_values = demo::REGIONS)]
    pub regions: Vec<Region>,
    /// People, each with one device, spread over the regions.
    #[arg(long, default_value_t = demo::Options::default().people)]
    pub people: usize,
    /// Events per second, of all people together.
    #[arg(long, default_value_t = demo::Options::default().rate)]
    pub rate: u32,
    /// How long they talk [default: 26; with --listen, until Ctrl-C].
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Where all randomness comes from.
    #[arg(long, default_value_t = demo::Options::default().seed)]
    pub seed: u64,
    /// Listen too, each region on the next port, and print how `sterna chat` joins.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    pub listen: Option<SocketAddr>,
    /// Whether segments also go between regions by express, ahead of the mirrors: on or off.
    #[arg(long, value_name = "ON|OFF", default_value = "on", hide_possible_values = true,
        action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub express: bool,
    /// Print the report as JSON and nothing else.
    #[arg(long)]
    pub json: bool,
    /// Break a promise on purpose, to see it noticed.
    #[arg(long, hide = true)]
    pub sabotage: Option<demo::Sabotage>,
}

/// A variable that stands for a flag.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("write 1 or true, 0 or false"),
    }
}

impl Cli {
    /// What is logged: a demo breaks things on purpose, and a server says what it does.
    pub fn log_filter(&self) -> &str {
        let usual = if matches!(self.command, Some(Command::Serve { .. })) { "info" } else { "error" };
        self.log.as_deref().unwrap_or(usual)
    }
}

impl DemoArgs {
    /// What `options` say, shown to people.
    pub fn of(options: demo::Options) -> Self {
        let demo::Options { regions, people, rate, seconds, seed, listen, express, sabotage } = options;
        Self { regions, people, rate, seconds, seed, listen, express, json: false, sabotage }
    }

    /// The demo's own form of it.
    pub fn options(&self) -> demo::Options {
        let Self { people, rate, seconds, seed, listen, express, sabotage, .. } = *self;
        demo::Options {
            regions: self.regions.clone(),
            people,
            rate,
            seconds,
            seed,
            listen,
            express,
            sabotage,
        }
    }
}

/// `sterna config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the defaults with their explanations; a file to start from.
    Print,
    /// Check a file, the environment laid over it; says what is wrong and where.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// `sterna chat`.
#[derive(Args, Debug)]
pub struct ChatArgs {
    /// A gateway; may be repeated: the first that answers is taken, and when it goes away another.
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/connect")]
    pub url: Vec<String>,
    /// Who you are: what `sterna token` printed.
    #[arg(long, env = "STERNA_TOKEN", hide_env_values = true)]
    pub token: String,
    /// The stream to talk in.
    #[arg(long, required_unless_present = "create", conflicts_with = "create")]
    pub stream: Option<StreamId>,
    /// Make a new stream and talk there.
    #[arg(long)]
    pub create: bool,
    /// Who else may write in the new stream; may be repeated.
    #[arg(long, requires = "create", value_name = "USER")]
    pub invite: Vec<UserId>,
    /// How much of the history to show.
    #[arg(long, default_value_t = 50)]
    pub tail: u32,
    /// Remember here what was shown and what is to be sent: started again, it goes on from there.
    #[arg(long, value_name = "FILE")]
    pub device: Option<PathBuf>,
}

/// `sterna token`.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// The user.
    #[arg(long)]
    pub user: UserId,
    /// The user's tenant.
    #[arg(long, default_value = demo::TENANT)]
    pub tenant: String,
    /// How long it is good for.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8_760))]
    pub hours: u64,
    /// Sign with this configuration's secret.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_is_the_demo_and_a_stream_is_needed_to_talk() {
        assert!(Cli::try_parse_from(["sterna"]).unwrap().command.is_none());
        assert!(Cli::try_parse_from(["sterna", "chat", "--token", "t"]).is_err());
        assert!(Cli::try_parse_from(["sterna", "chat", "--token", "t", "--create"]).is_ok());
        assert!(Cli::try_parse_from(["sterna", "chat", "--token", "t", "--stream", "no id"]).is_err());
    }
}

//! The command `relation-host`: reads the command line, runs one command of the library, and turns its
//! end into output and an exit code.
// All output goes through `streams`: what these macros write panics where it cannot be written.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::io::IsTerminal as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use self::failure::{EXIT_CODES, Failed, Kind};
use self::logging::{Defaults, LogFilter};
use self::output::Output;
use self::streams::stderr;
use crate::config::LogFormat;

mod carried;
mod clock;
mod commands;
mod config;
mod conversions;
#[cfg(feature = "demo")]
mod demo;
mod failure;
mod fields;
mod grants;
mod logging;
mod output;
mod progress;
#[cfg(feature = "scenarios")]
mod recording;
mod records;
mod redirect;
mod review;
mod secrets;
mod session;
mod stop;
mod streams;
mod table;
mod time;

/// Keeps Cisco Webex connections of customers alive: relation/SparkCustomer as a WebAssembly plugin,
/// run by this host.
#[derive(Debug, Parser)]
#[command(
    name = "relation-host",
    version,
    after_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// The configuration [default: relation.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "RELATION_CONFIG")]
    config: Option<PathBuf>,
    /// The store, as sqlite:PATH, in place of the configured one
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// The component to run, in place of the one carried in this binary
    #[arg(long, global = true, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Print JSON: one document on stdout, errors as one object on stderr
    #[arg(long, global = true)]
    json: bool,
    /// What to log: off, error, warn, info, debug or trace; or more of some targets, such as
    /// relation_host=debug,hyper=info [default: warn; info for run]
    #[arg(long, global = true, value_name = "LEVEL", env = "RELATION_LOG")]
    log: Option<LogFilter>,
    /// Where to log, in place of stderr: a file that is appended to
    #[arg(long, global = true, value_name = "FILE", env = "RELATION_LOG_FILE")]
    log_file: Option<PathBuf>,
    /// How to log [default: as configured, else text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take one customer through its whole life, on real components and an emulated Webex
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Say of a component whether it fits this host: every import as provided, missing or wrong version
    Inspect(commands::inspect::Args),
    /// Check this host with the suite for hosts: storage, secrets, wakeups, leases, the way out, limits
    #[cfg(feature = "conformance")]
    Conformance(commands::conformance::Args),
    /// Run scenarios: files that say where a plugin begins, what happens, and what must come of it
    #[cfg(feature = "scenarios")]
    Test(commands::test::Args),
    /// Show the model: its fields with their rules, and its actions
    Describe,
    /// Add a customer, with its data syncs, schedules and wakeups
    Add(Box<commands::add::Args>),
    /// List customers with their state and the time their tokens have left
    List(commands::list::Args),
    /// Show one customer, and everything the store holds of it
    Show(commands::show::Args),
    /// Change fields of a customer, or give it new tokens
    Modify(Box<commands::modify::Args>),
    /// Connect a customer to Webex: print the link to the consent page, wait for the browser, fetch
    /// the tokens
    Connect(commands::connect::Args),
    /// Refresh a customer's access token now
    Refresh(commands::refresh::Args),
    /// Import the roles and licences of a customer's organization
    Sync(commands::sync::Args),
    /// Look at both expiries of a customer, and raise or end its alerts
    CheckExpiry(commands::check_expiry::Args),
    /// Delete a customer with everything that was created for it
    Delete(commands::delete::Args),
    /// List what is due when
    Wakeups(commands::wakeups::Args),
    /// List transactions, or show one with its log
    Transactions(commands::transactions::Args),
    /// Show or apply answers of Webex that the store could not take
    #[command(subcommand)]
    Stash(commands::stash::Command),
    /// Run due wakeups until stopped (SIGINT, SIGTERM or SIGHUP; a second one, a second later, stops at once)
    Run(commands::run::Args),
    /// Copy the store to a file while hosts run; the key is not in the copy
    Backup(commands::backup::Args),
    /// Show and change what the secrets in the store are sealed with
    Keys(commands::keys::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
}

/// Everything a command needs to know besides its own arguments.
struct Context {
    global: Global,
    config: crate::config::Config,
    output: Output,
}

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let json = cli.global.json;
    stderr::set_for_programs(json);
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let ended = catch_unwind(AssertUnwindSafe(|| execute(cli)));
    let ended = ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            failed.report(json);
            ExitCode::from(failed.kind.exit_code())
        }
    };
    stderr::flush();
    code
}

/// A mistake in this program, told as every other failure is.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Failed {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "it says no more".to_owned());
    Failed::new(
        Kind::Internal,
        format!("relation-host itself is at fault: {text}"),
    )
    .hint("please report it, with the command; `relation-host transactions` shows what was done")
}

/// Understands the command line. A variable of the environment that is empty counts as not set.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    for (argument, variable) in [
        ("config", "RELATION_CONFIG"),
        ("log", "RELATION_LOG"),
        ("log_file", "RELATION_LOG_FILE"),
    ] {
        if std::env::var_os(variable).is_some_and(|value| value.is_empty()) {
            command = command.mut_arg(argument, |argument| argument.env(Resettable::Reset));
        }
    }
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Help and version are answers, not errors; a wrong command line is told as JSON if it asked for it.
fn refuse(error: &clap::Error) -> ExitCode {
    let code = refusal(error);
    stderr::flush();
    ExitCode::from(code)
}

fn refusal(error: &clap::Error) -> u8 {
    let is_answer = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if is_answer {
        let Err(failed) = output::write(&error.to_string()) else {
            return 0;
        };
        failed.report(asks_for_json());
        return failed.kind.exit_code();
    }
    if asks_for_json() {
        let text = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command is named".to_owned(),
            _ => error.to_string(),
        };
        let message = text.strip_prefix("error: ").unwrap_or(&text);
        let message = message.split("\n\n").next().unwrap_or(message);
        Failed::usage(message)
            .hint("`relation-host --help` lists the commands and options")
            .report(true);
    } else {
        let text = error.render();
        let text = match std::io::stderr().is_terminal() {
            true => text.ansi().to_string(),
            false => text.to_string(),
        };
        stderr::note(text.trim_end());
    }
    Kind::Usage.exit_code()
}

/// Whether a command line that could not be read asks for JSON.
fn asks_for_json() -> bool {
    let mut options = std::env::args_os().take_while(|arg| arg != "--");
    options.any(|arg| arg == "--json")
}

fn execute(cli: Cli) -> Result<(), Failed> {
    // These need no configuration, and must work beside a broken one.
    match &cli.command {
        Command::Completions(args) => return commands::completions::run(args, &mut Cli::command()),
        Command::Inspect(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                Defaults::at(LevelFilter::WARN),
            )?;
            return commands::inspect::run(args, &cli.global);
        }
        #[cfg(feature = "scenarios")]
        Command::Test(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                Defaults::at(LevelFilter::ERROR),
            )?;
            return commands::test::run(args, &cli.global);
        }
        #[cfg(feature = "conformance")]
        Command::Conformance(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                Defaults::at(LevelFilter::OFF),
            )?;
            return runtime()?.block_on(commands::conformance::run(args, &cli.global));
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                Defaults::at(LevelFilter::WARN),
            )?;
            return runtime()?.block_on(demo::run(args, &cli.global));
        }
        _ => {}
    }
    let Cli { global, command } = cli;
    let config = session::configuration(&global)?;
    let defaults = match command {
        Command::Run(_) => Defaults {
            level: LevelFilter::INFO,
            outcomes: true,
        },
        _ => Defaults::at(LevelFilter::WARN),
    };
    logging::start(&global, config.log_format, defaults)?;
    let output = Output { json: global.json };
    let context = Context {
        global,
        config,
        output,
    };
    runtime()?.block_on(dispatch(&context, command))
}

async fn dispatch(context: &Context, command: Command) -> Result<(), Failed> {
    match command {
        Command::Describe => commands::describe::run(context).await,
        Command::Add(args) => commands::add::run(context, *args).await,
        Command::List(args) => commands::list::run(context, args).await,
        Command::Show(args) => commands::show::run(context, args).await,
        Command::Modify(args) => commands::modify::run(context, *args).await,
        Command::Connect(args) => commands::connect::run(context, args).await,
        Command::Refresh(args) => commands::refresh::run(context, args).await,
        Command::Sync(args) => commands::sync::run(context, args).await,
        Command::CheckExpiry(args) => commands::check_expiry::run(context, args).await,
        Command::Delete(args) => commands::delete::run(context, args).await,
        Command::Wakeups(args) => commands::wakeups::run(context, args).await,
        Command::Transactions(args) => commands::transactions::run(context, args).await,
        Command::Stash(command) => commands::stash::run(context, command).await,
        Command::Run(args) => commands::run::run(context, args).await,
        Command::Backup(args) => commands::backup::run(context, args).await,
        Command::Keys(args) => commands::keys::run(context, args).await,
        Command::Inspect(_) | Command::Completions(_) => Ok(()),
        #[cfg(feature = "conformance")]
        Command::Conformance(_) => Ok(()),
        #[cfg(feature = "scenarios")]
        Command::Test(_) => Ok(()),
        #[cfg(feature = "demo")]
        Command::Demo(_) => Ok(()),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Kind::Failed, format!("cannot start the runtime: {error}")))
}

#[cfg(test)]
mod tests;

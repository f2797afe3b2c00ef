//! The command `relation-host`: reads the command line, runs one command of the library, and turns its
//! end into output and an exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::failure::{EXIT_CODES, Failed, Kind};
use self::output::Output;
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
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as
    /// relation_host=debug,hyper=info [default: warn; info for run]
    #[arg(long, global = true, value_name = "LEVEL", env = "RELATION_LOG")]
    log: Option<String>,
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
    /// Run due wakeups until stopped (SIGINT or SIGTERM; a second one stops at once)
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
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            failed.report(json);
            ExitCode::from(failed.kind.exit_code())
        }
    }
}

/// Understands the command line. A variable of the environment that is empty counts as not set.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    for (argument, variable) in [("config", "RELATION_CONFIG"), ("log", "RELATION_LOG")] {
        if std::env::var_os(variable).is_some_and(|value| value.is_empty()) {
            command = command.mut_arg(argument, |argument| argument.env(Resettable::Reset));
        }
    }
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Help and version are answers, not errors; a wrong command line is told as JSON if it asked for it.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_answer = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if is_answer {
        let failed = output::write(&error.to_string()).err();
        return ExitCode::from(failed.map_or(0, |failed| failed.kind.exit_code()));
    }
    if std::env::args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text);
        let message = message.split("\n\n").next().unwrap_or(message);
        Failed::usage(message)
            .hint("`relation-host --help` lists the commands and options")
            .report(true);
    } else {
        // Coloured at a terminal only. Whoever closed stderr wants no answer.
        let _ = error.print();
    }
    ExitCode::from(Kind::Usage.exit_code())
}

fn execute(cli: Cli) -> Result<(), Failed> {
    // These need no configuration, and must work beside a broken one.
    match &cli.command {
        Command::Completions(args) => return commands::completions::run(args, &mut Cli::command()),
        Command::Inspect(args) => {
            logging::start(&cli.global, LogFormat::default(), "warn")?;
            return commands::inspect::run(args, &cli.global);
        }
        #[cfg(feature = "scenarios")]
        Command::Test(args) => {
            logging::start(&cli.global, LogFormat::default(), "error")?;
            return commands::test::run(args, &cli.global);
        }
        #[cfg(feature = "conformance")]
        Command::Conformance(args) => {
            logging::start(&cli.global, LogFormat::default(), "off")?;
            return runtime()?.block_on(commands::conformance::run(args, &cli.global));
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => {
            logging::start(&cli.global, LogFormat::default(), "warn")?;
            return runtime()?.block_on(demo::run(args, &cli.global));
        }
        _ => {}
    }
    let Cli { global, command } = cli;
    let config = session::configuration(&global)?;
    let level = match command {
        Command::Run(_) => "info",
        _ => "warn",
    };
    logging::start(&global, config.log_format, level)?;
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

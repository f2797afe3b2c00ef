//! The command `relation-host`: parses the command line, runs one command, and turns its result into output
//! and an exit code.
// All output goes through `streams`: these macros panic if the output cannot be written.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::io::IsTerminal as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use clap::builder::{PossibleValuesParser, Resettable, TypedValueParser};
use clap::error::ErrorKind as ClapErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use relation_app::config::LogFormat;
use relation_app::{AppError, ErrorKind, Installation};
use tracing_subscriber::filter::LevelFilter;

use self::error::EXIT_CODES;
use self::logging::{LogDefaults, LogFilter};
use self::output::Output;
use self::streams::stderr;
use self::traces::Traces;

mod clock;
mod commands;
mod context;
#[cfg(feature = "demo")]
mod demo;
mod embedded;
mod error;
mod fields;
mod grants;
mod help;
mod invocation;
mod logging;
mod output;
mod progress;
mod record_selector;
#[cfg(feature = "scenarios")]
mod recording;
mod redirect;
mod secrets;
mod shutdown;
mod streams;
mod table;
mod telemetry;
mod time;
mod traces;

/// The system's allocator takes a tenth of the processor time of a refresh.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keep customers' Cisco Webex connections alive: runs the plugin relation/SparkCustomer, a WebAssembly
/// component
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
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct GlobalArgs {
    /// The configuration file [default: relation.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = "RELATION_CONFIG")]
    config: Option<PathBuf>,
    /// The store, as sqlite:PATH or postgres://USER@HOST/DATABASE, in place of the configured one
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// The component to run, in place of the one embedded in this binary
    #[arg(long, global = true, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Print JSON: one document on stdout, errors as one object on stderr
    #[arg(long, global = true)]
    json: bool,
    /// The log filter: off, error, warn, info, debug or trace; or levels of targets, such as
    /// relation=debug,hyper=info [default: warn; info for run and serve]
    #[arg(long, global = true, value_name = "LEVEL", env = "RELATION_LOG")]
    log: Option<LogFilter>,
    /// The file to append logs to, in place of stderr
    #[arg(long, global = true, value_name = "FILE", env = "RELATION_LOG_FILE")]
    log_file: Option<PathBuf>,
    /// The log format [default: as configured, else text]
    #[arg(long, global = true, value_name = "FORMAT", value_parser = parse_log_format())]
    log_format: Option<LogFormat>,
}

fn parse_log_format() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["text", "json"]).map(|format| match format.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole lifetime of one customer, with real components and an emulated Webex
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Make a new installation: a commented configuration, the key and the store; never changes what exists
    Init(commands::init::Args),
    /// Check whether a component is compatible with this host: every import as provided, missing or wrong
    /// version
    Inspect(commands::inspect::Args),
    /// Run the conformance suite against this host: storage, secrets, wakeups, leases, egress, limits
    #[cfg(feature = "conformance")]
    Conformance(commands::conformance::Args),
    /// Run scenarios: files with a state, the calls of a plugin, and the expected results
    #[cfg(feature = "scenarios")]
    Test(commands::test::Args),
    /// Check configuration, plugin, store, key, stash and allow-list; with --webex also the integration at Webex
    Check(commands::check::Args),
    /// Show the model: its fields with their rules, and its actions
    Describe,
    /// Add a customer, with its data syncs, schedules and wakeups
    Add(Box<commands::add::Args>),
    /// List customers with their state and the remaining lifetime of their tokens
    List(commands::list::Args),
    /// Show what needs a person, what is due and what is wrong; the exit code is for monitoring
    Status(commands::status::Args),
    /// Ask a running `run` or `serve` whether it is ready, for health checks of containers
    Health(commands::health::Args),
    /// List alerts, the most severe first
    Alerts(commands::alerts::Args),
    /// List notices, send them again, test recipients, and preview who is told when
    #[command(subcommand)]
    Notices(commands::notices::Command),
    /// Show and change the settings of notices: recipients, thresholds and more, for each node
    #[command(subcommand)]
    Settings(commands::settings::Command),
    /// Show one customer and everything that belongs to it
    Show(commands::show::Args),
    /// Change fields of a customer, or store new tokens
    Modify(Box<commands::modify::Args>),
    /// Connect a customer to Webex: print the link to the consent page, wait for the browser, fetch the
    /// tokens
    Connect(commands::connect::Args),
    /// Refresh a customer's access token now
    Refresh(commands::refresh::Args),
    /// Print a customer's access token for another program, refreshed first if it expires soon
    Token(commands::token::Args),
    /// Import data of a customer's organization: roles and licenses, users, or everything
    Sync(commands::sync::Args),
    /// List the sites that imports have added for a customer's locations
    Sites(commands::sites::Args),
    /// List, add or remove mappings, which place the sites of new locations below intermediate nodes
    Mapping(commands::mapping::Args),
    /// List, show, add, modify and delete the customers of a wholesale partner
    #[command(subcommand)]
    Wholesale(commands::wholesale::Command),
    /// Check both expiries of a customer, and raise or clear its alerts
    CheckExpiry(commands::check_expiry::Args),
    /// Run any action that `describe` lists, on a customer
    Invoke(commands::invoke::Args),
    /// Delete a customer and everything that belongs to it
    Delete(commands::delete::Args),
    /// List scheduled wakeups
    Wakeups(commands::wakeups::Args),
    /// List transactions, or show one with its log
    Transactions(commands::transactions::Args),
    /// List or apply stashed commits, which hold responses of Webex that the store could not take
    #[command(subcommand)]
    Stash(commands::stash::Command),
    /// Run due wakeups until stopped (SIGINT, SIGTERM or SIGHUP; a second signal, a second later, stops
    /// immediately)
    Run(commands::run::Args),
    /// Serve the REST API and the administrators' page, and run due wakeups
    Serve(commands::serve::Args),
    /// Add, list, disable and enable the users of the page and the API, and print links to set their passwords
    #[command(subcommand)]
    User(commands::user::Command),
    /// Add, list, rotate and revoke API keys, with which programs use the API
    #[command(subcommand)]
    Key(commands::key::Command),
    /// List, show, add, modify and delete custom roles, beyond the built-in ones
    #[command(subcommand)]
    Role(commands::role::Command),
    /// Copy the store to a file while hosts run; the key is not in the copy
    Backup(commands::backup::Args),
    /// Move everything to another store, such as from SQLite to PostgreSQL
    Migrate(commands::migrate::Args),
    /// Show and change the keys that seal the secrets in the store
    Keys(commands::keys::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
}

/// The options, configuration and output of a command.
struct Context {
    installation: Installation,
    output: Output,
    /// The number of spans that were dropped so far.
    dropped_spans: Arc<AtomicU64>,
}

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return exit_after_parse_error(&error),
    };
    let json = cli.global.json;
    stderr::set_json_mode(json);
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let result = catch_unwind(AssertUnwindSafe(|| execute(cli)));
    let result = result.unwrap_or_else(|panic| Err(panic_error(panic.as_ref())));
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error::report(&error, json);
            ExitCode::from(error::exit_code(error.kind))
        }
    };
    stderr::flush();
    code
}

/// Turns a panic into an error like any other.
fn panic_error(panic: &(dyn std::any::Any + Send)) -> AppError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "the panic has no message".to_owned());
    AppError::new(
        ErrorKind::Internal,
        format!("internal error of relation-host: {text}"),
    )
    .hint("please report it, with the command; `relation-host transactions` shows what was done")
}

/// Parses the command line. An empty environment variable counts as unset.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = help::join_lines(Cli::command());
    for (argument, variable) in [
        ("config", "RELATION_CONFIG"),
        ("log", "RELATION_LOG"),
        ("log_file", "RELATION_LOG_FILE"),
    ] {
        if std::env::var_os(variable).is_some_and(|value| value.is_empty()) {
            command = command.mut_arg(argument, |argument| argument.env(Resettable::Reset));
        }
    }
    let matches = command.try_get_matches()?;
    let cli = Cli::from_arg_matches(&matches)?;
    invocation::remember(&cli.global, &matches);
    Ok(cli)
}

/// Reports an error of the command line, as JSON if requested. Help and version are results, not errors.
fn exit_after_parse_error(error: &clap::Error) -> ExitCode {
    let code = report_parse_error(error);
    stderr::flush();
    ExitCode::from(code)
}

fn report_parse_error(error: &clap::Error) -> u8 {
    let is_help = matches!(
        error.kind(),
        ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion
    );
    if is_help {
        let Err(error) = output::write(&error.to_string()) else {
            return 0;
        };
        error::report(&error, asks_for_json());
        return error::exit_code(error.kind);
    }
    if asks_for_json() {
        let text = match error.kind() {
            ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                "no command is named".to_owned()
            }
            _ => error.to_string(),
        };
        let message = text.strip_prefix("error: ").unwrap_or(&text);
        let message = message.split("\n\n").next().unwrap_or(message);
        let error =
            AppError::usage(message).hint("`relation-host --help` lists the commands and options");
        error::report(&error, true);
    } else {
        let text = error.render();
        let text = match std::io::stderr().is_terminal() {
            true => text.ansi().to_string(),
            false => text.to_string(),
        };
        stderr::note(text.trim_end());
    }
    error::exit_code(ErrorKind::Usage)
}

/// Returns whether a command line that could not be parsed requests JSON.
fn asks_for_json() -> bool {
    let mut options = std::env::args_os().take_while(|arg| arg != "--");
    options.any(|arg| arg == "--json")
}

fn execute(cli: Cli) -> Result<(), AppError> {
    // These commands need no configuration, and must work with an invalid one.
    match &cli.command {
        Command::Completions(args) => return commands::completions::run(args, &mut Cli::command()),
        Command::Inspect(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                LogDefaults::at_level(LevelFilter::WARN),
                None,
            )?;
            return commands::inspect::run(args, &cli.global);
        }
        Command::Check(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                LogDefaults::at_level(LevelFilter::WARN),
                None,
            )?;
            return build_runtime()?.block_on(commands::check::run(args.clone(), &cli.global));
        }
        #[cfg(feature = "scenarios")]
        Command::Test(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                LogDefaults::at_level(LevelFilter::ERROR),
                None,
            )?;
            return commands::test::run(args, &cli.global);
        }
        #[cfg(feature = "conformance")]
        Command::Conformance(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                LogDefaults::at_level(LevelFilter::OFF),
                None,
            )?;
            return build_runtime()?.block_on(commands::conformance::run(args, &cli.global));
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => {
            logging::start(
                &cli.global,
                LogFormat::default(),
                LogDefaults::at_level(LevelFilter::WARN),
                None,
            )?;
            return build_runtime()?.block_on(demo::run(args, &cli.global));
        }
        _ => {}
    }
    let Cli { global, command } = cli;
    if let Command::Init(args) = command {
        // Its configuration may not exist yet.
        let defaults = LogDefaults::at_level(LevelFilter::WARN);
        logging::start(&global, LogFormat::default(), defaults, None)?;
        return build_runtime()?.block_on(commands::init::run(args, &global));
    }
    let config = context::load_config(&global)?;
    let defaults = match command {
        Command::Run(_) | Command::Serve(_) => LogDefaults {
            level: LevelFilter::INFO,
            outcomes: true,
        },
        _ => LogDefaults::at_level(LevelFilter::WARN),
    };
    let traces = Traces::prepare(&config)?;
    logging::start(&global, config.log_format, defaults, traces.layer())?;
    let output = Output { json: global.json };
    let context = Context {
        installation: context::installation(&global, config),
        output,
        dropped_spans: traces.dropped(),
    };
    build_runtime()?.block_on(async {
        let export = traces.start();
        let result = dispatch(&context, command).await;
        export.close().await;
        result
    })
}

async fn dispatch(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::Describe => commands::describe::run(context).await,
        Command::Add(args) => commands::add::run(context, *args).await,
        Command::List(args) => commands::list::run(context, args).await,
        Command::Status(_) => commands::status::run(context).await,
        Command::Health(args) => commands::health::run(context, args).await,
        Command::Alerts(args) => commands::alerts::run(context, args).await,
        Command::Notices(command) => commands::notices::run(context, command).await,
        Command::Settings(command) => commands::settings::run(context, command).await,
        Command::Show(args) => commands::show::run(context, args).await,
        Command::Modify(args) => commands::modify::run(context, *args).await,
        Command::Connect(args) => commands::connect::run(context, args).await,
        Command::Refresh(args) => commands::refresh::run(context, args).await,
        Command::Token(args) => commands::token::run(context, args).await,
        Command::Sync(args) => commands::sync::run(context, args).await,
        Command::Sites(args) => commands::sites::run(context, args).await,
        Command::Mapping(args) => commands::mapping::run(context, args).await,
        Command::Wholesale(command) => commands::wholesale::run(context, command).await,
        Command::CheckExpiry(args) => commands::check_expiry::run(context, args).await,
        Command::Invoke(args) => commands::invoke::run(context, args).await,
        Command::Delete(args) => commands::delete::run(context, args).await,
        Command::Wakeups(args) => commands::wakeups::run(context, args).await,
        Command::Transactions(args) => commands::transactions::run(context, args).await,
        Command::Stash(command) => commands::stash::run(context, command).await,
        Command::Run(args) => commands::run::run(context, args).await,
        Command::Serve(args) => commands::serve::run(context, args).await,
        Command::User(command) => commands::user::run(context, command).await,
        Command::Key(command) => commands::key::run(context, command).await,
        Command::Role(command) => commands::role::run(context, command).await,
        Command::Backup(args) => commands::backup::run(context, args).await,
        Command::Migrate(args) => commands::migrate::run(context, args).await,
        Command::Keys(args) => commands::keys::run(context, args).await,
        Command::Init(_) | Command::Check(_) | Command::Inspect(_) | Command::Completions(_) => {
            Ok(())
        }
        #[cfg(feature = "conformance")]
        Command::Conformance(_) => Ok(()),
        #[cfg(feature = "scenarios")]
        Command::Test(_) => Ok(()),
        #[cfg(feature = "demo")]
        Command::Demo(_) => Ok(()),
    }
}

fn build_runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            AppError::new(
                ErrorKind::Failed,
                format!("cannot start the runtime: {error}"),
            )
        })
}

#[cfg(test)]
mod tests;

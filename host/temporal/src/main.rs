//! The command `relation-temporal`: a worker, and the commands that handle secrets beside the history.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use relation_app::PluginFile;
use relation_app::config::Config;
use relation_host::clock::SystemClock;
use relation_host::types::{Hierarchy, Pkid};
use relation_temporal::inputs::Purpose;
use relation_temporal::{connection, search, worker};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Run the relation plugin inside Temporal
#[derive(Parser)]
#[command(name = "relation-temporal", version)]
struct Cli {
    /// The configuration file [default: relation.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = "RELATION_CONFIG")]
    config: Option<PathBuf>,
    /// The plugin's component, as `cargo xtask build` makes it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "RELATION_COMPONENT",
        default_value = "spark-customer.wasm"
    )]
    plugin: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run workflows and activities until stopped by SIGINT or SIGTERM
    Worker {
        /// Do not register the search attributes: an operator has done so
        #[arg(long)]
        registered: bool,
    },
    /// Store a secret from stdin, and print its key, which may be in a history
    ///
    /// For `fields`, stdin is a JSON object with `fields` and `token_response`, both optional. For `callback`, it is the
    /// address to which Webex returned the browser. The secret is kept for a day, or ten minutes after its use.
    Store {
        /// The use of the secret
        #[arg(value_parser = parse_purpose)]
        purpose: Purpose,
        /// The node of the secret in the hierarchy
        #[arg(long)]
        hierarchy: Hierarchy,
    },
    /// Print a stored link to a consent page
    Link {
        /// The key, from the result of `connect`
        key: Pkid,
    },
}

fn parse_purpose(text: &str) -> Result<Purpose, String> {
    match text {
        "fields" => Ok(Purpose::Fields),
        "callback" => Ok(Purpose::Callback),
        _ => Err("`fields` or `callback`".to_owned()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("RELATION_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .init();
    let config = Config::load(cli.config.as_deref())?;
    let plugin = PluginFile {
        file: Some(cli.plugin),
        embedded: None,
    };
    let temporal = config.temporal.clone();
    let parts = worker::open(config, plugin, Arc::new(SystemClock::new())).await?;
    match cli.command {
        Command::Worker { registered } => {
            let client = connection::connect_patiently(&temporal).await?;
            if !registered {
                search::register(&client).await?;
            }
            let stop = CancellationToken::new();
            let stopped = stop.clone();
            tokio::spawn(async move {
                wait_for_signal().await;
                stopped.cancel();
            });
            println!("working on the task queue {}", temporal.task_queue);
            worker::run(parts, client, &temporal, stop).await
        }
        Command::Store { purpose, hierarchy } => {
            let mut text = String::new();
            let read = std::io::stdin().take(1 << 20).read_to_string(&mut text);
            read.context("cannot read stdin")?;
            let clear = SecretString::from(text.trim());
            println!("{}", parts.inputs.put(&hierarchy, purpose, &clear).await?);
            Ok(())
        }
        Command::Link { key } => {
            let link = parts.inputs.open(&key, Purpose::Link).await?;
            println!("{}", link.expose_secret());
            Ok(())
        }
    }
}

/// Returns at SIGINT or SIGTERM.
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

//! Measures refreshes of many customers by two workers of Temporal, and then by two dispatchers of the host, on the same
//! PostgreSQL server and the same emulated Webex.
//!
//! ```console
//! cargo xtask engine temporal load --customers 2000
//! ```

#[path = "load/bench.rs"]
mod bench;
#[path = "load/dispatcher.rs"]
mod dispatcher;
#[path = "load/processes.rs"]
mod processes;
#[path = "load/report.rs"]
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use clap::Parser;

/// Measure refreshes by two workers of Temporal, and by two dispatchers of the host
#[derive(Parser)]
struct Arguments {
    /// The number of customers
    #[arg(long, default_value_t = 2000)]
    customers: usize,
    /// Store the data of the development server in a file, not in memory
    #[arg(long)]
    server_file: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Run a dispatcher of the host with this configuration: a side of the measurement
    #[arg(long, hide = true, value_name = "CONFIG")]
    dispatcher: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(config) = arguments.dispatcher {
        return dispatcher::run(&config).await;
    }
    let figures = bench::measure(arguments.customers, !arguments.server_file).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{figures}");
    }
    Ok(())
}

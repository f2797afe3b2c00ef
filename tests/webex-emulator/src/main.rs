//! The emulator as a program, for tests and people that want it as a separate process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Emulator, ErrorStyle, Mode};

/// Emulates the part of the Webex API that a connection needs, with a control plane at /_emulator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Life of an access token, such as "20s" or "14d"
    #[arg(long, value_name = "TIME", default_value = "1209599s", value_parser = humantime::parse_duration)]
    access_ttl: Duration,

    /// Life of a refresh token, such as "60s" or "90d"
    #[arg(long, value_name = "TIME", default_value = "7775999s", value_parser = humantime::parse_duration)]
    refresh_ttl: Duration,

    /// What a refresh does to the refresh token
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// Use of a rotated-out refresh token revokes everything granted with it
    #[arg(long)]
    reuse_detection: bool,

    /// The client that may ask for tokens
    #[arg(long, value_name = "ID", default_value = DEFAULT_CLIENT_ID)]
    client_id: String,

    /// A file with the client's secret; without one it is "emulated-client-secret"
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,

    /// The body of refusals at the token endpoint
    #[arg(long, value_enum, default_value_t)]
    error_style: ErrorStyle,

    /// Token answers lack `scope` and `token_type`
    #[arg(long)]
    bare_answers: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before the first line of output: who reads it may signal at once.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let secret = match &arguments.client_secret_file {
        Some(file) => read_secret(file)?,
        None => DEFAULT_CLIENT_SECRET.to_owned(),
    };
    let emulator = Emulator::builder()
        .listen(arguments.listen)
        .access_ttl(arguments.access_ttl)
        .refresh_ttl(arguments.refresh_ttl)
        .mode(arguments.mode)
        .reuse_detection(arguments.reuse_detection)
        .client(&arguments.client_id, &secret)
        .error_style(arguments.error_style)
        .bare_answers(arguments.bare_answers)
        .start()
        .await?;
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "webex emulator listening on {} (client id {})",
        emulator.base_url(),
        emulator.client_id()
    )?;
    stdout.flush()?;
    drop(stdout);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    emulator.shutdown().await;
    Ok(())
}

fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the client secret from {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

//! `completions`: prints a shell completion script.

use clap_complete::Shell;

use crate::error::CliError;
use crate::output;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete commands in
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, command: &mut clap::Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "relation-host", &mut script);
    output::write(&String::from_utf8_lossy(&script))
}

//! `completions`: prints a shell completion script.

use clap_complete::Shell;
use relation_app::AppError;

use crate::output;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete commands in
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, command: &mut clap::Command) -> Result<(), AppError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "relation-host", &mut script);
    output::write(&String::from_utf8_lossy(&script))
}

//! `completions`: a script that completes commands and options in a shell.

use clap_complete::Shell;

use crate::failure::Failed;
use crate::output;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell that the script is for
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, command: &mut clap::Command) -> Result<(), Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "relation-host", &mut script);
    output::write(&String::from_utf8_lossy(&script))
}

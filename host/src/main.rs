//! The command `relation-host`: everything the library does, from a terminal.

mod cli;
mod config;

fn main() -> std::process::ExitCode {
    cli::run()
}

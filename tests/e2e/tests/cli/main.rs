//! The command `relation-host` as a process: its output, its exit codes, and what it rejects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

mod clock;
mod compiled;
mod components;
mod configuration;
mod conformance;
mod connect;
mod encodings;
mod failures;
mod imports;
mod logs;
mod mutants;
mod naming;
mod outputs;
mod pastes;
mod recording;
mod records;
mod retention;
mod scenarios;
mod signals;
mod stash;
#[cfg(unix)]
mod stores;
mod upgrade;

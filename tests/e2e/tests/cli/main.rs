//! The command `relation-host` as a process: what it prints, how it ends, what it refuses.

mod components;
mod configuration;
mod failures;
mod naming;
mod records;

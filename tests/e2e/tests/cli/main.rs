//! The command `relation-host` as a process: its output, its exit codes, and what it rejects.

mod access;
mod check;
mod clock;
mod compiled;
mod components;
mod configuration;
mod conformance;
mod connect;
mod data_syncs;
mod demo;
mod encodings;
mod failures;
mod handover;
mod health;
mod hints;
mod imports;
mod init;
mod killed_server;
mod logs;
mod migrate;
mod mutants;
mod naming;
mod notice_settings;
mod notices;
mod onboarding;
mod outputs;
mod pastes;
#[cfg(unix)]
mod postgres;
mod prometheus;
mod recording;
mod records;
mod retention;
mod scenarios;
mod serve;
mod service;
mod signals;
mod sites;
mod stash;
mod status;
#[cfg(unix)]
mod stores;
mod token;
mod traces;
mod upgrade;
mod wholesale;

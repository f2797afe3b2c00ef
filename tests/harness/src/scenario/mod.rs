//! Scenarios: behaviors of a plugin, written in TOML by people who need no Rust, and run on the component.
//!
//! [`mod@format`] reads a file into a [`model`]. [`pattern`] and [`template`] are the language of expectations,
//! and [`matching`] compares observations with them.

mod check;
pub mod component;
mod concurrent;
mod disturbances;
pub(crate) mod durations;
pub mod format;
pub mod matching;
pub mod mismatch;
pub mod model;
pub mod observation;
pub mod outcome;
pub mod pattern;
pub mod report;
mod run;
mod scripted_transport;
pub mod suite;
pub mod template;
pub mod update;
pub mod watch;
mod webex;
mod world;

pub use run::run;

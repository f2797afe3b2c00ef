//! Scenarios: behaviours of a plugin, written in TOML by people who know no Rust, run through the
//! component.
//!
//! [`mod@format`] reads a file, [`model`] is what was read, [`pattern`] and [`template`] are the small
//! language of expectations, [`matching`] holds what was seen against them.

mod at_once;
mod check;
pub mod component;
mod disturbance;
mod emulated;
pub mod format;
pub mod matching;
pub mod mismatch;
pub mod model;
pub mod observation;
pub mod outcome;
pub mod pattern;
pub mod report;
mod run;
pub(crate) mod spans;
mod stage;
pub mod suite;
pub mod template;
pub mod update;
pub mod watch;
mod world;

pub use run::run;

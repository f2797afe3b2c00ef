//! Scenarios: behaviours of a plugin, written in TOML by people who know no Rust, run through the
//! component.
//!
//! [`format`] reads a file, [`model`] is what was read, [`pattern`] and [`template`] are the small
//! language of expectations, [`matching`] holds what was seen against them.

pub mod format;
pub mod matching;
pub mod mismatch;
pub mod model;
pub mod pattern;
pub mod template;

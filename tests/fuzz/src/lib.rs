//! Fuzz targets for the plugin's exported functions, through the component: no code of the plugin is linked.
//!
//! A target makes a structured input of bytes ([`input`]), sets a world up ([`scenes`]), makes one call
//! through the host ([`trial`]), and judges what came of it by the contract ([`judge`]). The same targets
//! run as tests, as the program `relation-fuzz` ([`campaign`]), and under cargo-fuzz.
#![deny(missing_docs)]

pub mod bench;
pub mod call;
pub mod campaign;
pub mod coverage;
pub mod edits;
pub mod input;
pub mod judge;
pub mod scenes;
pub mod targets;
pub mod trial;
pub mod verdict;
pub mod watch;
pub mod web;

pub use bench::{Bench, BenchError};
pub use targets::Target;
pub use verdict::{Finding, FindingKind, Verdict};

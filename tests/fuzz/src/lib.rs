//! Fuzz targets for the plugin's exported functions, through the component: no code of the plugin
//! is linked.
//!
//! A target derives a structured input from bytes ([`input`]), creates a world ([`worlds`]), makes
//! one call through the host ([`trial`]), and judges the outcome ([`oracle`]). The same targets run as tests, as the
//! program `relation-fuzz` ([`campaign`]), and under cargo-fuzz.
#![deny(missing_docs)]

pub mod call;
pub mod campaign;
pub mod coverage;
pub mod edits;
pub mod fake_webex;
pub mod import_trace;
pub mod input;
pub mod oracle;
pub mod runner;
pub mod targets;
pub mod trial;
pub mod verdict;
pub mod worlds;

pub use runner::{RunnerError, TrialRunner};
pub use targets::Target;
pub use verdict::{Finding, FindingKind, Verdict};

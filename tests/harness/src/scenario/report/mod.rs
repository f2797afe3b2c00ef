//! Reports on scenarios: for people, as JSON, and as JUnit XML.

mod human;
mod json;
mod junit;

pub use human::{format_result, format_summary};
pub use json::to_json;
pub use junit::to_junit;

//! What is told of scenarios that were run: to a person, as JSON, as JUnit's XML.

mod human;
mod json;
mod junit;

pub use human::{finished, summary};
pub use json::json;
pub use junit::junit;

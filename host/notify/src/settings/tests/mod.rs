//! Tests of parsing and resolution.

pub(crate) mod strategies;

mod parsing;
mod resolution;
mod times;

use relation_types::Hierarchy;
use serde_json::Value;

use super::{Level, NoticeSettings, Rules, parse};

/// Parses settings that are valid.
pub(crate) fn settings(json: Value) -> NoticeSettings {
    parse(&json, Rules::default()).expect("valid settings")
}

/// Parses a node.
pub(crate) fn node(path: &str) -> Hierarchy {
    path.parse().expect("a node")
}

/// Creates the level of a node.
pub(crate) fn level(path: &str, json: Value) -> Level {
    Level {
        node: node(path),
        settings: settings(json),
    }
}

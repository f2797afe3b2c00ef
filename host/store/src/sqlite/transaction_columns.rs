//! Conversions of the columns of transactions and of their logs.

use relation_types::transactions::{Level, Originator, SecretAccess, Status};
use relation_types::{Hierarchy, Pkid};

use super::error::{Result, corrupt};

/// Encodes accesses as JSON, one object per line.
pub(super) fn encode_accesses(accesses: &[SecretAccess]) -> Result<String> {
    let mut lines = String::new();
    for access in accesses {
        let line = serde_json::to_string(access).map_err(|error| corrupt(error.to_string()))?;
        lines.push_str(&line);
        lines.push('\n');
    }
    Ok(lines)
}

pub(super) fn decode_accesses(lines: &str, id: &str) -> Result<Vec<SecretAccess>> {
    let accesses = lines.lines().map(|line| {
        serde_json::from_str(line)
            .map_err(|error| corrupt(format!("a secret access of the transaction {id}: {error}")))
    });
    accesses.collect()
}

pub(super) fn read_node(node: Option<String>) -> Result<Option<Hierarchy>> {
    node.map(Hierarchy::try_from)
        .transpose()
        .map_err(|error| corrupt(format!("the node of a transaction: {error}")))
}

pub(super) fn read_pkid(pkid: Option<String>) -> Result<Option<Pkid>> {
    pkid.map(Pkid::try_from)
        .transpose()
        .map_err(|error| corrupt(format!("the request of a transaction: {error}")))
}

pub(super) fn encode_originator(originator: Option<&Originator>) -> Result<Option<String>> {
    originator
        .map(|originator| {
            serde_json::to_string(originator).map_err(|error| corrupt(error.to_string()))
        })
        .transpose()
}

pub(super) fn read_originator(json: Option<String>) -> Result<Option<Originator>> {
    json.map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| corrupt(format!("the originator of a transaction: {error}")))
}

pub(super) fn parse_status(text: &str) -> Result<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| corrupt(format!("a transaction has the status {text}")))
}

pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

pub(super) fn parse_level(text: &str) -> Result<Level> {
    [Level::Debug, Level::Info, Level::Warning, Level::Error]
        .into_iter()
        .find(|level| level_name(*level) == text)
        .ok_or_else(|| corrupt(format!("a line of a log has the level {text}")))
}

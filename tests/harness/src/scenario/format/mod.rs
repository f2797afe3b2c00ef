//! The format of scenario files: TOML without unknown keys. All errors are reported together, each with its
//! position. The reference for authors is docs/scenarios.md.

mod call;
mod exchange;
mod expect;
mod given;
pub mod keys;
mod step;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod webex;

use std::collections::BTreeMap;
use std::path::Path;

use relation_toml::{DeValue, Item, Reader, Table, ValueError};
pub use relation_toml::{ParseError, ParseErrors, Source, SourcePosition};
use secrecy::SecretString;

use super::model::{GivenState, Scenario, StoreKind, Webex};
use super::template::{Bindings, Template};
use crate::harness::START_TIME;

/// The reason why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The file is not a scenario.
    #[error(transparent)]
    Invalid(#[from] ParseErrors),
}

/// Reads a file.
///
/// # Errors
/// If the file cannot be read, or is not a scenario: all its errors.
pub fn load(path: &Path) -> Result<Scenario, LoadError> {
    let unreadable = |cause| LoadError::Unreadable {
        path: path.display().to_string(),
        cause,
    };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = match relation_host::text::decode(&bytes) {
        Ok(text) => text.to_owned(),
        Err(other) => return Err(unreadable(std::io::Error::other(format!("it {other}")))),
    };
    Ok(parse(&Source::new(path, text))?)
}

/// Parses the text of a scenario.
///
/// # Errors
/// All errors in the text.
pub fn parse(source: &Source) -> Result<Scenario, ParseErrors> {
    source.read(|reader, top| scenario(reader.table(top, &keys::SCENARIO)?, source.path()))
}

fn scenario(mut table: Table<'_, '_>, path: &Path) -> Option<Scenario> {
    let reader = table.reader();
    let about = table.require("about", values::parse_text);
    let origin = table.get("source", values::parse_text);
    let settings = table.take("settings");
    let settings = settings.map_or_else(BTreeMap::new, |item| flatten_settings(reader, item));
    let node_settings = table.take("node-settings");
    let node_settings =
        node_settings.map_or_else(BTreeMap::new, |item| read_node_settings(reader, item));
    let secrets = table.take("secrets");
    let secrets = secrets.map_or_else(BTreeMap::new, |item| flatten_settings(reader, item));
    let limits = table
        .table("limits", &keys::LIMITS)
        .map(given::limits)
        .unwrap_or_default();
    let webex = table.table("webex", &keys::WEBEX).and_then(webex::read);
    let known = given::KnownNames(webex.as_ref().map(Webex::names).unwrap_or_default());
    let given = table
        .table("given", &keys::GIVEN)
        .map_or_else(default_given, |table| given::read(table, &known));
    if !table.has("step") {
        table.report_missing("step");
    }
    let steps = table.tables("step", &keys::STEP);
    let setting = step::StepContext {
        emulated: webex.is_some(),
        store: given.store,
    };
    let steps = steps
        .into_iter()
        .filter_map(|table| step::read(table, setting))
        .collect();
    table.close();
    Some(Scenario {
        path: path.to_owned(),
        about: about?,
        source: origin,
        given,
        settings,
        node_settings,
        secrets: secrets
            .into_iter()
            .map(|(name, secret)| (name, secret.map(SecretString::from)))
            .collect(),
        limits,
        webex,
        steps,
    })
}

fn default_given() -> GivenState {
    GivenState {
        clock: START_TIME,
        seed: 0,
        store: StoreKind::Memory,
        leases: true,
        documents: Vec::new(),
        secrets: Vec::new(),
        wakeups: Vec::new(),
    }
}

/// Flattens settings in sections into dotted names. `"<absent>"` removes a default setting.
fn flatten_settings(reader: &Reader<'_>, item: Item<'_>) -> BTreeMap<String, Option<String>> {
    let mut settings = BTreeMap::new();
    let mut open = vec![(String::new(), item)];
    while let Some((prefix, item)) = open.pop() {
        for (name, item) in reader.entries(item, "settings and their values") {
            let name = format!("{prefix}{name}");
            if matches!(item.value, DeValue::Table(_)) {
                open.push((format!("{name}."), item));
            } else if let Some(value) = reader.parse_item(item, setting) {
                let value = (value != "<absent>").then_some(value);
                settings.insert(name, value);
            }
        }
    }
    settings
}

/// Reads the settings of each node.
fn read_node_settings(
    reader: &Reader<'_>,
    item: Item<'_>,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let nodes = reader.entries(item, "nodes and their settings").into_iter();
    nodes
        .map(|(node, item)| {
            let settings = flatten_settings(reader, item).into_iter();
            let given = settings.filter_map(|(name, value)| Some((name, value?)));
            (node, given.collect())
        })
        .collect()
}

fn setting(value: DeValue<'_>) -> Result<String, ValueError> {
    match values::parse_json(value)? {
        serde_json::Value::String(text) => {
            let text = Template::parse(&text).fill(&Bindings::default());
            text.map_err(|unbound| {
                let name = unbound.name;
                ValueError::new(format!(
                    "nothing is known as {{{name}}} where settings are read"
                ))
                .hint("a brace that is meant is written {{")
            })
        }
        serde_json::Value::Array(items) if items.iter().all(serde_json::Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(serde_json::Value::as_str).collect();
            Ok(items.join(","))
        }
        scalar @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
            Ok(scalar.to_string())
        }
        _ => Err(ValueError::new(
            "expected a text, a number, true or false, or a list of texts",
        )),
    }
}

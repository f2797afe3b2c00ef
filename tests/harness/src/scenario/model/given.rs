//! The state before a scenario's first step.

use relation_host::types::{Hierarchy, Reference, Timestamp, Wakeup};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::scenario::template::Template;

/// The state before a scenario's first step.
#[derive(Clone, Debug)]
pub struct GivenState {
    /// The time.
    pub clock: Timestamp,
    /// The seed of all randomness.
    pub seed: u64,
    /// The kind of store.
    pub store: StoreKind,
    /// Whether a call holds a lease on its record.
    pub leases: bool,
    /// The documents.
    pub documents: Vec<GivenDocument>,
    /// The secrets.
    pub secrets: Vec<GivenSecret>,
    /// The wakeups.
    pub wakeups: Vec<GivenWakeup>,
}

/// The kind of store of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory.
    Memory,
    /// SQLite in a temporary file.
    Sqlite,
}

/// A document before the first step.
#[derive(Clone, Debug)]
pub struct GivenDocument {
    /// The model and pkid.
    pub reference: Reference,
    /// The node of the document.
    pub hierarchy: Hierarchy,
    /// The content.
    pub content: Content,
    /// The keys by which the document is found.
    pub keys: Vec<(String, Template)>,
}

/// The content of a document.
#[derive(Clone, Debug)]
pub enum Content {
    /// An object, in whose texts names can be used.
    Object(Map<String, Value>),
    /// Any text, which need not be JSON.
    Text(Template),
}

/// A wakeup before the first step.
#[derive(Clone, Debug)]
pub struct GivenWakeup {
    /// The wakeup without its payload.
    pub wakeup: Wakeup,
    /// The plugin's data in the wakeup.
    pub payload: Template,
}

/// A secret before the first step.
#[derive(Clone, Debug)]
pub struct GivenSecret {
    /// The owner of the secret.
    pub owner: Reference,
    /// The name of the secret.
    pub name: String,
    /// The clear value as it is written, in which names can be used.
    pub value: SecretString,
}

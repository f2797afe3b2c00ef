//! Where a scenario begins.

use relation_host::types::{Hierarchy, Reference, Timestamp, Wakeup};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::scenario::template::Template;

/// Where a scenario begins.
#[derive(Clone, Debug)]
pub struct Given {
    /// What time it is.
    pub clock: Timestamp,
    /// What everything random follows from.
    pub seed: u64,
    /// Where documents are kept.
    pub store: StoreKind,
    /// Whether a call holds a lease on its record.
    pub leases: bool,
    /// Documents that are there.
    pub documents: Vec<GivenDocument>,
    /// Secrets that are there.
    pub secrets: Vec<GivenSecret>,
    /// Wakeups that are there.
    pub wakeups: Vec<GivenWakeup>,
}

/// Which store holds what a scenario stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One in memory.
    Memory,
    /// SQLite in a file of its own.
    Sqlite,
}

/// A document that is there when a scenario begins.
#[derive(Clone, Debug)]
pub struct GivenDocument {
    /// Which one.
    pub reference: Reference,
    /// The node where it belongs.
    pub hierarchy: Hierarchy,
    /// Its content.
    pub content: Content,
    /// What it can be found by.
    pub keys: Vec<(String, Template)>,
}

/// The content of a document.
#[derive(Clone, Debug)]
pub enum Content {
    /// An object, in whose texts names are put in.
    Object(Map<String, Value>),
    /// Any text, also what is no JSON.
    Text(Template),
}

/// A wakeup that is there when a scenario begins.
#[derive(Clone, Debug)]
pub struct GivenWakeup {
    /// The wakeup, with a payload still to come.
    pub wakeup: Wakeup,
    /// The plugin's words to itself.
    pub payload: Template,
}

/// A secret that is there when a scenario begins.
#[derive(Clone, Debug)]
pub struct GivenSecret {
    /// The document that it belongs to.
    pub owner: Reference,
    /// Its name there.
    pub name: String,
    /// The clear value, as it is written: names in it are still to be put in.
    pub value: SecretString,
}

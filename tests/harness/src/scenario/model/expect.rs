//! The expectations of a step.

use std::collections::BTreeMap;

use crate::scenario::pattern::Pattern;
use crate::scenario::template::Template;
use relation_toml::SourcePosition;

/// The expectations of a step. Parts without a value are not compared, but a call must not fail unless an error
/// is expected.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The result of the call.
    pub result: Option<Pattern>,
    /// The error of the call: an object of `case`, `fields`, `text`.
    pub error: Option<Pattern>,
    /// The wakeups that ran while time passed.
    pub fired: Option<Occurrences>,
    /// The requests.
    pub http: Option<Occurrences>,
    /// The changes to the store.
    pub storage: Option<ExpectedStorage>,
    /// The documents after the step.
    pub documents: Option<ExpectedDocuments>,
    /// The wakeups after the step, by id.
    pub wakeups: Option<ExpectedWakeups>,
    /// The active alerts after the step, in any order.
    pub alerts: Option<Amount>,
    /// Log lines, in this order, possibly with others between them; an empty list expects no lines.
    pub log: Option<Lines>,
    /// Progress messages, in this order, possibly with others between them; an empty list expects none.
    pub progress: Option<Lines>,
    /// The status of the transaction.
    pub transaction: Option<Pattern>,
    /// Texts that must not occur in anything visible.
    pub nowhere: Vec<(SourcePosition, Template)>,
}

/// Events in order, or their numbers.
#[derive(Clone, Debug)]
pub enum Occurrences {
    /// Exactly these in this order: a list of patterns.
    Listed(Pattern),
    /// The number of each; others are not compared.
    Counted(Vec<OccurrenceCount>),
}

/// The number of events of one kind.
#[derive(Clone, Debug)]
pub struct OccurrenceCount {
    /// The event, as it is written.
    pub written: String,
    /// The pattern of the event.
    pub pattern: Pattern,
    /// The number.
    pub times: Pattern,
}

/// A number of items, or the items.
#[derive(Clone, Debug)]
pub enum Amount {
    /// The number of items.
    Count(Pattern),
    /// Exactly these, in any order.
    Listed {
        /// The position in the file.
        position: SourcePosition,
        /// The patterns of the items.
        items: Vec<Pattern>,
        /// Whether other items are allowed.
        open: bool,
    },
}

/// Lines, in order.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The position in the file.
    pub position: SourcePosition,
    /// The patterns of the lines.
    pub lines: Vec<Pattern>,
}

/// Expected documents.
#[derive(Clone, Debug)]
pub struct ExpectedDocuments {
    /// The position in the file.
    pub position: SourcePosition,
    /// The numbers or documents, by model; empty if there must be no documents.
    pub by_model: BTreeMap<String, Amount>,
}

/// The expected changes to the store.
#[derive(Clone, Debug)]
pub enum ExpectedStorage {
    /// No changes.
    Unchanged(SourcePosition),
    /// These changes; parts without a value are not compared.
    Changed(Box<ExpectedChanges>),
}

/// Expected changes to the store.
#[derive(Clone, Debug)]
pub struct ExpectedChanges {
    /// Created documents.
    pub added: Option<ExpectedDocuments>,
    /// Changed documents, with their new content.
    pub changed: Option<ExpectedDocuments>,
    /// Removed documents, with their old content.
    pub removed: Option<ExpectedDocuments>,
    /// New secrets, by name.
    pub secrets_set: Option<Amount>,
    /// Changed secrets, by name.
    pub secrets_changed: Option<Amount>,
    /// Removed secrets, by name.
    pub secrets_unset: Option<Amount>,
}

/// The expected wakeups.
#[derive(Clone, Debug)]
pub enum ExpectedWakeups {
    /// No wakeups.
    None(SourcePosition),
    /// The due times, by id; other wakeups are not compared.
    Due(BTreeMap<String, Pattern>),
}

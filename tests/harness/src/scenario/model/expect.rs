//! What must come of a step.

use std::collections::BTreeMap;

use crate::scenario::format::source::Place;
use crate::scenario::pattern::Pattern;
use crate::scenario::template::Template;

/// What must come of a step. What is not named does not matter, save that a call must not fail.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// What the call answers.
    pub result: Option<Pattern>,
    /// How the call fails: an object of `case`, `fields`, `text`.
    pub error: Option<Pattern>,
    /// What was answered while time passed.
    pub fired: Option<Happened>,
    /// Which requests were made.
    pub http: Option<Happened>,
    /// What changed in the store.
    pub storage: Option<Storage>,
    /// Documents that are there afterwards.
    pub documents: Option<Documents>,
    /// Wakeups that are there afterwards, by id.
    pub wakeups: Option<Wakeups>,
    /// Alerts that stand afterwards, in any order.
    pub alerts: Option<Amount>,
    /// Lines that were logged, in this order, others between them; empty: none at all.
    pub log: Option<Lines>,
    /// Progress that was told, in this order, other words between them; empty: none at all.
    pub progress: Option<Lines>,
    /// The status of the transaction.
    pub transaction: Option<Pattern>,
    /// What must not occur in anything that can be seen.
    pub nowhere: Vec<(Place, Template)>,
}

/// Things that happened, in order, or how often each.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Just these in this order: a list of patterns.
    Listed(Pattern),
    /// How often each; others do not matter.
    Counted(Vec<Often>),
}

/// How often something happens.
#[derive(Clone, Debug)]
pub struct Often {
    /// What, as it is written.
    pub written: String,
    /// What it is like.
    pub what: Pattern,
    /// How often.
    pub times: Pattern,
}

/// How many things there are, or which.
#[derive(Clone, Debug)]
pub enum Amount {
    /// So many.
    Count(Pattern),
    /// Just these in any order.
    Listed {
        /// Where.
        place: Place,
        /// Which.
        items: Vec<Pattern>,
        /// Whether there may be others.
        open: bool,
    },
}

/// Lines, in order.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Where.
    pub place: Place,
    /// Which.
    pub lines: Vec<Pattern>,
}

/// Documents, as far as they matter.
#[derive(Clone, Debug)]
pub struct Documents {
    /// Where.
    pub place: Place,
    /// How many or which, by model; none: there are none at all.
    pub by_model: BTreeMap<String, Amount>,
}

/// What changed in the store.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Nothing.
    Unchanged(Place),
    /// This; what is not named does not matter.
    Changed(Box<Changes>),
}

/// What changed in the store, as far as it matters.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Documents that were made.
    pub added: Option<Documents>,
    /// Documents that were changed, as they are now.
    pub changed: Option<Documents>,
    /// Documents that were removed, as they were.
    pub removed: Option<Documents>,
    /// Secrets that were sealed for the first time, by name.
    pub secrets_set: Option<Amount>,
    /// Secrets that have another value.
    pub secrets_changed: Option<Amount>,
    /// Secrets that are gone.
    pub secrets_unset: Option<Amount>,
}

/// Which wakeups there are.
#[derive(Clone, Debug)]
pub enum Wakeups {
    /// None at all.
    None(Place),
    /// These, by id, with when they are due; others do not matter.
    Due(BTreeMap<String, Pattern>),
}

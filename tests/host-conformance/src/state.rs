//! The suite's state between calls, stored in a document, and the report on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bindings::automate::platform::storage::{self, Change, Document, OnUnavailable};
use crate::bindings::automate::platform::transactions::{self, Level};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::options::Options;
use crate::outcome::{CheckFailure, Outcome};
use crate::registry::{self, DecisionMethod};
use crate::samples::{self, CheckContext, SUITE};

/// The status of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", content = "why", rename_all = "kebab-case")]
pub enum CheckStatus {
    /// The host satisfies the check.
    Passed,
    /// The host does not satisfy the check.
    Failed(String),
    /// The check could not be tried.
    Skipped(String),
    /// A wakeup will decide the check.
    Pending,
}

/// The suite's state for one record.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The record's pkid.
    pub pkid: String,
    /// The record's node.
    pub hierarchy: String,
    /// The driver's options.
    pub options: Options,
    /// The results so far, by the id of the check.
    pub results: BTreeMap<String, CheckStatus>,
    /// The running check. A call that finds one knows that an earlier call was cut off in it.
    pub running: Option<String>,
    /// The number of calls.
    pub calls: u32,
    /// The call that is in the exclusive section.
    pub inside: Option<String>,
    /// The number of requested calls that went through the exclusive section.
    pub overlaps: u32,
    /// Random bytes of the first call, in hexadecimal.
    pub random: Option<String>,
    /// Documents for later calls, by purpose.
    pub marks: BTreeMap<String, String>,
    /// Moments for later calls, by purpose.
    pub moments: BTreeMap<String, u64>,
    /// The ids of delivered wakeups, in order.
    pub arrivals: Vec<String>,
    /// The version of the document from which this state was read.
    #[serde(skip)]
    version: u64,
}

impl State {
    /// Creates the state of a new record.
    pub fn new(pkid: &str, hierarchy: &str, options: Options) -> Self {
        Self {
            pkid: pkid.into(),
            hierarchy: hierarchy.into(),
            options,
            ..Self::default()
        }
    }

    /// Loads the state of a record.
    ///
    /// # Errors
    /// `not-found`.
    pub fn load(pkid: &str) -> Result<Self, Failure> {
        let at = reference(pkid);
        let document =
            storage::get(&at)?.ok_or_else(|| Failure::NotFound(samples::record(pkid)))?;
        let mut state: Self = serde_json::from_str(&document.body)
            .map_err(|error| Failure::Internal(format!("the suite's own document: {error}")))?;
        state.version = document.version;
        Ok(state)
    }

    /// Returns the document with the state.
    pub fn document(&self) -> Document {
        Document {
            reference: reference(&self.pkid),
            hierarchy: self.hierarchy.clone(),
            version: 0,
            body: json!(self).to_string(),
            keys: vec![samples::key(SUITE, &self.pkid)],
        }
    }

    /// Saves the state with further changes. A conflict means that another call worked on the record
    /// concurrently, which is a finding and is saved anyway.
    pub fn save(&mut self, mut changes: Vec<Change>) -> Result<(), Failure> {
        let unchanged = samples::version_check(reference(&self.pkid), self.version);
        changes.insert(0, Change::Put(self.document()));
        match storage::commit(&[unchanged], &changes, OnUnavailable::Fail) {
            Ok(()) => {
                self.version += 1;
                Ok(())
            }
            Err(Failure::Conflict(_)) => {
                let mut theirs = Self::load(&self.pkid)?;
                if theirs.version == self.version {
                    // No other call wrote: the lease is lost, or the host is wrong.
                    return storage::commit(&[], &changes, OnUnavailable::Fail);
                }
                let reason = "another call wrote the record's documents while this one ran";
                theirs.record_not_passed(
                    registry::ONE_AT_A_TIME,
                    CheckFailure::Failed(reason.into()),
                );
                storage::commit(&[], &[Change::Put(theirs.document())], OnUnavailable::Fail)?;
                Err(Failure::Conflict(reason.into()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Returns the context of a check.
    pub fn context(&self, id: &str) -> CheckContext {
        CheckContext {
            pkid: self.pkid.clone(),
            node: format!("{}.{}", self.hierarchy, id.replace('.', "-")),
            options: self.options.clone(),
        }
    }

    /// Records and logs the outcome of a check. A failed check stays failed.
    pub fn record_outcome(&mut self, id: &str, outcome: Outcome) {
        let status = match outcome {
            Ok(()) => CheckStatus::Passed,
            Err(CheckFailure::Failed(reason)) => CheckStatus::Failed(reason),
            Err(CheckFailure::Skipped(reason)) => CheckStatus::Skipped(reason),
        };
        if matches!(self.results.get(id), Some(CheckStatus::Failed(_))) {
            return;
        }
        let (level, line) = match &status {
            CheckStatus::Failed(reason) => (Level::Error, format!("{id}: FAILED {reason}")),
            CheckStatus::Skipped(reason) => (Level::Info, format!("{id}: skipped: {reason}")),
            CheckStatus::Passed | CheckStatus::Pending => (Level::Info, format!("{id}: ok")),
        };
        transactions::log(level, &line);
        self.results.insert(id.into(), status);
    }

    /// Records that a check did not pass, as [`State::record_outcome`] does.
    pub fn record_not_passed(&mut self, id: &str, verdict: CheckFailure) {
        self.record_outcome(id, Err(verdict));
    }

    /// Records that a check passed, unless it has failed already.
    pub fn record_pass(&mut self, id: &str) {
        self.record_outcome(id, Ok(()));
    }

    /// Returns the status of a check.
    pub fn status_of(&self, check: &registry::CheckEntry) -> CheckStatus {
        match (self.results.get(check.id), &check.decided_by) {
            (Some(status), _) => status.clone(),
            (None, DecisionMethod::Delivery) if self.moments.contains_key("deliveries") => {
                CheckStatus::Pending
            }
            (None, DecisionMethod::Delivery | DecisionMethod::Checks(_)) => {
                CheckStatus::Skipped("`checks` has not reached it".into())
            }
            (None, DecisionMethod::Driver(reason)) => CheckStatus::Skipped((*reason).into()),
        }
    }

    /// Returns the driver's next action.
    fn next(&self) -> &'static str {
        let statuses = || registry::CHECKS.iter().map(|check| self.status_of(check));
        if registry::next_group(self).is_some() || !self.moments.contains_key("deliveries") {
            "checks"
        } else if statuses().any(|status| status == CheckStatus::Pending) {
            "wait"
        } else {
            "done"
        }
    }

    /// Returns the report for `connection.notes`.
    pub fn report(&self) -> String {
        let checks: Vec<_> = registry::CHECKS
            .iter()
            .map(|check| {
                let (status, reason) = match self.status_of(check) {
                    CheckStatus::Passed => ("passed", None),
                    CheckStatus::Failed(reason) => ("failed", Some(reason)),
                    CheckStatus::Skipped(reason) => ("skipped", Some(reason)),
                    CheckStatus::Pending => ("pending", None),
                };
                json!({ "id": check.id, "says": check.says, "status": status, "why": reason })
            })
            .collect();
        json!({ "suite": crate::IDENTITY, "next": self.next(), "checks": checks }).to_string()
    }
}

fn reference(pkid: &str) -> Reference {
    Reference {
        model: samples::STATE.into(),
        pkid: pkid.into(),
    }
}

//! What the suite knows between calls: a document of its own, and the report made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bindings::automate::platform::storage::{self, Change, Document, OnUnavailable};
use crate::bindings::automate::platform::transactions::{self, Level};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::list::{self, Since};
use crate::options::Options;
use crate::samples::{self, SUITE, Scene};
use crate::verdict::{Outcome, Verdict};

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", content = "why", rename_all = "kebab-case")]
pub enum Standing {
    /// The host keeps it.
    Passed,
    /// It does not.
    Failed(String),
    /// It could not be tried.
    Skipped(String),
    /// A wakeup will decide.
    Pending,
}

/// What the suite remembers of one record.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The record's pkid.
    pub pkid: String,
    /// The record's node.
    pub hierarchy: String,
    /// What the driver said.
    pub options: Options,
    /// What was found so far, by the id of the check.
    pub results: BTreeMap<String, Standing>,
    /// The check that runs; when a call finds one, an earlier call was cut off in it.
    pub running: Option<String>,
    /// How many calls there were.
    pub calls: u32,
    /// The call that is inside a stretch where no other may be.
    pub inside: Option<String>,
    /// How many calls went through such a stretch on request.
    pub meetings: u32,
    /// Random bytes of the first call, in hexadecimal.
    pub random: Option<String>,
    /// Documents that later calls look at, by what for.
    pub marks: BTreeMap<String, String>,
    /// Moments that later calls look at, by what for.
    pub moments: BTreeMap<String, u64>,
    /// The wakeups that came, in their order.
    pub arrivals: Vec<String>,
    /// The version of the document this was read from.
    #[serde(skip)]
    version: u64,
}

impl State {
    /// That of a record which is made now.
    pub fn new(pkid: &str, hierarchy: &str, options: Options) -> Self {
        Self {
            pkid: pkid.into(),
            hierarchy: hierarchy.into(),
            options,
            ..Self::default()
        }
    }

    /// What the calls on this record have found so far. Errors: `not-found`.
    pub fn of(pkid: &str) -> Result<Self, Failure> {
        let at = reference(pkid);
        let document =
            storage::get(&at)?.ok_or_else(|| Failure::NotFound(samples::record(pkid)))?;
        let mut state: Self = serde_json::from_str(&document.body)
            .map_err(|error| Failure::Internal(format!("the suite's own document: {error}")))?;
        state.version = document.version;
        Ok(state)
    }

    /// The document that keeps it.
    pub fn document(&self) -> Document {
        Document {
            reference: reference(&self.pkid),
            hierarchy: self.hierarchy.clone(),
            version: 0,
            body: json!(self).to_string(),
            keys: vec![samples::key(SUITE, &self.pkid)],
        }
    }

    /// Keeps what was found, and makes further changes. A conflict means that another call worked on the
    /// record at the same time, which is a finding: then this is kept all the same.
    pub fn keep(&mut self, mut changes: Vec<Change>) -> Result<(), Failure> {
        let unchanged = samples::version_check(reference(&self.pkid), self.version);
        changes.insert(0, Change::Put(self.document()));
        match storage::commit(&[unchanged], &changes, OnUnavailable::Fail) {
            Ok(()) => {
                self.version += 1;
                Ok(())
            }
            Err(Failure::Conflict(_)) => {
                let mut theirs = Self::of(&self.pkid)?;
                if theirs.version == self.version {
                    // Nobody wrote: the lease is gone, or the host's word is not to be trusted.
                    return storage::commit(&[], &changes, OnUnavailable::Fail);
                }
                let why = "another call wrote the record's documents while this one ran";
                theirs.settle(list::ONE_AT_A_TIME, Verdict::Failed(why.into()));
                storage::commit(&[], &[Change::Put(theirs.document())], OnUnavailable::Fail)?;
                Err(Failure::Conflict(why.into()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// What a check of this name works on.
    pub fn scene(&self, id: &str) -> Scene {
        Scene {
            pkid: self.pkid.clone(),
            node: format!("{}.{}", self.hierarchy, id.replace('.', "-")),
            options: self.options.clone(),
        }
    }

    /// Notes how a check ended, and logs it. What has failed stays so.
    pub fn note(&mut self, id: &str, outcome: Outcome) {
        let standing = match outcome {
            Ok(()) => Standing::Passed,
            Err(Verdict::Failed(why)) => Standing::Failed(why),
            Err(Verdict::Skipped(why)) => Standing::Skipped(why),
        };
        if matches!(self.results.get(id), Some(Standing::Failed(_))) {
            return;
        }
        let (level, line) = match &standing {
            Standing::Failed(why) => (Level::Error, format!("{id}: FAILED {why}")),
            Standing::Skipped(why) => (Level::Info, format!("{id}: skipped: {why}")),
            Standing::Passed | Standing::Pending => (Level::Info, format!("{id}: ok")),
        };
        transactions::log(level, &line);
        self.results.insert(id.into(), standing);
    }

    /// As [`State::note`], of what did not pass.
    pub fn settle(&mut self, id: &str, verdict: Verdict) {
        self.note(id, Err(verdict));
    }

    /// Passes a check unless it has failed already.
    pub fn pass(&mut self, id: &str) {
        self.note(id, Ok(()));
    }

    /// How a check stands.
    pub fn standing(&self, check: &list::Entry) -> Standing {
        match (self.results.get(check.id), &check.since) {
            (Some(standing), _) => standing.clone(),
            (None, Since::Delivery) if self.moments.contains_key("deliveries") => Standing::Pending,
            (None, Since::Delivery | Since::Checks(_)) => {
                Standing::Skipped("`checks` has not come to it".into())
            }
            (None, Since::Driver(why)) => Standing::Skipped((*why).into()),
        }
    }

    /// What there is to do next.
    fn next(&self) -> &'static str {
        let standings = || list::CHECKS.iter().map(|check| self.standing(check));
        if list::next_group(self).is_some() || !self.moments.contains_key("deliveries") {
            "checks"
        } else if standings().any(|standing| standing == Standing::Pending) {
            "wait"
        } else {
            "done"
        }
    }

    /// The report, as `connection.notes` has it.
    pub fn report(&self) -> String {
        let checks: Vec<_> = list::CHECKS
            .iter()
            .map(|check| {
                let (status, why) = match self.standing(check) {
                    Standing::Passed => ("passed", None),
                    Standing::Failed(why) => ("failed", Some(why)),
                    Standing::Skipped(why) => ("skipped", Some(why)),
                    Standing::Pending => ("pending", None),
                };
                json!({ "id": check.id, "says": check.says, "status": status, "why": why })
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

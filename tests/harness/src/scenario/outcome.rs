//! How a scenario ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use relation_host::types::Timestamp;
use serde::Serialize;

use super::format::source::{Faults, Place};
use super::mismatch::Mismatch;
use super::model::Scenario;
use super::observation::Observation;
use super::template::Bindings;

/// One scenario that was run, or could not be.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// The file.
    #[serde(serialize_with = "super::format::source::serialize_path")]
    pub path: PathBuf,
    /// The behaviour; empty for a file that could not be read.
    pub about: String,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took, in real time.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

/// How a scenario ended.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything is as expected.
    Passed,
    /// Something is not. What comes after the step is not run.
    Failed {
        /// What.
        failures: Vec<StepFailure>,
    },
    /// The file is no scenario.
    Broken {
        /// Why, for a person.
        message: String,
        /// What is wrong with it; empty if it could not be read at all.
        faults: Vec<super::format::source::Fault>,
    },
}

/// A step that is not as expected.
#[derive(Clone, Debug, Serialize)]
pub struct StepFailure {
    /// Which one, counted from 1.
    pub step: usize,
    /// Where it is written.
    pub place: Place,
    /// What it does, such as `call refresh`.
    pub action: String,
    /// What it is for.
    pub about: Option<String>,
    /// In what it differs.
    pub mismatches: Vec<Mismatch>,
    /// Why it could not be done, or what else is wrong.
    pub problem: Option<String>,
    /// What the emulated Webex or the script hold against the plugin, the log of the call, and so on.
    pub notes: Vec<String>,
    /// What was known then.
    #[serde(skip)]
    pub bindings: Bindings,
    /// What time it was.
    #[serde(skip)]
    pub now: Timestamp,
    /// All that was seen.
    #[serde(skip)]
    pub seen: Observation,
}

impl StepFailure {
    /// Something other than a difference.
    pub fn problem(
        step: usize,
        scenario: &Scenario,
        action: &str,
        problem: &dyn std::fmt::Display,
    ) -> Self {
        let place = step
            .checked_sub(1)
            .and_then(|index| scenario.steps.get(index));
        Self {
            step,
            place: place.map_or(Place { line: 1, column: 1 }, |step| step.place),
            action: action.to_owned(),
            about: None,
            mismatches: Vec::new(),
            problem: Some(problem.to_string()),
            notes: Vec::new(),
            bindings: Bindings::default(),
            now: scenario.given.clock,
            seen: Observation::default(),
        }
    }
}

impl Ran {
    /// A file that is no scenario.
    pub fn broken(path: &Path, error: &super::format::LoadError) -> Self {
        let faults = match error {
            super::format::LoadError::Broken(Faults(faults)) => faults.clone(),
            super::format::LoadError::Unreadable { .. } => Vec::new(),
        };
        Self {
            path: path.to_owned(),
            about: String::new(),
            verdict: Verdict::Broken {
                message: error.to_string(),
                faults,
            },
            took: Duration::ZERO,
        }
    }

    /// A scenario that could not even begin.
    pub fn not_begun(scenario: &Scenario, problem: &str) -> Self {
        let failure = StepFailure::problem(0, scenario, "begin", &problem);
        Self {
            path: scenario.path.clone(),
            about: scenario.about.clone(),
            verdict: Verdict::Failed {
                failures: vec![failure],
            },
            took: Duration::ZERO,
        }
    }

    /// Whether everything is as expected.
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }
}

/// How many scenarios ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// Not run.
    pub broken: usize,
}

impl Count {
    /// Counts.
    pub fn of(all: &[Ran]) -> Self {
        let mut count = Self::default();
        for ran in all {
            match ran.verdict {
                Verdict::Passed => count.passed += 1,
                Verdict::Failed { .. } => count.failed += 1,
                Verdict::Broken { .. } => count.broken += 1,
            }
        }
        count
    }
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

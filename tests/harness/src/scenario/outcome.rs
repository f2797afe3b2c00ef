//! The outcome of a scenario.

use std::path::{Path, PathBuf};
use std::time::Duration;

use relation_host::types::Timestamp;
use relation_toml::{ParseError, ParseErrors, SourcePosition};
use serde::Serialize;

use super::mismatch::Mismatch;
use super::model::Scenario;
use super::observation::Observation;
use super::template::Bindings;

/// The outcome of a scenario, or of a file that cannot be run.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioResult {
    /// The file.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// The behavior; empty for a file that could not be read.
    pub about: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The duration in real time.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub duration: Duration,
}

/// The verdict on a scenario.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// All expectations are met.
    Passed,
    /// A step failed; the later steps do not run.
    Failed {
        /// The failed steps.
        failures: Vec<StepFailure>,
    },
    /// The file is not a scenario.
    Broken {
        /// The errors as text.
        message: String,
        /// The errors; empty if the file could not be read.
        errors: Vec<ParseError>,
    },
}

/// A step that failed.
#[derive(Clone, Debug, Serialize)]
pub struct StepFailure {
    /// The step, counted from 1.
    pub step: usize,
    /// The position in the file.
    pub position: SourcePosition,
    /// The action, such as `call refresh`.
    pub action: String,
    /// The purpose of the step.
    pub about: Option<String>,
    /// The mismatches.
    pub mismatches: Vec<Mismatch>,
    /// The reason why the step could not be done, or another problem.
    pub problem: Option<String>,
    /// Further information: violations, requests, log lines and so on.
    pub notes: Vec<String>,
    /// The captured values.
    #[serde(skip)]
    pub bindings: Bindings,
    /// The time after the step.
    #[serde(skip)]
    pub now: Timestamp,
    /// The observed effects.
    #[serde(skip)]
    pub observation: Observation,
}

impl StepFailure {
    /// Creates a failure without mismatches.
    pub fn problem(
        step: usize,
        scenario: &Scenario,
        action: &str,
        problem: &dyn std::fmt::Display,
    ) -> Self {
        let position = step
            .checked_sub(1)
            .and_then(|index| scenario.steps.get(index));
        Self {
            step,
            position: position.map_or(SourcePosition { line: 1, column: 1 }, |step| step.position),
            action: action.to_owned(),
            about: None,
            mismatches: Vec::new(),
            problem: Some(problem.to_string()),
            notes: Vec::new(),
            bindings: Bindings::default(),
            now: scenario.given.clock,
            observation: Observation::default(),
        }
    }
}

impl ScenarioResult {
    /// Creates the result for a file that is not a scenario.
    pub fn broken(path: &Path, error: &super::format::LoadError) -> Self {
        let errors = match error {
            super::format::LoadError::Invalid(ParseErrors(errors)) => errors.clone(),
            super::format::LoadError::Unreadable { .. } => Vec::new(),
        };
        Self {
            path: path.to_owned(),
            about: String::new(),
            verdict: Verdict::Broken {
                message: error.to_string(),
                errors,
            },
            duration: Duration::ZERO,
        }
    }

    /// Creates the result for a scenario that could not be started.
    pub fn failed_to_start(scenario: &Scenario, problem: &str) -> Self {
        let failure = StepFailure::problem(0, scenario, "begin", &problem);
        Self {
            path: scenario.path.clone(),
            about: scenario.about.clone(),
            verdict: Verdict::Failed {
                failures: vec![failure],
            },
            duration: Duration::ZERO,
        }
    }

    /// Returns whether all expectations are met.
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }
}

/// The numbers of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResultCounts {
    /// Scenarios that passed.
    pub passed: usize,
    /// Scenarios that failed.
    pub failed: usize,
    /// Files that could not be run.
    pub broken: usize,
}

impl ResultCounts {
    /// Counts results.
    pub fn from_results(all: &[ScenarioResult]) -> Self {
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

/// Serializes a path as text; invalid UTF-8 is replaced.
fn serialize_path<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

//! The targets: each derives the input of a call from bytes.

use std::fmt;
use std::str::FromStr;

use crate::input::Input;
use crate::runner::{RunnerError, TrialRunner};
use crate::verdict::Verdict;

mod callbacks;
mod caller_input;
mod documents;
mod fields;
mod response_mutation;
mod responses;
mod wakeups;

/// A target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The fields of `add` and `modify`.
    Fields,
    /// Stored documents, before any workflow.
    Documents,
    /// Responses of Webex and the network.
    Responses,
    /// The arguments of `complete-connect` and `connect`.
    Callbacks,
    /// The wakeup of `wake`.
    Wakeups,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 5] = [
        Self::Fields,
        Self::Documents,
        Self::Responses,
        Self::Callbacks,
        Self::Wakeups,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fields => "fields",
            Self::Documents => "documents",
            Self::Responses => "responses",
            Self::Callbacks => "callbacks",
            Self::Wakeups => "wakeups",
        }
    }

    /// Runs one trial.
    ///
    /// # Errors
    /// The trial could not begin; this does not concern the plugin.
    pub fn run(self, runner: &TrialRunner, bytes: &[u8]) -> Result<Verdict, RunnerError> {
        runner.run(async {
            let mut input = Input::new(bytes);
            match self {
                Self::Fields => fields::run(runner, &mut input).await,
                Self::Documents => documents::run(runner, &mut input).await,
                Self::Responses => responses::run(runner, &mut input).await,
                Self::Callbacks => callbacks::run(runner, &mut input).await,
                Self::Wakeups => wakeups::run(runner, &mut input).await,
            }
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No target has this name.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no target is called {0:?}: there are fields, documents, responses, callbacks and wakeups")]
pub struct UnknownTarget(String);

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(name: &str) -> Result<Self, UnknownTarget> {
        let found = Self::ALL.into_iter().find(|target| target.name() == name);
        found.ok_or_else(|| UnknownTarget(name.to_owned()))
    }
}

//! The targets: which bytes become which input of which call.

use std::fmt;
use std::str::FromStr;

use crate::bench::{Bench, BenchError};
use crate::input::Input;
use crate::verdict::Verdict;

mod answers;
mod callbacks;
mod documents;
mod fields;
mod given;
mod spoiled;
mod wakeups;

/// A target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// What a caller gives `add` and `modify`.
    Fields,
    /// What is stored, before any workflow.
    Documents,
    /// What Webex and the network answer.
    Answers,
    /// What `complete-connect` is given, and `connect`.
    Callbacks,
    /// What `wake` is called for.
    Wakeups,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Fields,
        Self::Documents,
        Self::Answers,
        Self::Callbacks,
        Self::Wakeups,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fields => "fields",
            Self::Documents => "documents",
            Self::Answers => "answers",
            Self::Callbacks => "callbacks",
            Self::Wakeups => "wakeups",
        }
    }

    /// Runs one trial.
    ///
    /// # Errors
    /// The trial could not begin; this says nothing about the plugin.
    pub fn run(self, bench: &Bench, bytes: &[u8]) -> Result<Verdict, BenchError> {
        bench.run(async {
            let mut input = Input::new(bytes);
            match self {
                Self::Fields => fields::run(bench, &mut input).await,
                Self::Documents => documents::run(bench, &mut input).await,
                Self::Answers => answers::run(bench, &mut input).await,
                Self::Callbacks => callbacks::run(bench, &mut input).await,
                Self::Wakeups => wakeups::run(bench, &mut input).await,
            }
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No target is called so.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no target is called {0:?}: there are fields, documents, answers, callbacks and wakeups")]
pub struct UnknownTarget(String);

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(name: &str) -> Result<Self, UnknownTarget> {
        let found = Self::ALL.into_iter().find(|target| target.name() == name);
        found.ok_or_else(|| UnknownTarget(name.to_owned()))
    }
}

//! Scripted HTTP: which requests are expected, in which order, and what is answered.
//!
//! A request that the script does not expect fails the call that sent it, with the nearest step and how
//! it differs; a step that no request used fails [`crate::harness::Harness::finish`].

use serde::{Deserialize, Serialize};

mod answer;
mod pattern;
mod play;
mod unexpected;

pub use answer::{Answer, Fault};
pub use pattern::RequestPattern;
pub(crate) use play::Playing;
pub use unexpected::{Mismatch, Nearest, ScriptError, Unexpected, Unused};

/// What is expected to be sent, and what is answered.
///
/// ```
/// use relation_harness::script::{Answer, Fault, RequestPattern, Script, Step};
/// use serde_json::json;
///
/// let tokens = RequestPattern::post("https://webexapis.com/v1/access_token");
/// let script = Script::default()
///     // First this: the answer never comes.
///     .then(Step::new(tokens.clone(), Answer::fault(Fault::Timeout)).named("lost"))
///     // Then this one, three times.
///     .then(
///         Step::new(
///             tokens.form("grant_type", "refresh_token").form("*", "*"),
///             Answer::json(200, json!({ "access_token": "a2", "expires_in": 1_209_600 })),
///         )
///         .times(3),
///     );
/// assert_eq!(script.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// One after the other; the steps of one group in any order.
    groups: Vec<Vec<Step>>,
    /// At any time, as often as wanted.
    always: Vec<Step>,
}

/// One expected request with its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is called in messages; its number when it has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What must be sent.
    pub request: RequestPattern,
    /// What is answered.
    pub answer: Answer,
    /// How often; once when not given.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
}

impl Step {
    /// Answers `request`, once, with `answer`.
    pub fn new(request: RequestPattern, answer: Answer) -> Self {
        Self {
            name: None,
            request,
            answer,
            times: once(),
        }
    }

    /// Names it in messages.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Expects it as often as this.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

impl Script {
    /// Expects `step` when everything before it has been used.
    #[must_use]
    pub fn then(self, step: Step) -> Self {
        self.then_in_any_order([step])
    }

    /// Expects all of `steps`, in whatever order, when everything before them has been used.
    #[must_use]
    pub fn then_in_any_order(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.groups.push(steps.into_iter().collect());
        self
    }

    /// Answers at any time and as often as wanted what no other step answers: for what a test is not
    /// about. Need not be used.
    #[must_use]
    pub fn always(mut self, request: RequestPattern, answer: Answer) -> Self {
        self.always.push(Step::new(request, answer));
        self
    }

    /// How many steps it has that must be used.
    pub fn len(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    /// Whether no step must be used.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where requests are expected: scheme, host and port of each step, once.
    pub fn origins(&self) -> Vec<String> {
        let steps = self.groups.iter().flatten().chain(&self.always);
        let mut origins: Vec<String> = steps
            .filter_map(|step| url::Url::parse(&step.request.url).ok())
            .map(|url| url.origin().ascii_serialization())
            .collect();
        origins.sort();
        origins.dedup();
        origins
    }
}

fn once() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_once(times: &u32) -> bool {
    *times == once()
}

//! Scripted HTTP: the expected requests, their order, and their responses.
//!
//! An unexpected request fails its call, with the nearest step and the differences. An unused step fails
//! [`crate::harness::Harness::finish`].

use serde::{Deserialize, Serialize};

mod error;
mod pattern;
mod playback;
mod response;

pub use error::{NearestStep, RequestMismatch, ScriptError, UnexpectedRequest, UnusedStep};
pub use pattern::RequestPattern;
pub(crate) use playback::Playback;
pub use response::{NetworkFault, ScriptedResponse};

/// The expected requests and their responses.
///
/// ```
/// use relation_harness::script::{ScriptedResponse, NetworkFault, RequestPattern, Script, Step};
/// use serde_json::json;
///
/// let tokens = RequestPattern::post("https://webexapis.com/v1/access_token");
/// let script = Script::default()
///     // The first request gets no response.
///     .then(Step::new(tokens.clone(), ScriptedResponse::fault(NetworkFault::Timeout)).named("lost"))
///     // Then three requests get tokens.
///     .then(
///         Step::new(
///             tokens.form("grant_type", "refresh_token").form("*", "*"),
///             ScriptedResponse::json(200, json!({ "access_token": "a2", "expires_in": 1_209_600 })),
///         )
///         .times(3),
///     );
/// assert_eq!(script.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The groups in order; the steps of one group are used in any order.
    groups: Vec<Vec<Step>>,
    /// The steps that are used at any time and any number of times.
    always: Vec<Step>,
}

/// An expected request and its response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The name in messages; the default is the step's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The expected request.
    pub request: RequestPattern,
    /// The response.
    pub response: ScriptedResponse,
    /// The number of uses; the default is 1.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
}

impl Step {
    /// Creates a step that responds to `request` once with `response`.
    pub fn new(request: RequestPattern, response: ScriptedResponse) -> Self {
        Self {
            name: None,
            request,
            response,
            times: once(),
        }
    }

    /// Names the step in messages.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the number of uses.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

impl Script {
    /// Expects `step` after all earlier steps.
    #[must_use]
    pub fn then(self, step: Step) -> Self {
        self.then_in_any_order([step])
    }

    /// Expects `steps`, in any order, after all earlier steps.
    #[must_use]
    pub fn then_in_any_order(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.groups.push(steps.into_iter().collect());
        self
    }

    /// Responds to requests that no other step expects, at any time and any number of times: for requests that
    /// the test is not about. Such a step need not be used.
    #[must_use]
    pub fn always(mut self, request: RequestPattern, response: ScriptedResponse) -> Self {
        self.always.push(Step::new(request, response));
        self
    }

    /// Returns the number of steps that must be used.
    pub fn len(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    /// Returns whether no step must be used.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the origins of all steps, without repetitions.
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

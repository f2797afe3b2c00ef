//! A parsed scenario: its initial state, steps and expectations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use relation_host::Limits;
use relation_host::types::{Failure, Timestamp};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::template::Template;
use relation_toml::SourcePosition;

mod exchange;
mod expect;
mod given;
mod webex;

pub use exchange::{
    BodyTemplate, RequestExpectation, ResponseFault, ResponseTemplate, ScriptedExchange,
};
pub use expect::{
    Amount, Expectations, ExpectedChanges, ExpectedDocuments, ExpectedStorage, ExpectedWakeups,
    Lines, OccurrenceCount, Occurrences,
};
pub use given::{Content, GivenDocument, GivenSecret, GivenState, GivenWakeup, StoreKind};
pub use webex::{NewGrant, Organization, Violations, Webex, WebexAction};

/// A scenario: a behavior, and the steps that show it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// The behavior, in one sentence.
    pub about: String,
    /// The source of the behavior, such as a document.
    pub source: Option<String>,
    /// The state before the first step.
    pub given: GivenState,
    /// Settings of the plugin besides the default ones; `None` removes a default setting.
    pub settings: BTreeMap<String, Option<String>>,
    /// Settings of nodes, which replace those of the installation for records exactly there.
    pub node_settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets of the installation besides the default ones; `None` removes a default secret.
    pub secrets: BTreeMap<String, Option<SecretString>>,
    /// The limits of a call.
    pub limits: Limits,
    /// The emulated Webex; `None` if the steps script the responses.
    pub webex: Option<Webex>,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// A step of a scenario.
#[derive(Clone, Debug)]
pub struct Step {
    /// The position in the file.
    pub position: SourcePosition,
    /// The purpose of the step.
    pub about: Option<String>,
    /// The action.
    pub action: Action,
    /// The expected requests and their responses, without an emulator.
    pub http: Vec<ScriptedExchange>,
    /// The disturbances between plugin and host.
    pub disturbances: Vec<Disturbance>,
    /// The expectations.
    pub expect: Expectations,
}

/// The action of a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// A call.
    Call(Call),
    /// Concurrent calls, which begin in this order.
    Concurrent(Vec<ConcurrentCall>),
    /// Time passes, and due wakeups run.
    Advance(Duration),
    /// Time passes until a moment.
    At(Timestamp),
    /// An action at Webex.
    Webex(WebexAction),
    /// The host restarts.
    Restart,
}

impl Action {
    /// Describes the action in a few words for a report.
    pub fn words(&self) -> String {
        match self {
            Self::Call(call) => format!("call {}", call.name()),
            Self::Concurrent(callers) => {
                let words = callers.iter().map(|caller| match caller.times {
                    1 => caller.call.name().to_owned(),
                    times => format!("{times} times {}", caller.call.name()),
                });
                format!("concurrently {}", words.collect::<Vec<_>>().join(", "))
            }
            Self::Advance(duration) => {
                format!(
                    "advance {}",
                    crate::scenario::durations::format_duration(*duration)
                )
            }
            Self::At(moment) => format!("at {moment}"),
            Self::Webex(action) => format!("webex {}", action.name()),
            Self::Restart => "host restart".to_owned(),
        }
    }
}

/// A call that is concurrent with others.
#[derive(Clone, Debug)]
pub struct ConcurrentCall {
    /// The position in the file.
    pub position: SourcePosition,
    /// The call.
    pub call: Call,
    /// The number of such calls.
    pub times: u32,
    /// The host, counted from 1.
    pub host: usize,
    /// The expectations of each of these calls, without joint effects.
    pub expect: Expectations,
}

/// A call with its inputs.
#[derive(Clone, Debug)]
pub enum Call {
    /// The call of a workflow.
    Workflow {
        /// The data of a [`crate::Call`], in whose texts names can be used.
        inputs: Map<String, Value>,
        /// The name for the pkid of an added record.
        name: Option<String>,
    },
    /// The run of a wakeup.
    Wake {
        /// The record.
        record: Template,
        /// The id of the wakeup.
        wakeup: String,
        /// The time of the run; `None` for now. Other wakeups due before that time do not run.
        moment: Option<Timestamp>,
        /// The payload in place of the stored one.
        payload: Option<String>,
        /// The due time in place of the stored one.
        due: Option<Timestamp>,
        /// The deadline in place of the stored one.
        deadline: Option<Timestamp>,
    },
}

impl Call {
    /// Returns the name of the call, such as `refresh`.
    pub fn name(&self) -> &str {
        match self {
            Self::Workflow { inputs, .. } => {
                let name = inputs.get("workflow").and_then(Value::as_str);
                name.unwrap_or_default()
            }
            Self::Wake { .. } => "wake",
        }
    }

    /// Returns a text input, as it is written.
    pub fn text(&self, input: &str) -> Option<&str> {
        match self {
            Self::Workflow { inputs, .. } => inputs.get(input)?.as_str(),
            Self::Wake { .. } => None,
        }
    }
}

/// A failure or crash between plugin and host.
#[derive(Clone, Debug, PartialEq)]
pub struct Disturbance {
    /// The import, such as `storage.commit`.
    pub import: String,
    /// The call of the import, counted from 1.
    pub nth: u32,
    /// The moment before or after the import runs.
    pub when: DisturbancePoint,
    /// The failure or crash.
    pub with: DisturbanceKind,
}

/// The moment of a disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisturbancePoint {
    /// The import does not run.
    Before,
    /// The import has run.
    After,
}

/// The kind of a disturbance.
#[derive(Clone, Debug, PartialEq)]
pub enum DisturbanceKind {
    /// The call ends there, as in a crash of the host.
    Crash,
    /// The import returns this failure.
    Failure(Failure),
}

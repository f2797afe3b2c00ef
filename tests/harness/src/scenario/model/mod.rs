//! A scenario as it was read: where it begins, what happens step by step, what must come of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use relation_host::Limits;
use relation_host::types::{Failure, Timestamp};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::format::source::Place;
use super::template::Template;

mod exchange;
mod expect;
mod given;
mod webex;

pub use exchange::{Answer, AnswerBody, AnswerFault, Exchange, RequestPattern};
pub use expect::{Amount, Changes, Documents, Expect, Happened, Lines, Often, Storage, Wakeups};
pub use given::{Content, Given, GivenDocument, GivenSecret, GivenWakeup, StoreKind};
pub use webex::{NewGrant, Organization, Violations, Webex, WebexAction};

/// One file: a behaviour, and how it is shown.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// The behaviour, in one sentence.
    pub about: String,
    /// Where it is said that it is so.
    pub source: Option<String>,
    /// Where it begins.
    pub given: Given,
    /// Settings of the plugin beside the usual ones; none: there is no such setting.
    pub settings: BTreeMap<String, Option<String>>,
    /// Secrets of the installation beside the usual ones; none: there is no such secret.
    pub secrets: BTreeMap<String, Option<SecretString>>,
    /// What a call may use.
    pub limits: Limits,
    /// The emulated Webex; none: the steps script what is answered.
    pub webex: Option<Webex>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it is written.
    pub place: Place,
    /// What it is for.
    pub about: Option<String>,
    /// What happens.
    pub action: Action,
    /// What Webex is asked and answers meanwhile, where there is no emulator.
    pub http: Vec<Exchange>,
    /// What goes wrong between plugin and host meanwhile.
    pub disturbances: Vec<Disturbance>,
    /// What must come of it.
    pub expect: Expect,
}

/// What happens in a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// A workflow is called.
    Call(Call),
    /// Calls are made at the same moment, begun in this order.
    AtOnce(Vec<Caller>),
    /// Time passes, and what is due is done.
    Advance(Duration),
    /// Time passes until a moment.
    At(Timestamp),
    /// Something happens at Webex.
    Webex(WebexAction),
    /// The host stops and starts again.
    Restart,
}

impl Action {
    /// A few words for a report.
    pub fn words(&self) -> String {
        match self {
            Self::Call(call) => format!("call {}", call.name()),
            Self::AtOnce(callers) => {
                let words = callers.iter().map(|caller| match caller.times {
                    1 => caller.call.name().to_owned(),
                    times => format!("{times} times {}", caller.call.name()),
                });
                format!("at once {}", words.collect::<Vec<_>>().join(", "))
            }
            Self::Advance(duration) => {
                format!("advance {}", crate::scenario::spans::span(*duration))
            }
            Self::At(moment) => format!("at {moment}"),
            Self::Webex(action) => format!("webex {}", action.name()),
            Self::Restart => "host restart".to_owned(),
        }
    }
}

/// Somebody who calls at the same moment as others.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it is written.
    pub place: Place,
    /// What is called.
    pub call: Call,
    /// How many call so.
    pub times: u32,
    /// Which host they call, counted from 1.
    pub host: usize,
    /// What must come of each of these calls: only what a call alone has.
    pub expect: Expect,
}

/// A call with its inputs.
#[derive(Clone, Debug)]
pub enum Call {
    /// Of a workflow.
    Workflow {
        /// The data of a [`crate::Call`], in which names are still to be put in.
        inputs: Map<String, Value>,
        /// The name under which the pkid of a record that is added is known afterwards.
        name: Option<String>,
    },
    /// Of what is due.
    Wake {
        /// The record.
        record: Template,
        /// Its id.
        wakeup: String,
        /// When; none: now. What else is due until then is not done.
        moment: Option<Timestamp>,
        /// What it says in place of what is stored.
        payload: Option<String>,
        /// When it is due in place of what is stored.
        due: Option<Timestamp>,
        /// Its deadline in place of what is stored.
        deadline: Option<Timestamp>,
    },
}

impl Call {
    /// What is called, such as `refresh`.
    pub fn name(&self) -> &str {
        match self {
            Self::Workflow { inputs, .. } => {
                let name = inputs.get("workflow").and_then(Value::as_str);
                name.unwrap_or_default()
            }
            Self::Wake { .. } => "wake",
        }
    }

    /// A text among the inputs, as it is written.
    pub fn text(&self, input: &str) -> Option<&str> {
        match self {
            Self::Workflow { inputs, .. } => inputs.get(input)?.as_str(),
            Self::Wake { .. } => None,
        }
    }
}

/// Something that goes wrong between plugin and host.
#[derive(Clone, Debug, PartialEq)]
pub struct Disturbance {
    /// Which import, such as `storage.commit`.
    pub import: String,
    /// Which of its calls, counted from 1.
    pub nth: u32,
    /// Before or after it was carried out.
    pub when: When,
    /// What goes wrong.
    pub with: Trouble,
}

/// On which side of an import something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is not carried out.
    Before,
    /// It was carried out.
    After,
}

/// What goes wrong with an import.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The call ends there, as in a crash of the host.
    Crash,
    /// It answers with this failure.
    Failure(Failure),
}

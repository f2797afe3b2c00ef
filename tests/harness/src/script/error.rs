//! The errors between a script and the sent requests, as texts for people.

use std::fmt;

use serde::Serialize;

use crate::transcript::{Body, Request};

/// A part of a request that differs from a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestMismatch {
    /// The part, such as `form grant_type` or `json.items[0].name`.
    pub part: String,
    /// The expected value; `None` if the part must be absent.
    pub expected: Option<String>,
    /// The sent value; `None` if the part was absent.
    pub sent: Option<String>,
}

impl RequestMismatch {
    pub(super) fn new(part: &str, expected: Option<&str>, sent: Option<&str>) -> Self {
        Self {
            part: part.to_owned(),
            expected: expected.map(str::to_owned),
            sent: sent.map(str::to_owned),
        }
    }
}

impl fmt::Display for RequestMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    {}", self.part)?;
        if let Some(expected) = &self.expected {
            writeln!(f, "      - {expected}")?;
        }
        if let Some(sent) = &self.sent {
            writeln!(f, "      + {sent}")?;
        }
        Ok(())
    }
}

/// The step that is most similar to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NearestStep {
    /// The name of the step, or `step N`.
    pub step: String,
    /// Set if the step was used already, or comes later; otherwise only the request differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// The differences of the request.
    pub mismatches: Vec<RequestMismatch>,
}

/// A request that the script does not expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnexpectedRequest {
    /// The request.
    pub request: Request,
    /// The most similar step; `None` if the script has no steps.
    pub nearest: Option<NearestStep>,
}

impl fmt::Display for UnexpectedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { method, url, .. } = &self.request;
        writeln!(f, "the script expects no {method} {url}")?;
        for (name, value) in &self.request.query {
            writeln!(f, "    query {name}: {value}")?;
        }
        match &self.request.body {
            Body::Form(fields) => {
                for (name, value) in fields {
                    writeln!(f, "    form {name}: {value}")?;
                }
            }
            Body::Json(value) => writeln!(f, "    json: {value}")?,
            Body::Text(text) => writeln!(f, "    body: {text}")?,
            Body::Empty | Body::Bytes(..) => {}
        }
        let Some(nearest) = &self.nearest else {
            return write!(f, "  it has no steps");
        };
        write!(f, "  nearest: {}", nearest.step)?;
        if let Some(turn) = &nearest.turn {
            write!(f, ", {turn}")?;
        }
        if nearest.mismatches.is_empty() {
            return Ok(());
        }
        writeln!(f, "; - expected, + sent")?;
        for mismatch in &nearest.mismatches {
            mismatch.fmt(f)?;
        }
        Ok(())
    }
}

/// A step that was not used as often as the script says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnusedStep {
    /// The name of the step, or `step N`.
    pub step: String,
    /// The method and address of the step.
    pub expects: String,
    /// The expected number of uses.
    pub times: u32,
    /// The actual number of uses.
    pub used: u32,
}

/// The requests are not those of the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ScriptError {
    /// The responses that cannot be sent, with reasons.
    pub unusable: Vec<String>,
    /// The unexpected requests.
    pub unexpected: Vec<UnexpectedRequest>,
    /// The unused steps.
    pub unused: Vec<UnusedStep>,
}

impl ScriptError {
    pub(super) fn is_empty(&self) -> bool {
        self.unusable.is_empty() && self.unexpected.is_empty() && self.unused.is_empty()
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unusable = self.unusable.iter().cloned();
        let unexpected = self.unexpected.iter().map(ToString::to_string);
        let unused = self.unused.iter().map(|unused| {
            let UnusedStep {
                step,
                expects,
                times,
                used,
            } = unused;
            format!("{step} was used {used} of {times} times: {expects}")
        });
        let all: Vec<String> = unusable.chain(unexpected).chain(unused).collect();
        f.write_str(&all.join("\n"))
    }
}

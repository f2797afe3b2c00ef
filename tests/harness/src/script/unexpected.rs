//! What is wrong between a script and what was sent, in words that show where to look.

use std::fmt;

use serde::Serialize;

use crate::transcript::{Body, Request};

/// One part of a request that is not what a step expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Which part, such as `form grant_type` or `json.items[0].name`.
    pub part: String,
    /// What the step says; none: that it is not there.
    pub expected: Option<String>,
    /// What was sent; none: nothing.
    pub sent: Option<String>,
}

impl Mismatch {
    pub(super) fn new(part: &str, expected: Option<&str>, sent: Option<&str>) -> Self {
        Self {
            part: part.to_owned(),
            expected: expected.map(str::to_owned),
            sent: sent.map(str::to_owned),
        }
    }
}

impl fmt::Display for Mismatch {
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

/// The step that a request nearly was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// Its name, or `step N`.
    pub step: String,
    /// Its turn has not come, or is over; otherwise only the request differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// In what the request differs.
    pub mismatches: Vec<Mismatch>,
}

/// A request that the script does not expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unexpected {
    /// What was sent.
    pub request: Request,
    /// The step that it nearly was; none: the script has no steps.
    pub nearest: Option<Nearest>,
}

impl fmt::Display for Unexpected {
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
pub struct Unused {
    /// Its name, or `step N`.
    pub step: String,
    /// What it expects: method and address.
    pub expects: String,
    /// How often it was to be used.
    pub times: u32,
    /// How often it was.
    pub used: u32,
}

/// What was sent is not what the script says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ScriptError {
    /// Answers of it that cannot be sent, and why.
    pub unusable: Vec<String>,
    /// Requests that it does not expect.
    pub unexpected: Vec<Unexpected>,
    /// Steps that were not used.
    pub unused: Vec<Unused>,
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
            let Unused {
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

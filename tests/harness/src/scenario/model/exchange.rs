//! The script of a step: what is asked, and what is answered.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scenario::format::source::Place;
use crate::scenario::pattern::Pattern;
use crate::scenario::template::Template;

/// A request that a script awaits, and what it answers.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Where it is written.
    pub place: Place,
    /// What is asked.
    pub request: RequestPattern,
    /// What is answered.
    pub answer: Answer,
}

/// What a request must be like; what is not named does not matter.
#[derive(Clone, Debug)]
pub struct RequestPattern {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The address; without a query any query fits.
    pub url: Template,
    /// Parameters of the query.
    pub query: BTreeMap<String, Pattern>,
    /// Header fields, by lower-case name.
    pub headers: BTreeMap<String, Pattern>,
    /// Fields of a form.
    pub form: Option<Pattern>,
    /// A body in JSON.
    pub json: Option<Pattern>,
    /// Any other body.
    pub body: Option<Pattern>,
}

/// What a script answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: BTreeMap<String, Template>,
    /// The body.
    pub body: AnswerBody,
    /// What goes wrong with it.
    pub fault: Option<AnswerFault>,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum AnswerBody {
    /// None.
    Empty,
    /// JSON, in which names are put in.
    Json(Value),
    /// A form.
    Form(BTreeMap<String, Template>),
    /// A text.
    Text(Template),
}

/// Why a request has no answer, or no whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// The answer never came.
    Timeout,
    /// The connection was refused: the request was not sent.
    Refused,
    /// The name was not found: the request was not sent.
    Unresolved,
    /// The certificate is not trusted: the request was not sent.
    Untrusted,
    /// The connection was cut when the request was sent.
    Reset,
    /// What came back is no HTTP.
    Garbled,
    /// The connection was cut in the middle of the body.
    Cut,
    /// The rest of the body never came.
    Stalled,
}

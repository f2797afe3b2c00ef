//! The script of a step: expected requests and their responses.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scenario::pattern::Pattern;
use crate::scenario::template::Template;
use relation_toml::SourcePosition;

/// An expected request and its response.
#[derive(Clone, Debug)]
pub struct ScriptedExchange {
    /// The position in the file.
    pub position: SourcePosition,
    /// The expected request.
    pub request: RequestExpectation,
    /// The response.
    pub response: ResponseTemplate,
}

/// An expected request. Parts without a value are not compared.
#[derive(Clone, Debug)]
pub struct RequestExpectation {
    /// The method, such as `GET`.
    pub method: String,
    /// The address; without a query, any query matches.
    pub url: Template,
    /// The query parameters.
    pub query: BTreeMap<String, Pattern>,
    /// The header fields, by lower-case name.
    pub headers: BTreeMap<String, Pattern>,
    /// The fields of a form.
    pub form: Option<Pattern>,
    /// The JSON body.
    pub json: Option<Pattern>,
    /// Any other body.
    pub body: Option<Pattern>,
}

/// A response, in which names can be used.
#[derive(Clone, Debug)]
pub struct ResponseTemplate {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: BTreeMap<String, Template>,
    /// The body.
    pub body: BodyTemplate,
    /// The fault in place of, or during, the response.
    pub fault: Option<ResponseFault>,
}

/// The body of a response.
#[derive(Clone, Debug)]
pub enum BodyTemplate {
    /// No body.
    Empty,
    /// JSON, in whose texts names can be used.
    Json(Value),
    /// A form.
    Form(BTreeMap<String, Template>),
    /// A text.
    Text(Template),
}

/// A network fault during a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFault {
    /// No response came.
    Timeout,
    /// The connection was refused: the request was not sent.
    Refused,
    /// The name was not resolved: the request was not sent.
    Unresolved,
    /// The certificate is not trusted: the request was not sent.
    Untrusted,
    /// The connection was reset after the request was sent.
    Reset,
    /// The response is not HTTP.
    Garbled,
    /// The connection was closed in the middle of the body.
    Cut,
    /// The rest of the body did not come in time.
    Stalled,
}

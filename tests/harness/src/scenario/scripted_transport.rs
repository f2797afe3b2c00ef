//! The transport without an emulator: the exchanges of the present step.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::Value;

use super::matching::Matcher;
use super::mismatch::{Mismatch, Segment};
use super::model::{BodyTemplate, ResponseFault, ResponseTemplate, ScriptedExchange};
use super::observation::request_to_json;
use super::pattern::{Expected, Pattern};
use super::template::UnboundName;
use crate::script::ScriptedResponse;
use crate::transcript::Request;
use relation_toml::SourcePosition;

/// A transport that responds as the present step says.
pub struct ScriptedTransport {
    active: Mutex<ActiveScript>,
}

struct ActiveScript {
    left: VecDeque<ScriptedExchange>,
    matcher: Matcher,
    problems: Vec<String>,
}

impl ScriptedTransport {
    /// Creates a transport without exchanges.
    pub fn new(matcher: Matcher) -> Self {
        Self {
            active: Mutex::new(ActiveScript {
                left: VecDeque::new(),
                matcher,
                problems: Vec::new(),
            }),
        }
    }

    /// Begins a step, with the values captured so far.
    pub fn begin(&self, exchanges: &[ScriptedExchange], matcher: &Matcher) {
        let mut active = self.lock();
        active.left = exchanges.iter().cloned().collect();
        active.matcher = matcher.clone();
        active.problems.clear();
    }

    /// Ends the step. Adds captured values, and returns unexpected requests and unused exchanges.
    pub fn end(&self, matcher: &mut Matcher) -> Vec<String> {
        let mut active = self.lock();
        // Names that were bound to the call's result meanwhile keep their values.
        for (name, value) in active.matcher.bindings.iter() {
            if matcher.bindings.get(name).is_none() {
                matcher.bindings.set(name, value.clone());
            }
        }
        let mut problems = std::mem::take(&mut active.problems);
        for exchange in active.left.drain(..) {
            problems.push(format!(
                "no request was sent for {} {} (at {})",
                exchange.request.method, exchange.request.url, exchange.position
            ));
        }
        problems
    }

    fn lock(&self) -> MutexGuard<'_, ActiveScript> {
        self.active.lock()
    }
}

impl ActiveScript {
    #[expect(
        clippy::result_large_err,
        reason = "the result of a transport, made once for each request"
    )]
    fn respond(&mut self, request: &Request) -> Result<http::Response<Bytes>, TransportError> {
        let found = request_to_json(request);
        let Some(next) = self.left.front() else {
            let Request { method, url, .. } = request;
            self.problems
                .push(format!("the step has no exchange for {method} {url}"));
            return Err(TransportError::Refused);
        };
        let mut trial = self.matcher.clone();
        let mismatches = match_request(next, &found, &mut trial);
        if !mismatches.is_empty() {
            let problem = self.unexpected(request, &found, next.position, &mismatches);
            self.problems.push(problem);
            return Err(TransportError::Refused);
        }
        self.matcher = trial;
        let Some(exchange) = self.left.pop_front() else {
            return Err(TransportError::Refused);
        };
        match self.build_result(&exchange.response) {
            Ok(response) => response,
            Err(reason) => {
                self.problems.push(reason);
                Err(TransportError::Refused)
            }
        }
    }

    fn unexpected(
        &self,
        request: &Request,
        found: &Value,
        position: SourcePosition,
        mismatches: &[Mismatch],
    ) -> String {
        let Request { method, url, .. } = request;
        let mut problem = format!("{method} {url} is not what comes next (at {position}):");
        for mismatch in mismatches {
            problem.push_str(&format!("\n  {mismatch}"));
        }
        let later = self.left.iter().skip(1);
        let mut later = later.filter(|exchange| {
            match_request(exchange, found, &mut self.matcher.clone()).is_empty()
        });
        if let Some(exchange) = later.next() {
            problem.push_str(&format!(
                "\n  it is the exchange at {}, whose turn has not come",
                exchange.position
            ));
        }
        problem
    }

    fn build_result(
        &self,
        response: &ResponseTemplate,
    ) -> Result<Result<http::Response<Bytes>, TransportError>, String> {
        let filled = || {
            let filled = self
                .fill_response(response)
                .map_err(|unbound| unbound.to_string())?;
            filled.response()
        };
        let half = || {
            let half = |body: Bytes| body.slice(..body.len() / 2);
            filled().map(|response| response.map(half))
        };
        Ok(Err(match response.fault {
            None => return Ok(Ok(filled()?)),
            Some(ResponseFault::Timeout) => TransportError::Timeout,
            Some(ResponseFault::Unresolved) => TransportError::Unresolved,
            Some(ResponseFault::Refused) => TransportError::Refused,
            Some(ResponseFault::Untrusted) => TransportError::Untrusted,
            Some(ResponseFault::Reset) => TransportError::Reset,
            Some(ResponseFault::Garbled) => TransportError::Garbled,
            Some(ResponseFault::Cut) => TransportError::Cut(half()?),
            Some(ResponseFault::Stalled) => TransportError::Stalled(half()?),
        }))
    }

    fn fill_response(&self, response: &ResponseTemplate) -> Result<ScriptedResponse, UnboundName> {
        let bindings = &self.matcher.bindings;
        let mut filled = ScriptedResponse::status(response.status);
        for (name, value) in &response.headers {
            filled = filled.header(name, value.fill(bindings)?);
        }
        match &response.body {
            BodyTemplate::Empty => {}
            BodyTemplate::Json(value) => filled.json = Some(bindings.fill(value)?),
            BodyTemplate::Text(text) => filled.text = Some(text.fill(bindings)?),
            BodyTemplate::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &value.fill(bindings)?);
                }
                filled.text = Some(form.finish());
                filled = filled.header("content-type", "application/x-www-form-urlencoded");
            }
        }
        Ok(filled)
    }
}

/// Returns the mismatches of a request with an exchange.
fn match_request(
    exchange: &ScriptedExchange,
    found: &Value,
    matcher: &mut Matcher,
) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    let expected = &exchange.request;
    let position = exchange.position;
    let mut part = |name: &str, pattern: &Pattern| {
        let path = &mut vec![Segment::Key(name.to_owned())];
        matcher.check_value(pattern, found.get(name), path, &mut mismatches);
    };
    let text = |template| Pattern {
        position,
        expected: Expected::Text(template),
    };
    part(
        "method",
        &text(super::template::Template::literal(&expected.method)),
    );
    part("url", &text(expected.url.clone()));
    for (name, fields) in [("query", &expected.query), ("headers", &expected.headers)] {
        let expected = Expected::Object {
            entries: fields.clone(),
            closed: false,
        };
        part(name, &Pattern { position, expected });
    }
    let bodies = [
        ("form", &expected.form),
        ("json", &expected.json),
        ("body", &expected.body),
    ];
    for (name, pattern) in bodies {
        if let Some(pattern) = pattern {
            part(name, pattern);
        }
    }
    mismatches
}

#[async_trait]
impl Transport for ScriptedTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.lock().respond(&Request::from_http(&request))
    }
}

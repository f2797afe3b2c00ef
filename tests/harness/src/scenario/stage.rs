//! Who answers requests where nothing is emulated: the exchanges of the step that is played.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use serde_json::Value;

use super::format::source::Place;
use super::matching::Matcher;
use super::mismatch::{Mismatch, Segment};
use super::model::{Answer, AnswerBody, AnswerFault, Exchange};
use super::observation::sent;
use super::pattern::{Expected, Pattern};
use super::template::Unbound;
use crate::script::Answer as Script;
use crate::transcript::Request;

/// Answers as the step says that is played.
pub struct Stage {
    playing: Mutex<Playing>,
}

struct Playing {
    left: VecDeque<Exchange>,
    matcher: Matcher,
    faults: Vec<String>,
}

impl Stage {
    /// Nothing is played yet.
    pub fn new(matcher: Matcher) -> Self {
        Self {
            playing: Mutex::new(Playing {
                left: VecDeque::new(),
                matcher,
                faults: Vec::new(),
            }),
        }
    }

    /// Plays the exchanges of a step, which begins with what was captured so far.
    pub fn begin(&self, exchanges: &[Exchange], matcher: &Matcher) {
        let mut playing = self.lock();
        playing.left = exchanges.iter().cloned().collect();
        playing.matcher = matcher.clone();
        playing.faults.clear();
    }

    /// Ends the step: what was captured, and what was not as the step says.
    pub fn end(&self, matcher: &mut Matcher) -> Vec<String> {
        let mut playing = self.lock();
        // What the call answered was named meanwhile, and stands.
        for (name, value) in playing.matcher.bindings.iter() {
            if matcher.bindings.get(name).is_none() {
                matcher.bindings.set(name, value.clone());
            }
        }
        let mut faults = std::mem::take(&mut playing.faults);
        for exchange in playing.left.drain(..) {
            faults.push(format!(
                "nothing asked for {} {} (at {})",
                exchange.request.method, exchange.request.url, exchange.place
            ));
        }
        faults
    }

    fn lock(&self) -> MutexGuard<'_, Playing> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Playing {
    #[expect(
        clippy::result_large_err,
        reason = "it is what a transport answers, once for each request"
    )]
    fn answer(&mut self, request: &Request) -> Result<http::Response<Bytes>, TransportError> {
        let found = sent(request);
        let Some(next) = self.left.front() else {
            let Request { method, url, .. } = request;
            self.faults
                .push(format!("the step has no exchange for {method} {url}"));
            return Err(TransportError::Refused);
        };
        let mut trial = self.matcher.clone();
        let mismatches = held(next, &found, &mut trial);
        if !mismatches.is_empty() {
            let fault = self.unexpected(request, &found, next.place, &mismatches);
            self.faults.push(fault);
            return Err(TransportError::Refused);
        }
        self.matcher = trial;
        let Some(exchange) = self.left.pop_front() else {
            return Err(TransportError::Refused);
        };
        match self.given(&exchange.answer) {
            Ok(answer) => answer,
            Err(why) => {
                self.faults.push(why);
                Err(TransportError::Refused)
            }
        }
    }

    fn unexpected(
        &self,
        request: &Request,
        found: &Value,
        place: Place,
        mismatches: &[Mismatch],
    ) -> String {
        let Request { method, url, .. } = request;
        let mut fault = format!("{method} {url} is not what comes next (at {place}):");
        for mismatch in mismatches {
            fault.push_str(&format!("\n  {mismatch}"));
        }
        let later = self.left.iter().skip(1);
        let mut later =
            later.filter(|exchange| held(exchange, found, &mut self.matcher.clone()).is_empty());
        if let Some(exchange) = later.next() {
            fault.push_str(&format!(
                "\n  it is the exchange at {}, whose turn has not come",
                exchange.place
            ));
        }
        fault
    }

    fn given(
        &self,
        answer: &Answer,
    ) -> Result<Result<http::Response<Bytes>, TransportError>, String> {
        let filled = || {
            let filled = self.filled(answer).map_err(|unbound| unbound.to_string())?;
            filled.response()
        };
        let half = || {
            let half = |body: Bytes| body.slice(..body.len() / 2);
            filled().map(|response| response.map(half))
        };
        Ok(Err(match answer.fault {
            None => return Ok(Ok(filled()?)),
            Some(AnswerFault::Timeout) => TransportError::Timeout,
            Some(AnswerFault::Unresolved) => TransportError::Unresolved,
            Some(AnswerFault::Refused) => TransportError::Refused,
            Some(AnswerFault::Untrusted) => TransportError::Untrusted,
            Some(AnswerFault::Reset) => TransportError::Reset,
            Some(AnswerFault::Garbled) => TransportError::Garbled,
            Some(AnswerFault::Cut) => TransportError::Cut(half()?),
            Some(AnswerFault::Stalled) => TransportError::Stalled(half()?),
        }))
    }

    fn filled(&self, answer: &Answer) -> Result<Script, Unbound> {
        let bindings = &self.matcher.bindings;
        let mut filled = Script::status(answer.status);
        for (name, value) in &answer.headers {
            filled = filled.header(name, value.fill(bindings)?);
        }
        match &answer.body {
            AnswerBody::Empty => {}
            AnswerBody::Json(value) => filled.json = Some(bindings.fill(value)?),
            AnswerBody::Text(text) => filled.text = Some(text.fill(bindings)?),
            AnswerBody::Form(fields) => {
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

/// In what a request is not as an exchange says.
fn held(exchange: &Exchange, found: &Value, matcher: &mut Matcher) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    let expected = &exchange.request;
    let place = exchange.place;
    let mut part = |name: &str, pattern: &Pattern| {
        let path = &mut vec![Segment::Key(name.to_owned())];
        matcher.hold(pattern, found.get(name), path, &mut mismatches);
    };
    let text = |template| Pattern {
        place,
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
        part(name, &Pattern { place, expected });
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
impl Transport for Stage {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.lock().answer(&Request::read(&request))
    }
}

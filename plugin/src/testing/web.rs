//! A scripted web: answers that were laid out in advance, or a function that gives them.

use std::collections::VecDeque;
use std::rc::Rc;

use http::{HeaderMap, Method, Uri};
use serde_json::Value;

use super::MemoryPlatform;
use crate::platform::{Failure, Http, HttpError, HttpRequest, HttpResponse, Secret};

type Answer = Result<HttpResponse, HttpError>;
type Answerer = Box<dyn FnOnce(&MemoryPlatform, &HttpRequest) -> Answer>;
type Server = Rc<dyn Fn(&MemoryPlatform, &HttpRequest) -> Answer>;

struct Expected {
    method: Method,
    url_part: String,
    answer: Answerer,
}

#[derive(Default)]
pub(super) struct Web {
    script: VecDeque<Expected>,
    server: Option<Server>,
    sent: Vec<SentRequest>,
    surprises: Vec<String>,
    proxies: (Option<Secret>, Option<Secret>),
    proxies_refused: Option<Failure>,
}

/// A request as it went out.
#[derive(Clone, Debug)]
pub struct SentRequest {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// The proxies in force, for `http:` and for `https:` targets.
    pub proxies: (Option<Secret>, Option<Secret>),
}

impl SentRequest {
    /// A header as text; empty when it is absent or no text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field of a form-encoded body.
    pub fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body)
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// An answer of JSON.
pub fn reply(status: u16, body: Value) -> Result<HttpResponse, HttpError> {
    reply_with(
        status,
        &[("content-type", "application/json")],
        body.to_string(),
    )
}

/// An answer with headers and any body.
pub fn reply_with(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Result<HttpResponse, HttpError> {
    let mut answer = http::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer
        .body(body.into())
        .map_err(|error| HttpError::Network(format!("the script has a malformed answer: {error}")))
}

impl MemoryPlatform {
    /// The next request is a `method` to a target that contains `url_part`, and gets `answer`.
    pub fn expect(&self, method: Method, url_part: &str, answer: Result<HttpResponse, HttpError>) {
        self.expect_with(method, url_part, move |_, _| answer);
    }

    /// As [`expect`](Self::expect), with an answer made when the request arrives.
    pub fn expect_with(
        &self,
        method: Method,
        url_part: &str,
        answer: impl FnOnce(&Self, &HttpRequest) -> Result<HttpResponse, HttpError> + 'static,
    ) {
        self.web.borrow_mut().script.push_back(Expected {
            method,
            url_part: url_part.to_owned(),
            answer: Box::new(answer),
        });
    }

    /// Answers every request for which nothing was laid out.
    pub fn serve(
        &self,
        server: impl Fn(&Self, &HttpRequest) -> Result<HttpResponse, HttpError> + 'static,
    ) {
        self.web.borrow_mut().server = Some(Rc::new(server));
    }

    /// Refuses any proxy from now on, as the host's policy does.
    pub fn refuse_proxies(&self, failure: Failure) {
        self.web.borrow_mut().proxies_refused = Some(failure);
    }

    /// Every request so far.
    pub fn sent(&self) -> Vec<SentRequest> {
        self.web.borrow().sent.clone()
    }

    /// Fails unless every answer laid out was fetched, and nothing else was asked.
    #[track_caller]
    pub fn assert_script_done(&self) {
        let web = self.web.borrow();
        assert!(
            web.surprises.is_empty(),
            "requests that nobody expected: {:?}",
            web.surprises
        );
        let missing: Vec<String> = web
            .script
            .iter()
            .map(|expected| format!("{} {}", expected.method, expected.url_part))
            .collect();
        assert!(
            missing.is_empty(),
            "requests that were not made: {missing:?}"
        );
    }
}

impl Http for MemoryPlatform {
    fn use_proxies(&self, http: Option<&Secret>, https: Option<&Secret>) -> Result<(), Failure> {
        let mut web = self.web.borrow_mut();
        if let Some(failure) = web
            .proxies_refused
            .as_ref()
            .filter(|_| http.is_some() || https.is_some())
        {
            return Err(failure.clone());
        }
        web.proxies = (http.cloned(), https.cloned());
        Ok(())
    }

    fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (expected, server) = {
            let mut web = self.web.borrow_mut();
            let sent = SentRequest {
                method: request.method().clone(),
                uri: request.uri().clone(),
                headers: request.headers().clone(),
                body: request.body().clone(),
                proxies: web.proxies.clone(),
            };
            web.sent.push(sent);
            let fits = web.script.front().is_some_and(|expected| {
                expected.method == *request.method()
                    && request.uri().to_string().contains(&expected.url_part)
            });
            let expected = if fits { web.script.pop_front() } else { None };
            if expected.is_none() && web.server.is_none() {
                let surprise = format!("{} {}", request.method(), request.uri());
                web.surprises.push(surprise);
            }
            (expected, web.server.clone())
        };
        match (expected, server) {
            (Some(expected), _) => (expected.answer)(self, &request),
            (None, Some(server)) => server(self, &request),
            (None, None) => Err(HttpError::Network(format!(
                "nobody expected {} {}",
                request.method(),
                request.uri()
            ))),
        }
    }
}

//! Scripted HTTP: responses prepared in advance, or a function that creates them.

use std::collections::VecDeque;
use std::rc::Rc;

use http::{HeaderMap, Method, Uri};
use serde_json::Value;

use super::MemoryPlatform;
use crate::platform::{Failure, Http, HttpError, HttpRequest, HttpResponse, Secret};

type ResponseResult = Result<HttpResponse, HttpError>;
type Responder = Box<dyn FnOnce(&MemoryPlatform, &HttpRequest) -> ResponseResult>;
type Server = Rc<dyn Fn(&MemoryPlatform, &HttpRequest) -> ResponseResult>;

struct Expected {
    method: Method,
    url_part: String,
    response: Responder,
}

#[derive(Default)]
pub(super) struct Web {
    script: VecDeque<Expected>,
    server: Option<Server>,
    sent: Vec<SentRequest>,
    unexpected: Vec<String>,
    proxies: (Option<Secret>, Option<Secret>),
    proxies_refused: Option<Failure>,
}

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct SentRequest {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The proxies in use, for `http:` and for `https:` targets.
    pub proxies: (Option<Secret>, Option<Secret>),
}

impl SentRequest {
    /// Returns a header as text; empty when it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a field of a form-encoded body.
    pub fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body)
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Creates a JSON response.
pub fn json_response(status: u16, body: Value) -> Result<HttpResponse, HttpError> {
    raw_response(
        status,
        &[("content-type", "application/json")],
        body.to_string(),
    )
}

/// Creates a response with headers and any body.
pub fn raw_response(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Result<HttpResponse, HttpError> {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).map_err(|error| {
        HttpError::Network(format!("the script has a malformed response: {error}"))
    })
}

impl MemoryPlatform {
    /// Expects the next request to be a `method` to a target that contains `url_part`, and responds
    /// with `response`.
    pub fn expect(
        &self,
        method: Method,
        url_part: &str,
        response: Result<HttpResponse, HttpError>,
    ) {
        self.expect_with(method, url_part, move |_, _| response);
    }

    /// Works like [`expect`](Self::expect), with a response created when the request arrives.
    pub fn expect_with(
        &self,
        method: Method,
        url_part: &str,
        response: impl FnOnce(&Self, &HttpRequest) -> Result<HttpResponse, HttpError> + 'static,
    ) {
        self.web.borrow_mut().script.push_back(Expected {
            method,
            url_part: url_part.to_owned(),
            response: Box::new(response),
        });
    }

    /// Responds to all requests that no expectation matches.
    pub fn serve(
        &self,
        server: impl Fn(&Self, &HttpRequest) -> Result<HttpResponse, HttpError> + 'static,
    ) {
        self.web.borrow_mut().server = Some(Rc::new(server));
    }

    /// Refuses all proxies from now on, as the host's policy does.
    pub fn refuse_proxies(&self, failure: Failure) {
        self.web.borrow_mut().proxies_refused = Some(failure);
    }

    /// Returns all requests so far.
    pub fn sent(&self) -> Vec<SentRequest> {
        self.web.borrow().sent.clone()
    }

    /// Panics unless all expected requests were made, and no others.
    #[track_caller]
    pub fn assert_script_done(&self) {
        let web = self.web.borrow();
        assert!(
            web.unexpected.is_empty(),
            "unexpected requests: {:?}",
            web.unexpected
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
                let request = format!("{} {}", request.method(), request.uri());
                web.unexpected.push(request);
            }
            (expected, web.server.clone())
        };
        match (expected, server) {
            (Some(expected), _) => (expected.response)(self, &request),
            (None, Some(server)) => server(self, &request),
            (None, None) => Err(HttpError::Network(format!(
                "unexpected request {} {}",
                request.method(),
                request.uri()
            ))),
        }
    }
}

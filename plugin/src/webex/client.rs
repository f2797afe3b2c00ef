//! Webex over HTTP: requests with a token through the customer's proxies, answers as JSON.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use serde_json::Value;

use super::errors::{Answered, ErrorBody, ErrorKind, WebexError};
use super::scrub::Scrubber;
use crate::platform::{
    Failure, HttpError, HttpRequest, HttpResponse, Platform, Secret, Secrets, Timestamp,
};
use crate::record::{Record, secret};
use crate::settings::Settings;
use crate::text::strip_mark;

/// What every request calls itself.
pub const AGENT: &str = concat!("spark-customer/", env!("CARGO_PKG_VERSION"));
/// The largest answer that is read as JSON, in bytes.
pub const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// A customer's proxy strings, credentials included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` targets.
    pub http: Option<Secret>,
    /// For `https:` targets.
    pub https: Option<Secret>,
}

impl Proxies {
    /// The proxies of a stored record; a secret is opened only when the record has the field.
    ///
    /// # Errors
    /// Those of opening a sealed value.
    pub fn of(record: &Record, secrets: &(impl Secrets + ?Sized)) -> Result<Self, Failure> {
        let reveal = |name: &str| match record.text(name) {
            Some(_) => secrets.reveal(&record.reference(), name),
            None => Ok(None),
        };
        Ok(Self {
            http: reveal(secret::HTTP_PROXY)?,
            https: reveal(secret::HTTPS_PROXY)?,
        })
    }
}

/// Webex, as one customer reaches it.
pub struct Webex<'a, P: ?Sized> {
    platform: &'a P,
    base_url: String,
    scrubber: Scrubber,
}

impl<'a, P: Platform + ?Sized> Webex<'a, P> {
    /// Webex at the configured address, through `proxies` from now on.
    ///
    /// # Errors
    /// Those of [`use_proxies`](crate::platform::Http::use_proxies): `invalid`, and
    /// `limit-exceeded` when the host's policy forbids a proxy.
    pub fn new(platform: &'a P, settings: &Settings, proxies: &Proxies) -> Result<Self, Failure> {
        platform.use_proxies(proxies.http.as_ref(), proxies.https.as_ref())?;
        let mut scrubber = Scrubber::default();
        for proxy in [&proxies.http, &proxies.https].into_iter().flatten() {
            scrubber.hide_proxy(proxy);
        }
        Ok(Self {
            platform,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            scrubber,
        })
    }

    /// The JSON that Webex answers to `GET {base}{path_and_query}`; the path starts with a slash.
    ///
    /// # Errors
    /// Anything but a JSON answer of status 200 without an `error` in it.
    pub fn get_json(&self, path_and_query: &str, token: &Secret) -> Result<Value, WebexError> {
        let address = self.address(path_and_query);
        let (request, answer) = self.exchange(Method::GET, &address, token)?;
        self.json(&request, &answer, token)
    }

    /// The content of a success in JSON.
    pub(super) fn json(
        &self,
        request: &str,
        answer: &HttpResponse,
        token: &Secret,
    ) -> Result<Value, WebexError> {
        let unusable = |what| {
            let answered = Answered::of(answer, self.now());
            WebexError::unusable(request, answered, what, &self.scrubber_with(&[token]))
        };
        expect_content(answer).map_err(unusable)?;
        let content: Value = serde_json::from_slice(strip_mark(answer.body()))
            .map_err(|_| unusable("the answer is not JSON"))?;
        match content.as_object().and_then(ErrorBody::from_success) {
            None => Ok(content),
            Some(body) => {
                let answered = Answered::of(answer, self.now());
                let scrubber = self.scrubber_with(&[token]);
                Err(WebexError::from_success(
                    request, answered, &body, &scrubber,
                ))
            }
        }
    }

    /// Asks for `DELETE {base}{path_and_query}`.
    ///
    /// # Errors
    /// Anything but a success.
    pub fn delete(&self, path_and_query: &str, token: &Secret) -> Result<(), WebexError> {
        let address = self.address(path_and_query);
        self.exchange(Method::DELETE, &address, token).map(drop)
    }

    /// Sends a request with `token` to a whole address of the API; its label and the answer.
    ///
    /// # Errors
    /// Anything but a success.
    pub(super) fn exchange(
        &self,
        method: Method,
        address: &str,
        token: &Secret,
    ) -> Result<(String, HttpResponse), WebexError> {
        let request = label(&method, address);
        let scrubber = self.scrubber_with(&[token]);
        let Some(authorization) = bearer(token) else {
            let what = "the access token has characters that no token can have";
            return Err(WebexError::new(
                ErrorKind::Unauthorized,
                request,
                Some(what.to_owned()),
            ));
        };
        let built = http::Request::builder()
            .method(method)
            .uri(address)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, authorization)
            .body(Vec::new());
        let Ok(built) = built else {
            let what = "the address is not valid";
            return Err(WebexError::new(
                ErrorKind::Rejected,
                request,
                Some(what.to_owned()),
            ));
        };
        let answer = self
            .send(built)
            .map_err(|error| WebexError::unanswered(&request, &error, &scrubber))?;
        if answer.status().is_success() {
            Ok((request, answer))
        } else {
            let now = self.now();
            Err(WebexError::answered(&request, &answer, now, &scrubber))
        }
    }

    /// Sends a request as this product.
    pub(super) fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(AGENT));
        // The host knows the length of what it sends; a second opinion could only disagree.
        request.headers_mut().remove(CONTENT_LENGTH);
        self.platform.send(request)
    }

    /// The whole address of `path`.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Hides the proxies' passwords and `secrets`.
    pub(super) fn scrubber_with(&self, secrets: &[&Secret]) -> Scrubber {
        let mut scrubber = self.scrubber.clone();
        for secret in secrets {
            scrubber.hide(secret);
        }
        scrubber
    }

    pub(super) fn now(&self) -> Timestamp {
        self.platform.now()
    }
}

/// Makes sure that a success has a content that can be read.
///
/// # Errors
/// A text that says why the content cannot be read.
pub(super) fn expect_content(answer: &HttpResponse) -> Result<(), &'static str> {
    if answer.status() != StatusCode::OK {
        return Err("the answer is a success without content");
    }
    if answer.body().len() > LARGEST_ANSWER {
        return Err("the answer is larger than any that is expected");
    }
    Ok(())
}

/// What a request is called in messages: its method and its address without the query.
pub(super) fn label(method: &Method, address: &str) -> String {
    let address = address.split('?').next().unwrap_or_default();
    format!("{method} {address}")
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

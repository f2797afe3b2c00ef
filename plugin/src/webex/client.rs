//! Webex over HTTP: requests with a token through the customer's proxies, responses as JSON.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use serde_json::Value;

use super::error_body::ErrorBody;
use super::errors::{ErrorKind, ResponseHead, WebexError};
use super::redactor::Redactor;
use crate::platform::{
    Failure, HttpError, HttpRequest, HttpResponse, Platform, Secret, Secrets, UnixMillis,
};
use crate::record::{Record, secret};
use crate::settings::Settings;
use crate::text::strip_byte_order_mark;

/// The `User-Agent` of every request.
pub const USER_AGENT_VALUE: &str = concat!("spark-customer/", env!("CARGO_PKG_VERSION"));
/// The maximum size of a JSON response in bytes.
pub const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// A customer's proxy strings, credentials included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` targets.
    pub http: Option<Secret>,
    /// For `https:` targets.
    pub https: Option<Secret>,
}

impl Proxies {
    /// Reveals the proxies of a stored record; reads a secret only when the record has the field.
    ///
    /// # Errors
    /// Errors of the store when a secret is revealed.
    pub fn reveal(record: &Record, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let reveal_field = |name: &str| match record.text(name) {
            Some(_) => secrets.reveal(&record.reference(), name),
            None => Ok(None),
        };
        Ok(Self {
            http: reveal_field(secret::HTTP_PROXY)?,
            https: reveal_field(secret::HTTPS_PROXY)?,
        })
    }
}

/// A client of Webex's API for one customer.
pub struct Webex<'a> {
    platform: &'a dyn Platform,
    base_url: String,
    redactor: Redactor,
}

impl<'a> Webex<'a> {
    /// Creates a client of the configured base URL and sets `proxies` for the rest of the call.
    ///
    /// # Errors
    /// Errors of [`use_proxies`](crate::platform::Http::use_proxies): `invalid`, and
    /// `limit-exceeded` when the host's policy forbids a proxy.
    pub fn new(
        platform: &'a dyn Platform,
        settings: &Settings,
        proxies: &Proxies,
    ) -> Result<Self, Failure> {
        platform.use_proxies(proxies.http.as_ref(), proxies.https.as_ref())?;
        let mut redactor = Redactor::default();
        for proxy in [&proxies.http, &proxies.https].into_iter().flatten() {
            redactor.add_proxy(proxy);
        }
        Ok(Self {
            platform,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            redactor,
        })
    }

    /// Requests JSON with `GET {base}{path_and_query}`; the path starts with a slash.
    ///
    /// # Errors
    /// Any response other than JSON of status 200 without an `error` in it.
    pub fn get_json(&self, path_and_query: &str, token: &Secret) -> Result<Value, WebexError> {
        let address = self.address(path_and_query);
        let (request, response) = self.exchange(Method::GET, &address, token)?;
        self.parse_json(&request, &response, token)
    }

    /// Parses the body of a successful response as JSON.
    pub(super) fn parse_json(
        &self,
        request: &str,
        response: &HttpResponse,
        token: &Secret,
    ) -> Result<Value, WebexError> {
        let unusable = |reason| {
            let head = ResponseHead::from_response(response, self.now());
            WebexError::unusable(request, head, reason, &self.redactor_with(&[token]))
        };
        check_content(response).map_err(unusable)?;
        let content: Value = serde_json::from_slice(strip_byte_order_mark(response.body()))
            .map_err(|_| unusable("the response is not JSON"))?;
        match content.as_object().and_then(ErrorBody::from_success) {
            None => Ok(content),
            Some(body) => {
                let head = ResponseHead::from_response(response, self.now());
                let redactor = self.redactor_with(&[token]);
                Err(WebexError::from_success(request, head, &body, &redactor))
            }
        }
    }

    /// Asks for the time of the server: the `Date` of its response to a request without a token.
    pub fn fetch_server_time(&self) -> Option<UnixMillis> {
        let request = HttpRequest::new(Vec::new());
        let (mut parts, body) = request.into_parts();
        parts.uri = self.address("/people/me").parse().ok()?;
        let response = self.send(HttpRequest::from_parts(parts, body)).ok()?;
        let date = response.headers().get(http::header::DATE)?.to_str().ok()?;
        let date = httpdate::parse_http_date(date).ok()?;
        let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok().map(UnixMillis)
    }

    /// Sends `DELETE {base}{path_and_query}`.
    ///
    /// # Errors
    /// Any response other than success.
    pub fn delete(&self, path_and_query: &str, token: &Secret) -> Result<(), WebexError> {
        let address = self.address(path_and_query);
        self.exchange(Method::DELETE, &address, token).map(drop)
    }

    /// Sends a request with `token` to a complete URL of the API; returns its label and the
    /// response.
    ///
    /// # Errors
    /// Any response other than success.
    pub(super) fn exchange(
        &self,
        method: Method,
        address: &str,
        token: &Secret,
    ) -> Result<(String, HttpResponse), WebexError> {
        self.exchange_json(method, address, None, token)
    }

    /// Sends a request as [`exchange`](Self::exchange) does, with a body of JSON.
    ///
    /// # Errors
    /// Any response other than success.
    pub(super) fn exchange_json(
        &self,
        method: Method,
        address: &str,
        body: Option<&Value>,
        token: &Secret,
    ) -> Result<(String, HttpResponse), WebexError> {
        let request = label(&method, address);
        let redactor = self.redactor_with(&[token]);
        let built = build_request(method, address, body, token).map_err(|(kind, reason)| {
            WebexError::new(kind, request.clone(), Some(reason.to_owned()))
        })?;
        let response = self
            .send(built)
            .map_err(|error| WebexError::from_http_error(&request, &error, &redactor))?;
        if response.status().is_success() {
            Ok((request, response))
        } else {
            let now = self.now();
            Err(WebexError::from_response(
                &request, &response, now, &redactor,
            ))
        }
    }

    /// Sends the request of a later [`exchange`](Self::exchange) with `GET` without waiting for the response, if the
    /// platform can do so.
    pub(super) fn send_ahead(&self, address: &str, token: &Secret) {
        if let Ok(request) = build_request(Method::GET, address, None, token) {
            self.platform.send_ahead(complete_headers(request));
        }
    }

    /// Sends a request with this product's `User-Agent`.
    pub(super) fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.platform.send(complete_headers(request))
    }

    /// Returns the complete URL of `path`.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Creates a redactor of the proxies' passwords and `secrets`.
    pub(super) fn redactor_with(&self, secrets: &[&Secret]) -> Redactor {
        let mut redactor = self.redactor.clone();
        for secret in secrets {
            redactor.add_secret(secret);
        }
        redactor
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.platform.now()
    }
}

/// Builds a request with `token` and, if there is a body, its content type. An error says why the request cannot be sent.
fn build_request(
    method: Method,
    address: &str,
    body: Option<&Value>,
    token: &Secret,
) -> Result<HttpRequest, (ErrorKind, &'static str)> {
    let Some(authorization) = bearer(token) else {
        let reason = "the access token has characters that no token can have";
        return Err((ErrorKind::Unauthorized, reason));
    };
    let mut built = http::Request::builder()
        .method(method)
        .uri(address)
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, authorization);
    if body.is_some() {
        built = built.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map(|body| body.to_string().into_bytes());
    built
        .body(body.unwrap_or_default())
        .map_err(|_| (ErrorKind::Rejected, "the address is not valid"))
}

/// Adds this product's `User-Agent`.
fn complete_headers(mut request: HttpRequest) -> HttpRequest {
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
    // The host sets the length of what it sends; a second value could only contradict it.
    headers.remove(CONTENT_LENGTH);
    request
}

/// Checks that a successful response has a body that can be parsed.
///
/// # Errors
/// A text that says why the body cannot be parsed.
pub(super) fn check_content(response: &HttpResponse) -> Result<(), &'static str> {
    if response.status() != StatusCode::OK {
        return Err("the response is a success without content");
    }
    if response.body().len() > MAX_JSON_BYTES {
        return Err("the response is larger than expected");
    }
    Ok(())
}

/// Returns a request's label in messages: its method and its URL without the query.
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

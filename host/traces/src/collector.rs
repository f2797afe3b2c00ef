//! The collector: requests over the host's egress client, and their outcome.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use parking_lot::Mutex;
use prost::Message as _;
use relation_host::egress::{Deadline, Transport, TransportError};
use tokio::time::Instant;

use crate::TracesOptions;

/// The failure of a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct SendFailure {
    /// The reason, without a secret.
    pub reason: String,
    /// Whether the same spans may be accepted later.
    pub is_temporary: bool,
    /// The pause that the collector asks for.
    pub retry_after: Option<Duration>,
}

impl SendFailure {
    fn temporary(reason: String) -> Self {
        Self {
            reason,
            is_temporary: true,
            retry_after: None,
        }
    }

    fn from_response(response: &Response<Bytes>) -> Self {
        let status = response.status();
        Self {
            reason: format!("it responds with status {}", status.as_u16()),
            // By the specification of OTLP, others are not repeated.
            is_temporary: matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            retry_after: read_retry_after(response.headers(), SystemTime::now()),
        }
    }
}

/// The client of the collector. Clones share the outcome of the latest request.
#[derive(Clone)]
pub(crate) struct Collector {
    options: Arc<TracesOptions>,
    failure: Arc<Mutex<Option<SendFailure>>>,
    /// The number of spans that the collector has rejected of requests that it accepted.
    rejected: Arc<AtomicU64>,
}

impl Collector {
    pub(crate) fn new(options: TracesOptions) -> Self {
        Self {
            options: Arc::new(options),
            failure: Arc::default(),
            rejected: Arc::default(),
        }
    }

    /// Returns the address without path, for messages.
    pub(crate) fn origin(&self) -> String {
        let endpoint = &self.options.endpoint;
        let scheme = endpoint.scheme_str().unwrap_or_default();
        let authority = endpoint.authority().map(|authority| authority.as_str());
        format!("{scheme}://{}", authority.unwrap_or_default())
    }

    /// Takes the failure of the latest request, if it failed.
    pub(crate) fn take_failure(&self) -> Option<SendFailure> {
        self.failure.lock().take()
    }

    /// Takes the number of rejected spans since the latest call.
    pub(crate) fn take_rejected(&self) -> u64 {
        self.rejected.swap(0, Ordering::Relaxed)
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendFailure> {
        let options = &*self.options;
        let (head, body) = request.into_parts();
        // The exporter would add the header fields of the environment, also to those of the configuration.
        let mut headers = (options.headers)().map_err(SendFailure::temporary)?;
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            if let Some(value) = head.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let agent = format!("relation-host/{}", options.service_version);
        if let Ok(agent) = HeaderValue::from_str(&agent) {
            headers.insert(header::USER_AGENT, agent);
        }
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = options.endpoint.clone();
        *request.headers_mut() = headers;
        let deadline = Deadline(Instant::now() + options.timeout);
        request.extensions_mut().insert(deadline);
        let sent = Transport::send(&options.client, request, options.proxy.as_ref()).await;
        let response = match sent {
            // The head says whether the spans were accepted.
            Ok(response) | Err(TransportError::EgressInBody(response, _)) => response,
            Err(TransportError::Egress(error)) => {
                return Err(SendFailure::temporary(error.to_string()));
            }
            Err(_) => return Err(SendFailure::temporary("it sent no response".to_owned())),
        };
        match response.status().is_success() {
            true => {
                let rejected = count_rejected(response.body());
                self.rejected.fetch_add(rejected, Ordering::Relaxed);
                // The exporter would only log the body.
                Ok(response.map(|_| Bytes::new()))
            }
            false => Err(SendFailure::from_response(&response)),
        }
    }
}

/// Returns the number of spans that a response rejects; 0 for a body of another form.
fn count_rejected(body: &[u8]) -> u64 {
    let response = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    let rejected = response
        .partial_success
        .map_or(0, |partial| partial.rejected_spans);
    rejected.try_into().unwrap_or_default()
}

/// Returns the pause of a `Retry-After`: a number of seconds, or a date.
fn read_retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .ok(),
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = self.exchange(request).await;
        *self.failure.lock() = result.as_ref().err().cloned();
        result.map_err(Into::into)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let date = httpdate::fmt_http_date(now + Duration::from_secs(30));
        for (text, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            (date.as_str(), Some(30)),
            ("soon", None),
            ("-1", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ] {
            let headers = [(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap())];
            let found = read_retry_after(&headers.into_iter().collect(), now);
            assert_eq!(found, expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn rejected_spans_of_a_partial_success_are_counted() {
        // Field 1 is the partial success, whose field 1 is the number.
        assert_eq!(count_rejected(&[0x0a, 0x02, 0x08, 0x07]), 7);
        assert_eq!(count_rejected(b""), 0);
        assert_eq!(count_rejected(b"garbage"), 0);
    }

    #[test]
    fn only_overload_and_gateways_are_temporary() {
        for (status, expected) in [
            (400, false),
            (401, false),
            (429, true),
            (500, false),
            (503, true),
        ] {
            let response = Response::builder()
                .status(status)
                .body(Bytes::new())
                .unwrap();
            let failure = SendFailure::from_response(&response);
            assert_eq!(failure.is_temporary, expected, "{status}");
        }
    }
}

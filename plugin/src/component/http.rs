//! Sends requests over `wasi:http` and reads the complete responses.

use std::cell::RefCell;

use http::{HeaderName, HeaderValue, Method, Uri};

use crate::contract::bindings::automate::platform::egress;
use crate::contract::bindings::wasi::http::outgoing_handler;
use crate::contract::bindings::wasi::http::types::{
    self as contract, ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse,
    OutgoingBody, OutgoingRequest, Scheme,
};
use crate::contract::bindings::wasi::io::streams::{OutputStream, StreamError};
use crate::platform::{HttpError, HttpRequest, HttpResponse};

/// The maximum size of one write in bytes (`blocking-write-and-flush` of `wasi:io/streams`).
const MAX_WRITE_BYTES: usize = 4096;
/// The size of one read in bytes.
const READ_BYTES: u64 = 64 * 1024;
/// The maximum size of a response in bytes; the host's own limit is usually lower.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

thread_local! {
    /// The request that was sent ahead.
    static AHEAD: RefCell<Option<Exchange>> = const { RefCell::new(None) };
}

/// A request that was sent.
struct Exchange {
    request: HttpRequest,
    // Whether the body was sent.
    written: Result<(), ErrorCode>,
    response: Result<FutureIncomingResponse, HttpError>,
}

/// Sends `request` and reads the complete response. Takes the response of [`send_ahead`] if the request is the same.
pub(super) fn send(request: HttpRequest) -> Result<HttpResponse, HttpError> {
    match AHEAD.take() {
        Some(exchange) if is_same(&exchange.request, &request) => exchange,
        _ => Exchange::begin(request),
    }
    .finish()
}

/// Sends `request` without waiting for the response, which a later [`send`] of the same request takes.
pub(super) fn send_ahead(request: HttpRequest) {
    AHEAD.replace(Some(Exchange::begin(request)));
}

fn is_same(one: &HttpRequest, other: &HttpRequest) -> bool {
    one.method() == other.method()
        && one.uri() == other.uri()
        && one.headers() == other.headers()
        && one.body() == other.body()
}

impl Exchange {
    fn begin(request: HttpRequest) -> Self {
        let (response, written) = match begin(&request) {
            Ok((response, written)) => (Ok(response), written),
            Err(error) => (Err(error), Ok(())),
        };
        Self {
            request,
            written,
            response,
        }
    }

    fn finish(self) -> Result<HttpResponse, HttpError> {
        let uri = self.request.uri();
        let to_error = |code: ErrorCode| into_http_error(code, uri);
        let future = self.response?;
        let response = loop {
            if let Some(response) = future.get() {
                break response;
            }
            future.subscribe().block();
        };
        let response = response
            .map_err(|()| network_error("the response was already taken from the host"))?
            .map_err(to_error)?;
        self.written.map_err(to_error)?;
        read(response, uri)
    }
}

type PendingResponse = (FutureIncomingResponse, Result<(), ErrorCode>);

/// Sends the request and its body.
fn begin(request: &HttpRequest) -> Result<PendingResponse, HttpError> {
    let (head, body) = (request, request.body());
    let outgoing = OutgoingRequest::new(fields(head.headers(), body.len())?);
    let described = outgoing
        .set_method(&method(head.method()))
        .and_then(|()| outgoing.set_scheme(scheme(head.uri()).as_ref()))
        .and_then(|()| outgoing.set_authority(head.uri().authority().map(|part| part.as_str())))
        .and_then(|()| {
            outgoing.set_path_with_query(head.uri().path_and_query().map(|part| part.as_str()))
        });
    described.map_err(|()| network_error("the host refuses the request's method or address"))?;
    // Requesting the body resource, even for an empty body, would announce a body.
    let sink = if body.is_empty() {
        None
    } else {
        let sink = outgoing.body();
        Some(sink.map_err(|()| network_error("the host does not accept a request body"))?)
    };
    let to_error = |code: ErrorCode| into_http_error(code, head.uri());
    let future = outgoing_handler::handle(outgoing, None).map_err(to_error)?;
    // The host reads the body while it sends. If it stops, the response says why.
    let written = sink.map_or(Ok(()), |sink| write(sink, body));
    Ok((future, written))
}

fn fields(headers: &http::HeaderMap, length: usize) -> Result<Fields, HttpError> {
    let mut entries: Vec<(String, Vec<u8>)> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    if length > 0 {
        let name = http::header::CONTENT_LENGTH.as_str().to_owned();
        entries.push((name, length.to_string().into_bytes()));
    }
    Fields::from_list(&entries).map_err(|error| {
        network_error(&format!(
            "the host refuses a header of the request: {error}"
        ))
    })
}

fn method(method: &Method) -> contract::Method {
    match method.as_str() {
        "GET" => contract::Method::Get,
        "POST" => contract::Method::Post,
        "DELETE" => contract::Method::Delete,
        other => contract::Method::Other(other.to_owned()),
    }
}

fn scheme(uri: &Uri) -> Option<Scheme> {
    uri.scheme_str().map(|scheme| match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => Scheme::Other(other.to_owned()),
    })
}

fn write(sink: OutgoingBody, body: &[u8]) -> Result<(), ErrorCode> {
    {
        let stream = sink.write().map_err(|()| ErrorCode::InternalError(None))?;
        for chunk in body.chunks(MAX_WRITE_BYTES) {
            write_chunk(&stream, chunk)?;
        }
    }
    OutgoingBody::finish(sink, None)
}

fn write_chunk(stream: &OutputStream, chunk: &[u8]) -> Result<(), ErrorCode> {
    stream
        .blocking_write_and_flush(chunk)
        .map_err(|error| stream_error_code(&error))
}

fn read(response: IncomingResponse, target: &Uri) -> Result<HttpResponse, HttpError> {
    let to_error = |code: ErrorCode| into_http_error(code, target);
    let status = response.status();
    let headers = response.headers().entries();
    let body: IncomingBody = response
        .consume()
        .map_err(|()| network_error("the response's body was already taken from the host"))?;
    let stream = body
        .stream()
        .map_err(|()| network_error("the response's body was already taken from the host"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(to_error(stream_error_code(&error))),
        }
        if bytes.len() > MAX_RESPONSE_BYTES {
            return Err(HttpError::TooLarge(format!(
                "the response of {} is larger than {MAX_RESPONSE_BYTES} bytes",
                origin(target)
            )));
        }
    }
    let mut builder = http::Response::builder().status(status);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(&value);
        if let (Ok(name), Ok(value)) = (name, value) {
            builder = builder.header(name, value);
        }
    }
    builder
        .body(bytes)
        .map_err(|error| network_error(&format!("the response is not valid: {error}")))
}

fn stream_error_code(error: &StreamError) -> ErrorCode {
    match error {
        StreamError::Closed => ErrorCode::ConnectionTerminated,
        StreamError::LastOperationFailed(error) => contract::http_error_code(error)
            .unwrap_or_else(|| ErrorCode::InternalError(Some(error.to_debug_string()))),
    }
}

fn network_error(text: &str) -> HttpError {
    HttpError::Network(text.to_owned())
}

fn origin(target: &Uri) -> String {
    let scheme = target.scheme_str().unwrap_or_default();
    let authority = target
        .authority()
        .map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

/// Converts an error code to an error, with the host's own text if there is one, because that text
/// names the host's settings.
fn into_http_error(code: ErrorCode, target: &Uri) -> HttpError {
    let mapped = map_error_code(code, target);
    match egress::last_error() {
        None => mapped,
        Some(text) => match mapped {
            HttpError::Denied(_) => HttpError::Denied(text),
            HttpError::Limit(_) => HttpError::Limit(text),
            HttpError::ProxyCredentials(_) => HttpError::ProxyCredentials(text),
            HttpError::Network(_) => HttpError::Network(text),
            HttpError::Lost(_) => HttpError::Lost(text),
            HttpError::TooLarge(_) => HttpError::TooLarge(text),
        },
    }
}

/// Converts an error code without the host's text. The target is named by its origin only: path and
/// query may contain ids.
fn map_error_code(code: ErrorCode, target: &Uri) -> HttpError {
    let origin = origin(target);
    let limit = |what: &str| HttpError::Limit(format!("{what} is beyond the host's limits"));
    let too_large = |what: &str| HttpError::TooLarge(format!("{what} is beyond the host's limits"));
    match code {
        ErrorCode::HttpRequestDenied => HttpError::Denied(format!(
            "the host does not allow requests to {origin}: add it to `allow` in the section \
             [egress] of its configuration"
        )),
        ErrorCode::DestinationIpProhibited => HttpError::Denied(format!(
            "the host does not allow the address behind {origin}: add the address itself to \
             `allow` in the section [egress] of its configuration"
        )),
        ErrorCode::ConnectionLimitReached => limit("the number of requests or connections"),
        ErrorCode::HttpRequestBodySize(_) => limit("the size of the request"),
        ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => limit("the size of the request's headers"),
        ErrorCode::HttpResponseBodySize(_) => too_large("the size of the response"),
        ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => too_large("the size of the response's headers"),
        ErrorCode::InternalError(Some(text)) => HttpError::Lost(text),
        ErrorCode::DnsError(error) => HttpError::Network(match error.rcode {
            Some(reason) => format!("cannot find the address of {origin}: {reason}"),
            None => format!("cannot find the address of {origin}"),
        }),
        ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound => {
            HttpError::Network(format!("cannot find the address of {origin}"))
        }
        ErrorCode::ConnectionTimeout => {
            HttpError::Network(format!("connecting to {origin} took too long"))
        }
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => {
            HttpError::Lost(format!("{origin} did not respond in time"))
        }
        ErrorCode::ConnectionRefused => {
            HttpError::Network(format!("{origin} refused the connection"))
        }
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => HttpError::Lost(
            format!("the connection to {origin} ended before the response was complete"),
        ),
        ErrorCode::TlsCertificateError => {
            HttpError::Network(format!("the certificate of {origin} is not trusted"))
        }
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => {
            HttpError::Network(format!("the TLS handshake with {origin} failed"))
        }
        ErrorCode::ConfigurationError => HttpError::ProxyCredentials(format!(
            "the proxy did not accept its user or password for {origin}: correct them in the proxy \
             setting"
        )),
        // The contract's other codes of requests that were certainly not sent.
        ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid => {
            HttpError::Network(format!("the request to {origin} failed: {code:?}"))
        }
        other => HttpError::Lost(format!("the request to {origin} failed: {other:?}")),
    }
}

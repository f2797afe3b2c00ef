//! One request over `wasi:http`, from its head to the last byte of its answer.

use http::{HeaderName, HeaderValue, Method, Uri};

use super::bindings::automate::platform::egress;
use super::bindings::wasi::http::outgoing_handler;
use super::bindings::wasi::http::types::{
    self as contract, ErrorCode, Fields, IncomingBody, IncomingResponse, OutgoingBody,
    OutgoingRequest, Scheme,
};
use super::bindings::wasi::io::streams::{OutputStream, StreamError};
use crate::platform::{HttpError, HttpRequest, HttpResponse};

/// The most that one write may carry (`blocking-write-and-flush` of `wasi:io/streams`).
const CHUNK: usize = 4096;
/// How much is asked for by one read.
const READ: u64 = 64 * 1024;
/// More than this is no answer of Webex; the host's own limit is usually lower.
const LARGEST: usize = 32 * 1024 * 1024;

/// Sends `request` and reads the whole answer.
pub(super) fn send(request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let (head, body) = request.into_parts();
    let outgoing = OutgoingRequest::new(fields(&head.headers, body.len())?);
    let described = outgoing
        .set_method(&method(&head.method))
        .and_then(|()| outgoing.set_scheme(scheme(&head.uri).as_ref()))
        .and_then(|()| outgoing.set_authority(head.uri.authority().map(|part| part.as_str())))
        .and_then(|()| {
            outgoing.set_path_with_query(head.uri.path_and_query().map(|part| part.as_str()))
        });
    described.map_err(|()| broken("the host refuses the request's method or address"))?;
    // Asking for the body, even for an empty one, would announce one.
    let sink = if body.is_empty() {
        None
    } else {
        let sink = outgoing.body();
        Some(sink.map_err(|()| broken("the host takes no request body"))?)
    };
    let fault = |code: ErrorCode| in_words(code, &head.uri);
    let future = outgoing_handler::handle(outgoing, None).map_err(fault)?;
    // The host takes the body while it sends. When it stops, the answer says why.
    let written = sink.map_or(Ok(()), |sink| write(sink, &body));
    let answer = loop {
        if let Some(answer) = future.get() {
            break answer;
        }
        future.subscribe().block();
    };
    let answer = answer
        .map_err(|()| broken("the host gave the answer away"))?
        .map_err(fault)?;
    written.map_err(fault)?;
    read(answer, &head.uri)
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
        broken(&format!(
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
        for chunk in body.chunks(CHUNK) {
            write_chunk(&stream, chunk)?;
        }
    }
    OutgoingBody::finish(sink, None)
}

fn write_chunk(stream: &OutputStream, chunk: &[u8]) -> Result<(), ErrorCode> {
    stream
        .blocking_write_and_flush(chunk)
        .map_err(|error| code_of(&error))
}

fn read(answer: IncomingResponse, target: &Uri) -> Result<HttpResponse, HttpError> {
    let fault = |code: ErrorCode| in_words(code, target);
    let status = answer.status();
    let headers = answer.headers().entries();
    let body: IncomingBody = answer
        .consume()
        .map_err(|()| broken("the host gave the answer's body away"))?;
    let stream = body
        .stream()
        .map_err(|()| broken("the host gave the answer's body away"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(fault(code_of(&error))),
        }
        if bytes.len() > LARGEST {
            return Err(HttpError::TooLarge(format!(
                "the answer of {} is larger than {LARGEST} bytes",
                origin(target)
            )));
        }
    }
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(&value);
        if let (Ok(name), Ok(value)) = (name, value) {
            response = response.header(name, value);
        }
    }
    response
        .body(bytes)
        .map_err(|error| broken(&format!("the answer makes no sense: {error}")))
}

fn code_of(error: &StreamError) -> ErrorCode {
    match error {
        StreamError::Closed => ErrorCode::ConnectionTerminated,
        StreamError::LastOperationFailed(error) => contract::http_error_code(error)
            .unwrap_or_else(|| ErrorCode::InternalError(Some(error.to_debug_string()))),
    }
}

fn broken(text: &str) -> HttpError {
    HttpError::Network(text.to_owned())
}

fn origin(target: &Uri) -> String {
    let scheme = target.scheme_str().unwrap_or_default();
    let authority = target
        .authority()
        .map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

/// What an error code means, and to whom: in the host's own words, which name its settings, where it
/// has any.
fn in_words(code: ErrorCode, target: &Uri) -> HttpError {
    let meant = of_code(code, target);
    match egress::last_error() {
        None => meant,
        Some(words) => match meant {
            HttpError::Denied(_) => HttpError::Denied(words),
            HttpError::Limit(_) => HttpError::Limit(words),
            HttpError::Network(_) => HttpError::Network(words),
            HttpError::Lost(_) => HttpError::Lost(words),
            HttpError::TooLarge(_) => HttpError::TooLarge(words),
        },
    }
}

/// What an error code means by itself. The target is named by its origin alone: path and query may
/// carry ids.
fn of_code(code: ErrorCode, target: &Uri) -> HttpError {
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
        | ErrorCode::HttpRequestTrailerSize(_) => limit("the size of the request's head"),
        ErrorCode::HttpResponseBodySize(_) => too_large("the size of the answer"),
        ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_) => too_large("the size of the answer's head"),
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
            HttpError::Lost(format!("{origin} did not answer in time"))
        }
        ErrorCode::ConnectionRefused => {
            HttpError::Network(format!("{origin} refused the connection"))
        }
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => HttpError::Lost(
            format!("the connection to {origin} ended before the whole answer was there"),
        ),
        ErrorCode::TlsCertificateError => {
            HttpError::Network(format!("the certificate of {origin} is not trusted"))
        }
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => {
            HttpError::Network(format!("no secure connection to {origin} came about"))
        }
        // The contract's other codes of requests that were certainly not sent.
        ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConfigurationError
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid => {
            HttpError::Network(format!("the request to {origin} failed: {code:?}"))
        }
        other => HttpError::Lost(format!("the request to {origin} failed: {other:?}")),
    }
}

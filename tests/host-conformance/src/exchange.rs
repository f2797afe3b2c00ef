//! A request and its response over `wasi:http`, for the egress checks.

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    self as http, ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::outcome::{CheckFailure, fail};

/// The maximum number of bytes of one write.
const CHUNK: usize = 4096;
/// The bytes requested by one read.
const READ: u64 = 64 * 1024;

/// A request.
pub struct Request<'a> {
    pub post: bool,
    /// `http://HOST:PORT`.
    pub origin: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    /// The timeout of each phase, in milliseconds.
    pub timeout_ms: Option<u64>,
}

impl<'a> Request<'a> {
    /// Creates a GET request.
    pub fn get(origin: &'a str, path: &'a str) -> Self {
        Self {
            post: false,
            origin,
            path,
            headers: &[],
            body: &[],
            timeout_ms: None,
        }
    }
}

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the values of a header field.
    pub fn header(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

/// Returns whether the code means that the request was not sent. Other codes leave that open.
pub fn certainly_not_sent(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::DestinationIpProhibited
            | ErrorCode::DestinationIpUnroutable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_)
            | ErrorCode::HttpRequestDenied
            | ErrorCode::HttpRequestLengthRequired
            | ErrorCode::HttpRequestBodySize(_)
            | ErrorCode::HttpRequestMethodInvalid
            | ErrorCode::HttpRequestUriInvalid
            | ErrorCode::HttpRequestUriTooLong
            | ErrorCode::HttpRequestHeaderSectionSize(_)
            | ErrorCode::HttpRequestHeaderSize(_)
            | ErrorCode::HttpRequestTrailerSectionSize(_)
            | ErrorCode::HttpRequestTrailerSize(_)
            | ErrorCode::ConfigurationError
    )
}

/// Sends a request, which must succeed.
pub fn send_ok(request: &Request<'_>) -> Result<Response, CheckFailure> {
    send(request).or_else(|code| {
        fail(format!(
            "{}{} got no response: {code:?}",
            request.origin, request.path
        ))
    })
}

/// Sends a request and reads the whole response.
pub fn send(request: &Request<'_>) -> Result<Response, ErrorCode> {
    let broken = || ErrorCode::InternalError(Some("a step of wasi:http was refused".into()));
    let mut headers: Vec<(String, Vec<u8>)> = request
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    if request.post {
        let length = request.body.len().to_string();
        headers.push(("content-length".into(), length.into_bytes()));
    }
    let fields = Fields::from_list(&headers).map_err(|_| broken())?;
    let (scheme, authority) = match request.origin.split_once("://") {
        Some(("https", authority)) => (Scheme::Https, authority),
        Some((_, authority)) => (Scheme::Http, authority),
        None => (Scheme::Http, request.origin),
    };
    let outgoing = OutgoingRequest::new(fields);
    let method = if request.post {
        Method::Post
    } else {
        Method::Get
    };
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(request.path)))
        .map_err(|()| broken())?;
    let options = match request.timeout_ms {
        None => None,
        Some(millis) => Some(timeouts(millis).map_err(|()| broken())?),
    };
    let sink = if request.post {
        Some(outgoing.body().map_err(|()| broken())?)
    } else {
        None
    };
    let future = outgoing_handler::handle(outgoing, options)?;
    let written = sink.map_or(Ok(()), |sink| write(sink, request.body));
    let response = loop {
        if let Some(response) = future.get() {
            break response.map_err(|()| broken())??;
        }
        future.subscribe().block();
    };
    written?;
    read(response)
}

fn timeouts(millis: u64) -> Result<RequestOptions, ()> {
    let options = RequestOptions::new();
    let each = Some(millis * 1_000_000);
    options.set_connect_timeout(each)?;
    options.set_first_byte_timeout(each)?;
    options.set_between_bytes_timeout(each)?;
    Ok(options)
}

fn write(sink: OutgoingBody, body: &[u8]) -> Result<(), ErrorCode> {
    {
        let stream = sink.write().map_err(|()| ErrorCode::InternalError(None))?;
        for chunk in body.chunks(CHUNK) {
            stream
                .blocking_write_and_flush(chunk)
                .map_err(|error| code_of(&error))?;
        }
    }
    OutgoingBody::finish(sink, None)
}

fn read(response: IncomingResponse) -> Result<Response, ErrorCode> {
    let status = response.status();
    let headers = response.headers().entries();
    let body = response
        .consume()
        .map_err(|()| ErrorCode::InternalError(None))?;
    let stream = body.stream().map_err(|()| ErrorCode::InternalError(None))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(code_of(&error)),
        }
    }
    Ok(Response {
        status,
        headers,
        body: bytes,
    })
}

fn code_of(error: &StreamError) -> ErrorCode {
    match error {
        StreamError::Closed => ErrorCode::ConnectionTerminated,
        StreamError::LastOperationFailed(error) => http::http_error_code(error)
            .unwrap_or_else(|| ErrorCode::InternalError(Some(error.to_debug_string()))),
    }
}

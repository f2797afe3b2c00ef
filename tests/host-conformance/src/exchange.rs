//! One exchange over `wasi:http`, as the checks of the way out need it.

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    self as http, ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::verdict::{Verdict, failed};

/// The most that one write may carry.
const CHUNK: usize = 4096;
/// How much is asked for by one read.
const READ: u64 = 64 * 1024;

/// What is sent.
pub struct Request<'a> {
    pub post: bool,
    /// `http://HOST:PORT`.
    pub origin: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    /// The most time for each stage, in milliseconds.
    pub patience: Option<u64>,
}

impl<'a> Request<'a> {
    /// A GET without anything.
    pub fn get(origin: &'a str, path: &'a str) -> Self {
        Self {
            post: false,
            origin,
            path,
            headers: &[],
            body: &[],
            patience: None,
        }
    }
}

/// What came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The values of a header field.
    pub fn header(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

/// Whether the code says that a request was certainly not sent; every other leaves that open.
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

/// An exchange that has to succeed.
pub fn answered(request: &Request<'_>) -> Result<Answer, Verdict> {
    exchange(request).or_else(|code| {
        failed(format!(
            "{}{} was not answered: {code:?}",
            request.origin, request.path
        ))
    })
}

/// Sends a request and reads the whole answer.
pub fn exchange(request: &Request<'_>) -> Result<Answer, ErrorCode> {
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
    let options = match request.patience {
        None => None,
        Some(millis) => Some(patience(millis).map_err(|()| broken())?),
    };
    let sink = if request.post {
        Some(outgoing.body().map_err(|()| broken())?)
    } else {
        None
    };
    let future = outgoing_handler::handle(outgoing, options)?;
    let written = sink.map_or(Ok(()), |sink| write(sink, request.body));
    let answer = loop {
        if let Some(answer) = future.get() {
            break answer.map_err(|()| broken())??;
        }
        future.subscribe().block();
    };
    written?;
    read(answer)
}

fn patience(millis: u64) -> Result<RequestOptions, ()> {
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

fn read(answer: IncomingResponse) -> Result<Answer, ErrorCode> {
    let status = answer.status();
    let headers = answer.headers().entries();
    let body = answer
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
    Ok(Answer {
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

//! A tunnel through a proxy by `CONNECT` (RFC 9110, section 9.3.6).

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::error::{EgressError, Peer, RequestPhase};
use super::origin::Origin;
use super::proxy::ProxyUrl;
use super::stream::Stream;

/// The header limit of a proxy's response to `CONNECT`, which is short; some proxies add
/// explanatory fields.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Asks the proxy at the other end of `stream` to connect to the target.
pub(super) async fn open(
    stream: Stream,
    target: &Origin,
    proxy: &ProxyUrl,
) -> Result<Stream, EgressError> {
    let failed = |reason: &str| EgressError::Protocol {
        peer: Peer::Proxy(proxy.origin().clone()),
        reason: reason.to_owned(),
        phase: RequestPhase::Proxy,
    };
    let died = |_| EgressError::Closed {
        peer: Peer::Proxy(proxy.origin().clone()),
        phase: RequestPhase::Proxy,
    };
    let request = request(target, proxy).map_err(|_| failed("the target has no authority form"))?;
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEADER_BYTES);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(died)?;
    let mut connection = std::pin::pin!(connection.without_shutdown());
    let mut response = std::pin::pin!(sender.send_request(request));
    // Once the response has opened the tunnel, the connection ends and returns its stream. Without
    // a response the connection ends with an error, and the response's future fails too.
    let mut parts = None;
    let response = loop {
        tokio::select! {
            biased;
            response = &mut response => break response,
            ended = &mut connection, if parts.is_none() => parts = Some(ended),
        }
    };
    let response = response.map_err(|error| {
        if error.is_parse() || error.is_parse_too_large() {
            failed("it is not HTTP/1.1")
        } else {
            died(error)
        }
    })?;
    if !response.status().is_success() {
        return Err(refusal(response.status(), proxy));
    }
    let parts = match parts {
        Some(parts) => parts,
        None => connection.await,
    };
    let parts = parts.map_err(died)?;
    if parts.read_buf.is_empty() {
        Ok(parts.io.into_inner())
    } else {
        Err(failed("it sent data of its own into the tunnel"))
    }
}

/// Creates the error for a proxy's refusal.
pub(super) fn refusal(status: StatusCode, proxy: &ProxyUrl) -> EgressError {
    EgressError::Proxy {
        proxy: proxy.origin().clone(),
        status,
        had_credentials: proxy.has_credentials(),
    }
}

fn request(target: &Origin, proxy: &ProxyUrl) -> Result<Request<Empty<Bytes>>, http::Error> {
    let authority = target.host_and_port();
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .header(header::HOST, HeaderValue::from_str(&authority)?)
        .uri(authority)
        .body(Empty::new())?;
    if let Some(value) = proxy.authorization() {
        request
            .headers_mut()
            .insert(header::PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}

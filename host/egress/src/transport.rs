//! A transport without sockets: implement [`Transport`] to send the permitted requests another way.
//! For tests and for observers.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, timeout_at};

use super::body::LimitedBody;
use super::client::{Client, ClientOptions, status_error};
use super::error::{EgressError, Limit, RequestPhase};
use super::pool::{RequestBody, Route};
use super::proxy::{Proxies, ProxyUrl};

/// A sender of requests in place of a network. It returns whole responses.
///
/// [`Client`] implements this trait, so an observer can forward requests to a client. The result is
/// the same as without the observer, except that the response head is returned together with the
/// body.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request. Its URI is always absolute; its header fields are those that would be
    /// written to the wire. `proxy` is the proxy that the request would use. The request's
    /// extensions contain a [`Deadline`].
    async fn send(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError>;
}

/// The time by which the whole response must be received; the caller does not wait longer.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// The timeout of a client as a transport if a request has no [`Deadline`]: the default of a call.
const DEFAULT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// The maximum number of header fields in a response (hyper's own limit).
const MAX_FIELDS: usize = 100;

/// The reason why there is no whole response: the errors of a client on a real network.
#[derive(Clone, Debug)]
pub enum TransportError {
    /// The name was not found; the request was not sent.
    Unresolved,
    /// The connection was refused; the request was not sent.
    Refused,
    /// TLS failed; the request was not sent.
    Untrusted,
    /// No response arrived before the deadline. Reported without waiting.
    Timeout,
    /// The connection ended after the request was sent and before a response.
    Reset,
    /// The response is not HTTP.
    Garbled,
    /// The connection ended within the body, after this part of the response.
    Cut(Response<Bytes>),
    /// The deadline passed within the body, after this part of the response.
    Stalled(Response<Bytes>),
    /// An error of a client on a real network, passed on unchanged.
    Egress(EgressError),
    /// The same within the body, after this part of the response.
    EgressInBody(Response<Bytes>, EgressError),
}

#[async_trait]
impl Transport for Client {
    async fn send(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        let deadline = request.extensions().get::<Deadline>();
        let deadline =
            deadline.map_or_else(|| Instant::now() + DEFAULT_TIMEOUT, |deadline| deadline.0);
        let mut request = request.map(Full::new);
        // The client sets both fields itself.
        request.headers_mut().remove(header::HOST);
        request.headers_mut().remove(header::PROXY_AUTHORIZATION);
        let proxies = Proxies {
            http: proxy.cloned(),
            https: proxy.cloned(),
        };
        let response = self.send(request, &proxies, deadline).await;
        let (head, mut body) = response.map_err(TransportError::Egress)?.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        whole.extend_from_slice(&data);
                    }
                }
                Err(error) => {
                    let part = Response::from_parts(head, whole.freeze());
                    return Err(TransportError::EgressInBody(part, error));
                }
            }
        }
        Ok(Response::from_parts(head, whole.freeze()))
    }
}

/// Sends a prepared request over a transport.
pub(super) async fn exchange(
    transport: &dyn Transport,
    request: Request<RequestBody>,
    route: &Route,
    deadline: Instant,
    options: &ClientOptions,
) -> Result<Response<LimitedBody>, EgressError> {
    let outcome = timeout_at(deadline, async {
        let mut request = collect_request(request, route).await?;
        request.extensions_mut().insert(Deadline(deadline));
        let outcome = transport.send(request, route.proxy.as_ref()).await;
        match outcome {
            Ok(response) => Ok((response, None)),
            Err(error) => into_egress_error(error, route),
        }
    });
    let (response, body_error) = match outcome.await {
        Ok(outcome) => outcome?,
        Err(_) => into_egress_error(TransportError::Timeout, route)?,
    };
    if let Some(error) = status_error(response.status(), route) {
        return Err(error);
    }
    let (head, body) = response.into_parts();
    let too_large = |limit, bytes| EgressError::Limit {
        limit,
        origin: route.target.origin().clone(),
        bytes,
    };
    if header_bytes(&head.headers) > options.max_header_bytes || head.headers.len() > MAX_FIELDS {
        let bytes = u64::try_from(options.max_header_bytes).unwrap_or(u64::MAX);
        return Err(too_large(Limit::ResponseHead, bytes));
    }
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if length > options.max_response_bytes {
        return Err(too_large(Limit::ResponseBody, options.max_response_bytes));
    }
    Ok(Response::from_parts(
        head,
        LimitedBody::buffered(body, body_error),
    ))
}

/// Returns the size of the header fields on the wire, in bytes.
fn header_bytes(fields: &HeaderMap) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + ": ".len() + value.len() + "\r\n".len()
    };
    fields.iter().map(field).sum()
}

/// Collects the request's body and makes its URI absolute.
async fn collect_request(
    request: Request<RequestBody>,
    route: &Route,
) -> Result<Request<Bytes>, EgressError> {
    let (mut head, body) = request.into_parts();
    let origin = route.target.origin();
    let uri = Uri::builder()
        .scheme(origin.scheme().as_str())
        .authority(origin.authority());
    let path = head.uri.path_and_query().cloned();
    let uri = uri.path_and_query(path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")));
    head.uri = uri.build().map_err(|error| EgressError::Refused {
        reason: format!("its address cannot be written: {error}"),
    })?;
    let body = body.collect().await;
    let body = body.map_err(|_| EgressError::RequestBody {
        origin: origin.clone(),
    })?;
    Ok(Request::from_parts(head, body.to_bytes()))
}

/// Converts a transport error. An error within the body comes with the received part of the
/// response.
fn into_egress_error(
    error: TransportError,
    route: &Route,
) -> Result<(Response<Bytes>, Option<EgressError>), EgressError> {
    let (near, far) = (route.next_hop(), route.responder());
    Err(match error {
        TransportError::Unresolved => EgressError::Resolve {
            peer: near,
            reason: "no such name".to_owned(),
        },
        TransportError::Refused => EgressError::Connect {
            peer: near,
            reason: "connection refused".to_owned(),
            refused: true,
        },
        TransportError::Untrusted => EgressError::Tls {
            peer: far,
            reason: "its certificate is not trusted".to_owned(),
            certificate: true,
        },
        TransportError::Timeout => EgressError::Timeout {
            peer: far,
            phase: RequestPhase::Response,
        },
        TransportError::Reset => EgressError::Closed {
            peer: far,
            phase: RequestPhase::Response,
        },
        TransportError::Garbled => EgressError::Protocol {
            peer: far,
            reason: "it is not valid HTTP/1.1".to_owned(),
            phase: RequestPhase::Response,
        },
        TransportError::Cut(response) => {
            let phase = RequestPhase::Body;
            return Ok((response, Some(EgressError::Closed { peer: far, phase })));
        }
        TransportError::Stalled(response) => {
            let phase = RequestPhase::Body;
            return Ok((response, Some(EgressError::Timeout { peer: far, phase })));
        }
        TransportError::Egress(error) => error,
        TransportError::EgressInBody(response, error) => return Ok((response, Some(error))),
    })
}

//! A way out without sockets: whoever brings a [`Transport`] carries what the policy has passed. For tests,
//! and for whoever looks on.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, timeout_at};

use super::body::LimitedBody;
use super::client::{Client, ClientOptions, not_the_targets};
use super::error::{EgressError, Limit, Stage};
use super::pool::{RequestBody, Route};
use super::proxy::{Proxies, ProxyUrl};

/// Carries requests in place of a network, and answers whole.
///
/// A [`Client`] is one too: whoever only wants to look on hands the request to it. Then everything is as
/// without the transport, save that the head of an answer waits for its body.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// One exchange. The request's address is absolute, whatever the way is; its header fields are those
    /// that would be written to the wire. `proxy`: through which it would go. A [`Deadline`] is among the
    /// request's extensions.
    async fn carry(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportFault>;
}

/// When the whole answer to a carried request must be there; whoever asked waits no longer.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// How long a client waits as a transport where a request names no [`Deadline`]: as a call does by default.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// The most header fields that a client reads from a network (hyper's own bound).
const MOST_FIELDS: usize = 100;

/// Why there is no whole answer. What the client of a real network would have met.
#[derive(Clone, Debug)]
pub enum TransportFault {
    /// The name was not found; nothing was sent.
    Unresolved,
    /// The connection was refused; nothing was sent.
    Refused,
    /// No secure connection came about; nothing was sent.
    Untrusted,
    /// No answer came before the deadline. The time passes nowhere.
    Timeout,
    /// The connection ended after the request was sent and before an answer.
    Reset,
    /// What came is no HTTP.
    Garbled,
    /// The connection ended within the body, of which this much had come.
    Cut(Response<Bytes>),
    /// The rest of the body did not come before the deadline.
    Stalled(Response<Bytes>),
    /// What the client of a real network has met, told on unchanged.
    Met(EgressError),
    /// The same within the body, of which this much had come.
    MetWithin(Response<Bytes>, EgressError),
}

#[async_trait]
impl Transport for Client {
    async fn carry(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportFault> {
        let deadline = request.extensions().get::<Deadline>();
        let deadline = deadline.map_or_else(|| Instant::now() + PATIENCE, |deadline| deadline.0);
        let mut request = request.map(Full::new);
        // Both are this client's to write.
        request.headers_mut().remove(header::HOST);
        request.headers_mut().remove(header::PROXY_AUTHORIZATION);
        let proxies = Proxies {
            http: proxy.cloned(),
            https: proxy.cloned(),
        };
        let answer = self.send(request, &proxies, deadline).await;
        let (head, mut body) = answer.map_err(TransportFault::Met)?.into_parts();
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
                    return Err(TransportFault::MetWithin(part, error));
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
    let carried = timeout_at(deadline, async {
        let mut request = collected(request, route).await?;
        request.extensions_mut().insert(Deadline(deadline));
        let carried = transport.carry(request, route.proxy.as_ref()).await;
        match carried {
            Ok(answer) => Ok((answer, None)),
            Err(fault) => in_our_words(fault, route),
        }
    });
    let (answer, ends) = match carried.await {
        Ok(carried) => carried?,
        Err(_) => in_our_words(TransportFault::Timeout, route)?,
    };
    if let Some(error) = not_the_targets(answer.status(), route) {
        return Err(error);
    }
    let (head, body) = answer.into_parts();
    let too_large = |limit, bytes| EgressError::Limit {
        limit,
        origin: route.target.origin().clone(),
        bytes,
    };
    if written(&head.headers) > options.max_header_bytes || head.headers.len() > MOST_FIELDS {
        let bytes = u64::try_from(options.max_header_bytes).unwrap_or(u64::MAX);
        return Err(too_large(Limit::AnswerHead, bytes));
    }
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if length > options.max_response_bytes {
        return Err(too_large(Limit::AnswerBody, options.max_response_bytes));
    }
    Ok(Response::from_parts(head, LimitedBody::carried(body, ends)))
}

/// The bytes of header fields as they would be written.
fn written(fields: &HeaderMap) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + ": ".len() + value.len() + "\r\n".len()
    };
    fields.iter().map(field).sum()
}

/// The request with its whole body and its absolute address.
async fn collected(
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
        what: format!("its address cannot be written: {error}"),
    })?;
    let body = body.collect().await;
    let body = body.map_err(|_| EgressError::RequestBody {
        origin: origin.clone(),
    })?;
    Ok(Request::from_parts(head, body.to_bytes()))
}

/// What a fault is called on the way out; that of a body comes behind what there is of the answer.
fn in_our_words(
    fault: TransportFault,
    route: &Route,
) -> Result<(Response<Bytes>, Option<EgressError>), EgressError> {
    let (near, far) = (route.near_end(), route.far_end());
    Err(match fault {
        TransportFault::Unresolved => EgressError::Resolve {
            peer: near,
            reason: "no such name".to_owned(),
        },
        TransportFault::Refused => EgressError::Connect {
            peer: near,
            reason: "connection refused".to_owned(),
            refused: true,
        },
        TransportFault::Untrusted => EgressError::Tls {
            peer: far,
            reason: "its certificate is not trusted".to_owned(),
            certificate: true,
        },
        TransportFault::Timeout => EgressError::Timeout {
            peer: far,
            stage: Stage::Answer,
        },
        TransportFault::Reset => EgressError::Closed {
            peer: far,
            stage: Stage::Answer,
        },
        TransportFault::Garbled => EgressError::Protocol {
            peer: far,
            reason: "it is not valid HTTP/1.1".to_owned(),
            stage: Stage::Answer,
        },
        TransportFault::Cut(answer) => {
            let stage = Stage::Body;
            return Ok((answer, Some(EgressError::Closed { peer: far, stage })));
        }
        TransportFault::Stalled(answer) => {
            let stage = Stage::Body;
            return Ok((answer, Some(EgressError::Timeout { peer: far, stage })));
        }
        TransportFault::Met(error) => error,
        TransportFault::MetWithin(answer, error) => return Ok((answer, Some(error))),
    })
}

//! A way out without sockets: whoever brings a [`Transport`] carries what the policy has passed. For tests.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::body::LimitedBody;
use super::error::{EgressError, Limit, Stage};
use super::pool::{RequestBody, Route};
use super::proxy::ProxyUrl;

/// Carries requests in place of a network, and answers whole.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// One exchange. The request's address is absolute, whatever the way is; its header fields are those
    /// that would be written to the wire. `proxy`: through which it would go.
    async fn carry(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportFault>;
}

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
}

/// Sends a prepared request over a transport.
pub(super) async fn exchange(
    transport: &dyn Transport,
    request: Request<RequestBody>,
    route: &Route,
    deadline: Instant,
    most_bytes: u64,
) -> Result<Response<LimitedBody>, EgressError> {
    let carried = timeout_at(deadline, async {
        let request = collected(request, route).await?;
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
    let (head, body) = answer.into_parts();
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if length > most_bytes {
        return Err(EgressError::Limit {
            limit: Limit::AnswerBody,
            origin: route.target.origin().clone(),
            bytes: most_bytes,
        });
    }
    Ok(Response::from_parts(head, LimitedBody::carried(body, ends)))
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
    })
}

//! The processing of one request, from its recording to its response or a reset.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tower_service::Service as _;
use url::form_urlencoded;

use crate::api;
use crate::control;
use crate::errors::{self, Tracking};
use crate::faults::{FaultKind, RequestFaults};
use crate::garble::{self, GarbledResponse};
use crate::gate::ProcessingStage;
use crate::ids::Digest;
use crate::record::{Flight, InvalidatedTokens, Outcome, RecordedRequest};
use crate::shared::Shared;
use crate::token_endpoint::{self, Form};
use crate::webex::Webex;

/// Maximum size of a request body in bytes; requests of the emulated API are far smaller.
const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// Query parameters whose values are not recorded.
const SECRET_PARAMETERS: [&str; 7] = [
    "access_token",
    "client_secret",
    "code",
    "code_verifier",
    "refresh_token",
    "state",
    "token",
];

/// The reason why a connection ends without a response.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum ConnectionEnd {
    /// The connection has to be reset.
    #[error("the connection is reset on purpose")]
    Reset { processed: bool },
    /// The client has disconnected.
    #[error("the client has disconnected")]
    Disconnected { processed: bool },
}

/// The way in which a latency passes.
#[derive(Debug)]
pub(crate) enum Latency {
    /// In real time.
    Real,
    /// As a sum, up to the client's timeout.
    Simulated {
        elapsed: Duration,
        timeout: Duration,
    },
}

impl Latency {
    /// Waits for the latency. Returns false if the client has disconnected meanwhile.
    async fn wait(&mut self, latency: Duration) -> bool {
        match self {
            Self::Real => {
                tokio::time::sleep(latency).await;
                true
            }
            Self::Simulated { elapsed, timeout } => {
                *elapsed = elapsed.saturating_add(latency);
                *elapsed < *timeout
            }
        }
    }
}

/// Handles a request over a connection; an error means that the connection has to be reset.
pub(crate) async fn serve(
    webex: Webex,
    request: Request<Incoming>,
) -> Result<Response, ConnectionEnd> {
    let (head, body) = request.into_parts();
    // The rest of a longer body does not matter.
    let body = match Limited::new(body, MAX_REQUEST_BODY + 1).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(too_large(&webex.shared, head.uri.path())),
    };
    process_request(&webex, Request::from_parts(head, body), &mut Latency::Real).await
}

fn too_large(shared: &Shared, path: &str) -> Response {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    let response = errors::response(status, errors::usual_message(status));
    errors::tracked(response, &track(shared, path))
}

fn track(shared: &Shared, path: &str) -> Tracking {
    Tracking::new(shared.state().generator.tracking_id(), path)
}

/// Records a request, applies faults and gates, and returns its response.
pub(crate) async fn process_request(
    webex: &Webex,
    request: Request<Bytes>,
    latency: &mut Latency,
) -> Result<Response, ConnectionEnd> {
    let Webex { shared, router } = webex;
    let (head, body) = request.into_parts();
    if body.len() > MAX_REQUEST_BODY {
        return Ok(too_large(shared, head.uri.path()));
    }
    let tracking = track(shared, head.uri.path());
    shared.state().settle_operations();
    if head.uri.path().starts_with(control::PREFIX) {
        return Ok(route(router, Request::from_parts(head, body), &tracking).await);
    }

    let path = head.uri.path().to_owned();
    let request = to_recorded_request(&head, &body, shared.now());
    let faults = shared.faults.take(&path, request.grant_type.as_deref());
    let flight = shared.recorder.begin(request);
    for kind in faults.fault_names() {
        flight.note_fault(kind);
    }

    if !pause(shared, &path, &faults, ProcessingStage::Before, latency).await {
        return Err(ConnectionEnd::Disconnected { processed: false });
    }
    if let Some(fault) = &faults.fault {
        if matches!(fault, FaultKind::ResetBefore) {
            flight.end(Outcome::Reset, None);
            return Err(ConnectionEnd::Reset { processed: false });
        }
        if faults.prevents_processing()
            && let Some(response) = garble::replacement_response(fault)
        {
            if !pause(shared, &path, &faults, ProcessingStage::After, latency).await {
                return Err(ConnectionEnd::Disconnected { processed: false });
            }
            return Ok(finish(flight, response, &tracking, None));
        }
    }

    let mut response = route(router, Request::from_parts(head, body), &tracking).await;
    flight.note_processed();
    let learned = response.extensions_mut().remove::<InvalidatedTokens>();

    if !pause(shared, &path, &faults, ProcessingStage::After, latency).await {
        return Err(ConnectionEnd::Disconnected { processed: true });
    }
    match &faults.fault {
        Some(FaultKind::ResetAfter) => {
            flight.end(Outcome::Reset, None);
            Err(ConnectionEnd::Reset { processed: true })
        }
        Some(fault) => {
            let GarbledResponse {
                response,
                understood,
            } = garble::garble(response, fault).await;
            let learned = learned.filter(|_| understood);
            Ok(finish(flight, response, &tracking, learned))
        }
        None => Ok(finish(flight, response, &tracking, learned)),
    }
}

impl RequestFaults {
    fn fault_names(&self) -> impl Iterator<Item = &'static str> {
        let latency = self.latency.map(|_| "latency");
        latency
            .into_iter()
            .chain(self.fault.as_ref().map(FaultKind::name))
    }

    fn prevents_processing(&self) -> bool {
        match &self.fault {
            Some(FaultKind::Status { stage, .. }) => *stage == ProcessingStage::Before,
            Some(FaultKind::RateLimited { .. }) => true,
            _ => false,
        }
    }
}

async fn route(router: &Router, request: Request<Bytes>, tracking: &Tracking) -> Response {
    match router.clone().call(request.map(Body::from)).await {
        Ok(response) => errors::tracked(response, tracking),
        Err(impossible) => match impossible {},
    }
}

/// Waits for the latency and the gates of this stage. Returns false if the client disconnects
/// meanwhile.
async fn pause(
    shared: &Shared,
    path: &str,
    faults: &RequestFaults,
    stage: ProcessingStage,
    latency_mode: &mut Latency,
) -> bool {
    if let Some((latency, when)) = faults.latency
        && when == stage
        && !latency_mode.wait(latency).await
    {
        return false;
    }
    shared.gates.pass(path, stage).await;
    true
}

fn finish(
    flight: Flight,
    response: Response,
    tracking: &Tracking,
    learned: Option<InvalidatedTokens>,
) -> Response {
    flight.note_tracking_id(tracking.id());
    flight.end(Outcome::Status(response.status().as_u16()), learned);
    errors::tracked(response, tracking)
}

fn to_recorded_request(head: &http::request::Parts, body: &[u8], time: u64) -> RecordedRequest {
    let form = Form::parse(&head.headers, body);
    let basic = token_endpoint::basic(&head.headers);
    let (client_id, secret) = match &basic {
        Some(basic) => (Some(basic.client_id.as_str()), Some(basic.secret.as_str())),
        None => (form.get("client_id"), form.get("client_secret")),
    };
    RecordedRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(redact_query),
        time,
        status: Outcome::InFlight,
        processed: false,
        fault: None,
        tracking_id: None,
        grant_type: form.get("grant_type").map(str::to_owned),
        client_id: client_id.map(str::to_owned),
        client_secret: secret.map(Digest::from_secret),
        refresh_token: form.get("refresh_token").map(Digest::from_secret),
        code: form.get("code").map(Digest::from_secret),
        access_token: api::bearer(&head.headers).map(Digest::from_secret),
    }
}

/// Replaces secrets in the query by digests.
fn redact_query(query: &str) -> String {
    let is_secret = |name: &str| SECRET_PARAMETERS.contains(&name);
    if !form_urlencoded::parse(query.as_bytes()).any(|(name, _)| is_secret(&name)) {
        return query.to_owned();
    }
    let pairs = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        let value = if is_secret(&name) {
            Digest::from_secret(&value).to_string().into()
        } else {
            value
        };
        (name, value)
    });
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_recorded_with_secrets_redacted() {
        assert_eq!(redact_query("orgId=a%2Fb&max"), "orgId=a%2Fb&max");
        let kept = redact_query("a=b&token=hush");
        assert_eq!(kept, format!("a=b&token={}", Digest::from_secret("hush")));
    }
}

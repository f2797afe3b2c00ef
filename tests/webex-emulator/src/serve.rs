//! The life of one request: recorded, held, carried out or not, garbled or not, answered or reset.

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
use crate::errors;
use crate::faults::{FaultKind, Plan};
use crate::garble::{self, Garbled};
use crate::gate::Stage;
use crate::ids::Digest;
use crate::record::{Flight, Obituary, Outcome, RecordedRequest};
use crate::shared::Shared;
use crate::token_endpoint::{self, Form};
use crate::webex::Webex;

/// No request of the emulated API comes near this many bytes.
const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// Query parameters whose values are not written down.
const SECRET_PARAMETERS: [&str; 7] = [
    "access_token",
    "client_secret",
    "code",
    "code_verifier",
    "refresh_token",
    "state",
    "token",
];

/// There is no answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The connection is to be reset.
    #[error("the connection is reset on purpose")]
    Reset { processed: bool },
    /// The client has hung up.
    #[error("the client has hung up")]
    HungUp { processed: bool },
}

/// How a latency passes.
#[derive(Debug)]
pub(crate) enum Latency {
    /// By waiting.
    Real,
    /// By being summed up, until it comes to the client's patience.
    Told {
        passed: Duration,
        patience: Duration,
    },
}

impl Latency {
    /// False if the client has hung up meanwhile.
    async fn pass(&mut self, latency: Duration) -> bool {
        match self {
            Self::Real => {
                tokio::time::sleep(latency).await;
                true
            }
            Self::Told { passed, patience } => {
                *passed = passed.saturating_add(latency);
                *passed < *patience
            }
        }
    }
}

/// Answers a request that comes over a connection, or says that the connection is to be reset.
pub(crate) async fn serve(webex: Webex, request: Request<Incoming>) -> Result<Response, NoAnswer> {
    let (head, body) = request.into_parts();
    // Of a longer one it does not matter how it goes on.
    let body = match Limited::new(body, MAX_REQUEST_BODY + 1).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(too_large(&webex.shared)),
    };
    carry_out(&webex, Request::from_parts(head, body), &mut Latency::Real).await
}

fn too_large(shared: &Shared) -> Response {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    let response = errors::response(status, errors::usual_message(status));
    errors::tracked(response, &shared.state().generator.tracking_id())
}

/// Records a request, lets faults and gates meet it, and answers it.
pub(crate) async fn carry_out(
    webex: &Webex,
    request: Request<Bytes>,
    latency: &mut Latency,
) -> Result<Response, NoAnswer> {
    let Webex { shared, router } = webex;
    let (head, body) = request.into_parts();
    if body.len() > MAX_REQUEST_BODY {
        return Ok(too_large(shared));
    }
    let tracking_id = shared.state().generator.tracking_id();
    if head.uri.path().starts_with(control::PREFIX) {
        return Ok(route(router, Request::from_parts(head, body), &tracking_id).await);
    }

    let path = head.uri.path().to_owned();
    let request = written_down(&head, &body, shared.now());
    let plan = shared.faults.take(&path, request.grant_type.as_deref());
    let flight = shared.recorder.begin(request);
    for kind in plan.names() {
        flight.meets(kind);
    }

    if !pause(shared, &path, &plan, Stage::Before, latency).await {
        return Err(NoAnswer::HungUp { processed: false });
    }
    if let Some(fault) = &plan.fault {
        if matches!(fault, FaultKind::ResetBefore) {
            flight.end(Outcome::Reset, None);
            return Err(NoAnswer::Reset { processed: false });
        }
        if plan.replaces_processing()
            && let Some(response) = garble::instead(fault)
        {
            if !pause(shared, &path, &plan, Stage::After, latency).await {
                return Err(NoAnswer::HungUp { processed: false });
            }
            return Ok(finish(flight, response, &tracking_id, None));
        }
    }

    let mut response = route(router, Request::from_parts(head, body), &tracking_id).await;
    flight.processed();
    let learned = response.extensions_mut().remove::<Obituary>();

    if !pause(shared, &path, &plan, Stage::After, latency).await {
        return Err(NoAnswer::HungUp { processed: true });
    }
    match &plan.fault {
        Some(FaultKind::ResetAfter) => {
            flight.end(Outcome::Reset, None);
            Err(NoAnswer::Reset { processed: true })
        }
        Some(fault) => {
            let Garbled {
                response,
                understood,
            } = garble::garble(response, fault).await;
            let learned = learned.filter(|_| understood);
            Ok(finish(flight, response, &tracking_id, learned))
        }
        None => Ok(finish(flight, response, &tracking_id, learned)),
    }
}

impl Plan {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let latency = self.latency.map(|_| "latency");
        latency
            .into_iter()
            .chain(self.fault.as_ref().map(FaultKind::name))
    }

    fn replaces_processing(&self) -> bool {
        match &self.fault {
            Some(FaultKind::Status { stage, .. }) => *stage == Stage::Before,
            Some(FaultKind::RateLimited { .. }) => true,
            _ => false,
        }
    }
}

async fn route(router: &Router, request: Request<Bytes>, tracking_id: &str) -> Response {
    match router.clone().call(request.map(Body::from)).await {
        Ok(response) => errors::tracked(response, tracking_id),
        Err(impossible) => match impossible {},
    }
}

/// Waits for the latency and the gates of this stage. False if the client hangs up meanwhile.
async fn pause(
    shared: &Shared,
    path: &str,
    plan: &Plan,
    stage: Stage,
    passing: &mut Latency,
) -> bool {
    if let Some((latency, when)) = plan.latency
        && when == stage
        && !passing.pass(latency).await
    {
        return false;
    }
    shared.gates.pass(path, stage).await;
    true
}

fn finish(
    flight: Flight,
    response: Response,
    tracking_id: &str,
    learned: Option<Obituary>,
) -> Response {
    flight.tracked_as(tracking_id);
    flight.end(Outcome::Status(response.status().as_u16()), learned);
    errors::tracked(response, tracking_id)
}

fn written_down(head: &http::request::Parts, body: &[u8], time: u64) -> RecordedRequest {
    let form = Form::read(&head.headers, body);
    let basic = token_endpoint::basic(&head.headers);
    let (client_id, secret) = match &basic {
        Some(basic) => (Some(basic.client_id.as_str()), Some(basic.secret.as_str())),
        None => (form.get("client_id"), form.get("client_secret")),
    };
    RecordedRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(without_secrets),
        time,
        status: Outcome::InFlight,
        processed: false,
        fault: None,
        tracking_id: None,
        grant_type: form.get("grant_type").map(str::to_owned),
        client_id: client_id.map(str::to_owned),
        client_secret: secret.map(Digest::of),
        refresh_token: form.get("refresh_token").map(Digest::of),
        code: form.get("code").map(Digest::of),
        access_token: api::bearer(&head.headers).map(Digest::of),
    }
}

/// The query with digests in place of secrets.
fn without_secrets(query: &str) -> String {
    let is_secret = |name: &str| SECRET_PARAMETERS.contains(&name);
    if !form_urlencoded::parse(query.as_bytes()).any(|(name, _)| is_secret(&name)) {
        return query.to_owned();
    }
    let pairs = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        let value = if is_secret(&name) {
            Digest::of(&value).to_string().into()
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
    fn a_query_is_kept_as_it_was_unless_it_carries_a_secret() {
        assert_eq!(without_secrets("orgId=a%2Fb&max"), "orgId=a%2Fb&max");
        let kept = without_secrets("a=b&token=hush");
        assert_eq!(kept, format!("a=b&token={}", Digest::of("hush")));
    }
}

//! The life of one request: recorded, held, carried out or not, garbled or not, answered or reset.

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

/// The connection is to be reset instead of an answer.
#[derive(Debug)]
pub(crate) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is reset on purpose")
    }
}

impl std::error::Error for Reset {}

/// Answers a request, or says that its connection is to be reset.
pub(crate) async fn serve(
    shared: Shared,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response, Reset> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BODY).collect().await else {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(errors::response(status, errors::usual_message(status)));
    };
    let body = body.to_bytes();
    if head.uri.path().starts_with(control::PREFIX) {
        return Ok(route(router, Request::from_parts(head, body)).await);
    }

    let path = head.uri.path().to_owned();
    let request = written_down(&head, &body, shared.now());
    let plan = shared.faults.take(&path, request.grant_type.as_deref());
    let flight = shared.recorder.begin(request);
    for kind in plan.names() {
        flight.meets(kind);
    }

    pause(&shared, &path, &plan, Stage::Before).await;
    if let Some(fault) = &plan.fault {
        if matches!(fault, FaultKind::ResetBefore) {
            flight.end(Outcome::Reset, None);
            return Err(Reset);
        }
        if plan.replaces_processing()
            && let Some(response) = garble::instead(fault)
        {
            pause(&shared, &path, &plan, Stage::After).await;
            return Ok(finish(flight, response, None));
        }
    }

    let mut response = route(router, Request::from_parts(head, body)).await;
    flight.processed();
    let learned = response.extensions_mut().remove::<Obituary>();

    pause(&shared, &path, &plan, Stage::After).await;
    match &plan.fault {
        Some(FaultKind::ResetAfter) => {
            flight.end(Outcome::Reset, None);
            Err(Reset)
        }
        Some(fault) => {
            let Garbled {
                response,
                understood,
            } = garble::garble(response, fault).await;
            Ok(finish(flight, response, learned.filter(|_| understood)))
        }
        None => Ok(finish(flight, response, learned)),
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

async fn route(mut router: Router, request: Request<Bytes>) -> Response {
    match router.call(request.map(Body::from)).await {
        Ok(response) => response,
        Err(impossible) => match impossible {},
    }
}

/// Waits for the latency and the gates of this stage.
async fn pause(shared: &Shared, path: &str, plan: &Plan, stage: Stage) {
    if let Some((latency, when)) = plan.latency
        && when == stage
    {
        tokio::time::sleep(latency).await;
    }
    shared.gates.pass(path, stage).await;
}

fn finish(flight: Flight, response: Response, learned: Option<Obituary>) -> Response {
    let response = garble::with_tracking_id(response);
    let tracking_id = response.headers().get(errors::TRACKING_ID);
    if let Some(Ok(tracking_id)) = tracking_id.map(http::HeaderValue::to_str) {
        flight.tracked_as(tracking_id);
    }
    flight.end(Outcome::Status(response.status().as_u16()), learned);
    response
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

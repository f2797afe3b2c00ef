//! Operations of a wholesale partner on customers. They are accepted immediately and take effect later.

pub(crate) mod request;

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use bytes::Bytes;
use clap::ValueEnum;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::request::RequestKind;
use crate::api::Caller;
use crate::errors::ApiError;
use crate::paging::origin;
use crate::shared::Shared;
use crate::state::OperationKind;

const CUSTOMERS_WRITE: &str = "spark-admin:wholesale_customers_write";
const CUSTOMERS: &str = "/v1/wholesale/customers";

/// The outcome of a customer's provisioning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProvisioningOutcome {
    /// Everything is provisioned.
    #[default]
    Provisioned,
    /// The last package fails, and the rest is provisioned.
    ProvisionedWithErrors,
    /// A new customer gets no organization; `errors` say why.
    Error,
    /// The customer waits for a review without an end.
    PendingRplReview,
}

impl ProvisioningOutcome {
    /// Returns the status of the customer.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::ProvisionedWithErrors => "provisioned_with_errors",
            Self::Error => "error",
            Self::PendingRplReview => "pending_rpl_review",
        }
    }
}

/// The behavior of operations on customers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WholesaleSettings {
    /// How the provisioning of customers ends.
    pub outcome: ProvisioningOutcome,
    /// How long an operation takes, by the emulator's clock. Default: 10 s.
    pub duration: Duration,
    /// Whether a partner's requests for a new customer's organization are 403 until the partner has
    /// called `GET /v1/identity/organizations/{uuid}`. Default: no.
    pub locks_new_organizations: bool,
}

impl Default for WholesaleSettings {
    fn default() -> Self {
        Self {
            outcome: ProvisioningOutcome::default(),
            duration: Duration::from_secs(10),
            locks_new_organizations: false,
        }
    }
}

/// Creates the routes of the operations; those of lists are elsewhere.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route(CUSTOMERS, post(create))
        .route(&format!("{CUSTOMERS}/validate"), post(validate))
        .route(&format!("{CUSTOMERS}/{{id}}"), put(update).delete(delete))
}

fn parse(body: &Bytes, kind: RequestKind) -> Result<Value, ApiError> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| ApiError::BadRequest("The request body is not valid JSON."))?;
    let errors = request::check(&body, kind);
    match errors.is_empty() {
        true => Ok(body),
        false => Err(ApiError::InvalidFields(errors)),
    }
}

/// Returns 202 with the address of the customer, in the header and in the body.
fn accepted(request: &Parts, id: &str) -> Response {
    let url = format!("{}{CUSTOMERS}/{id}", origin(request));
    let mut response = (StatusCode::ACCEPTED, Json(json!({"url": url}))).into_response();
    if let Ok(location) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Serves `POST /v1/wholesale/customers`.
async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    request: Parts,
    body: Bytes,
) -> Result<Response, ApiError> {
    caller.require_any(&[CUSTOMERS_WRITE])?;
    let body = parse(&body, RequestKind::Create)?;
    let id = shared
        .state()
        .create_customer(&caller.0.organization, &body)?;
    Ok(accepted(&request, &id))
}

/// Serves `POST /v1/wholesale/customers/validate`: the checks of a new customer, without creating it.
async fn validate(caller: Caller, body: Bytes) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[CUSTOMERS_WRITE])?;
    parse(&body, RequestKind::Validate)?;
    Ok(Json(json!({
        "message": "The customer can be provisioned.",
        "info": [{"infoCode": 100, "description": "A new organization would be created."}],
    })))
}

/// Serves `PUT /v1/wholesale/customers/{id}`: `packages` is the full list.
async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Parts,
    body: Bytes,
) -> Result<Response, ApiError> {
    caller.require_any(&[CUSTOMERS_WRITE])?;
    let body = parse(&body, RequestKind::Update)?;
    let kind = OperationKind::Update(&body);
    shared
        .state()
        .change_customer(&caller.0.organization, &id, kind)?;
    Ok(accepted(&request, &id))
}

/// Serves `DELETE /v1/wholesale/customers/{id}`: 202 without a body.
async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.require_any(&[CUSTOMERS_WRITE])?;
    shared
        .state()
        .change_customer(&caller.0.organization, &id, OperationKind::Delete)?;
    Ok(StatusCode::ACCEPTED)
}

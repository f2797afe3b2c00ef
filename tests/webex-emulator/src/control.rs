//! The control plane: `/_emulator/…`, for tests that run the emulator as a process.

mod authorization;
mod directory;
mod wholesale;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::record::{InFlight, RecordedRequest};
use crate::scopes::DEFAULT_SCOPES;
use crate::settings::Mode;
use crate::shared::Shared;
use crate::state::Organization;

/// Requests to these paths are not recorded and hit no faults.
pub(crate) const PREFIX: &str = "/_emulator/";

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_emulator/organizations", post(create_organization))
        .route("/_emulator/grants", post(create_grant))
        .route("/_emulator/clients", post(authorization::register))
        .route("/_emulator/consent", post(authorization::propose))
        .merge(directory::routes())
        .route("/_emulator/wholesale", post(wholesale::set))
        .route("/_emulator/mode", post(set_mode))
        .route("/_emulator/faults", post(inject).delete(clear))
        .route("/_emulator/revoke", post(revoke))
        .route("/_emulator/requests", get(requests))
        .route("/_emulator/in-flight", get(in_flight))
        .route("/_emulator/violations", get(violations))
}

/// A failed control request: `{"error": "…"}`.
struct ControlError(StatusCode, String);

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

/// Parses a JSON body whatever its content type, so that plain `curl -d` works.
fn parse_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, ControlError> {
    serde_json::from_slice(body).map_err(|error| {
        ControlError(
            StatusCode::BAD_REQUEST,
            format!("the body is not what this path takes: {error}"),
        )
    })
}

fn unknown_client(id: &str) -> ControlError {
    ControlError(
        StatusCode::NOT_FOUND,
        format!("no client has the id {id:?}; clients are registered when the emulator starts"),
    )
}

fn unknown_organization(name: &str) -> ControlError {
    ControlError(
        StatusCode::NOT_FOUND,
        format!(
            "no organization has the id or uuid {name:?}; create it at /_emulator/organizations"
        ),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewOrganization {
    display_name: String,
}

async fn create_organization(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<(StatusCode, Json<Organization>), ControlError> {
    let new: NewOrganization = parse_body(&body)?;
    let organization = shared.state().create_organization(&new.display_name);
    Ok((StatusCode::CREATED, Json(organization)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewGrant {
    organization: String,
    scopes: Option<Vec<String>>,
    client_id: Option<String>,
}

async fn create_grant(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let new: NewGrant = parse_body(&body)?;
    let client_id = new
        .client_id
        .unwrap_or_else(|| shared.settings().default_client().to_owned());
    let mut clients = shared.settings().clients.iter();
    if !clients.any(|client| client.id == client_id) {
        return Err(unknown_client(&client_id));
    }
    let scopes = new
        .scopes
        .unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec());
    let mut state = shared.state();
    let uuid = state
        .organization(&new.organization)
        .map(|organization| organization.uuid.clone())
        .ok_or_else(|| unknown_organization(&new.organization))?;
    Ok(Json(state.grant(&uuid, &client_id, scopes).json()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMode {
    mode: Mode,
    reuse_detection: Option<bool>,
}

async fn set_mode(State(shared): State<Shared>, body: Bytes) -> Result<Json<Value>, ControlError> {
    let new: NewMode = parse_body(&body)?;
    let mut state = shared.state();
    state.mode = new.mode;
    if let Some(reuse_detection) = new.reuse_detection {
        state.reuse_detection = reuse_detection;
    }
    Ok(Json(json!({
        "mode": state.mode,
        "reuse_detection": state.reuse_detection,
    })))
}

async fn inject(State(shared): State<Shared>, body: Bytes) -> Result<StatusCode, ControlError> {
    let fault: Fault = parse_body(&body)?;
    shared.faults.inject(fault);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear(State(shared): State<Shared>) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum RevokeRequest {
    Organization(String),
    Token(String),
}

async fn revoke(State(shared): State<Shared>, body: Bytes) -> Result<StatusCode, ControlError> {
    let mut state = shared.state();
    match parse_body(&body)? {
        RevokeRequest::Organization(name) => {
            let uuid = state
                .organization(&name)
                .map(|organization| organization.uuid.clone())
                .ok_or_else(|| unknown_organization(&name))?;
            state.revoke_organization(&uuid, None);
        }
        RevokeRequest::Token(token) => {
            if state.revoke_token(&token).is_empty() {
                return Err(ControlError(
                    StatusCode::NOT_FOUND,
                    "no such token was issued, or it is long forgotten".to_owned(),
                ));
            }
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn requests(State(shared): State<Shared>) -> Json<Vec<RecordedRequest>> {
    Json(shared.recorder.requests())
}

async fn in_flight(State(shared): State<Shared>) -> Json<InFlight> {
    Json(shared.recorder.in_flight())
}

async fn violations(State(shared): State<Shared>) -> Json<Vec<String>> {
    Json(shared.recorder.violations())
}

//! `/_emulator/wholesale`: the behavior of operations on customers.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ControlError, parse_body};
use crate::shared::Shared;
use crate::wholesale::ProvisioningOutcome;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    outcome: Option<ProvisioningOutcome>,
    /// Such as `10s`.
    duration: Option<String>,
    locks_new_organizations: Option<bool>,
}

/// Changes the given settings, and returns all of them.
pub(super) async fn set(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let new: Update = parse_body(&body)?;
    let duration = new
        .duration
        .as_deref()
        .map(humantime::parse_duration)
        .transpose();
    let duration = duration.map_err(|error| {
        let reason = format!("`duration` is not a time such as \"10s\": {error}");
        ControlError(StatusCode::BAD_REQUEST, reason)
    })?;
    let mut state = shared.state();
    let settings = &mut state.wholesale;
    settings.outcome = new.outcome.unwrap_or(settings.outcome);
    settings.duration = duration.unwrap_or(settings.duration);
    settings.locks_new_organizations = new
        .locks_new_organizations
        .unwrap_or(settings.locks_new_organizations);
    Ok(Json(json!({
        "outcome": settings.outcome,
        "duration": humantime::format_duration(settings.duration).to_string(),
        "locks_new_organizations": settings.locks_new_organizations,
    })))
}

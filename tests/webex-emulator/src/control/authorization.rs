//! `/_emulator/clients` and `/_emulator/consent`: the registration and the consent page.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ControlError, parse_body, unknown_client, unknown_organization};
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClientUpdate {
    client_id: Option<String>,
    redirect_uris: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

/// Changes the given lists, and returns both lists.
pub(super) async fn register(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let new: ClientUpdate = parse_body(&body)?;
    let client_id = new
        .client_id
        .unwrap_or_else(|| shared.settings().default_client().to_owned());
    let mut state = shared.state();
    let registration = state
        .registration_mut(&client_id)
        .ok_or_else(|| unknown_client(&client_id))?;
    if let Some(redirect_uris) = new.redirect_uris {
        registration.redirect_uris = redirect_uris;
    }
    if let Some(scopes) = new.scopes {
        registration.scopes = scopes;
    }
    Ok(Json(json!({
        "clientId": client_id,
        "redirectUris": registration.redirect_uris,
        "scopes": registration.scopes,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProposalUpdate {
    organization: Option<String>,
    #[serde(default)]
    without: Vec<String>,
}

/// Sets both members, so that an empty object restores the defaults.
pub(super) async fn propose(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let new: ProposalUpdate = parse_body(&body)?;
    let mut state = shared.state();
    let organization = match new.organization {
        Some(name) => {
            let found = state.organization(&name);
            let found = found.ok_or_else(|| unknown_organization(&name))?;
            Some(found.uuid.clone())
        }
        None => None,
    };
    state.proposal.organization = organization;
    state.proposal.without = new.without;
    Ok(Json(json!({
        "organization": state.proposed_organization(),
        "without": state.proposal.without,
    })))
}

//! `/_emulator/clients` and `/_emulator/consent`: what may be asked for, and what is answered.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, no_client, no_organization, read};
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Registered {
    client_id: Option<String>,
    redirect_uris: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

/// Changes the lists that are named, and answers with both.
pub(super) async fn register(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let new: Registered = read(&body)?;
    let client_id = new
        .client_id
        .unwrap_or_else(|| shared.settings().default_client().to_owned());
    let mut state = shared.state();
    let registration = state
        .registration_mut(&client_id)
        .ok_or_else(|| no_client(&client_id))?;
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
struct Proposed {
    organization: Option<String>,
    #[serde(default)]
    without: Vec<String>,
}

/// Sets both, so that an empty object is back to the beginning.
pub(super) async fn propose(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let new: Proposed = read(&body)?;
    let mut state = shared.state();
    let organization = match new.organization {
        Some(name) => {
            let found = state.organization(&name);
            let found = found.ok_or_else(|| no_organization(&name))?;
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

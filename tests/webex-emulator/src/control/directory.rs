//! `/_emulator/organizations/{id}/…`: the lists of an organization and its administrator's roles; and
//! `/_emulator/paging`.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error as NameError;
use serde_json::Value;

use super::{ControlError, parse_body, unknown_organization};
use crate::directory::Role;
use crate::garble;
use crate::paging::{Listing, Paging};
use crate::shared::Shared;
use crate::state::{EntryError, Organization};

pub(super) fn routes() -> Router<Shared> {
    const ORGANIZATION: &str = "/_emulator/organizations/{organization}";
    Router::new()
        .route("/_emulator/paging", post(set_paging))
        .route(
            &format!("{ORGANIZATION}/administrator/roles"),
            get(administrator_roles).put(set_administrator_roles),
        )
        .route(&format!("{ORGANIZATION}/generated"), post(generate))
        .route(
            &format!("{ORGANIZATION}/{{listing}}"),
            get(list).put(set).post(put),
        )
        .route(
            &format!("{ORGANIZATION}/{{listing}}/{{id}}"),
            patch(change).delete(remove),
        )
}

fn find(shared: &Shared, name: &str) -> Result<Organization, ControlError> {
    let state = shared.state();
    let organization = state.organization(name).cloned();
    organization.ok_or_else(|| unknown_organization(name))
}

fn find_listing(name: &str) -> Result<Listing, ControlError> {
    let listing = Listing::deserialize(name.into_deserializer());
    listing.map_err(|error: NameError| ControlError(StatusCode::NOT_FOUND, error.to_string()))
}

fn unknown_entry(listing: &str, id: &str) -> ControlError {
    ControlError(
        StatusCode::NOT_FOUND,
        format!("the organization's {listing} have none with the id {id:?}"),
    )
}

impl From<EntryError> for ControlError {
    fn from(error: EntryError) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

async fn list(
    State(shared): State<Shared>,
    Path((organization, listing)): Path<(String, String)>,
) -> Result<Json<Vec<Value>>, ControlError> {
    let organization = find(&shared, &organization)?;
    let listing = find_listing(&listing)?;
    // Not while the state is locked: there may be many entries.
    let list = shared.state().list(&organization, listing);
    Ok(Json(list.entries()))
}

async fn set(
    State(shared): State<Shared>,
    Path((organization, listing)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Vec<Value>>, ControlError> {
    let organization = find(&shared, &organization)?;
    let listing = find_listing(&listing)?;
    let entries = parse_body(&body)?;
    Ok(Json(shared.state().set_entries(
        &organization,
        listing,
        entries,
    )?))
}

async fn put(
    State(shared): State<Shared>,
    Path((organization, listing)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let organization = find(&shared, &organization)?;
    let listing = find_listing(&listing)?;
    let entry = parse_body(&body)?;
    Ok(Json(shared.state().put_entry(
        &organization,
        listing,
        entry,
    )?))
}

async fn change(
    State(shared): State<Shared>,
    Path((organization, name, id)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let organization = find(&shared, &organization)?;
    let listing = find_listing(&name)?;
    let patch = parse_body(&body)?;
    let mut state = shared.state();
    let entry = state.list(&organization, listing).find(&id);
    let mut entry = entry.ok_or_else(|| unknown_entry(&name, &id))?;
    garble::merge(&mut entry, &patch);
    Ok(Json(state.put_entry(&organization, listing, entry)?))
}

async fn remove(
    State(shared): State<Shared>,
    Path((organization, name, id)): Path<(String, String, String)>,
) -> Result<StatusCode, ControlError> {
    let organization = find(&shared, &organization)?;
    let listing = find_listing(&name)?;
    if shared.state().remove_entry(&organization, listing, &id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown_entry(&name, &id))
    }
}

async fn generate(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ControlError> {
    let organization = find(&shared, &organization)?;
    let counts: HashMap<Listing, usize> = parse_body(&body)?;
    let mut state = shared.state();
    for (listing, count) in counts {
        state.generate(&organization, listing, count)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn administrator_roles(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
) -> Result<Json<Vec<Role>>, ControlError> {
    let uuid = find(&shared, &organization)?.uuid;
    Ok(Json(shared.state().administrator_roles(&uuid)))
}

async fn set_administrator_roles(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<Json<Vec<Role>>, ControlError> {
    let uuid = find(&shared, &organization)?.uuid;
    let mut state = shared.state();
    state.set_administrator_roles(&uuid, parse_body(&body)?);
    Ok(Json(state.administrator_roles(&uuid)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PagingUpdate {
    listing: Listing,
    /// `null` restores the default.
    paging: Option<Paging>,
}

async fn set_paging(State(shared): State<Shared>, body: Bytes) -> Result<StatusCode, ControlError> {
    let PagingUpdate { listing, paging } = parse_body(&body)?;
    let mut state = shared.state();
    match paging {
        Some(paging) => state.paging.insert(listing, paging),
        None => state.paging.remove(&listing),
    };
    Ok(StatusCode::NO_CONTENT)
}

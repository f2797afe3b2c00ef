//! `/_emulator/organizations/{id}/roles`, `…/licenses` and `/_emulator/paging`.

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Refused, no_organization, read};
use crate::directory::{License, Role};
use crate::paging::{Listing, Paging};
use crate::shared::Shared;
use crate::state::Listed;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_emulator/paging", post(page))
        .merge(routes_of::<Role>("roles"))
        .merge(routes_of::<License>("licenses"))
}

fn routes_of<T: Listed + DeserializeOwned + Send + 'static>(name: &str) -> Router<Shared> {
    let all = format!("/_emulator/organizations/{{organization}}/{name}");
    let one = format!("{all}/{{id}}");
    Router::new()
        .route(&all, get(list::<T>).put(set::<T>).post(put::<T>))
        .route(&one, delete(remove::<T>))
}

fn uuid(shared: &Shared, name: &str) -> Result<String, Refused> {
    let state = shared.state();
    let organization = state.organization(name);
    organization
        .map(|organization| organization.uuid.clone())
        .ok_or_else(|| no_organization(name))
}

async fn list<T: Listed>(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
) -> Result<Json<Vec<T>>, Refused> {
    let uuid = uuid(&shared, &organization)?;
    Ok(Json(shared.state().listed(&uuid)))
}

async fn set<T: Listed + DeserializeOwned>(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<Json<Vec<T>>, Refused> {
    let uuid = uuid(&shared, &organization)?;
    let mut state = shared.state();
    state.set_listed::<T>(&uuid, read(&body)?);
    Ok(Json(state.listed(&uuid)))
}

async fn put<T: Listed + DeserializeOwned>(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<Json<T>, Refused> {
    let uuid = uuid(&shared, &organization)?;
    Ok(Json(shared.state().put_listed(&uuid, read(&body)?)))
}

async fn remove<T: Listed>(
    State(shared): State<Shared>,
    Path((organization, id)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    let uuid = uuid(&shared, &organization)?;
    if shared.state().remove_listed::<T>(&uuid, &id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refused(
            StatusCode::NOT_FOUND,
            format!("the organization has nothing with the id {id:?} there"),
        ))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paged {
    listing: Listing,
    /// `null` is one page for all, as in the beginning.
    paging: Option<Paging>,
}

async fn page(State(shared): State<Shared>, body: Bytes) -> Result<StatusCode, Refused> {
    let Paged { listing, paging } = read(&body)?;
    let mut state = shared.state();
    match paging {
        Some(paging) => state.paging.insert(listing, paging),
        None => state.paging.remove(&listing),
    };
    Ok(StatusCode::NO_CONTENT)
}

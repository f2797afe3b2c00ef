//! `/api/data/ApiKey/`: keys of programs.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::grants;
use super::input::{Input, OptionalInput};
use super::{no_store, parse_pkid, resolve_node, with_location};
use crate::WebError;
use crate::access::api_keys::{self, ApiKey, IssuedApiKey, NewApiKey};
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, permission};

type Administer = Allowed<permission::Administer>;

const PATH: &str = "/api/data/ApiKey/";

/// An issued key in a response: the only place that shows its text.
#[derive(Serialize)]
struct IssuedResponse<'a> {
    #[serde(flatten)]
    api_key: &'a ApiKey,
    key: &'a str,
}

fn respond(status: StatusCode, headers: HeaderMap, issued: &IssuedApiKey) -> Response {
    let body = IssuedResponse {
        api_key: &issued.api_key,
        key: issued.secret.expose_secret(),
    };
    (status, headers, Json(body)).into_response()
}

pub(super) async fn add(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    mut input: Input,
) -> Result<Response, WebError> {
    let (name, hierarchy) = (input.text("name"), input.node("hierarchy"));
    let (grants, expires) = (input.grants("grants"), input.optional_time("expires"));
    input.finish()?;
    let authority = Authority::Principal(&allowed, address);
    let hierarchy = resolve_node(&parts, &authority, hierarchy).await?;
    let grants = grants::resolve(&parts, &authority, grants).await?;
    let new = NewApiKey {
        name,
        hierarchy,
        grants,
        expires,
    };
    let issued = api_keys::add(&parts, &authority, new).await?;
    let headers = with_location(no_store(), PATH, &issued.api_key.pkid);
    Ok(respond(StatusCode::CREATED, headers, &issued))
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Json<ApiKey>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let api_key = api_keys::get(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(api_key))
}

pub(super) async fn rotate(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
    OptionalInput(mut input): OptionalInput,
) -> Result<Response, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let pkid = parse_pkid(&pkid)?;
    let overlap = input.optional_number("overlap_seconds").unwrap_or_default();
    api_keys::get(&parts, &authority, &pkid).await?;
    input.finish()?;
    let overlap = Duration::from_secs(overlap);
    let issued = api_keys::rotate(&parts, &authority, &pkid, overlap).await?;
    Ok(respond(StatusCode::OK, no_store(), &issued))
}

pub(super) async fn revoke(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Json<ApiKey>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let api_key = api_keys::revoke(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(api_key))
}

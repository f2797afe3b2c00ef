//! `/api/data/Role/`: own roles.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::input::Input;
use super::{no_store, parse_pkid, resolve_node, with_location};
use crate::WebError;
use crate::access::roles::{self, NewRole, OwnRole};
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, permission};

type Administer = Allowed<permission::Administer>;

const PATH: &str = "/api/data/Role/";

pub(super) async fn add(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    mut input: Input,
) -> Result<Response, WebError> {
    let (name, hierarchy) = (input.text("name"), input.node("hierarchy"));
    let operations = input.operations("operations");
    input.finish()?;
    let authority = Authority::Principal(&allowed, address);
    let hierarchy = resolve_node(&parts, &authority, hierarchy).await?;
    let new = NewRole {
        name,
        hierarchy,
        operations,
    };
    let role = roles::add(&parts, &authority, new).await?;
    let headers = with_location(no_store(), PATH, &role.pkid);
    Ok((StatusCode::CREATED, headers, Json(role)).into_response())
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Json<OwnRole>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let role = roles::get(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(role))
}

pub(super) async fn set_operations(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
    mut input: Input,
) -> Result<Json<OwnRole>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let pkid = parse_pkid(&pkid)?;
    let operations = input.operations("operations");
    // A role outside of the nodes is the first error, so that no other error shows that the role exists.
    roles::get(&parts, &authority, &pkid).await?;
    input.finish()?;
    let role = roles::set_operations(&parts, &authority, &pkid, operations).await?;
    Ok(Json(role))
}

pub(super) async fn delete(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<StatusCode, WebError> {
    let authority = Authority::Principal(&allowed, address);
    roles::delete(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

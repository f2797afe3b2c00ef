//! `/api/data/User/`: users.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use url::Url;

use super::grants;
use super::input::Input;
use super::{no_store, parse_pkid, resolve_node, with_location};
use crate::WebError;
use crate::access::users::{self, NewUser, User};
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, permission};
use relation_host::types::Timestamp;

type Administer = Allowed<permission::Administer>;

const PATH: &str = "/api/data/User/";

pub(super) async fn add(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    mut input: Input,
) -> Result<Response, WebError> {
    let (name, hierarchy) = (input.text("name"), input.node("hierarchy"));
    let (grants, language) = (input.grants("grants"), input.optional_text("language"));
    input.finish()?;
    let authority = Authority::Principal(&allowed, address);
    let hierarchy = resolve_node(&parts, &authority, hierarchy).await?;
    let grants = grants::resolve(&parts, &authority, grants).await?;
    let user = NewUser {
        name,
        hierarchy,
        grants,
        language,
    };
    let user = users::add(&parts, &authority, user).await?;
    let headers = with_location(no_store(), PATH, &user.pkid);
    Ok((StatusCode::CREATED, headers, Json(user)).into_response())
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Json<User>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let user = users::get(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(user))
}

pub(super) async fn set_grants(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
    mut input: Input,
) -> Result<Json<User>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let pkid = parse_pkid(&pkid)?;
    let grants = input.grants("grants");
    // A user outside of the nodes is the first error, so that no other error reveals that the user exists.
    users::get(&parts, &authority, &pkid).await?;
    input.finish()?;
    let grants = grants::resolve(&parts, &authority, grants).await?;
    let user = users::set_grants(&parts, &authority, &pkid, grants).await?;
    Ok(Json(user))
}

pub(super) async fn disable(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Json<User>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let user = users::disable(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(user))
}

pub(super) async fn enable(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Json<User>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let user = users::enable(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(user))
}

/// A link in a response: the only place that shows it.
#[derive(Serialize)]
struct LinkResponse {
    url: Url,
    expires: Timestamp,
}

pub(super) async fn create_link(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let link = users::set_up_link(&parts, &authority, &parse_pkid(&pkid)?).await?;
    let link = LinkResponse {
        url: link.url,
        expires: link.expires,
    };
    Ok((StatusCode::CREATED, no_store(), Json(link)).into_response())
}

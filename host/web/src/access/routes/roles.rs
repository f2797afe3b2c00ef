//! `/api/data/Role/`: custom roles.

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::input::Input;
use super::listing::{self, ListQuery};
use super::{no_store, parse_pkid, resolve_node, with_location};
use crate::WebError;
use crate::access::roles::{self, CustomRole, NewRole};
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, permission};
use crate::api::query::Query;

type Administer = Allowed<permission::Administer>;

const PATH: &str = "/api/data/Role/";

/// The parameters of a list of roles.
pub(super) struct RoleQuery {
    list: ListQuery,
    grantable: bool,
}

impl<S> FromRequestParts<S> for RoleQuery
where
    S: Send + Sync,
    AccessParts: FromRef<S>,
{
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let mut query = Query::parse(parts.uri.query());
        let grantable = query.flag("grantable", false);
        if grantable {
            let message = "cannot be combined with grantable, which has no pages";
            query.refuse(&["skip", "limit", "cursor", "count", "format"], message);
        }
        let access = AccessParts::from_ref(state);
        let list = ListQuery::take(&access, query, parts.uri.to_string()).await?;
        Ok(Self { list, grantable })
    }
}

/// Lists the roles at and below a node, or those of the node and the nodes above it that the caller can grant.
pub(super) async fn list(
    parts: State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    query: RoleQuery,
) -> Result<Response, WebError> {
    let RoleQuery { list, grantable } = query;
    if !grantable {
        return listing::list::<CustomRole>(parts, allowed, list).await;
    }
    let (node, _) = allowed.range(list.hierarchy.as_ref())?;
    let authority = Authority::Principal(&allowed, address);
    let roles = roles::list_grantable(&parts, &authority, &node).await?;
    Ok(listing::respond_whole(roles))
}

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
) -> Result<Json<CustomRole>, WebError> {
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
) -> Result<Json<CustomRole>, WebError> {
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

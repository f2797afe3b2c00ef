//! `/api/data/HierarchyNode/`: the nodes of the hierarchy.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::input::Input;
use super::listing::ListQuery;
use super::{no_store, parse_pkid, with_location};
use crate::WebError;
use crate::access::documents::Entry;
use crate::access::nodes::{self, HierarchyNode, NodeBody, NodeFilter};
use crate::access::{AccessParts, Allowed, ClientAddress, permission};
use crate::api::query::Query;

/// The parameters of a list of nodes.
pub(super) struct NodeQuery {
    list: ListQuery,
    wanted: NodeFilter,
}

impl<S> FromRequestParts<S> for NodeQuery
where
    S: Send + Sync,
    AccessParts: FromRef<S>,
{
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let mut query = Query::parse(parts.uri.query());
        let wanted = NodeFilter {
            name: query.text("name"),
            children: query.flag("children", false),
        };
        let access = AccessParts::from_ref(state);
        let list = ListQuery::take(&access, query, parts.uri.to_string()).await?;
        Ok(Self { list, wanted })
    }
}

pub(super) async fn list(
    State(parts): State<AccessParts>,
    allowed: Allowed<permission::Read>,
    query: NodeQuery,
) -> Result<Response, WebError> {
    let NodeQuery { list, wanted } = query;
    let range = allowed.range(list.hierarchy.as_ref())?;
    let filter = nodes::find_filter(&parts, range, wanted).await?;
    let allowed = Arc::new(allowed);
    let show = move |entry: Entry<NodeBody>| entry.show(&allowed);
    list.respond(parts, filter, false, show).await
}

pub(super) async fn add(
    State(parts): State<AccessParts>,
    allowed: Allowed<permission::Add>,
    address: ClientAddress,
    mut input: Input,
) -> Result<Response, WebError> {
    let (name, above) = (input.text("name"), input.node("hierarchy"));
    input.finish()?;
    let above = above.ok_or_else(WebError::not_found)?;
    let above = nodes::resolve(&parts, above).await?;
    let node = nodes::add(&parts, &allowed, address, &above, &name).await?;
    let headers = with_location(no_store(), nodes::PATH, &node.pkid);
    Ok((StatusCode::CREATED, headers, Json(node)).into_response())
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Allowed<permission::Read>,
    Path(pkid): Path<String>,
) -> Result<Json<HierarchyNode>, WebError> {
    let node = nodes::get(&parts, &allowed, &parse_pkid(&pkid)?).await?;
    Ok(Json(node))
}

pub(super) async fn delete(
    State(parts): State<AccessParts>,
    allowed: Allowed<permission::Delete>,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<StatusCode, WebError> {
    nodes::delete(&parts, &allowed, address, &parse_pkid(&pkid)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Pages of lists: their parameters and their form in responses.

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use relation_host::types::{Filter, Hierarchy, Page};
use serde::Serialize;

use crate::WebError;
use crate::access::documents::{self, Entry, Listed, Stored};
use crate::access::{AccessParts, Allowed, nodes};
use crate::api::export::{self, PAGE_SIZE};
use crate::api::page::{MAX_COUNTED, next_link};
use crate::api::query::{Paging, Query};

/// The parameters of a list.
#[derive(Clone, Debug)]
pub(super) struct ListQuery {
    pub(super) hierarchy: Option<Hierarchy>,
    /// Whether the response is the whole list as lines of JSON.
    pub(super) is_export: bool,
    paging: Paging,
    /// The path and the query of the request.
    address: String,
}

impl<S> FromRequestParts<S> for ListQuery
where
    S: Send + Sync,
    AccessParts: FromRef<S>,
{
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let access = AccessParts::from_ref(state);
        let query = Query::parse(parts.uri.query());
        Self::take(&access, query, parts.uri.to_string()).await
    }
}

impl ListQuery {
    /// Takes the parameters of a list from a query, which has no others. `address` is the path and the query.
    pub(super) async fn take(
        parts: &AccessParts,
        mut query: Query,
        address: String,
    ) -> Result<Self, WebError> {
        let hierarchy = query.hierarchy();
        let is_export = query.is_export();
        let paging = query.paging();
        query.close()?;
        Ok(Self {
            hierarchy: nodes::resolve_optional(parts, hierarchy).await?,
            is_export,
            paging,
            address,
        })
    }

    /// Responds with a page of documents, or with all of them as lines of JSON. `show` makes an item of a document.
    pub(super) async fn respond<B: Stored + Send, T: Serialize + Send + 'static>(
        self,
        parts: AccessParts,
        filter: Filter,
        descending: bool,
        show: impl Fn(Entry<B>) -> T + Clone + Send + Sync + 'static,
    ) -> Result<Response, WebError> {
        let (shared, selected) = (parts.clone(), filter.clone());
        let read = move |cursor: Option<String>, limit: u32| {
            let (parts, filter, show) = (shared.clone(), selected.clone(), show.clone());
            async move {
                let (store, cursor) = (parts.store(), cursor.as_deref());
                let page = documents::list(store, &filter, descending, cursor, limit).await?;
                Ok::<_, WebError>(Page {
                    items: page.items.into_iter().map(show).collect(),
                    next: page.next,
                })
            }
        };
        if self.is_export {
            return export::respond(move |cursor| read(cursor, PAGE_SIZE)).await;
        }
        let Paging { skip, limit, .. } = self.paging;
        let mut page = read(self.paging.cursor.clone(), limit.saturating_add(skip)).await?;
        page.items.drain(..page.items.len().min(skip as usize));
        let total = match self.paging.count {
            true => Some(parts.store().count(&filter, MAX_COUNTED).await?),
            false => None,
        };
        let next = page.next;
        let next = next.map(|cursor| next_link(&self.address, &self.paging, &cursor));
        let list = ListResponse {
            pagination: Pagination {
                skip,
                limit,
                total,
                total_is_exact: total.is_some_and(|total| total < MAX_COUNTED),
                next,
            },
            resources: page.items,
        };
        Ok(Json(list).into_response())
    }
}

/// Responds with a page of a list that is not counted. `address` is the path and the query of the request.
pub(super) fn respond_page<T: Serialize>(
    page: Page<T>,
    address: &str,
    paging: &Paging,
) -> Response {
    let next = page.next;
    let list = ListResponse {
        pagination: Pagination {
            skip: paging.skip,
            limit: paging.limit,
            total: None,
            total_is_exact: false,
            next: next.map(|cursor| next_link(address, paging, &cursor)),
        },
        resources: page.items,
    };
    Json(list).into_response()
}

/// Responds with a whole list, which has no pages.
pub(super) fn respond_whole<T: Serialize>(items: Vec<T>) -> Response {
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let pagination = Pagination {
        skip: 0,
        limit: count.max(1),
        total: Some(count.into()),
        total_is_exact: true,
        next: None,
    };
    let list = ListResponse {
        pagination,
        resources: items,
    };
    Json(list).into_response()
}

/// Lists the objects at and below a node of the caller's.
pub(super) async fn list<T: Listed>(
    State(parts): State<AccessParts>,
    allowed: Allowed<T::Permission>,
    query: ListQuery,
) -> Result<Response, WebError> {
    let range = Some(allowed.range(query.hierarchy.as_ref())?);
    let filter = documents::filter::<T::Body>(&range, Vec::new());
    query.respond(parts, filter, T::DESCENDING, T::from).await
}

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
struct ListResponse<T> {
    pagination: Pagination,
    resources: Vec<T>,
}

#[derive(Clone, Debug, Serialize)]
struct Pagination {
    skip: u32,
    limit: u32,
    /// `None`: it was not requested.
    total: Option<u64>,
    total_is_exact: bool,
    /// The address of the next page.
    next: Option<String>,
}

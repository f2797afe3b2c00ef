//! Pages of lists: their parameters and their form in responses.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use relation_host::types::{Hierarchy, Page};
use serde::Serialize;

use crate::WebError;
use crate::access::{AccessParts, nodes};
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

    /// Reads the page. `list` takes a cursor and a limit, `count` the largest number to count to.
    pub(super) async fn fetch<T>(
        &self,
        count: impl AsyncFnOnce(u64) -> Result<u64, WebError>,
        list: impl AsyncFnOnce(Option<&str>, u32) -> Result<Page<T>, WebError>,
    ) -> Result<ListResponse<T>, WebError> {
        let Paging { skip, limit, .. } = self.paging;
        let cursor = self.paging.cursor.as_deref();
        let mut page = list(cursor, limit.saturating_add(skip)).await?;
        page.items.drain(..page.items.len().min(skip as usize));
        let total = match self.paging.count {
            true => count(MAX_COUNTED).await?,
            false => 0,
        };
        let next = page.next;
        let next = next.map(|cursor| next_link(&self.address, &self.paging, &cursor));
        Ok(ListResponse {
            pagination: Pagination {
                skip,
                limit,
                total,
                total_is_exact: self.paging.count && total < MAX_COUNTED,
                next,
            },
            resources: page.items,
        })
    }
}

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ListResponse<T> {
    pagination: Pagination,
    resources: Vec<T>,
}

#[derive(Clone, Debug, Serialize)]
struct Pagination {
    skip: u32,
    limit: u32,
    /// 0 if it was not requested.
    total: u64,
    total_is_exact: bool,
    /// The address of the next page.
    next: Option<String>,
}

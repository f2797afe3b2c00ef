//! A page of a list, as the platform shapes it.

use relation_host::store::{SortOrder, StoreError};
use relation_host::types::{Document, Filter};
use serde_json::{Value, json};

use super::query::Paging;
use crate::{Web, WebError};

/// The largest count that is computed exactly. Counting more would make a list as slow as the number of tenants.
pub(crate) const MAX_COUNTED: u64 = 10_000;

/// A page of documents.
pub(crate) struct DocumentPage {
    /// The documents.
    pub(crate) documents: Vec<Document>,
    /// The page's place in the list.
    pub(crate) pagination: Value,
}

/// Reads a page of documents.
///
/// # Errors
/// The cursor belongs to another list; the store cannot be read.
pub(crate) async fn read(
    web: &Web,
    path: &str,
    filter: &Filter,
    order: &SortOrder,
    paging: &Paging,
) -> Result<DocumentPage, WebError> {
    let store = web.store();
    let mut cursor = paging.cursor.clone();
    if paging.skip > 0 {
        let skipped = store.list(filter, order, None, paging.skip).await?;
        cursor = skipped.next;
        if cursor.is_none() {
            let pagination = pagination(web, path, filter, paging, None).await?;
            let documents = Vec::new();
            return Ok(DocumentPage {
                documents,
                pagination,
            });
        }
    }
    let page = store
        .list(filter, order, cursor.as_deref(), paging.limit)
        .await;
    let page = page.map_err(|error| match error {
        StoreError::Invalid(_) if paging.cursor.is_some() => super::cursor_error(),
        error => error.into(),
    })?;
    Ok(DocumentPage {
        pagination: pagination(web, path, filter, paging, page.next).await?,
        documents: page.items,
    })
}

async fn pagination(
    web: &Web,
    path: &str,
    filter: &Filter,
    paging: &Paging,
    next: Option<String>,
) -> Result<Value, WebError> {
    let total = match paging.count {
        true => web.store().count(filter, MAX_COUNTED).await?,
        false => 0,
    };
    Ok(json!({
        "skip": paging.skip,
        "limit": paging.limit,
        "total": total,
        "total_is_exact": paging.count && total < MAX_COUNTED,
        "next": next.map(|cursor| next_link(path, paging, &cursor)),
    }))
}

/// Returns the link of the next page. The caller adds its other parameters.
pub(crate) fn next_link(path: &str, paging: &Paging, cursor: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut link = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !matches!(name.as_ref(), "skip" | "cursor" | "limit") {
            link.append_pair(&name, &value);
        }
    }
    link.append_pair("limit", &paging.limit.to_string());
    link.append_pair("cursor", cursor);
    format!("{path}?{}", link.finish())
}

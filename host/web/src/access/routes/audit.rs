//! `/api/data/AuditEvent/`: the audit log.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::listing::ListQuery;
use crate::WebError;
use crate::access::audit;
use crate::access::{AccessParts, Allowed, permission};
use crate::api::export::{self, PAGE_SIZE};

pub(super) async fn list(
    State(parts): State<AccessParts>,
    allowed: Allowed<permission::Audit>,
    query: ListQuery,
) -> Result<Response, WebError> {
    let range = allowed.range(query.hierarchy.as_ref())?;
    if query.is_export {
        let read = move |cursor: Option<String>| {
            let (parts, range) = (parts.clone(), range.clone());
            async move { Ok(audit::list_range(&parts, range, cursor.as_deref(), PAGE_SIZE).await?) }
        };
        return export::respond(read).await;
    }
    let node = query.hierarchy.as_ref();
    let page = query.fetch(
        async |at_most| Ok(audit::count(&parts, range, at_most).await?),
        async |cursor, limit| audit::list(&parts, &allowed, node, cursor, limit).await,
    );
    Ok(Json(page.await?).into_response())
}

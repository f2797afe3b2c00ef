//! `/api/data/AuditEvent/`: the audit log.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use relation_host::types::{Hierarchy, Scope};

use super::listing::ListQuery;
use crate::WebError;
use crate::access::audit::{self, AuditEvent};
use crate::access::{AccessParts, Allowed, permission};

pub(super) async fn list(
    State(parts): State<AccessParts>,
    allowed: Allowed<permission::Audit>,
    query: ListQuery,
) -> Result<Response, WebError> {
    let range = allowed.range(query.hierarchy.as_ref())?;
    if query.ndjson {
        return Ok(export(parts.clone(), range));
    }
    let node = query.hierarchy.as_ref();
    let page = query.fetch(
        async |at_most| Ok(audit::count(&parts, range, at_most).await?),
        async |cursor, limit| audit::list(&parts, &allowed, node, cursor, limit).await,
    );
    Ok(Json(page.await?).into_response())
}

/// Returns all events as lines of JSON, the latest first. Only one page is in memory.
fn export(parts: AccessParts, range: (Hierarchy, Scope)) -> Response {
    let lines = try_unfold(Some(None), move |next: Option<Option<String>>| {
        let (parts, range) = (parts.clone(), range.clone());
        async move {
            let Some(cursor) = next else {
                return Ok(None);
            };
            match read_lines(&parts, range, cursor.as_deref()).await {
                Ok((lines, next)) => Ok(Some((lines, next.map(Some)))),
                Err(error) => {
                    tracing::error!(error = error.error.message, "an export ended early");
                    Err(error.error)
                }
            }
        }
    });
    let content_type = HeaderValue::from_static("application/x-ndjson");
    (
        [(header::CONTENT_TYPE, content_type)],
        Body::from_stream(lines),
    )
        .into_response()
}

async fn read_lines(
    parts: &AccessParts,
    range: (Hierarchy, Scope),
    cursor: Option<&str>,
) -> Result<(Bytes, Option<String>), WebError> {
    const PAGE_SIZE: u32 = 500;
    let page = audit::list_range(parts, range, cursor, PAGE_SIZE).await?;
    Ok((Bytes::from(to_lines(&page.items)), page.next))
}

fn to_lines(events: &[AuditEvent]) -> String {
    let lines = events
        .iter()
        .filter_map(|event| serde_json::to_string(event).ok());
    lines.map(|line| line + "\n").collect()
}

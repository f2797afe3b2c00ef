//! Changes of several records: each is judged by its own right and has a transaction of its own.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};
use relation_host::QueuedCall;
use relation_host::types::Hierarchy;
use serde_json::{Value, json};

use super::RECORDS;
use super::body::{Bulk, RequestMeta};
use super::on_behalf_of::on_behalf_of;
use super::query::Query;
use super::records::accepted;
use crate::access::audit::{FieldChange, NewAuditEvent};
use crate::access::{Allowed, ClientAddress, Permission, permission};
use crate::calls::{Requester, find_changes, record_queued};
use crate::{Web, WebError};

/// Deletes records.
pub(super) async fn delete(
    State(web): State<Web>,
    allowed: Allowed<permission::Delete>,
    address: ClientAddress,
    RawQuery(query): RawQuery,
    bulk: Bulk,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    if !bulk.fields.is_empty() {
        return Err(super::body::invalid("data", "is not used by a delete"));
    }
    let to_call = |record: &StoredRecord| QueuedCall::Delete {
        pkid: record.pkid.clone(),
    };
    let requester = Requester::new(allowed.principal(), address);
    let to_event = |record: &StoredRecord| requester.on("delete-record", record);
    let (action, hrefs) = ("bulk delete", &bulk.hrefs);
    submit(
        &web,
        &allowed,
        action,
        hrefs,
        bulk.request_meta,
        (to_call, to_event),
    )
    .await
}

/// Changes the same fields of records.
pub(super) async fn modify(
    State(web): State<Web>,
    allowed: Allowed<permission::Modify>,
    address: ClientAddress,
    RawQuery(query): RawQuery,
    bulk: Bulk,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    let fields = bulk.fields;
    let to_call = |record: &StoredRecord| QueuedCall::Modify {
        pkid: record.pkid.clone(),
        fields: fields.clone(),
        token_response: None,
    };
    let requester = Requester::new(allowed.principal(), address);
    // The values before are not read for each record.
    let changes = find_changes(web.model(), None, &fields);
    let to_event = |record: &StoredRecord| {
        let changes = changes.iter().cloned().map(|change| FieldChange {
            before: None,
            ..change
        });
        requester
            .on("modify-record", record)
            .with_changes(changes.collect())
    };
    let (action, hrefs) = ("bulk modify", &bulk.hrefs);
    submit(
        &web,
        &allowed,
        action,
        hrefs,
        bulk.request_meta,
        (to_call, to_event),
    )
    .await
}

/// Queues a call for each record that the principal may change. The response tells the others.
async fn submit<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    action: &str,
    hrefs: &[String],
    meta: RequestMeta,
    (to_call, to_event): (
        impl Fn(&StoredRecord) -> QueuedCall,
        impl Fn(&StoredRecord) -> NewAuditEvent,
    ),
) -> Result<Response, WebError> {
    let node: &Hierarchy = allowed.nodes().first().ok_or_else(WebError::not_found)?;
    let host = on_behalf_of(web, allowed.principal(), meta, node).await?;
    let mut calls = Vec::new();
    let mut events = Vec::new();
    let mut items = Vec::new();
    for href in hrefs {
        let pkid = href
            .strip_prefix(RECORDS)
            .unwrap_or(href)
            .trim_end_matches('/');
        let (status, detail) = match allowed.record(web, pkid).await {
            Ok(record) => {
                calls.push(to_call(&record));
                events.push(to_event(&record));
                (202, None)
            }
            Err(error) if error.status.is_server_error() => return Err(error),
            Err(error) => (error.status.as_u16(), Some(error.error.message)),
        };
        items.push(json!({ "href": href, "status": status, "detail": detail }));
    }
    if calls.is_empty() {
        let error = AppError::new(ErrorKind::NotFound, "none of the records can be changed");
        return Err(error.into());
    }
    let id = host.submit_all(action, node, calls).await?;
    record_queued(web, events, &id).await;
    Ok(accepted(&id, Some(Value::from(items))))
}

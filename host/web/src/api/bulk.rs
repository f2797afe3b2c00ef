//! Changes of several records: each is judged by its own right and has a transaction of its own.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};
use relation_host::QueuedCall;
use serde_json::json;

use super::RECORDS;
use super::body::{Bulk, RequestMeta};
use super::on_behalf_of::on_behalf_of;
use super::query::Query;
use super::writes::accepted;
use crate::access::audit::{FieldChange, NewAuditEvent};
use crate::access::{Allowed, ClientAddress, Permission, permission};
use crate::bulk;
use crate::calls::{Requester, find_changes};
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
    let request = (bulk.hrefs.as_slice(), bulk.request_meta);
    let works = (to_call, to_event);
    submit(&web, &allowed, address, "bulk delete", request, works).await
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
    let request = (bulk.hrefs.as_slice(), bulk.request_meta);
    let works = (to_call, to_event);
    submit(&web, &allowed, address, "bulk modify", request, works).await
}

/// Queues a call for each record that the principal may change. The response tells the others.
async fn submit<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    address: ClientAddress,
    action: &str,
    (hrefs, meta): (&[String], RequestMeta),
    (to_call, to_event): (
        impl Fn(&StoredRecord) -> QueuedCall + Send,
        impl Fn(&StoredRecord) -> NewAuditEvent + Send,
    ),
) -> Result<Response, WebError> {
    let node = allowed.nodes().first().ok_or_else(WebError::not_found)?;
    let host = on_behalf_of(web, (allowed.principal(), address), meta, node).await?;
    let pkids = hrefs.iter().map(|href| {
        let pkid = href.strip_prefix(RECORDS).unwrap_or(href);
        pkid.trim_end_matches('/')
    });
    let to_calls = move |record: &StoredRecord| Ok(vec![to_call(record)]);
    let call = (&host, action);
    let queued = bulk::submit(web, allowed, call, pkids, (to_calls, to_event)).await?;
    let Some(id) = queued.transaction else {
        let error = AppError::new(ErrorKind::NotFound, "none of the records can be changed");
        return Err(error.into());
    };
    let items = hrefs.iter().zip(queued.items).map(|(href, item)| {
        let status = item
            .refused
            .as_ref()
            .map_or(202, |error| error.status.as_u16());
        let detail = item.refused.map(|error| error.error.message);
        json!({ "href": href, "status": status, "detail": detail })
    });
    Ok(accepted(&id, Some(items.collect())))
}

//! Changes of several records: each is judged by its own right and has a transaction of its own.

use std::collections::HashMap;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
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
use crate::access::users::{check_fields, field_error};
use crate::access::{Allowed, ClientAddress, Permission, permission};
use crate::bulk::{self, BulkItem};
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

/// Queues a call for each record that the principal may change. The response lists the others.
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
    let pkids: Vec<&str> = hrefs.iter().map(|href| to_pkid(href)).collect();
    check_repetitions(&pkids)?;
    let host = on_behalf_of(web, (allowed.principal(), address), meta, node).await?;
    let to_calls = move |record: &StoredRecord| Ok(vec![to_call(record)]);
    let call = (&host, action);
    let pkids = pkids.into_iter();
    let queued = bulk::submit(web, allowed, call, pkids, (to_calls, to_event)).await?;
    let Some(id) = queued.transaction else {
        return Err(refuse_all(queued.items));
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

/// Returns the pkid in the address of a record, which may also be the pkid alone.
fn to_pkid(href: &str) -> &str {
    let pkid = href.strip_prefix(RECORDS).unwrap_or(href);
    pkid.trim_end_matches('/')
}

/// Refuses a record that is named twice: its second call would fail, or change nothing.
fn check_repetitions(pkids: &[&str]) -> Result<(), WebError> {
    let mut places = HashMap::new();
    let mut errors = Vec::new();
    for (index, pkid) in pkids.iter().enumerate() {
        if let Some(first) = places.insert(*pkid, index) {
            places.insert(*pkid, first);
            let message = format!("is the same record as hrefs[{first}]");
            errors.push(field_error(&format!("hrefs[{index}]"), message));
        }
    }
    check_fields(errors)
}

/// Returns the error of a bulk in which every record is refused, with the reason for each.
fn refuse_all(items: Vec<BulkItem>) -> WebError {
    let refused = items.into_iter().filter_map(|item| item.refused);
    let refused: Vec<WebError> = refused.collect();
    // A record that the caller sees, but may not change, goes before those that are not there for the caller.
    let statuses = refused.iter().map(|error| error.status);
    let status = statuses.min().unwrap_or(StatusCode::NOT_FOUND);
    let errors = refused.into_iter().enumerate();
    let field_errors = errors
        .map(|(index, error)| field_error(&format!("hrefs[{index}]"), error.error.message))
        .collect();
    let error = AppError::new(ErrorKind::NotFound, "none of the records can be changed");
    WebError::new(
        status,
        AppError {
            field_errors,
            ..error
        },
    )
}

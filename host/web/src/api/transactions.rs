//! `tool/Transaction`: what the host did and does.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use relation_host::Cancellation;
use relation_host::callbacks::{
    CallbackReport, CallbackState, describe_progress, poll_entry, transaction_href,
};
use relation_host::store::StoreError;
use relation_host::transactions::{Status, Transaction, TransactionFilter, parent_of};
use relation_host::types::{Page, Pkid, Reference, Scope};
use serde_json::{Map, Value, json};

use super::actions::operation_of;
use super::body::{OptionalFields, invalid};
use super::export::{self, PAGE_SIZE};
use super::on_behalf_of::on_behalf_of;
use super::page::{CountedList, MAX_COUNTED, paginate};
use super::query::Query;
use super::writes::accepted;
use super::{TRANSACTIONS, cursor_error};
use crate::access::nodes::{self, node_pkid};
use crate::access::{Allowed, ClientAddress, Operation, Permission, permission};
use crate::calls::{self, Requester, record_queued};
use crate::{Web, WebError};

/// The maximum number of transactions that one poll reads.
const MAX_POLLED: usize = 100;
/// The maximum number of parts that are shown with a transaction.
const MAX_PARTS: u32 = 100;

/// Lists transactions at and below a node, the newest first.
pub(super) async fn list(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let mut parsed = Query::parse(query.as_deref());
    let is_export = parsed.is_export();
    let paging = parsed.paging_by_cursor();
    let hierarchy = parsed.hierarchy();
    let statuses = Status::ALL.map(|status| (status.as_str(), status));
    let status = parsed.choice("status", &statuses);
    let action = parsed.text("action");
    let record: Option<Pkid> = parsed.value("record", "the pkid of a record");
    let parent = parsed.text("parent");
    parsed.close()?;
    let hierarchy = nodes::resolve_optional(web.access(), hierarchy).await?;
    let filter = TransactionFilter {
        hierarchy: Some(allowed.range(hierarchy.as_ref())?),
        subject: record.map(Reference::record),
        status,
        action,
        parent,
        ..TransactionFilter::default()
    };
    if is_export {
        let filter = Arc::new(filter);
        let read = move |cursor: Option<String>| {
            let (web, filter) = (web.clone(), Arc::clone(&filter));
            async move {
                let cursor = cursor.as_deref();
                let page = web.store().transactions(&filter, cursor, PAGE_SIZE).await?;
                Ok(Page {
                    items: page.items.iter().map(|each| summary(&web, each)).collect(),
                    next: page.next,
                })
            }
        };
        return export::respond::<Value, _, _>(read).await;
    }
    let page = web
        .store()
        .transactions(&filter, paging.cursor.as_deref(), paging.limit)
        .await;
    let page = page.map_err(|error| match error {
        StoreError::Invalid(_) if paging.cursor.is_some() => cursor_error(),
        error => error.into(),
    })?;
    let path = format!("{TRANSACTIONS}?{}", query.unwrap_or_default());
    let counted = CountedList::Transactions(filter);
    let pagination = paginate(&web, &path, counted, &paging, page.next).await?;
    let resources: Vec<Value> = page.items.iter().map(|each| summary(&web, each)).collect();
    Ok(Json(json!({
        "pagination": pagination,
        "meta": { "model_type": "tool/Transaction", "uri": TRANSACTIONS },
        "resources": resources,
    }))
    .into_response())
}

/// Shows a transaction with its log and its parts.
pub(super) async fn get(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    let transaction = find(&web, &allowed, &id).await?;
    let (parts, total) = find_parts(&web, &allowed, &transaction.id, MAX_PARTS).await?;
    let callback = web.host().callback(&transaction.id).await?;
    let parts: Vec<Value> = parts.iter().map(|each| summary(&web, each)).collect();
    let mut shown = summary(&web, &transaction);
    if let Some(members) = shown.as_object_mut() {
        members.insert("sub_transactions".to_owned(), parts.into());
        members.insert("sub_transactions_total".to_owned(), total.into());
        let callback = callback.as_ref().map(show_callback);
        members.insert("callback".to_owned(), callback.into());
        members.insert("log".to_owned(), json!(transaction.log));
        members.insert(
            "secret_accesses".to_owned(),
            json!(transaction.secret_accesses),
        );
    }
    Ok(Json(shown).into_response())
}

/// Reads the last parts of a transaction at the principal's nodes, the newest first, and counts all of them. The parts of a
/// bulk may be at nodes other than the bulk's.
pub(crate) async fn find_parts<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    id: &str,
    limit: u32,
) -> Result<(Vec<Transaction>, u64), WebError> {
    let (mut parts, mut total) = (Vec::new(), 0);
    for node in allowed.nodes() {
        let filter = TransactionFilter {
            hierarchy: Some((node.clone(), Scope::Subtree)),
            parent: Some(id.to_owned()),
            ..TransactionFilter::default()
        };
        let page = web.store().transactions(&filter, None, limit).await?;
        parts.extend(page.items);
        total += web.store().count_transactions(&filter, MAX_COUNTED).await?;
    }
    parts.sort_by(|one, other| other.id.cmp(&one.id));
    parts.truncate(limit as usize);
    Ok((parts, total))
}

/// Returns the status of one transaction, by its id.
pub(super) async fn poll(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    let transaction = find(&web, &allowed, &id).await?;
    let mut polled = Map::new();
    polled.insert(transaction.id.clone(), poll_entry(&transaction));
    Ok(Json(polled).into_response())
}

/// Returns the status of several transactions. One that does not exist is left out.
pub(super) async fn poll_several(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let ids = query.text("ids").unwrap_or_default();
    let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    if !query.has_errors() && !(1..=MAX_POLLED).contains(&ids.len()) {
        let message = format!("must be 1 to {MAX_POLLED} ids, separated by commas");
        query.report("ids", &message);
    }
    query.close()?;
    let mut polled = Map::new();
    for id in ids {
        if let Ok(transaction) = find(&web, &allowed, id).await {
            polled.insert(transaction.id.clone(), poll_entry(&transaction));
        }
    }
    Ok(Json(polled).into_response())
}

/// Submits the request of an ended transaction again.
pub(super) async fn replay(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    address: ClientAddress,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    OptionalFields(body): OptionalFields,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    let transaction = find_to_change(&web, &allowed, &id).await?;
    let node = transaction.hierarchy.as_ref();
    let node = node.ok_or_else(WebError::not_found)?;
    if !body.fields.is_empty() {
        return Err(invalid("data", "is not used by a replay"));
    }
    let host = on_behalf_of(
        &web,
        (allowed.principal(), address),
        body.request_meta,
        node,
    )
    .await?;
    let new = host.replay(&transaction.id).await?;
    let requester = Requester::new(allowed.principal(), address);
    let event = requester.on_transaction("replay-transaction", &transaction);
    record_queued(&web, event.map(|event| event.with_transaction(&new))).await;
    Ok(accepted(&new, None))
}

/// Cancels a transaction that has not ended. The response is 202 if a running call continues to its end.
pub(super) async fn cancel(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    address: ClientAddress,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    let transaction = find_to_change(&web, &allowed, &id).await?;
    let requester = Requester::new(allowed.principal(), address);
    let effect = calls::cancel(&web, &requester, &transaction).await?;
    let (status, detail) = match effect {
        Some(Cancellation { running: 0, .. }) => (StatusCode::OK, "it does not run"),
        Some(Cancellation { canceled: 0, .. }) | None => (
            StatusCode::ACCEPTED,
            "it runs already, and was asked to end: no further step begins; the transaction has the outcome",
        ),
        Some(_) => (
            StatusCode::ACCEPTED,
            "the calls that had not begun are canceled; those that run go on to their ends, and their transactions \
             have the outcomes",
        ),
    };
    let result = json!({
        "href": transaction_href(&transaction.id),
        "success": true,
        "transaction_id": transaction.id,
        "canceled": effect.map(|effect| effect.canceled),
        "running": effect.map(|effect| effect.running),
        "detail": detail,
    });
    Ok((status, Json(result)).into_response())
}

/// Reads a transaction whose action the principal may run.
async fn find_to_change(
    web: &Web,
    allowed: &Allowed<permission::Read>,
    id: &str,
) -> Result<Transaction, WebError> {
    let transaction = find(web, allowed, id).await?;
    let operation = operation_of_transaction(&transaction.action);
    let node = transaction.hierarchy.as_ref();
    match node.is_some_and(|node| allowed.principal().may(operation, node)) {
        true => Ok(transaction),
        false => Err(WebError::forbidden(operation.as_str())),
    }
}

/// Returns the operation that the action of a transaction needs.
fn operation_of_transaction(action: &str) -> Operation {
    match action {
        "add" => Operation::Add,
        "modify" | "bulk modify" => Operation::Modify,
        "delete" | "bulk delete" => Operation::Delete,
        "refresh" | "check-expiry" | "bulk refresh" => Operation::Refresh,
        "sync" => Operation::Sync,
        "connect" | "complete-connect" => Operation::Connect,
        action => operation_of(action),
    }
}

/// Reads a transaction that the principal may see. One whose node is unknown is only for those who may see every node.
async fn find(
    web: &Web,
    allowed: &Allowed<permission::Read>,
    id: &str,
) -> Result<Transaction, WebError> {
    let found = web.store().transaction(id).await?;
    let transaction = found.ok_or_else(WebError::not_found)?;
    match &transaction.hierarchy {
        Some(node) if allowed.covers(node) => Ok(transaction),
        _ => Err(WebError::not_found()),
    }
}

/// Shows the delivery of a callback.
fn show_callback(report: &CallbackReport) -> Value {
    json!({
        "receiver": report.origin,
        "state": report.state,
        "delivered": report.state == CallbackState::Delivered,
        "attempts": report.attempts,
        "last_attempt_time": report.last_attempt.map(|at| at.to_string()),
        "last_error": report.last_error,
    })
}

fn summary(web: &Web, transaction: &Transaction) -> Value {
    let end = transaction.completed.unwrap_or_else(|| web.now());
    let duration: Duration = end.since(transaction.started);
    let originator = transaction.originator.clone().unwrap_or_default();
    let parent = parent_of(&transaction.id);
    json!({
        "id": transaction.id,
        "href": transaction_href(&transaction.id),
        "action": transaction.action,
        "status": transaction.status.as_str(),
        "detail": describe_progress(transaction),
        "message": transaction.message,
        "hierarchy": transaction.hierarchy,
        "hierarchy_pkid": transaction.hierarchy.as_ref().map(node_pkid),
        "subject": transaction.subject,
        "subject_name": transaction.subject_name,
        "user": originator.user,
        "external_id": originator.external_id,
        "external_reference": originator.external_reference,
        "priority": "Normal",
        "rolled_back": false,
        "submitted_time": transaction.submitted.to_string(),
        "started_time": transaction.started.to_string(),
        "completed_time": transaction.completed.map(|at| at.to_string()),
        "duration": duration.as_secs_f64(),
        "parent": parent.map(|parent| json!({ "id": parent, "href": transaction_href(parent) })),
    })
}

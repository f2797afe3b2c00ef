//! `relation/SparkCustomer`: list, get, add, modify and delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use relation_app::records::{self, StoredRecord};
use relation_host::store::SortOrder;
use relation_host::types::{Filter, Hierarchy, Page};
use relation_host::{AddRequest, Host, QueuedCall};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::body::{Fields, OptionalFields, invalid};
use super::export::{self, PAGE_SIZE};
use super::field_check::find_field_errors;
use super::headers::{check_version, etag, idempotency_key};
use super::on_behalf_of::on_behalf_of;
use super::query::Query;
use super::repeated_adds::{KeyClaim, claim_key};
use super::resource::{Resource, Resources, TOKEN_LINK};
use super::writes::{accepted, run_or_queue};
use super::{RECORDS, page, schema};
use crate::access::audit::NewAuditEvent;
use crate::access::idempotency::{self, RequestDigest};
use crate::access::nodes;
use crate::access::{Allowed, ClientAddress, permission};
use crate::calls::{Call, Requester, added_object, find_changes};
use crate::{Web, WebError};

/// Lists the records at and below a node.
pub(super) async fn list(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let mut parsed = Query::parse(query.as_deref());
    let is_export = parsed.is_export();
    let paging = parsed.paging();
    let hierarchy = parsed.hierarchy();
    let key = parsed.choice(
        "order_by",
        &[
            ("pkid", None),
            ("name", Some("name")),
            ("urgency", Some("urgency")),
        ],
    );
    let descending = parsed.choice("direction", &[("asc", false), ("desc", true)]);
    let name = parsed.text("name");
    let states = relation_host::reports::State::ALL.map(|state| (state.as_str(), state));
    let state = parsed.choice("state", &states);
    let with_schema = parsed.flag("schema", false);
    if is_export && with_schema {
        parsed.report("schema", "cannot be combined with format=ndjson");
    }
    parsed.close()?;

    let hierarchy = nodes::resolve_optional(web.access(), hierarchy).await?;
    let range = allowed.range(hierarchy.as_ref())?;
    let stored_name = match &name {
        Some(name) => Some(records::find_stored_spelling(web.store(), name, Some(&range)).await?),
        None => None,
    };
    let filter = records::filter(Some(range), stored_name.as_deref(), state);
    let order = SortOrder {
        key: key.unwrap_or(Some("urgency")).map(str::to_owned),
        descending: descending.unwrap_or(false),
    };
    if is_export {
        let query = Arc::new((allowed, filter, order));
        let read = move |cursor: Option<String>| {
            let (web, query) = (web.clone(), Arc::clone(&query));
            async move { read_page(&web, &query.0, &query.1, &query.2, cursor.as_deref()).await }
        };
        return export::respond(read).await;
    }
    let path = format!("{RECORDS}?{}", query.unwrap_or_default());
    let page = page::read(&web, &path, &filter, &order, &paging).await?;
    let documents = page.documents.iter();
    nodes::ensure(web.access(), documents.map(|document| &document.hierarchy)).await?;
    let shown = web.shown_records();
    let shown = shown.show_all(web.host(), &page.documents).await?;
    let resources = Resources::new(&web, &allowed);
    let list = List {
        pagination: page.pagination,
        meta: json!({
            "model_type": web.model().name, "title": web.model().title, "uri": RECORDS,
        }),
        resources: resources.show_all(shown, &page.documents),
        schema: with_schema.then(|| schema::of_model(web.model())),
    };
    Ok(Json(list).into_response())
}

/// A page of records.
#[derive(Serialize)]
struct List {
    pagination: Value,
    meta: Value,
    resources: Vec<Resource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
}

/// Reads a page of an export.
async fn read_page(
    web: &Web,
    allowed: &Allowed<permission::Read>,
    filter: &Filter,
    order: &SortOrder,
    cursor: Option<&str>,
) -> Result<Page<Resource>, WebError> {
    let page = web.store().list(filter, order, cursor, PAGE_SIZE).await?;
    let shown = records::show_all(web.host(), &page.items).await?;
    let shown = shown.into_iter().map(Arc::new);
    Ok(Page {
        items: Resources::new(web, allowed).show_all(shown, &page.items),
        next: page.next,
    })
}

/// Shows a record.
pub(super) async fn get(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path(pkid): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let with_schema = query.flag("schema", false);
    query.close()?;
    let record = allowed.record(&web, &pkid).await?;
    nodes::ensure(web.access(), [&record.hierarchy]).await?;
    let documents = std::slice::from_ref(&record.document);
    let shown = web.shown_records().show_all(web.host(), documents);
    let details = shown.await?.pop().ok_or_else(WebError::not_found)?;
    let schema = with_schema.then(|| schema::of_model(web.model()));
    let resources = Resources::new(&web, &allowed);
    let shown = resources
        .show(details, &record.document)
        .with_schema(schema);
    Ok(([(header::ETAG, etag(record.document.version))], Json(shown)).into_response())
}

/// Adds a record.
pub(super) async fn add(
    State(web): State<Web>,
    allowed: Allowed<permission::Add>,
    address: ClientAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let nowait = query.flag("nowait", false);
    let hierarchy = match take_new_node(&web, &allowed, query).await {
        Err(mut error) if error.status.is_client_error() => {
            let errors = &mut error.error.field_errors;
            errors.extend(find_field_errors(web.model(), &body.fields));
            errors.extend(body.request_meta.errors);
            return Err(error);
        }
        taken => taken?,
    };
    let key = idempotency_key(&headers)?;
    let host = on_behalf_of(
        &web,
        (allowed.principal(), address),
        body.request_meta,
        &hierarchy,
    )
    .await?;
    nodes::ensure(web.access(), [&hierarchy]).await?;
    let (host, transaction) = host.for_transaction();
    let claimed = match key {
        None => None,
        Some(key) => {
            let digest = RequestDigest::new(RECORDS, &hierarchy, &body.fields);
            let request = (&hierarchy, &digest, transaction.as_str());
            match claim_key(&web, allowed.principal(), &key, request, nowait).await? {
                KeyClaim::Accepted(transaction) => return Ok(accepted(&transaction, None)),
                KeyClaim::Claimed(claimed) => Some(claimed),
            }
        }
    };
    let request = AddRequest {
        hierarchy,
        fields: body.fields,
        token_response: None,
        idempotency_key: claimed.as_ref().map(|claimed| claimed.key.clone()),
    };
    let added = add_claimed(&web, &allowed, address, &host, request, nowait).await;
    if let (Err(error), Some(claimed)) = (&added, &claimed)
        && error.error.transaction.is_none()
        // After an error of the store, the call may be stored.
        && error.status.is_client_error()
    {
        idempotency::release(web.access(), claimed).await;
    }
    added
}

/// Takes the node of a new record from the query, which has no other parameters any more.
///
/// # Errors
/// The query is wrong; 404 for a node outside of the principal's; nothing new belongs to the node.
async fn take_new_node(
    web: &Web,
    allowed: &Allowed<permission::Add>,
    mut query: Query,
) -> Result<Hierarchy, WebError> {
    let hierarchy = query.hierarchy();
    if hierarchy.is_none() && !query.has_errors() {
        let hint = "add the node of the new record: `?hierarchy=`, such as sys.Provider.Customer";
        query.report_with_hint("hierarchy", "is missing", hint);
    }
    query.close()?;
    let hierarchy = hierarchy.ok_or_else(WebError::not_found)?;
    let hierarchy = nodes::resolve(web.access(), hierarchy).await?;
    allowed.check(&hierarchy)?;
    match nodes::find_error(web.access(), &hierarchy).await? {
        Some(error) => Err(invalid("hierarchy", &error)),
        None => Ok(hierarchy),
    }
}

async fn add_claimed(
    web: &Web,
    allowed: &Allowed<permission::Add>,
    address: ClientAddress,
    host: &Host,
    request: AddRequest,
    nowait: bool,
) -> Result<Response, WebError> {
    let requester = Requester::new(allowed.principal(), address);
    let changes = find_changes(web.model(), None, &request.fields);
    let event = requester.add(&request.hierarchy).with_changes(changes);
    let queued = nowait.then(|| QueuedCall::Add(request.clone()));
    let call = Call::new(Some(event)).with_object(added_object);
    let access = web.access().clone();
    let work = |host: Host| async move {
        let node = request.hierarchy.clone();
        let added = host.add(request).await;
        if added.is_ok() {
            nodes::restore(&access, &node).await;
        }
        added
    };
    run_or_queue(web, host, call, queued, work, |added| {
        let pkid = &added.value.connection.pkid;
        let status = match added.value.replayed {
            true => StatusCode::OK,
            false => StatusCode::CREATED,
        };
        let href = href(pkid.as_str());
        let result = json!({
            "pkid": pkid, "href": href, "success": true, "transaction_id": added.transaction,
            "created": added.value.created, "replayed": added.value.replayed,
        });
        (status, [(header::LOCATION, href)], Json(result)).into_response()
    })
    .await
}

/// Changes the given fields of a record. The others stay.
pub(super) async fn modify(
    State(web): State<Web>,
    allowed: Allowed<permission::Modify>,
    address: ClientAddress,
    Path(pkid): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let nowait = query.flag("nowait", false);
    query.close()?;
    let record = allowed.record(&web, &pkid).await?;
    let version = check_version(&headers, &record)?;
    let node = &record.hierarchy;
    let host = on_behalf_of(
        &web,
        (allowed.principal(), address),
        body.request_meta,
        node,
    )
    .await?
    .for_version(version);
    let current = records::show(web.host(), &record).await?.fields;
    let requester = Requester::new(allowed.principal(), address);
    let changes = find_changes(web.model(), Some(&current), &body.fields);
    let event = requester.on("modify-record", &record).with_changes(changes);
    write(&web, &host, event, &record, body.fields, nowait).await
}

/// Replaces the fields of a record. A field that can be changed and is not given is emptied, except passwords, which no
/// caller can read and send back.
pub(super) async fn replace(
    State(web): State<Web>,
    allowed: Allowed<permission::Modify>,
    address: ClientAddress,
    Path(pkid): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let nowait = query.flag("nowait", false);
    query.close()?;
    let record = allowed.record(&web, &pkid).await?;
    let version = check_version(&headers, &record)?;
    let current = records::show(web.host(), &record).await?.fields;
    let mut fields = body.fields;
    for field in &web.model().fields {
        let is_fixed = field.read_only || field.add_only || field.password;
        let is_member = field.name.contains('[');
        if !is_fixed && !is_member && current.contains_key(&field.name) {
            fields.entry(field.name.clone()).or_insert(Value::Null);
        }
    }
    // A value that a client read and sends back unchanged is not an attempt to change it.
    fields.retain(|name, value| {
        let field = web.model().fields.iter().find(|field| field.name == *name);
        let is_fixed = field.is_some_and(|field| field.read_only || field.add_only);
        !(is_fixed && (current.get(name) == Some(value) || name == TOKEN_LINK))
    });
    let node = &record.hierarchy;
    let host = on_behalf_of(
        &web,
        (allowed.principal(), address),
        body.request_meta,
        node,
    )
    .await?
    .for_version(version);
    let requester = Requester::new(allowed.principal(), address);
    let changes = find_changes(web.model(), Some(&current), &fields);
    let event = requester.on("modify-record", &record).with_changes(changes);
    write(&web, &host, event, &record, fields, nowait).await
}

async fn write(
    web: &Web,
    host: &Host,
    event: NewAuditEvent,
    record: &StoredRecord,
    fields: Map<String, Value>,
    nowait: bool,
) -> Result<Response, WebError> {
    let pkid = record.pkid.clone();
    let queued = nowait.then(|| QueuedCall::Modify {
        pkid: pkid.clone(),
        fields: fields.clone(),
        token_response: None,
    });
    let work = |host: Host| async move { host.modify(&pkid, fields, None).await };
    let call = Call::new(Some(event));
    run_or_queue(web, host, call, queued, work, |modified| {
        let result = json!({
            "pkid": record.pkid, "href": href(record.pkid.as_str()), "success": true,
            "transaction_id": modified.transaction,
        });
        Json(result).into_response()
    })
    .await
}

/// Deletes a record, or reports what a delete would remove.
pub(super) async fn delete(
    State(web): State<Web>,
    allowed: Allowed<permission::Delete>,
    address: ClientAddress,
    Path(pkid): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    OptionalFields(body): OptionalFields,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let dry_run = query.flag("dry_run", false);
    let nowait = query.flag("nowait", false);
    if dry_run && nowait {
        query.report("nowait", "cannot be combined with dry_run");
    }
    query.close()?;
    let record = allowed.record(&web, &pkid).await?;
    let version = check_version(&headers, &record)?;
    if !body.fields.is_empty() {
        return Err(invalid("data", "is not used by a delete"));
    }
    let node = &record.hierarchy;
    let host = on_behalf_of(
        &web,
        (allowed.principal(), address),
        body.request_meta,
        node,
    )
    .await?
    .for_version(version);
    let event = Requester::new(allowed.principal(), address).on("delete-record", &record);
    let pkid = record.pkid.clone();
    let queued = nowait.then(|| QueuedCall::Delete { pkid: pkid.clone() });
    let work = |host: Host| async move { host.delete(&pkid, dry_run).await };
    let call = Call::new((!dry_run).then_some(event));
    run_or_queue(&web, &host, call, queued, work, |deleted| {
        let mut result = json!({
            "success": true, "dry_run": dry_run, "transaction_id": deleted.transaction,
        });
        if let (Some(members), Ok(Value::Object(deletion))) =
            (result.as_object_mut(), serde_json::to_value(&deleted.value))
        {
            members.extend(deletion);
        }
        Json(result).into_response()
    })
    .await
}

/// Returns the address of a record.
pub(super) fn href(pkid: &str) -> String {
    format!("{RECORDS}{pkid}/")
}

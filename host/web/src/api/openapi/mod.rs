//! The OpenAPI document, generated from the routes and from the plugin's description of its model.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{RawQuery, State};
use relation_host::reports::Model;
use serde_json::{Map, Value, json};

mod access;
mod errors;
mod notices;
mod parameters;
mod schemas;

use self::errors::errors;
use self::parameters::{paging, pkid, query, transaction_id};
use super::body::MAX_BULK;
use super::models::{MODELS, ReadModel};
use super::query::Query;
use super::route::Route;
use crate::access::AccessRoute;
use crate::{Web, WebError};

/// Serves the document.
pub(super) async fn serve(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, WebError> {
    Query::parse(query.as_deref()).close()?;
    Ok(Json(document(web.model())))
}

/// Returns the document for a model.
pub(crate) fn document(model: &Model) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in Route::ALL {
        let path = paths
            .entry(route.path().to_owned())
            .or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            let method = route.method().as_str().to_ascii_lowercase();
            methods.insert(method, operation(*route, model));
        }
    }
    for route in AccessRoute::ALL {
        let path = paths
            .entry(route.path().to_owned())
            .or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            let method = route.method().as_str().to_ascii_lowercase();
            methods.insert(method, access::operation(*route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "relation host",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Connections of customers to Cisco Webex organizations, in the conventions of the platform.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "apiKey": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "apiKey": { "type": "http", "scheme": "bearer", "description": "An API key: `rel_…`." },
                "session": { "type": "apiKey", "in": "cookie", "name": "relation" },
            },
            "schemas": {
                "Problem": schemas::problem(),
                "Pagination": schemas::pagination(),
                "NewRecord": schemas::fields(model, true),
                "RecordChange": schemas::fields(model, false),
                "Record": schemas::record(),
                "Transaction": schemas::transaction(),
                "User": access::user(),
                "ApiKey": access::api_key(),
                "AuditEvent": access::audit_event(),
                "CallbackAuth": access::callback_auth(),
                "NoticeSettings": notices::settings(),
                "NoticeSecret": notices::secret(),
                "Notice": notices::notice(),
                "NoticeDelivery": notices::delivery(),
                "Role": access::role(),
                "HierarchyNode": access::hierarchy_node(),
                "Caller": access::caller(),
            },
        },
    })
}

fn operation(route: Route, model: &Model) -> Value {
    let mut responses = Map::new();
    let (status, description, schema) = response(route);
    let mut success = schemas::success(description, schema);
    if is_list(route) {
        schemas::add_lines(&mut success);
    }
    responses.insert(status.to_owned(), success);
    if takes_nowait(route) {
        responses.insert(
            "202".to_owned(),
            schemas::success("The call is queued.", done()),
        );
    }
    if matches!(route, Route::CancelTransaction) {
        let description = "Running calls are not stopped; `detail` says how they end. The transaction has the outcome.";
        responses.insert(
            "202".to_owned(),
            schemas::success(description, cancellation()),
        );
    }
    if matches!(route, Route::AddRecord) {
        responses.insert(
            "200".to_owned(),
            schemas::success(
                "An earlier request with this idempotency key added the record.",
                done(),
            ),
        );
    }
    for (status, description) in errors(route) {
        responses.insert(status.to_owned(), schemas::error(status, description));
    }
    let mut operation = json!({
        "operationId": format!("{route:?}"),
        "summary": summary(route),
        "parameters": parameters(route, model),
        "responses": responses,
    });
    if let (Some(members), Route::OpenApi) = (operation.as_object_mut(), route) {
        members.insert("security".to_owned(), json!([]));
    }
    if let (Some(members), Some(schema)) = (operation.as_object_mut(), request_schema(route)) {
        members.insert(
            "requestBody".to_owned(),
            json!({
                "required": requires_body(route),
                "content": { "application/json": { "schema": schema } },
            }),
        );
    }
    operation
}

fn is_list(route: Route) -> bool {
    matches!(
        route,
        Route::ListRecords | Route::ListTransactions | Route::ListData | Route::ListImported
    )
}

/// Returns whether a request without a body is refused.
fn requires_body(route: Route) -> bool {
    matches!(
        route,
        Route::AddRecord
            | Route::ReplaceRecord
            | Route::ModifyRecord
            | Route::ModifyRecords
            | Route::DeleteRecords
    )
}

/// Returns whether the call of a route can be queued.
fn takes_nowait(route: Route) -> bool {
    matches!(
        route,
        Route::AddRecord
            | Route::ReplaceRecord
            | Route::ModifyRecord
            | Route::DeleteRecord
            | Route::RunAction
    )
}

fn summary(route: Route) -> &'static str {
    match route {
        Route::ListRecords => "Lists records",
        Route::AddRecord => "Adds a record",
        Route::GetRecord => "Shows a record",
        Route::ReplaceRecord => "Replaces the fields of a record, except passwords",
        Route::ModifyRecord => "Changes the given fields of a record",
        Route::DeleteRecord => "Deletes a record with everything that belongs to it",
        Route::RunAction => "Runs an action of a record",
        Route::PreviewNotices => "Shows the coming notices of a record",
        Route::ListTransactions => "Lists transactions, the newest first",
        Route::GetTransaction => "Shows a transaction with its log",
        Route::PollTransaction => "Returns the status of a transaction",
        Route::PollTransactions => "Returns the status of several transactions",
        Route::ModifyRecords => "Changes the same fields of several records",
        Route::DeleteRecords => "Deletes several records",
        Route::ReplayTransaction => "Submits the request of an ended transaction again",
        Route::CancelTransaction => "Cancels a transaction that has not ended",
        Route::ListData => "Lists the instances of a data model",
        Route::GetData => "Shows an instance of a data model",
        Route::ListImported => "Lists the instances of an imported model",
        Route::GetImported => "Shows an instance of an imported model",
        Route::OpenApi => "Returns this document",
    }
}

/// Returns the status, the description and the schema of a successful response.
fn response(route: Route) -> (&'static str, &'static str, Value) {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let list = |item: Value| {
        json!({
            "type": "object",
            "required": ["pagination", "meta", "resources"],
            "properties": {
                "pagination": { "$ref": "#/components/schemas/Pagination" },
                "meta": { "type": "object" },
                "resources": { "type": "array", "items": item },
                "schema": { "type": "object" },
            },
        })
    };
    match route {
        Route::ListRecords => ("200", "A page of records.", list(reference("Record"))),
        Route::ListTransactions => (
            "200",
            "A page of transactions.",
            list(reference("Transaction")),
        ),
        Route::ListData | Route::ListImported => {
            ("200", "A page of instances.", list(reference("Record")))
        }
        Route::AddRecord => ("201", "The record was added.", done()),
        Route::GetRecord | Route::GetData | Route::GetImported => {
            ("200", "The instance.", reference("Record"))
        }
        Route::ReplaceRecord | Route::ModifyRecord => ("200", "The record was changed.", done()),
        Route::DeleteRecord => ("200", "The record was deleted.", done()),
        Route::RunAction => ("200", "The action has ended.", done()),
        Route::ModifyRecords | Route::DeleteRecords => (
            "202",
            "The calls are queued; `resources` has the status of each.",
            done(),
        ),
        Route::ReplayTransaction => ("202", "The call is queued again.", done()),
        Route::CancelTransaction => ("200", "The transaction is canceled.", cancellation()),
        Route::PreviewNotices => ("200", "The notices of each grant.", notices::preview()),
        Route::GetTransaction => ("200", "The transaction.", reference("Transaction")),
        Route::PollTransaction | Route::PollTransactions => {
            let entry = json!({
                "type": "object",
                "required": ["status", "href", "description"],
                "properties": {
                    "status": { "enum": schemas::statuses() },
                    "href": { "type": "string" },
                    "description": { "type": "string" },
                },
            });
            let polled = json!({ "type": "object", "additionalProperties": entry });
            ("200", "The statuses, by transaction.", polled)
        }
        Route::OpenApi => ("200", "The document.", json!({ "type": "object" })),
    }
}

/// Returns the schema of the result of a write.
fn done() -> Value {
    json!({
        "type": "object",
        "required": ["success", "transaction_id"],
        "properties": {
            "success": { "const": true },
            "transaction_id": { "type": "string" },
        },
    })
}

/// Returns the schema of the result of a cancellation.
fn cancellation() -> Value {
    let count = || json!({ "type": ["integer", "null"] });
    json!({
        "type": "object",
        "required": ["success", "transaction_id", "canceled", "running", "detail"],
        "properties": {
            "success": { "const": true },
            "transaction_id": { "type": "string" },
            "canceled": count(),
            "running": count(),
            "detail": { "type": "string" },
        },
    })
}

fn request_schema(route: Route) -> Option<Value> {
    match route {
        Route::AddRecord => Some(json!({ "$ref": "#/components/schemas/NewRecord" })),
        Route::ReplaceRecord | Route::ModifyRecord => {
            Some(json!({ "$ref": "#/components/schemas/RecordChange" }))
        }
        Route::ModifyRecords | Route::DeleteRecords => {
            let hrefs = json!({
                "type": "array", "minItems": 1, "maxItems": MAX_BULK, "uniqueItems": true,
                "items": { "type": "string" },
            });
            let mut properties = json!({
                "hrefs": hrefs, "request_meta": schemas::request_meta(),
            });
            if let (Some(members), Route::ModifyRecords) = (properties.as_object_mut(), route) {
                members.insert("data".to_owned(), json!({ "type": "object" }));
            }
            Some(json!({
                "type": "object", "required": ["hrefs"], "properties": properties,
                "additionalProperties": false,
            }))
        }
        Route::DeleteRecord | Route::ReplayTransaction => Some(json!({
            "type": "object",
            "properties": { "request_meta": schemas::request_meta() },
            "additionalProperties": false,
        })),
        Route::RunAction => Some(json!({
            "type": "object",
            "description": "The arguments, by the schema of the action.",
            "properties": { "request_meta": schemas::request_meta() },
        })),
        _ => None,
    }
}

fn parameters(route: Route, model: &Model) -> Value {
    let path = |name: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "description": description, "schema": schema });
    let text = || json!({ "type": "string", "minLength": 1 });
    let flag = || json!({ "type": "boolean" });
    let mut list = Vec::new();
    let pkid_of_record = || path("pkid", pkid());
    let if_match = || {
        header(
            "If-Match",
            "The ETag of the version to change.",
            json!({ "type": "string" }),
        )
    };
    match route {
        Route::ListRecords => {
            list.extend(paging());
            list.push(query(
                "order_by",
                "The order.",
                json!({ "enum": ["pkid", "name", "urgency"] }),
            ));
            list.push(query(
                "direction",
                "The direction of the order.",
                json!({ "enum": ["asc", "desc"] }),
            ));
            list.push(query("name", "The customer's name.", text()));
            let states = relation_host::reports::State::ALL.map(|state| state.as_str());
            list.push(query(
                "state",
                "A state that a grant of the record has.",
                json!({ "enum": states }),
            ));
            list.push(query(
                "schema",
                "Whether to add the platform's schema.",
                flag(),
            ));
        }
        Route::AddRecord => {
            let mut node = query(
                "hierarchy",
                "The node of the new record.",
                parameters::node(),
            );
            if let Some(members) = node.as_object_mut() {
                members.insert("required".to_owned(), true.into());
            }
            list.push(node);
            let description = "A repeated request with the same key adds nothing. A different one is refused: 422, code \
                               idempotency-key-reused.";
            let schema = json!({ "type": "string", "pattern": "^[!-~]{1,255}$" });
            list.push(header("Idempotency-Key", description, schema));
        }
        Route::PreviewNotices => list.push(pkid_of_record()),
        Route::GetRecord => {
            list.push(pkid_of_record());
            list.push(query(
                "schema",
                "Whether to add the platform's schema.",
                flag(),
            ));
        }
        Route::ReplaceRecord | Route::ModifyRecord => {
            list.push(pkid_of_record());
            list.push(if_match());
        }
        Route::DeleteRecord => {
            list.push(pkid_of_record());
            list.push(if_match());
            let description = "Whether to report only what would be deleted.";
            list.push(query("dry_run", description, flag()));
        }
        Route::RunAction => {
            list.push(pkid_of_record());
            let actions = model.actions.iter();
            let actions: Vec<String> = actions.map(|action| format!("+{}", action.name)).collect();
            list.push(path("action", json!({ "enum": actions })));
            list.push(if_match());
        }
        Route::ListTransactions => {
            list.extend(
                paging()
                    .into_iter()
                    .filter(|each| each.get("name") != Some(&"skip".into())),
            );
            list.push(query(
                "status",
                "The status.",
                json!({ "enum": schemas::statuses() }),
            ));
            list.push(query("action", "The action.", text()));
            list.push(query("record", "The record.", pkid()));
            let description = "The transaction whose parts are listed.";
            let text = json!({ "type": "string", "minLength": 1 });
            list.push(query("parent", description, text));
        }
        Route::GetTransaction
        | Route::PollTransaction
        | Route::ReplayTransaction
        | Route::CancelTransaction => {
            list.push(path("id", transaction_id()));
        }
        Route::PollTransactions => {
            let schema = json!({ "type": "string", "pattern": "[^,]" });
            let mut ids = query("ids", "1 to 100 ids, separated by commas.", schema);
            if let Some(members) = ids.as_object_mut() {
                members.insert("required".to_owned(), true.into());
            }
            list.push(ids);
        }
        Route::ListData | Route::ListImported => {
            list.push(path("model", json!({ "enum": model_names(route) })));
            list.extend(paging());
            list.push(query(
                "owner",
                "The record that the instances belong to.",
                pkid(),
            ));
            let models = MODELS.iter().filter(|model| is_model(route, model));
            let keys: BTreeSet<&str> = models.flat_map(|model| model.keys).copied().collect();
            let description =
                "The search key to search by. The error of another one lists those of the model.";
            list.push(query("filter_field", description, json!({ "enum": keys })));
            list.push(query("filter_text", "The value of the key.", text()));
            list.push(query(
                "filter_condition",
                "The comparison.",
                json!({ "enum": ["equals"] }),
            ));
        }
        Route::GetData | Route::GetImported => {
            list.push(path("model", json!({ "enum": model_names(route) })));
            list.push(path("pkid", pkid()));
        }
        Route::ModifyRecords | Route::DeleteRecords | Route::OpenApi => {}
    }
    if takes_nowait(route) {
        let description = "Whether to respond at once with 202 and the transaction.";
        list.push(query("nowait", description, flag()));
    }
    list.into()
}

fn is_model(route: Route, model: &ReadModel) -> bool {
    let is_data = model.name.starts_with("data/");
    is_data == matches!(route, Route::ListData | Route::GetData)
}

fn model_names(route: Route) -> Vec<&'static str> {
    let models = MODELS.iter().filter(|model| is_model(route, model));
    let names = models.filter_map(|model| model.name.rsplit_once('/'));
    names.map(|(_, name)| name).collect()
}

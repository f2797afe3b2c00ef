//! The schemas of the OpenAPI document.

use relation_host::reports::{Field, FieldKind, Model};
use relation_host::transactions::Status;
use serde_json::{Map, Value, json};

use crate::api::export::LINES;
use crate::error::KEY_REUSED;

/// Returns a successful response.
pub(super) fn success(description: &str, schema: Value) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": schema } },
    })
}

/// Adds the whole list as lines of JSON to the response with a page.
pub(super) fn add_lines(response: &mut Value) {
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    if let Some(content) = content {
        let schema = json!({ "type": "string", "description": "One item in each line." });
        content.insert(LINES.to_owned(), json!({ "schema": schema }));
    }
}

/// Returns the response with an error.
pub(super) fn error(status: &str, description: &str) -> Value {
    let mut response = json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    if let (Some(members), "429") = (response.as_object_mut(), status) {
        let seconds = json!({ "description": "Seconds until the next request.", "schema": { "type": "integer" } });
        members.insert("headers".to_owned(), json!({ "Retry-After": seconds }));
    }
    response
}

/// Returns the statuses of transactions.
pub(super) fn statuses() -> Vec<&'static str> {
    Status::ALL.iter().map(|status| status.as_str()).collect()
}

/// Returns the schema of the fields that a request may give.
pub(super) fn fields(model: &Model, for_add: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let writable = |field: &&Field| !field.read_only && (for_add || !field.add_only);
    for field in model.fields.iter().filter(writable) {
        if field.name.contains('[') {
            continue;
        }
        if for_add && field.required {
            required.push(field.name.clone());
        }
        properties.insert(field.name.clone(), of_field(field));
    }
    properties.insert("request_meta".to_owned(), request_meta());
    let mut schema = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
    });
    // The name has a default: that of the customer at its node.
    required.retain(|name| name != "name");
    if let (Some(members), false) = (schema.as_object_mut(), required.is_empty()) {
        members.insert("required".to_owned(), required.into());
    }
    schema
}

/// Returns the schema of what a request may have beside its fields.
pub(super) fn request_meta() -> Value {
    json!({
        "type": "object",
        "properties": {
            "external_id": { "type": ["string", "null"], "maxLength": 255 },
            "external_reference": { "type": ["string", "null"], "maxLength": 255 },
            "callback_url": {
                "type": ["string", "null"],
                "maxLength": 2048,
                "description": "The address that the end of the transaction is posted to.",
            },
            "callback_auth": {
                "type": ["string", "null"],
                "maxLength": 255,
                "description": "The name of the credentials for the callback.",
            },
            "callback_auth_name": {
                "type": ["string", "null"],
                "maxLength": 255,
                "description": "Another name of callback_auth, which the platform uses.",
            },
        },
        "additionalProperties": false,
    })
}

/// Returns the schema of the delivery of a callback.
fn callback() -> Value {
    json!({
        "type": ["object", "null"],
        "properties": {
            "receiver": { "type": "string", "description": "The scheme, host and port." },
            "state": { "enum": ["waiting", "delivered", "failed"] },
            "delivered": { "type": "boolean" },
            "attempts": { "type": "integer" },
            "last_attempt_time": { "type": ["string", "null"] },
            "last_error": { "type": ["string", "null"] },
        },
    })
}

fn of_field(field: &Field) -> Value {
    let mut schema = match field.kind {
        FieldKind::Boolean => json!({ "type": ["boolean", "null"] }),
        FieldKind::Objects => json!({ "type": ["array", "null"], "items": { "type": "object" } }),
        FieldKind::Text | FieldKind::Email | FieldKind::Uri | FieldKind::DateTime => {
            json!({ "type": ["string", "null"] })
        }
    };
    let Some(members) = schema.as_object_mut() else {
        return schema;
    };
    members.insert("title".to_owned(), field.title.clone().into());
    members.insert("description".to_owned(), field.help.clone().into());
    if let Some(length) = field.max_length {
        members.insert("maxLength".to_owned(), length.into());
    }
    if !field.choices.is_empty() {
        let choices = field.choices.iter();
        let mut values: Vec<Value> = choices.map(|choice| choice.value.clone().into()).collect();
        values.push(Value::Null);
        members.insert("enum".to_owned(), values.into());
    }
    if field.password {
        members.insert("writeOnly".to_owned(), true.into());
    }
    schema
}

/// Returns the schema of an instance.
pub(super) fn record() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "href", "meta", "data"],
        "properties": {
            "pkid": { "type": "string" },
            "href": { "type": "string" },
            "meta": { "type": "object" },
            "data": { "type": "object" },
            "connection": { "type": "object" },
            "schema": { "type": "object" },
        },
    })
}

/// Returns the schema of a transaction.
pub(super) fn transaction() -> Value {
    json!({
        "type": "object",
        "required": ["id", "href", "action", "status", "detail", "submitted_time", "started_time"],
        "properties": {
            "id": { "type": "string" },
            "href": { "type": "string" },
            "action": { "type": "string" },
            "status": { "enum": statuses() },
            "detail": { "type": "string" },
            "submitted_time": { "type": "string" },
            "started_time": { "type": "string" },
            "completed_time": { "type": ["string", "null"] },
            "duration": { "type": "number" },
            "callback": callback(),
            "log": { "type": "array" },
            "sub_transactions": { "type": "array", "description": "The last 100 parts." },
            "sub_transactions_total": { "type": "integer" },
        },
    })
}

/// Returns the schema of a page's place in a list.
pub(super) fn pagination() -> Value {
    json!({
        "type": "object",
        "required": ["skip", "limit", "total", "total_is_exact", "next"],
        "properties": {
            "skip": { "type": "integer" },
            "limit": { "type": "integer" },
            "total": { "type": ["integer", "null"], "description": "null with count=false; at most 10 000." },
            "total_is_exact": { "type": "boolean" },
            "next": { "type": ["string", "null"] },
        },
    })
}

/// Returns the schema of an error.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error, as RFC 9457 describes it.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "enum": [KEY_REUSED] },
            "hint": { "type": "string" },
            "transaction_id": { "type": "string" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": { "field": { "type": "string" }, "message": { "type": "string" } },
                },
            },
        },
    })
}

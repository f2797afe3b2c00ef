//! The routes for users, keys, the audit log and sessions in the OpenAPI document.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::parameters::{node, node_name, paging, pkid, query};
use super::{notices, schemas};
use crate::access::{AccessRoute, Operation, ROLES};

/// Describes a route for users, keys, the audit log or sessions.
pub(super) fn operation(route: AccessRoute) -> Value {
    let mut responses = Map::new();
    let success = match response_schema(route) {
        None => json!({ "description": "Done." }),
        Some(schema) => {
            let mut success = schemas::success("Done.", schema);
            if route.is_list() {
                schemas::add_lines(&mut success);
            }
            success
        }
    };
    responses.insert(route.success().to_owned(), success);
    for (status, description) in errors(route) {
        responses.insert(status.to_owned(), schemas::error(status, description));
    }
    let mut parameters = Vec::new();
    if route.path().contains("{pkid}") {
        parameters
            .push(json!({ "name": "pkid", "in": "path", "required": true, "schema": pkid() }));
    }
    parameters.extend(notices::path_parameters(route));
    match route {
        AccessRoute::ListDeliveries => parameters.extend(notices::delivery_parameters()),
        _ if route.is_list() => parameters.extend(paging()),
        _ => {}
    }
    if route.takes_version() {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "description": "The ETag of the version to change.",
            "schema": { "type": "string" },
        }));
    }
    if matches!(route, AccessRoute::ListNodes) {
        let description = "The name of the node: the last part of its path.";
        let text = json!({ "type": "string", "minLength": 1 });
        parameters.push(query("name", description, text));
        let description = "Whether to list only the nodes directly below `hierarchy`.";
        parameters.push(query("children", description, json!({ "type": "boolean" })));
    }
    if route == AccessRoute::ListRoles {
        let help = "Whether to list the roles of the node and the nodes above it that the caller can grant, without pages.";
        parameters.push(query("grantable", help, json!({ "type": "boolean" })));
    }
    let mut operation = json!({
        "operationId": format!("{route:?}"),
        "summary": route.summary(),
        "parameters": parameters,
        "responses": responses,
    });
    let Some(members) = operation.as_object_mut() else {
        return operation;
    };
    if let Some(schema) = request_schema(route) {
        // The rotation of a key may have no body.
        let is_required = route != AccessRoute::RotateApiKey;
        let body = json!({ "application/json": { "schema": schema } });
        members.insert(
            "requestBody".to_owned(),
            json!({ "required": is_required, "content": body }),
        );
    }
    if matches!(route, AccessRoute::LogIn | AccessRoute::LogOut) {
        members.insert("security".to_owned(), json!([]));
    }
    operation
}

fn errors(route: AccessRoute) -> Vec<(&'static str, &'static str)> {
    let mut errors = vec![
        ("400", "The query, a header or the body cannot be read."),
        (
            "401",
            "The request has no valid session or API key, or the log-in is refused.",
        ),
        ("429", "The caller sends too many requests."),
        ("500", "The host failed."),
        ("503", "The store is not available."),
    ];
    if route.operation().is_some() {
        errors.push(("403", "The roles of the caller do not permit this."));
        errors.push((
            "404",
            "The object does not exist, or the caller may not see it.",
        ));
    } else if route.method() != Method::GET {
        errors.push(("403", "The request comes from another site."));
    }
    if route.operation().is_some() && route.method() != Method::GET {
        errors.push(("409", "The present state does not permit this."));
    }
    if route.takes_version() {
        errors.push(("412", "The settings have another version than If-Match."));
    }
    if request_schema(route).is_some() {
        errors.extend([
            ("413", "The body is too large."),
            ("415", "The body is not declared as JSON."),
            ("422", "Fields are wrong: `errors` has all of them."),
        ]);
    }
    errors
}

fn response_schema(route: AccessRoute) -> Option<Value> {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let list = |name: &str| {
        json!({
            "type": "object",
            "required": ["pagination", "resources"],
            "properties": {
                "pagination": reference("Pagination"),
                "resources": { "type": "array", "items": reference(name) },
            },
        })
    };
    Some(match route {
        AccessRoute::ListUsers => list("User"),
        AccessRoute::ListApiKeys => list("ApiKey"),
        AccessRoute::ListAuditEvents => list("AuditEvent"),
        AccessRoute::ListCallbackAuths => list("CallbackAuth"),
        AccessRoute::ListNodes => list("HierarchyNode"),
        AccessRoute::ListRoles => list("Role"),
        AccessRoute::AddRole | AccessRoute::GetRole | AccessRoute::SetRoleOperations => {
            reference("Role")
        }
        AccessRoute::AddCallbackAuth
        | AccessRoute::GetCallbackAuth
        | AccessRoute::ReplaceCallbackAuth => reference("CallbackAuth"),
        AccessRoute::AddNode | AccessRoute::GetNode => reference("HierarchyNode"),
        AccessRoute::DeleteCallbackAuth | AccessRoute::DeleteNode | AccessRoute::DeleteRole => {
            return None;
        }
        AccessRoute::AddUser
        | AccessRoute::GetUser
        | AccessRoute::SetUserRoles
        | AccessRoute::DisableUser
        | AccessRoute::EnableUser => reference("User"),
        AccessRoute::GetApiKey | AccessRoute::RevokeApiKey => reference("ApiKey"),
        AccessRoute::AddApiKey | AccessRoute::RotateApiKey => {
            let key = json!({ "type": "string", "description": "The text that a program sends." });
            let secret = json!({
                "type": "object", "required": ["key"], "properties": { "key": key },
            });
            json!({ "allOf": [reference("ApiKey"), secret] })
        }
        AccessRoute::CreateSetUpLink => json!({
            "type": "object",
            "required": ["url", "expires"],
            "properties": { "url": { "type": "string" }, "expires": time() },
        }),
        AccessRoute::GetSession | AccessRoute::LogIn => reference("Caller"),
        AccessRoute::LogOut => return None,
        AccessRoute::ListNoticeSettings => list("NoticeSettings"),
        AccessRoute::ListDeliveries => list("NoticeDelivery"),
        AccessRoute::GetNoticeSettings
        | AccessRoute::SaveNoticeSettings
        | AccessRoute::RemoveNoticeSettings
        | AccessRoute::ResolveNoticeSettings
        | AccessRoute::RotateNoticeSecret
        | AccessRoute::SetNoticeSecrets
        | AccessRoute::TestNoticeRecipient
        | AccessRoute::EnableNoticeEndpoint
        | AccessRoute::GetDelivery
        | AccessRoute::ResendDelivery
        | AccessRoute::ResendDeliveries => return notices::response(route),
    })
}

fn request_schema(route: AccessRoute) -> Option<Value> {
    let object = |required: &[&str], properties: Value| {
        let mut schema = json!({
            "type": "object", "properties": properties, "additionalProperties": false,
        });
        if let (Some(members), false) = (schema.as_object_mut(), required.is_empty()) {
            members.insert("required".to_owned(), json!(required));
        }
        schema
    };
    let name = || json!({ "type": "string", "minLength": 1, "maxLength": 100 });
    Some(match route {
        AccessRoute::AddUser => object(
            &["name", "hierarchy", "grants"],
            json!({
                "name": name(), "hierarchy": node(), "grants": grants(),
                "language": { "type": ["string", "null"], "pattern": "^[A-Za-z0-9]{2,8}(-[A-Za-z0-9]{1,8}){0,2}$" },
            }),
        ),
        AccessRoute::SetUserRoles => object(&["grants"], json!({ "grants": grants() })),
        AccessRoute::AddApiKey => object(
            &["name", "hierarchy", "grants"],
            json!({
                "name": name(), "hierarchy": node(), "grants": grants(), "expires": optional_time(),
            }),
        ),
        AccessRoute::RotateApiKey => object(
            &[],
            json!({ "overlap_seconds": { "type": ["integer", "null"], "minimum": 0 } }),
        ),
        AccessRoute::AddCallbackAuth => object(&["name", "hierarchy"], callback_auth_input(true)),
        AccessRoute::ReplaceCallbackAuth => object(&["name"], callback_auth_input(false)),
        AccessRoute::AddRole => object(
            &["name", "hierarchy", "operations"],
            json!({ "name": name(), "hierarchy": node(), "operations": operations() }),
        ),
        AccessRoute::SetRoleOperations => {
            object(&["operations"], json!({ "operations": operations() }))
        }
        AccessRoute::AddNode => object(
            &["name", "hierarchy"],
            json!({ "name": node_name(), "hierarchy": node() }),
        ),
        AccessRoute::LogIn => object(
            &["name", "password"],
            json!({
                "name": { "type": "string" }, "password": { "type": "string", "writeOnly": true },
            }),
        ),
        _ => return notices::request(route),
    })
}

/// Returns the properties of credentials in a request.
fn callback_auth_input(with_node: bool) -> Value {
    let secret = json!({ "type": ["string", "null"], "writeOnly": true });
    let mut properties = json!({
        "name": { "type": "string" },
        "user_name": { "type": ["string", "null"] },
        "password": secret,
        "token": secret,
        "signing_secret": secret,
    });
    if let (Some(members), true) = (properties.as_object_mut(), with_node) {
        members.insert("hierarchy".to_owned(), node());
    }
    properties
}

/// Returns the schema of credentials of callbacks.
pub(super) fn callback_auth() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "name", "hierarchy", "kind", "signed", "created", "changed"],
        "properties": {
            "pkid": pkid(),
            "name": { "type": "string" },
            "hierarchy": { "type": "string" },
            "kind": { "type": "string" },
            "user_name": { "type": ["string", "null"] },
            "signed": { "type": "boolean" },
            "created": time(),
            "changed": time(),
        },
    })
}

/// Returns the schema of a node of the hierarchy.
pub(super) fn hierarchy_node() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "href", "name", "hierarchy", "parent", "parent_pkid"],
        "properties": {
            "pkid": pkid(),
            "href": { "type": "string" },
            "name": { "type": "string" },
            "hierarchy": { "type": "string" },
            "parent": { "type": ["string", "null"] },
            "parent_pkid": { "type": ["string", "null"] },
        },
    })
}

/// Returns the schema of a time.
pub(super) fn time() -> Value {
    json!({ "type": "integer", "minimum": 0, "description": "Milliseconds since 1970." })
}

pub(super) fn optional_time() -> Value {
    json!({
        "type": ["integer", "null"], "minimum": 0, "description": "Milliseconds since 1970.",
    })
}

fn grants() -> Value {
    let roles: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
    let description = format!(
        "A built-in role ({}), or the pkid of a custom role. Requests may have the name of a custom role.",
        roles.join(", ")
    );
    json!({
        "type": "array",
        "maxItems": 100,
        "items": {
            "type": "object",
            "required": ["role", "node"],
            "properties": { "role": { "type": "string", "description": description }, "node": node() },
        },
    })
}

/// Returns the schema of the operations of a custom role.
fn operations() -> Value {
    let names = Operation::ALL.map(Operation::as_str);
    json!({ "type": "array", "minItems": 1, "items": { "type": "string", "enum": names } })
}

/// Returns the schema of a custom role.
pub(super) fn role() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "name", "hierarchy", "hierarchy_pkid", "operations"],
        "properties": {
            "pkid": pkid(),
            "name": { "type": "string" },
            "hierarchy": { "type": "string" },
            "hierarchy_pkid": pkid(),
            "operations": operations(),
        },
    })
}

/// Returns the schema of a user.
pub(super) fn user() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "name", "hierarchy", "grants", "disabled", "created", "has_password"],
        "properties": {
            "pkid": pkid(),
            "name": { "type": "string" },
            "hierarchy": { "type": "string" },
            "grants": grants(),
            "disabled": { "type": "boolean" },
            "language": { "type": ["string", "null"] },
            "created": time(),
            "has_password": { "type": "boolean" },
            "issuer": { "type": ["string", "null"], "description": "The OpenID provider of the user." },
        },
    })
}

/// Returns the schema of an API key.
pub(super) fn api_key() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "name", "hierarchy", "grants", "created"],
        "properties": {
            "pkid": pkid(),
            "name": { "type": "string" },
            "hierarchy": { "type": "string" },
            "grants": grants(),
            "created": time(),
            "expires": optional_time(),
            "revoked": optional_time(),
            "former_secret_until": optional_time(),
            "last_used": optional_time(),
        },
    })
}

/// Returns the schema of an event of the audit log.
pub(super) fn audit_event() -> Value {
    json!({
        "type": "object",
        "required": ["pkid", "at", "actor", "operation", "node", "result", "changes"],
        "properties": {
            "pkid": pkid(),
            "at": time(),
            "actor": { "type": "object" },
            "address": { "type": ["string", "null"] },
            "operation": { "type": "string" },
            "object": { "type": ["object", "null"] },
            "node": { "type": "string" },
            "result": { "enum": ["success", "queued", "refused", "failed"] },
            "transaction": { "type": ["string", "null"] },
            "changes": { "type": "array", "items": { "type": "object", "required": ["field"] } },
        },
    })
}

/// Returns the schema of the sender of a request.
pub(super) fn caller() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "pkid", "name", "roles", "operations", "session"],
        "properties": {
            "kind": { "enum": ["user", "api-key"] },
            "pkid": pkid(),
            "name": { "type": "string" },
            "roles": { "type": "array", "items": { "type": "object", "required": ["role", "title", "node"] } },
            "operations": { "type": "object", "additionalProperties": { "type": "array", "items": { "type": "string" } } },
            "session": { "type": ["object", "null"] },
        },
    })
}

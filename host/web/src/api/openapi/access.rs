//! The routes for users, keys, the audit log and sessions in the OpenAPI document.

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::access::AccessRoute;

/// Describes a route for users, keys, the audit log or sessions.
pub(super) fn operation(route: AccessRoute) -> Value {
    let object = json!({ "application/json": { "schema": { "type": "object" } } });
    let mut responses = Map::new();
    let success = match route.success() {
        "204" => json!({ "description": "Done." }),
        _ => json!({ "description": "Done.", "content": object }),
    };
    responses.insert(route.success().to_owned(), success);
    for (status, description) in [
        ("400", "The query or the body cannot be read."),
        (
            "401",
            "The request has no valid session or API key, or the log-in is refused.",
        ),
        ("403", "The roles of the caller do not permit this."),
        ("404", "Nothing is there, or the caller may not see it."),
        ("409", "The present state does not permit this."),
        ("413", "The request exceeds a limit."),
        ("415", "The body is not declared as JSON."),
        ("422", "Fields are wrong: `errors` has all of them."),
        ("429", "There were too many requests."),
        ("503", "The store is not available."),
    ] {
        responses.insert(status.to_owned(), json!({
            "description": description,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        }));
    }
    let mut parameters = Vec::new();
    if route.path().contains("{pkid}") {
        let schema = json!({ "type": "string", "pattern": "^[0-9a-f]{24}$" });
        parameters
            .push(json!({ "name": "pkid", "in": "path", "required": true, "schema": schema }));
    }
    let mut operation = json!({
        "operationId": format!("{route:?}"),
        "summary": route.summary(),
        "parameters": parameters,
        "responses": responses,
    });
    if let (Some(members), true) = (operation.as_object_mut(), route.method() != Method::GET) {
        members.insert("requestBody".to_owned(), json!({ "content": object }));
    }
    operation
}

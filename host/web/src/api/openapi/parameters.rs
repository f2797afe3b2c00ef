//! The parameters that several routes of the OpenAPI document share.

use serde_json::{Value, json};

use crate::api::query::{DEFAULT_LIMIT, MAX_LIMIT, MAX_SKIP};

/// The maximum length of a node's path.
const MAX_NODE_LENGTH: u32 = 1024;

/// Returns a parameter of the query.
pub(super) fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// Returns the schema of a pkid.
pub(super) fn pkid() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{24}$" })
}

/// Returns the schema of the id of a transaction, or of a part of one.
pub(super) fn transaction_id() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f-]{36}(\\.[0-9]{4,})*$" })
}

/// Returns the pattern of one part of a node's path: no dots, and no white space around it.
fn part() -> String {
    const CONTROL: &str = "\\x00-\\x1F\\x7F-\\x9F";
    let end = format!("[^.\\s\\uFEFF{CONTROL}]");
    format!("{end}([^.{CONTROL}]*{end})?")
}

/// Returns the schema of the name of a node.
pub(super) fn node_name() -> Value {
    json!({ "type": "string", "pattern": format!("^{}$", part()) })
}

/// Returns the schema of a node: parts that are separated by dots.
pub(super) fn node() -> Value {
    let part = part();
    json!({
        "type": "string",
        "maxLength": MAX_NODE_LENGTH,
        "pattern": format!("^{part}(\\.{part})*$"),
    })
}

/// Returns the parameter with the node of a list.
pub(super) fn node_of_list() -> Value {
    let description =
        "The node: the list covers it and everything below it. By default, the caller's node.";
    query("hierarchy", description, node())
}

/// Returns the parameters of each list.
pub(super) fn paging() -> Vec<Value> {
    let limit = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
    });
    let skip = json!({ "type": "integer", "minimum": 0, "maximum": MAX_SKIP });
    let text = json!({ "type": "string", "minLength": 1 });
    let flag = json!({ "type": "boolean" });
    let place = "The place of the page, from `next` of an earlier one.";
    let format = "With `ndjson`, the response is the whole list as lines of JSON, without pages.";
    vec![
        node_of_list(),
        query("limit", "The maximum number of items.", limit),
        query("cursor", place, text),
        query("count", "Whether to count all items.", flag),
        query("skip", "The number of items before the page.", skip),
        query("format", format, json!({ "enum": ["json", "ndjson"] })),
    ]
}

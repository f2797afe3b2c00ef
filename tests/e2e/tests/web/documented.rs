//! Compares responses with the OpenAPI document.

use axum::http::Method;
use serde_json::Value;

use crate::support::Response;

/// Checks that the document has the route, the status, the media type and the form of a response.
#[track_caller]
pub fn check(document: &Value, method: &Method, path: &str, response: &Response) {
    let path = path.split('?').next().unwrap_or(path);
    let method = method.as_str().to_ascii_lowercase();
    let paths = document["paths"].as_object().unwrap();
    let mut matching: Vec<_> = paths
        .iter()
        .filter(|(template, methods)| matches(template, path) && methods.get(&method).is_some())
        .collect();
    // A path with fewer parameters goes first.
    matching.sort_by_key(|(template, _)| template.matches('{').count());
    let Some((template, methods)) = matching.first() else {
        let is_refused = matches!(response.status.as_u16(), 404 | 405);
        assert!(
            is_refused,
            "{method} {path} is not documented: {response:?}"
        );
        return;
    };
    let label = format!("{method} {template}: {response:?}");
    let documented = &methods[&method]["responses"][response.status.as_str()];
    assert!(documented.is_object(), "undocumented status: {label}");
    let Some(content) = documented.get("content") else {
        assert!(response.text.is_empty(), "undocumented body: {label}");
        return;
    };
    let media_type = response.headers["content-type"].to_str().unwrap();
    let schema = &content[media_type]["schema"];
    assert!(schema.is_object(), "undocumented media type: {label}");
    if media_type.ends_with("json")
        && !media_type.ends_with("ndjson")
        && let Err(error) = compare(document, schema, &response.json(), "")
    {
        panic!("{error}: {label}");
    }
}

/// Returns whether a path fits a template such as `/api/data/{model}/`.
fn matches(template: &str, path: &str) -> bool {
    let split = |path: &str| -> Vec<String> {
        let parts = path.trim_end_matches('/').split('/');
        parts.map(str::to_owned).collect()
    };
    let (template, path) = (split(template), split(path));
    let mut parts = template.iter().zip(&path);
    template.len() == path.len()
        && parts.all(|(template, part)| template == part || template.starts_with('{'))
}

/// Compares a value with a schema: the part of JSON Schema that the document uses for responses.
fn compare(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let schema = document.pointer(pointer);
        let schema = schema.ok_or_else(|| format!("{reference} is not there"))?;
        return compare(document, schema, value, place);
    }
    for schema in schema["allOf"].as_array().into_iter().flatten() {
        compare(document, schema, value, place)?;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_of_type = |name: &&str| match *name {
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    };
    if !types.is_empty() && !types.iter().any(is_of_type) {
        return Err(format!("{place} is {value}, not {types:?}"));
    }
    let choices = schema["enum"].as_array();
    if choices.is_some_and(|choices| !choices.contains(value))
        || schema.get("const").is_some_and(|only| only != value)
    {
        return Err(format!("{place} is {value}, which {schema} excludes"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if value.get(name).is_none() {
            return Err(format!("{place} has no {name}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name);
        let known = known.or_else(|| schema.get("additionalProperties"));
        if let Some(known) = known.filter(|known| known.is_object()) {
            compare(document, known, member, &format!("{place}/{name}"))?;
        }
    }
    if let Some(items) = schema.get("items") {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            compare(document, items, item, &format!("{place}/{index}"))?;
        }
    }
    Ok(())
}

//! The imported data of an organization.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use relation_host::types::{Document, Key};
use serde_json::{Map, Value};

use super::links;
use super::organization::{imported_filter, short};
use super::parts::clean;
use super::query::{self, Filtered, Filters};
use super::ui::{Ui, render};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// The number of documents on a page.
const PAGE_SIZE: u32 = 50;
/// Members that name an item, the best first.
const NAMES: [&str; 5] = ["displayName", "name", "title", "externalId", "id"];
/// Keys that are not search terms.
const HIDDEN_KEYS: [&str; 2] = ["owner", "sync"];

/// An imported document.
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) terms: String,
    pub(crate) members: Vec<(String, String)>,
}

impl Item {
    pub(crate) fn new(document: &Document) -> Self {
        let body: Map<String, Value> = serde_json::from_str(&document.body).unwrap_or_default();
        let mut names = NAMES.iter().filter_map(|name| body.get(*name)?.as_str());
        let terms = document
            .keys
            .iter()
            .filter(|key| !HIDDEN_KEYS.contains(&key.name.as_str()));
        let terms = terms.filter(|key| key.name != "id" && key.name != "name");
        let terms: Vec<String> = terms
            .map(|key| format!("{}: {}", key.name, key.value))
            .collect();
        Self {
            name: clean(names.next().unwrap_or(document.reference.pkid.as_str())),
            terms: clean(&terms.join(", ")),
            members: body
                .iter()
                .map(|(name, value)| (clean(name), to_text(value)))
                .collect(),
        }
    }
}

fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

#[derive(Debug, Default)]
pub(crate) struct DataQuery {
    model: String,
    key: String,
    value: String,
    cursor: String,
}

impl Filters for DataQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            model: query.text("model"),
            key: query.text("key"),
            value: query.text("value"),
            cursor: query.filled("cursor"),
        }
    }
}

#[derive(Template)]
#[template(path = "data.html")]
pub(crate) struct DataPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) query: &'a DataQuery,
    pub(crate) keys: Vec<String>,
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<String>,
}

/// Shows imported documents of a model.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(pkid): Path<String>,
    Filtered(query): Filtered<DataQuery>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    // Other documents of the record are not imported data.
    if !query.model.starts_with("device/") {
        return Err(WebError::not_found());
    }
    let all = imported_filter(&record, &query.model);
    let mut filter = all.clone();
    let (key, value) = (query.key.trim(), query.value.trim());
    if !key.is_empty() && !value.is_empty() && !HIDDEN_KEYS.contains(&key) {
        filter.equals.push(Key {
            name: key.to_owned(),
            value: value.to_owned(),
        });
    }
    let cursor = Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let page = web.store().find(&filter, cursor, PAGE_SIZE).await?;
    let sample = match page.items.is_empty() {
        true => web.store().find(&all, None, 1).await?.items,
        false => Vec::new(),
    };
    let address = format!("/organizations/{}", record.pkid);
    let next = page.next.map(|cursor| {
        let values = [
            ("model", query.model.as_str()),
            ("key", key),
            ("value", value),
            ("cursor", &cursor),
        ];
        links::with_query(&format!("{address}/data"), &values)
    });
    render(&DataPage {
        title: clean(short(&query.model)),
        name: clean(record.name()),
        keys: list_keys(page.items.iter().chain(&sample)),
        items: page.items.iter().map(Item::new).collect(),
        address,
        next,
        query: &query,
        ui: &ui,
    })
}

/// Returns the names of the keys by which documents can be found.
fn list_keys<'a>(documents: impl Iterator<Item = &'a Document>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in documents.flat_map(|document| &document.keys) {
        if !HIDDEN_KEYS.contains(&key.name.as_str()) && !names.contains(&key.name) {
            names.push(key.name.clone());
        }
    }
    names
}

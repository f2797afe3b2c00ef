//! The models that belong to records: alerts, data syncs, sites, and what is imported from Webex. They are read here;
//! the actions of a record write them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use relation_app::{AppError, ErrorKind};
use relation_host::store::SortOrder;
use relation_host::types::{Document, Filter, Key, Page, Pkid, Reference};
use serde_json::{Value, json};

use super::export::{self, PAGE_SIZE};
use super::page;
use super::query::Query;
use crate::access::nodes::{self, node_pkid};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// The search keys of a document that belongs to a record.
const OWNED: &[&str] = &["name", "owner"];
/// The search keys of a document that is imported from Webex.
const IMPORTED: &[&str] = &["id", "name", "owner"];
/// The search keys of an imported document at a location.
const IMPORTED_AT_LOCATION: &[&str] = &["id", "name", "owner", "location"];

/// The models that can be read, with their titles and the key that orders them.
pub(crate) const MODELS: &[ReadModel] = &[
    ReadModel::new("data/Alert", "Alerts", &["owner", "severity"]).sorted_by("severity"),
    ReadModel::new("data/DataSync", "Data Syncs", OWNED),
    ReadModel::new("data/NetworkDeviceList", "Network Device Lists", &["name"]),
    ReadModel::new("data/Schedule", "Schedules", OWNED),
    ReadModel::new("data/Site", "Sites", &["name", "location"]),
    ReadModel::new(
        "data/SparkWholesaleOrder",
        "Orders of Wholesale Customers",
        &["name", "owner", "ended"],
    ),
    ReadModel::new(
        "data/WebexLocationNodeMapping",
        "Location Mappings",
        &["search_string"],
    ),
    ReadModel::new("device/spark/CXSite", "Contact Center Sites", IMPORTED),
    ReadModel::new("device/spark/Group", "Groups", IMPORTED),
    ReadModel::new("device/spark/License", "Licenses", IMPORTED),
    ReadModel::new("device/spark/Location", "Locations", IMPORTED),
    ReadModel::new("device/spark/Organization", "Organizations", IMPORTED),
    ReadModel::new("device/spark/Place", "Workspaces", IMPORTED_AT_LOCATION),
    ReadModel::new("device/spark/Role", "Roles", IMPORTED),
    ReadModel::new(
        "device/spark/User",
        "Users",
        &["id", "name", "owner", "email", "license", "location"],
    ),
    ReadModel::new(
        "device/spark/WholesaleCustomer",
        "Wholesale Customers",
        &["id", "name", "owner", "external_id", "status"],
    ),
    ReadModel::new(
        "device/spark/WholesaleSubscriber",
        "Wholesale Subscribers",
        &["id", "name", "owner", "customer", "email", "status"],
    ),
    ReadModel::new(
        "device/spark/WorkspaceLocation",
        "Workspace Locations",
        IMPORTED_AT_LOCATION,
    ),
];

/// A model that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadModel {
    /// The name, with its type.
    pub(crate) name: &'static str,
    /// The title.
    pub(crate) title: &'static str,
    /// The search keys that the plugin gives to instances.
    pub(crate) keys: &'static [&'static str],
    /// The key that orders the list; by default, the pkid does.
    sort_key: Option<&'static str>,
}

impl ReadModel {
    const fn new(name: &'static str, title: &'static str, keys: &'static [&'static str]) -> Self {
        Self {
            name,
            title,
            keys,
            sort_key: None,
        }
    }

    const fn sorted_by(mut self, key: &'static str) -> Self {
        self.sort_key = Some(key);
        self
    }

    fn uri(&self) -> String {
        format!("/api/{}/", self.name)
    }
}

/// Returns the model of a type and a name in a path.
fn find(kind: &str, name: &str) -> Result<&'static ReadModel, WebError> {
    let name = format!("{kind}/{name}");
    let found = MODELS.iter().find(|model| model.name == name);
    found.ok_or_else(WebError::not_found)
}

/// Lists `data/…`.
pub(super) async fn list_data(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    list(&web, &allowed, find("data", &name)?, query.as_deref()).await
}

/// Lists `device/spark/…`.
pub(super) async fn list_imported(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    list(
        &web,
        &allowed,
        find("device/spark", &name)?,
        query.as_deref(),
    )
    .await
}

/// Shows one of `data/…`.
pub(super) async fn get_data(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path((name, pkid)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    get(
        &web,
        &allowed,
        find("data", &name)?,
        &pkid,
        query.as_deref(),
    )
    .await
}

/// Shows one of `device/spark/…`.
pub(super) async fn get_imported(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path((name, pkid)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    get(
        &web,
        &allowed,
        find("device/spark", &name)?,
        &pkid,
        query.as_deref(),
    )
    .await
}

async fn list(
    web: &Web,
    allowed: &Allowed<permission::Read>,
    model: &'static ReadModel,
    query: Option<&str>,
) -> Result<Response, WebError> {
    let mut parsed = Query::parse(query);
    let is_export = parsed.is_export();
    let paging = parsed.paging();
    let hierarchy = parsed.hierarchy();
    let owner: Option<Pkid> = parsed.value("owner", "the pkid of a record");
    let field = parsed.text("filter_field");
    let text = parsed.text("filter_text");
    parsed.choice("filter_condition", &[("equals", ())]);
    if field.is_some() != text.is_some() {
        parsed.report("filter_field", "and filter_text belong together: give both");
    }
    if field
        .as_deref()
        .is_some_and(|field| !model.keys.contains(&field))
    {
        let hint = format!(
            "{} has the search keys {}",
            model.name,
            model.keys.join(", ")
        );
        parsed.report_with_hint("filter_field", "is not a search key of this model", hint);
    }
    parsed.close()?;
    let hierarchy = nodes::resolve_optional(web.access(), hierarchy).await?;
    let mut equals = Vec::new();
    let mut require = |name: &str, value: String| {
        equals.push(Key {
            name: name.to_owned(),
            value,
        });
    };
    if let Some(owner) = owner {
        require("owner", owner.into());
    }
    if let (Some(field), Some(text)) = (field, text) {
        require(&field, text);
    }
    let filter = Filter {
        model: model.name.to_owned(),
        hierarchy: Some(allowed.range(hierarchy.as_ref())?),
        equals,
    };
    let order = SortOrder {
        key: model.sort_key.map(str::to_owned),
        descending: false,
    };
    if is_export {
        let (web, list) = (web.clone(), Arc::new((filter, order)));
        let read = move |cursor: Option<String>| {
            let (web, list) = (web.clone(), Arc::clone(&list));
            async move {
                let (filter, order) = &*list;
                let cursor = cursor.as_deref();
                let page = web.store().list(filter, order, cursor, PAGE_SIZE).await?;
                let items = page.items.iter().map(|each| resource(model, each));
                Ok(Page {
                    items: items.collect::<Result<_, _>>()?,
                    next: page.next,
                })
            }
        };
        return export::respond::<Value, _, _>(read).await;
    }
    let path = format!("{}?{}", model.uri(), query.unwrap_or_default());
    let page = page::read(web, &path, &filter, &order, &paging).await?;
    let documents = page.documents.iter();
    nodes::ensure(web.access(), documents.map(|document| &document.hierarchy)).await?;
    let resources = page
        .documents
        .iter()
        .map(|document| resource(model, document));
    let resources: Vec<Value> = resources.collect::<Result<_, _>>()?;
    Ok(Json(json!({
        "pagination": page.pagination,
        "meta": { "model_type": model.name, "title": model.title, "uri": model.uri() },
        "resources": resources,
    }))
    .into_response())
}

async fn get(
    web: &Web,
    allowed: &Allowed<permission::Read>,
    model: &ReadModel,
    pkid: &str,
    query: Option<&str>,
) -> Result<Response, WebError> {
    Query::parse(query).close()?;
    let pkid: Pkid = pkid.parse().map_err(|_| WebError::not_found())?;
    let document = allowed
        .document(web, Reference::new(model.name, pkid))
        .await?;
    nodes::ensure(web.access(), [&document.hierarchy]).await?;
    let etag = format!("\"{}\"", document.version);
    Ok(([(header::ETAG, etag)], Json(resource(model, &document)?)).into_response())
}

fn resource(model: &ReadModel, document: &Document) -> Result<Value, WebError> {
    let data: Value = serde_json::from_str(&document.body).map_err(|_| {
        let message = format!("the body of {} is not JSON", document.reference);
        AppError::new(ErrorKind::Internal, message)
    })?;
    let href = format!("{}{}/", model.uri(), document.reference.pkid);
    Ok(json!({
        "pkid": document.reference.pkid,
        "href": href,
        "meta": {
            "model_type": model.name,
            "hierarchy": document.hierarchy,
            "hierarchy_pkid": node_pkid(&document.hierarchy),
            "version": document.version,
            "uri": href,
        },
        "data": data,
    }))
}

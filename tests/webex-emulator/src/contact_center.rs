//! The configuration API of Contact Center, which has a server of its own in each region, other pages and
//! other errors.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use clap::ValueEnum;
use http::header::HOST;
use http::request::Parts;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::Caller;
use crate::errors::ApiError;
use crate::listings::Snapshot;
use crate::paging::{Listing, Page};
use crate::query::Query;
use crate::shared::Shared;

/// The path below which each region has its base address.
const PREFIX: &str = "/contact-center/";

/// The path on a region's own host.
const OWN_HOST: &str = "/organization/";

/// A region of Contact Center. Its base address is `/contact-center/{region}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Region {
    /// United States.
    Us1,
    /// Australia and New Zealand.
    Anz1,
    /// United Kingdom.
    Eu1,
    /// European Union.
    Eu2,
    /// Japan.
    Jp1,
    /// Canada.
    Ca1,
    /// Singapore.
    Sg1,
}

impl Region {
    fn from_name(name: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(name, false).ok()
    }

    /// Finds the region of a real host, such as `api.wxcc-us1.cisco.com`.
    fn from_host(host: &str) -> Option<Self> {
        let host = host.split(':').next()?;
        Self::from_name(host.strip_prefix("api.wxcc-")?.strip_suffix(".cisco.com")?)
    }
}

/// The settings of Contact Center.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContactCenterSettings {
    /// The only region with the organizations' data; all regions by default.
    pub(crate) region: Option<Region>,
    /// Maximum number of requests per minute and client.
    pub(crate) requests_per_minute: Option<u64>,
}

/// Returns whether a path belongs to this API.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with(PREFIX) || path.starts_with(OWN_HOST)
}

/// Creates the routes: below each region's base address, and as on a region's own host.
pub(crate) fn routes() -> Router<Shared> {
    let path = Listing::Sites.resource().path;
    Router::new()
        .route(&format!("{PREFIX}{{region}}{path}"), get(sites_in_region))
        .route(path, get(sites))
}

async fn sites_in_region(
    State(shared): State<Shared>,
    Path((region, organization)): Path<(String, String)>,
    caller: Caller,
    request: Parts,
) -> Result<Json<Value>, ApiError> {
    let region = Region::from_name(&region).ok_or(ApiError::NotFound)?;
    list_sites(&shared, &caller, Some(region), &organization, &request)
}

/// Lists sites. On a host of no region, any region is meant.
async fn sites(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    caller: Caller,
    request: Parts,
) -> Result<Json<Value>, ApiError> {
    let host = request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let host = request.uri.host().or(host).unwrap_or_default();
    list_sites(
        &shared,
        &caller,
        Region::from_host(host),
        &organization,
        &request,
    )
}

fn list_sites(
    shared: &Shared,
    caller: &Caller,
    region: Option<Region>,
    organization: &str,
    request: &Parts,
) -> Result<Json<Value>, ApiError> {
    let settings = &shared.settings().contact_center;
    if let Some(limit) = settings.requests_per_minute {
        shared
            .state()
            .count_contact_center_request(&caller.0.client_id, limit)?;
    }
    let query = Query::new(&request.uri);
    let snapshot = Snapshot::new(shared, caller, Listing::Sites.resource(), &query)?;
    let own = &caller.0.organization.uuid;
    if Uuid::parse_str(organization)
        .ok()
        .map(|uuid| uuid.to_string())
        .as_ref()
        != Some(own)
    {
        return Err(ApiError::Forbidden);
    }
    if settings.region.is_some() && region.is_some() && settings.region != region {
        return Err(ApiError::NotFound);
    }
    let salt = shared.state().generator.uuid();
    let (page, total) = snapshot.page(&query, request, salt)?;
    let meta = meta(organization, &page, total);
    Ok(Json(json!({"meta": meta, "data": page.entries})))
}

fn meta(organization: &str, page: &Page, total: usize) -> Value {
    let pages = total.div_ceil(page.size.max(1));
    let last = pages.saturating_sub(1);
    let link = |number: usize| {
        let size = page.size;
        format!("/organization/{organization}/v2/site?page={number}&pageSize={size}")
    };
    let mut links = json!({
        "self": link(page.start),
        "first": link(0),
        "last": link(last),
    });
    if let Some(links) = links.as_object_mut() {
        if page.start > 0 {
            links.insert("prev".to_owned(), link(page.start - 1).into());
        }
        if page.has_next {
            links.insert("next".to_owned(), link(page.start.saturating_add(1)).into());
        }
    }
    json!({
        "orgid": organization,
        "page": page.start,
        "pageSize": page.size,
        "totalPages": pages,
        "totalRecords": total,
        "links": links,
    })
}

//! The lists of the API and their entries.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use http::HeaderValue;
use http::header::LINK;
use http::request::Parts;
use serde_json::{Value, json};

use crate::api::{Caller, administrator_id};
use crate::collection::List;
use crate::directory::Role;
use crate::errors::ApiError;
use crate::ids;
use crate::paging::{Entries, Listing, Page, PageRequest, Paging};
use crate::query::Query;
use crate::resources::{Filter, Resource, View};
use crate::settings::WorkspaceLocations;
use crate::shared::Shared;

/// Maximum number of ids in one request for people.
const PEOPLE_BY_ID: usize = 85;

/// Creates the routes to these lists and their entries.
pub(crate) fn routes() -> Router<Shared> {
    let mut router = Router::new();
    for resource in Resource::all() {
        let one = format!("{}/{{id}}", resource.path);
        router = match resource.listing {
            // On another server, with other errors.
            Listing::Sites => router,
            Listing::SubPartners => router.route(resource.path, list_route(resource)),
            _ => router
                .route(resource.path, list_route(resource))
                .route(&one, one_route(resource)),
        };
    }
    router
}

fn list_route(resource: &'static Resource) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>, caller: Caller, request: Parts| async move {
            list(&shared, &caller, resource, &request)
        },
    )
}

fn one_route(resource: &'static Resource) -> MethodRouter<Shared> {
    get(
        move |State(shared): State<Shared>,
              caller: Caller,
              Path(id): Path<String>,
              request: Parts| async move { one(&shared, &caller, resource, &id, &request) },
    )
}

/// A list of one organization at one moment, with what a response needs besides.
pub(crate) struct Snapshot {
    list: List,
    administrator_roles: Vec<Role>,
    paging: Option<Paging>,
}

impl Snapshot {
    /// Takes a snapshot for a request, if the caller may see the list.
    pub(crate) fn new(
        shared: &Shared,
        caller: &Caller,
        resource: &'static Resource,
        query: &Query,
    ) -> Result<Self, ApiError> {
        caller.require_any(resource.scopes)?;
        if resource.listing == Listing::WorkspaceLocations {
            match shared.settings().workspace_locations {
                WorkspaceLocations::Served => {}
                WorkspaceLocations::NotFound => return Err(ApiError::NotFound),
                WorkspaceLocations::Gone => return Err(ApiError::Gone),
            }
        }
        let state = shared.state();
        // For customers, `orgId` is a filter; roles are the same in every organization.
        let organization = match (resource.listing, query.get("orgId")) {
            (Listing::Roles | Listing::Customers | Listing::Sites, _) | (_, None) => {
                caller.0.organization.clone()
            }
            (_, Some(id)) => state.target_organization(&caller.0.organization, id)?,
        };
        Ok(Self {
            list: state.list(&organization, resource.listing),
            administrator_roles: state.administrator_roles(&organization.uuid),
            paging: state.paging.get(&resource.listing).cloned(),
        })
    }

    /// Returns the entry with this id, as a response of its own shows it.
    fn one(&self, id: &str, query: &Query) -> Option<Value> {
        let resource = self.list.resource;
        if resource.listing == Listing::WorkspaceLocations {
            // Their ids are derived from those of the locations.
            let mut views = self.list.entries().into_iter();
            return views.find_map(|entry| {
                let view = self.show(entry, query, true);
                (resource.id_of(&view) == id).then_some(view)
            });
        }
        Some(self.show(self.list.find(id)?, query, true))
    }

    /// Returns the administrator, also where the list of people lacks him.
    pub(crate) fn administrator(&self, query: &Query) -> Value {
        let id = administrator_id(&self.list.blueprint.organization);
        let listed = self.one(&id, query);
        listed.unwrap_or_else(|| {
            self.show(
                (self.list.resource.generate)(&self.list.blueprint, 0),
                query,
                true,
            )
        })
    }

    fn show(&self, mut entry: Value, query: &Query, is_single: bool) -> Value {
        let view = View {
            blueprint: &self.list.blueprint,
            query,
            is_single,
            roles: &self.administrator_roles,
        };
        (self.list.resource.view)(&mut entry, &view);
        entry
    }

    /// Returns the requested page, and the number of entries on all pages if the response has it. `salt`
    /// makes a next URL unique.
    pub(crate) fn page(
        &self,
        query: &Query,
        request: &Parts,
        salt: String,
    ) -> Result<(Page, usize), ApiError> {
        let matching = Matching {
            snapshot: self,
            query,
            filters: self.active_filters(query),
        };
        let sorted = self.sort(query, &matching);
        let entries: &dyn Entries = match &sorted {
            Some(sorted) => sorted,
            None => &matching,
        };
        let page_request = PageRequest {
            request,
            query,
            paging: self.paging.as_ref(),
            organization: &self.list.blueprint.organization.uuid,
            salt,
        };
        let mut page = self.list.resource.paging.page(entries, page_request)?;
        // A workspace location was shown already, for its filters.
        if self.list.resource.listing != Listing::WorkspaceLocations {
            let found = page.entries.into_iter();
            page.entries = found.map(|entry| self.show(entry, query, false)).collect();
        }
        let total = match self.list.resource.field {
            "items" => 0,
            _ => entries.total(),
        };
        Ok((page, total))
    }

    fn active_filters(&self, query: &Query) -> Vec<&'static Filter> {
        let filters = self.list.resource.filters.iter();
        filters.filter(|filter| filter.is_active(query)).collect()
    }

    /// Returns all matching entries in the requested order, if there is one.
    fn sort(&self, query: &Query, matching: &Matching<'_>) -> Option<Vec<Value>> {
        let wanted = query.get("sortBy")?;
        let key = self
            .list
            .resource
            .sort_keys
            .iter()
            .find(|key| **key == wanted)?;
        let (mut entries, _) = matching.page(0, 0, usize::MAX);
        entries.sort_by_cached_key(|entry| entry.get(key).map(Value::to_string));
        let order = query.get("sortOrder").unwrap_or_default();
        if order.to_ascii_lowercase().starts_with("desc") {
            entries.reverse();
        }
        Some(entries)
    }
}

/// The entries of a snapshot that match the query.
struct Matching<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    filters: Vec<&'static Filter>,
}

impl Matching<'_> {
    fn get(&self, position: usize) -> Option<Value> {
        let entry = self.snapshot.list.get(position)?;
        Some(self.show_early(entry))
    }

    /// Converts a location to a workspace location, whose fields the filters read.
    fn show_early(&self, entry: Value) -> Value {
        match self.snapshot.list.resource.listing {
            Listing::WorkspaceLocations => self.snapshot.show(entry, self.query, false),
            _ => entry,
        }
    }

    fn matches(&self, position: usize) -> bool {
        let entry = self.snapshot.list.get_filtered(position);
        entry
            .map(|entry| self.show_early(entry))
            .is_some_and(|entry| {
                let mut filters = self.filters.iter();
                filters.all(|filter| filter.matches(&entry, self.query))
            })
    }

    /// Returns the positions of matching entries. Without filters none of them is generated.
    fn positions(&self, from: usize) -> impl Iterator<Item = usize> {
        let positions = self.snapshot.list.collection.positions(from);
        positions.filter(|position| self.filters.is_empty() || self.matches(*position))
    }
}

impl Entries for Matching<'_> {
    fn page(&self, from: usize, skip: usize, size: usize) -> (Vec<Value>, Option<usize>) {
        let mut positions = self.positions(from).skip(skip);
        let found = positions.by_ref().take(size);
        let entries = found.filter_map(|position| self.get(position)).collect();
        (entries, positions.next())
    }

    fn total(&self) -> usize {
        match self.filters.is_empty() {
            true => self.snapshot.list.collection.len(),
            false => self.positions(0).count(),
        }
    }
}

/// Serves `GET` of a list.
fn list(
    shared: &Shared,
    caller: &Caller,
    resource: &'static Resource,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::new(&request.uri);
    let snapshot = Snapshot::new(shared, caller, resource, &query)?;
    if resource.listing == Listing::People {
        check_person_query(caller, &query)?;
        if let Some(list) = query.get("id") {
            return people_by_id(&snapshot, list, &query);
        }
    }
    let salt = shared.state().generator.uuid();
    let (page, total) = snapshot.page(&query, request, salt)?;
    let mut body = json!({});
    if let Some(fields) = body.as_object_mut() {
        match resource.listing {
            Listing::People => {
                fields.insert("notFoundIds".to_owned(), Value::Null);
            }
            Listing::Groups => {
                fields.insert("totalResults".to_owned(), total.into());
                fields.insert("startIndex".to_owned(), page.start.into());
                fields.insert("itemsPerPage".to_owned(), page.entries.len().into());
            }
            _ => {}
        }
        fields.insert(resource.field.to_owned(), page.entries.into());
    }
    let mut response = Json(body).into_response();
    let link = page.link.and_then(|link| HeaderValue::from_str(&link).ok());
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// Checks a request for people. Without an administrator's scope, it has to say whom it looks for.
fn check_person_query(caller: &Caller, query: &Query) -> Result<(), ApiError> {
    let is_specific = ["email", "displayName", "id"]
        .iter()
        .any(|name| query.get(name).is_some());
    if is_specific || caller.require_any(&["spark-admin:people_read"]).is_ok() {
        return Ok(());
    }
    Err(ApiError::BadRequest(
        "Either email, displayName or id is required.",
    ))
}

fn people_by_id(snapshot: &Snapshot, list: &str, query: &Query) -> Result<Response, ApiError> {
    let ids: Vec<_> = list
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .collect();
    if ids.len() > PEOPLE_BY_ID {
        return Err(ApiError::BadRequest("At most 85 ids are allowed."));
    }
    let (mut items, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match snapshot.list.find(id) {
            Some(entry) => items.push(snapshot.show(entry, query, false)),
            None => missing.push(id),
        }
    }
    let missing = (!missing.is_empty()).then_some(missing);
    Ok(Json(json!({"notFoundIds": missing, "items": items})).into_response())
}

/// Serves `GET` of one entry.
fn one(
    shared: &Shared,
    caller: &Caller,
    resource: &'static Resource,
    id: &str,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::new(&request.uri);
    let snapshot = Snapshot::new(shared, caller, resource, &query)?;
    let own_person = || {
        let administrator = ids::administrator(&caller.0.organization.uuid);
        ids::uuid_in(id).is_some_and(|uuid| uuid.to_string() == administrator)
    };
    if resource.listing == Listing::People
        && caller.require_any(&["spark-admin:people_read"]).is_err()
        && !own_person()
    {
        return Err(ApiError::Forbidden);
    }
    let entry = snapshot.one(id, &query).ok_or(ApiError::NotFound)?;
    Ok(Json(entry).into_response())
}

//! The list of organizations.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::listing::{self, ListRow, Order};
use relation_app::records;
use relation_host::reports::{RecordDetails, State as ConnectionState};
use relation_host::types::{Filter, Hierarchy, Key, Pkid, Scope};

use super::links;
use super::parts::{Badge, Moment, clean, most_urgent, needs_consent};
use super::query::{self, Filtered, Filters};
use super::ui::{Ui, render};
use crate::access::{Allowed, Operation, Permission, nodes, permission};
use crate::{Web, WebError};

/// The number of organizations on a page.
const PAGE_SIZE: u32 = 50;
/// The key of records by the UUID of their organization.
const ORGANIZATION_KEY: &str = "organization";

/// An organization in a list.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) pkid: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) state: ConnectionState,
    pub(crate) badge: Badge,
    pub(crate) advice: String,
    pub(crate) access: Option<Moment>,
    pub(crate) refresh: Option<Moment>,
    pub(crate) refreshed: Option<Moment>,
    pub(crate) account_number: String,
    pub(crate) wholesale: bool,
    pub(crate) contact_center: bool,
    pub(crate) alert: Option<(Badge, String)>,
    pub(crate) may_connect: bool,
    /// Whether the principal may refresh or delete the organization.
    pub(crate) may_select: bool,
}

impl Row {
    /// Returns whether a person has to connect the organization, now or soon.
    pub(crate) fn needs_person(&self) -> bool {
        needs_consent(self.state)
    }

    pub(crate) fn new(row: ListRow, ui: &Ui) -> Self {
        let connection = row.connection;
        let state = most_urgent(&connection);
        let grant = connection.grants.first();
        let alert = row.alert.map(|alert| {
            (
                Badge::severity(alert.body.severity, ui.language),
                clean(&alert.body.message),
            )
        });
        Self {
            pkid: connection.pkid.to_string(),
            name: clean(&connection.name),
            may_connect: ui.may(Operation::Connect, &connection.hierarchy),
            may_select: [Operation::Refresh, Operation::Delete]
                .into_iter()
                .any(|operation| ui.may(operation, &connection.hierarchy)),
            node: clean(connection.hierarchy.as_str()),
            state,
            badge: Badge::state(state, ui.language),
            advice: match state {
                ConnectionState::Connected => String::new(),
                _ => ui.language.text(&format!("advice.{state}")),
            },
            access: connection
                .access_token_expires
                .map(|expiry| Moment::expiry(expiry, ui)),
            refresh: connection
                .refresh_token_expires
                .map(|expiry| Moment::expiry(expiry, ui)),
            refreshed: grant
                .and_then(|grant| grant.refreshed)
                .map(|at| Moment::relative(at, ui)),
            account_number: row.account_number.unwrap_or_default(),
            wholesale: row.wholesale,
            contact_center: row.contact_center,
            alert,
        }
    }
}

/// Adds what a list shows to records.
pub(crate) async fn to_rows(
    web: &Web,
    ui: &Ui,
    records: Vec<RecordDetails>,
) -> Result<Vec<Row>, WebError> {
    let rows = listing::to_rows(web.store(), records).await?;
    Ok(rows.into_iter().map(|row| Row::new(row, ui)).collect())
}

/// Returns the part of the hierarchy that a page shows: the requested node, or the principal's first one.
pub(crate) async fn choose_node<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    requested: &str,
) -> Result<(Hierarchy, Scope), WebError> {
    let requested = match requested.trim() {
        "" => allowed.nodes().first().cloned(),
        text => {
            let node = text.parse().map_err(|_| WebError::not_found())?;
            Some(nodes::find_spelling(web.store(), &node).await?)
        }
    };
    allowed.range(requested.as_ref())
}

/// Finds the other records at the principal's nodes with the Webex organization of a record: pkid, name, node.
pub(crate) async fn find_same_organization<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    record: &Pkid,
) -> Result<Vec<(String, String, String)>, WebError> {
    let mut same = Vec::new();
    for node in allowed.nodes() {
        let range = Some((node.clone(), Scope::Subtree));
        let found = records::find_same_organization(web.store(), record, range);
        let found = found.await?.into_iter();
        same.extend(found.map(|each| {
            let (name, node) = (clean(each.name()), clean(each.hierarchy.as_str()));
            (each.pkid.to_string(), name, node)
        }));
    }
    Ok(same)
}

#[derive(Debug, Default)]
pub(crate) struct ListQuery {
    q: String,
    state: String,
    order: String,
    hierarchy: String,
    cursor: String,
}

impl Filters for ListQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            q: query.text("q"),
            state: query.word("state", ConnectionState::ALL.map(ConnectionState::as_str)),
            order: query.word("order", ["urgency", "name"]),
            hierarchy: query.filled("hierarchy"),
            cursor: query.filled("cursor"),
        }
    }
}

#[derive(Template)]
#[template(path = "organizations.html")]
pub(crate) struct OrganizationsPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) query: &'a ListQuery,
    pub(crate) nodes: Vec<String>,
    pub(crate) states: Vec<(String, String)>,
    pub(crate) next: Option<String>,
    pub(crate) may_add: bool,
    pub(crate) may_refresh: bool,
    pub(crate) may_delete: bool,
}

impl OrganizationsPage<'_> {
    fn is_filtered(&self) -> bool {
        !self.query.q.trim().is_empty() || !self.query.state.is_empty()
    }
}

/// Shows a page of the list.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let range = choose_node(&web, &allowed, &query.hierarchy).await?;
    let wanted = query.q.trim();
    if let Ok(pkid) = wanted.parse::<Pkid>()
        && allowed.record(&web, pkid.as_str()).await.is_ok()
    {
        return Ok(Redirect::to(&format!("/organizations/{pkid}")).into_response());
    }
    let state = ConnectionState::ALL
        .into_iter()
        .find(|state| state.as_str() == query.state);
    let filter = build_filter(&web, range, wanted, state).await?;
    let order = match query.order.as_str() {
        "name" => Order::Name,
        _ => Order::Urgency,
    };
    let cursor = Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let page = listing::read_page(
        web.store(),
        web.host(),
        &filter,
        order,
        cursor,
        Some(PAGE_SIZE),
    )
    .await?;
    let next = page.next.map(|cursor| {
        let values = [
            ("q", query.q.as_str()),
            ("state", &query.state),
            ("order", &query.order),
            ("hierarchy", &query.hierarchy),
            ("cursor", &cursor),
        ];
        links::with_query("/organizations", &values)
    });
    render(&OrganizationsPage {
        title: ui.t("organizations.title"),
        rows: to_rows(&web, &ui, page.items).await?,
        nodes: allowed.nodes().iter().map(ToString::to_string).collect(),
        states: state_choices(&ui),
        next,
        may_add: ui.may_somewhere(Operation::Add),
        may_refresh: ui.may_somewhere(Operation::Refresh),
        may_delete: ui.may_somewhere(Operation::Delete),
        query: &query,
        ui: &ui,
    })
}

/// Returns the states as choices: value and word.
pub(crate) fn state_choices(ui: &Ui) -> Vec<(String, String)> {
    let states = ConnectionState::ALL.into_iter();
    let choice = |state: ConnectionState| {
        (
            state.to_string(),
            ui.language.text(&format!("state.{state}")),
        )
    };
    states.map(choice).collect()
}

/// Builds the filter of a search: by the UUID of the organization, otherwise by the whole name.
async fn build_filter(
    web: &Web,
    range: (Hierarchy, Scope),
    wanted: &str,
    state: Option<ConnectionState>,
) -> Result<Filter, WebError> {
    if wanted.is_empty() {
        return Ok(records::filter(Some(range), None, state));
    }
    if let Some(organization) = parse_uuid(wanted) {
        let mut filter = records::filter(Some(range), None, state);
        filter.equals.push(Key {
            name: ORGANIZATION_KEY.to_owned(),
            value: organization,
        });
        return Ok(filter);
    }
    let spelling = records::find_stored_spelling(web.store(), wanted, Some(&range)).await?;
    Ok(records::filter(Some(range), Some(&spelling), state))
}

/// Returns a UUID in lower case.
fn parse_uuid(text: &str) -> Option<String> {
    let is_uuid = text.len() == 36
        && text.char_indices().all(|(position, c)| match position {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
    is_uuid.then(|| text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_number_is_a_uuid() {
        let number = "0B9C6CF8-1c27-4c4f-9d3a-0a1b2c3d4e5f";
        assert_eq!(parse_uuid(number), Some(number.to_lowercase()));
        assert_eq!(parse_uuid("Contoso"), None);
        assert_eq!(parse_uuid("0B9C6CF8-1c27-4c4f-9d3a-0a1b2c3d4eé"), None);
    }
}

//! The start page: what needs a person.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use relation_app::alerts::{self, Severity};
use relation_app::listing::{self, Order};
use relation_app::records;
use relation_host::reports::State as ConnectionState;

use super::links;
use super::organizations::{Row, choose_node, to_rows};
use super::parts::{Badge, needs_consent};
use super::query::{self, Filtered, Filters};
use super::ui::{Ui, render};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// The largest count that is shown exactly.
const MAX_COUNT: u64 = 1_000;
/// The number of organizations on the page.
const MAX_ROWS: u32 = 20;

/// A count that leads to its list.
pub(crate) struct Count {
    badge: Badge,
    count: String,
    address: String,
}

#[derive(Template)]
#[template(path = "needs.html")]
pub(crate) struct NeedsPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) total: String,
    pub(crate) counts: Vec<Count>,
    pub(crate) alert_counts: Vec<Count>,
    pub(crate) rows: Vec<Row>,
    pub(crate) nodes: Vec<String>,
    pub(crate) node: String,
}

impl NeedsPage<'_> {
    /// Returns whether there are no organizations yet.
    fn is_new(&self) -> bool {
        self.total == "0"
    }
}

#[derive(Debug, Default)]
pub(crate) struct NodeQuery {
    hierarchy: String,
}

impl Filters for NodeQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            hierarchy: query.filled("hierarchy"),
        }
    }
}

/// Shows what needs a person.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Filtered(query): Filtered<NodeQuery>,
) -> Result<Response, WebError> {
    let range = choose_node(&web, &allowed, &query.hierarchy).await?;
    let store = web.store();
    let node = range.0.as_str().to_owned();
    let everything = records::filter(Some(range.clone()), None, None);
    let total = format_bounded(store.count(&everything, MAX_COUNT + 1).await?);
    let mut counts = Vec::new();
    for state in ConnectionState::ALL {
        if !(needs_consent(state) || state == ConnectionState::Retrying) {
            continue;
        }
        let filter = records::filter(Some(range.clone()), None, Some(state));
        let count = store.count(&filter, MAX_COUNT + 1).await?;
        if count > 0 {
            counts.push(Count {
                badge: Badge::state(state, ui.language),
                count: format_bounded(count),
                address: links::with_query(
                    "/organizations",
                    &[("state", state.as_str()), ("hierarchy", &query.hierarchy)],
                ),
            });
        }
    }
    let mut alert_counts = Vec::new();
    for severity in Severity::ALL {
        let filter = alerts::filter(Some(range.0.clone()), Some(severity));
        let count = store.count(&filter, MAX_COUNT + 1).await?;
        if count > 0 {
            let values = [
                ("severity", severity.as_str()),
                ("hierarchy", &query.hierarchy),
            ];
            alert_counts.push(Count {
                badge: Badge::severity(severity, ui.language),
                count: format_bounded(count),
                address: links::with_query("/alerts", &values),
            });
        }
    }
    let page = listing::read_page(
        store,
        web.host(),
        &everything,
        Order::Urgency,
        None,
        Some(MAX_ROWS),
    )
    .await?;
    let rows = to_rows(&web, &ui, page.items).await?;
    render(&NeedsPage {
        title: ui.t("needs.title"),
        total,
        counts,
        alert_counts,
        rows: rows.into_iter().filter(Row::needs_person).collect(),
        nodes: allowed.nodes().iter().map(ToString::to_string).collect(),
        node,
        ui: &ui,
    })
}

/// Formats a count that was read up to a bound.
pub(crate) fn format_bounded(count: u64) -> String {
    match count > MAX_COUNT {
        true => format!("{MAX_COUNT}+"),
        false => count.to_string(),
    }
}

#[cfg(any(test, feature = "samples"))]
impl Count {
    pub(crate) fn sample(badge: Badge, count: u64) -> Self {
        Self {
            address: "/organizations?state=expired".to_owned(),
            badge,
            count: format_bounded(count),
        }
    }
}

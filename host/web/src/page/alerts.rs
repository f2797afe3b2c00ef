//! The list of alerts.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use relation_app::alerts::{self, Alert, Severity};

use super::links;
use super::organizations::choose_node;
use super::parts::{Badge, clean};
use super::query::{self, Filtered, Filters};
use super::ui::{Ui, render};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// The number of alerts on a page.
const PAGE_SIZE: u32 = 50;

/// An alert in a list.
pub(crate) struct AlertRow {
    pub(crate) badge: Badge,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) customer: String,
    pub(crate) record: Option<String>,
    pub(crate) count: u32,
    pub(crate) count_text: String,
    pub(crate) first: String,
    pub(crate) latest: String,
}

impl AlertRow {
    pub(crate) fn new(alert: &Alert, ui: &Ui) -> Self {
        let body = &alert.body;
        let record = body
            .subject
            .rsplit_once('/')
            .map(|(_, pkid)| pkid.to_owned());
        Self {
            badge: Badge::severity(body.severity, ui.language),
            code: clean(&body.code),
            message: clean(&body.message),
            customer: clean(&alert.customer),
            record: record.filter(|_| !alert.customer.is_empty()),
            count: body.count,
            count_text: match body.count {
                1 => ui.t("alerts.once"),
                count => ui.t1("alerts.times", count),
            },
            first: format_text(&body.first),
            latest: format_text(&body.latest),
        }
    }
}

/// Formats a time of an alert: RFC 3339 to the minute.
fn format_text(time: &str) -> String {
    let minute = time
        .get(..16)
        .map(|minute| format!("{} UTC", minute.replace('T', " ")));
    clean(&minute.unwrap_or_else(|| time.to_owned()))
}

#[derive(Debug, Default)]
pub(crate) struct ListQuery {
    severity: String,
    hierarchy: String,
    cursor: String,
}

impl Filters for ListQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            severity: query.word("severity", Severity::ALL.map(Severity::as_str)),
            hierarchy: query.filled("hierarchy"),
            cursor: query.filled("cursor"),
        }
    }
}

#[derive(Template)]
#[template(path = "alerts.html")]
pub(crate) struct AlertsPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) query: &'a ListQuery,
    pub(crate) rows: Vec<AlertRow>,
    pub(crate) severities: Vec<(String, String)>,
    pub(crate) nodes: Vec<String>,
    pub(crate) next: Option<String>,
}

/// Shows a page of alerts, the most severe first.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&web, &allowed, &query.hierarchy).await?;
    let severity = Severity::ALL
        .into_iter()
        .find(|each| each.as_str() == query.severity);
    let filter = alerts::filter(Some(node), severity);
    let cursor = Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let page = alerts::read_page(web.store(), &filter, cursor, PAGE_SIZE).await?;
    let next = page.next.map(|cursor| {
        let values = [
            ("severity", query.severity.as_str()),
            ("hierarchy", &query.hierarchy),
            ("cursor", &cursor),
        ];
        links::with_query("/alerts", &values)
    });
    let word = |severity: Severity| ui.language.text(&format!("severity.{}", severity.as_str()));
    render(&AlertsPage {
        title: ui.t("alerts.title"),
        rows: page
            .items
            .iter()
            .map(|alert| AlertRow::new(alert, &ui))
            .collect(),
        severities: Severity::ALL
            .into_iter()
            .map(|each| (each.as_str().to_owned(), word(each)))
            .collect(),
        nodes: allowed.nodes().iter().map(ToString::to_string).collect(),
        next,
        query: &query,
        ui: &ui,
    })
}

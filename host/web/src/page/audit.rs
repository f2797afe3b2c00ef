//! The audit log.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean};
use super::query::Filtered;
use super::shared::ListQuery;
use super::ui::{Ui, render};
use crate::access::audit::{self, AuditEvent, AuditResult};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// The number of events on a page.
const PAGE_SIZE: u32 = 100;

/// An event in the list.
pub(crate) struct EventRow {
    pub(crate) at: Moment,
    pub(crate) actor: String,
    pub(crate) address: String,
    pub(crate) operation: String,
    pub(crate) object: String,
    pub(crate) node: String,
    pub(crate) badge: Badge,
    pub(crate) changes: Vec<(String, String, String)>,
    pub(crate) transaction: Option<String>,
}

impl EventRow {
    pub(crate) fn new(event: &AuditEvent, ui: &Ui) -> Self {
        let at = Moment::absolute(event.at, ui);
        let event = &event.event;
        let (icon, key) = match event.result {
            AuditResult::Success => ("good", "success"),
            AuditResult::Queued => ("busy", "queued"),
            AuditResult::Refused => ("warn", "refused"),
            AuditResult::Failed => ("bad", "failed"),
        };
        let object = event.object.as_ref();
        let changes = event.changes.iter().map(|change| {
            // A secret field has neither value.
            let is_secret = change.before.is_none() && change.after.is_none();
            let missing = if is_secret { "***" } else { "–" };
            let text = |value: &Option<serde_json::Value>| {
                let value = value.as_ref();
                value.map_or_else(|| missing.to_owned(), |value| clean(&value.to_string()))
            };
            (
                clean(&change.field),
                text(&change.before),
                text(&change.after),
            )
        });
        Self {
            at,
            actor: clean(&event.actor.name),
            address: event
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            operation: clean(&event.operation),
            object: object.map(|object| clean(&object.name)).unwrap_or_default(),
            node: clean(event.node.as_str()),
            badge: Badge::new(icon, ui.language.text(&format!("audit.{key}"))),
            changes: changes.collect(),
            transaction: event.transaction.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) rows: Vec<EventRow>,
    pub(crate) next: Option<String>,
}

/// Shows a page of events, the latest first.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Audit>,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&web, &allowed, &query.hierarchy).await?;
    let page = audit::list(
        web.access(),
        &allowed,
        Some(&node),
        query.cursor(),
        PAGE_SIZE,
    )
    .await?;
    let next = query.next("/audit", page.next);
    render(&AuditPage {
        title: ui.t("audit.title"),
        rows: page
            .items
            .iter()
            .map(|event| EventRow::new(event, &ui))
            .collect(),
        next,
        ui: &ui,
    })
}

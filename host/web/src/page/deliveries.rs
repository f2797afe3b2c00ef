//! Deliveries of notices: the list, one with its attempts, and sending again.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_host::reports::Grant;
use relation_host::types::{FieldError, Pkid, Timestamp};
use relation_notify::runner::{DeliveryState, ListedDelivery, LoggedAttempt};

use super::form::{self, Control, FormField, Posted};
use super::links;
use super::notice_words::{
    channel_word, describe_recipient, kind_badge, moment, severity_word, state_badge, state_word,
};
use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean, format_span};
use super::query::{self, Filtered, Filters};
use super::shared::{ConfirmPage, is_confirmed};
use super::ui::{Ui, render, render_with};
use super::users::parse;
use crate::access::deliveries::{self, DeliveryFilter};
use crate::access::users::field_error;
use crate::access::{Allowed, Operation, permission};
use crate::{Web, WebError};

/// The number of deliveries on a page.
const PAGE_SIZE: u32 = 50;
/// The maximum number of pages of failed deliveries that one request sends again.
const MAX_RESENT_PAGES: u32 = 20;
const DAY: Duration = Duration::from_secs(86_400);
/// The field with the time whose failed deliveries are sent again.
const SINCE: &str = "since";
/// The choices of that time, each with its text.
const SINCES: [(&str, Duration, &str); 3] = [
    ("1d", DAY, "deliveries.since-day"),
    ("7d", DAY.saturating_mul(7), "deliveries.since-week"),
    ("30d", DAY.saturating_mul(30), "deliveries.since-month"),
];

/// A delivery in a list.
pub(crate) struct DeliveryRow {
    pub(crate) pkid: String,
    pub(crate) made: Moment,
    pub(crate) customer: String,
    pub(crate) record: Option<String>,
    pub(crate) notice: Badge,
    /// The threshold that the notice reports, or the number of the reminder.
    pub(crate) details: Option<String>,
    /// The grant, unless it is the organization's.
    pub(crate) grant: Option<String>,
    pub(crate) recipient: String,
    pub(crate) place: String,
    pub(crate) channel: String,
    pub(crate) badge: Badge,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
}

impl DeliveryRow {
    pub(crate) fn new(listed: &ListedDelivery, ui: &Ui) -> Self {
        let stored = &listed.stored;
        let (recipient, place) = describe_recipient(&stored.delivery.recipient);
        let record = stored.notice.record.parse::<Pkid>().ok();
        Self {
            pkid: listed.pkid.to_string(),
            made: moment(stored.created, ui),
            customer: match record {
                Some(_) => clean(&stored.notice.customer),
                None => ui.t("deliveries.installation"),
            },
            record: record.map(|pkid| pkid.to_string()),
            notice: kind_badge(stored.notice.kind, stored.notice.severity, ui),
            details: describe_details(stored.threshold_ms, stored.reminder, ui),
            grant: describe_grant(&stored.notice.grant, ui),
            recipient,
            place,
            channel: channel_word(stored.delivery.channel, ui),
            badge: state_badge(stored.state, ui),
            reason: clean(stored.reason.as_deref().unwrap_or_default()),
            attempts: stored.attempts.count,
        }
    }
}

/// Returns the name of a grant; `None` for the organization's, which every connection has.
fn describe_grant(grant: &str, ui: &Ui) -> Option<String> {
    let known = [Grant::WholesaleCustomers, Grant::WholesaleUsers];
    let named = known.iter().find(|known| known.as_str() == grant)?;
    Some(ui.t(&format!("grant.{named}")))
}

/// Returns the threshold that a notice reports, or the number of a reminder; `None` for others.
pub(crate) fn describe_details(threshold_ms: u64, reminder: u32, ui: &Ui) -> Option<String> {
    let span = Duration::from_millis(threshold_ms);
    match (threshold_ms, reminder) {
        (0, 0) => None,
        (0, number) => Some(ui.t1("preview.reminder", number)),
        _ => Some(ui.t1("preview.before", format_span(span, ui.language))),
    }
}

#[derive(Debug, Default)]
pub(crate) struct ListQuery {
    state: String,
    day: String,
    record: String,
    hierarchy: String,
    cursor: String,
}

impl Filters for ListQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            state: query.word("state", DeliveryState::ALL.map(DeliveryState::as_str)),
            day: query.date("day"),
            record: query.text("record"),
            hierarchy: query.filled("hierarchy"),
            cursor: query.filled("cursor"),
        }
    }
}

impl ListQuery {
    /// Returns the address of the list or of a form with the filters that both have.
    fn with_filters(&self, path: &str) -> String {
        let values = [
            ("record", self.record.as_str()),
            ("hierarchy", &self.hierarchy),
        ];
        links::with_query(path, &values)
    }

    /// Returns the filter of the access functions.
    async fn to_filter<P: crate::access::Permission>(
        &self,
        web: &Web,
        allowed: &Allowed<P>,
    ) -> Result<DeliveryFilter, WebError> {
        let (node, _) = choose_node(web, allowed, &self.hierarchy).await?;
        let record = match self.record.as_str() {
            "" => None,
            pkid => Some(allowed.record(web, pkid).await?.pkid),
        };
        Ok(DeliveryFilter {
            node: Some(node),
            record,
            state: find_state(&self.state),
            day: self.day.parse().ok(),
        })
    }
}

fn find_state(name: &str) -> Option<DeliveryState> {
    let mut states = DeliveryState::ALL.into_iter();
    states.find(|state| state.as_str() == name)
}

#[derive(Template)]
#[template(path = "deliveries.html")]
pub(crate) struct DeliveriesPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) query: &'a ListQuery,
    pub(crate) rows: Vec<DeliveryRow>,
    /// The states: value and word.
    pub(crate) states: Vec<(&'static str, String)>,
    pub(crate) nodes: Vec<String>,
    /// The address of the form that sends all failed ones again, for those who may.
    pub(crate) resend: Option<String>,
    pub(crate) next: Option<String>,
}

/// Returns the states with their words.
pub(crate) fn state_choices(ui: &Ui) -> Vec<(&'static str, String)> {
    let states = DeliveryState::ALL.into_iter();
    states
        .map(|state| (state.as_str(), state_word(state, ui)))
        .collect()
}

/// Shows a page of deliveries, the newest first.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let filter = query.to_filter(&web, &allowed).await?;
    let cursor = Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let authority = ui.authority(&allowed);
    let may_resend = filter
        .node
        .as_ref()
        .is_some_and(|node| ui.may(Operation::Notices, node));
    let page = deliveries::list(web.access(), &authority, &filter, cursor, PAGE_SIZE).await?;
    let next = page.next.map(|cursor| {
        let values = [
            ("state", query.state.as_str()),
            ("day", &query.day),
            ("record", &query.record),
            ("hierarchy", &query.hierarchy),
            ("cursor", &cursor),
        ];
        links::with_query("/deliveries", &values)
    });
    render(&DeliveriesPage {
        title: ui.t("deliveries.title"),
        rows: page
            .items
            .iter()
            .map(|each| DeliveryRow::new(each, &ui))
            .collect(),
        states: state_choices(&ui),
        nodes: allowed.nodes().iter().map(ToString::to_string).collect(),
        resend: may_resend.then(|| query.with_filters("/deliveries/resend")),
        next,
        query: &query,
        ui: &ui,
    })
}

/// An attempt at a delivery.
struct AttemptRow {
    at: Moment,
    badge: Badge,
    reply: String,
}

impl AttemptRow {
    fn new(attempt: &LoggedAttempt, ui: &Ui) -> Self {
        let (icon, key) = match attempt.sent {
            true => ("good", "deliveries.ok"),
            false => ("bad", "deliveries.failed"),
        };
        Self {
            at: moment(attempt.at, ui),
            badge: Badge::new(icon, ui.t(key)),
            reply: clean(&attempt.reply),
        }
    }
}

#[derive(Template)]
#[template(path = "delivery.html")]
pub(crate) struct DeliveryPage<'a> {
    ui: &'a Ui,
    title: String,
    row: DeliveryRow,
    severity: String,
    /// The level that names the recipient.
    level: String,
    node: String,
    text: String,
    occurred: Moment,
    expires: Option<Moment>,
    earliest: Moment,
    holds: Vec<String>,
    deadline: Moment,
    ended: Option<Moment>,
    digest: Option<String>,
    resent: Option<String>,
    id: String,
    attempts: Vec<AttemptRow>,
    has_older: bool,
    may_resend: bool,
}

/// Returns the reasons why a delivery waits.
pub(crate) fn describe_holds(holds: &[relation_notify::routing::Hold], ui: &Ui) -> Vec<String> {
    use relation_notify::routing::Hold;
    let words = holds.iter().map(|hold| match hold {
        Hold::Flapping => ui.t("hold.flapping"),
        Hold::Digest => ui.t("hold.digest"),
        Hold::Budget => ui.t("hold.budget"),
        Hold::QuietHours => ui.t("hold.quiet-hours"),
    });
    words.collect()
}

/// Builds the page of a delivery.
pub(crate) fn build<'a>(ui: &'a Ui, listed: &ListedDelivery) -> DeliveryPage<'a> {
    let stored = &listed.stored;
    let (delivery, notice) = (&stored.delivery, &stored.notice);
    let row = DeliveryRow::new(listed, ui);
    let attempts = stored.attempts.log.iter().rev();
    let is_ended = matches!(stored.state, DeliveryState::Dead | DeliveryState::Dropped);
    let shown = u32::try_from(stored.attempts.log.len()).unwrap_or(u32::MAX);
    DeliveryPage {
        title: row.recipient.clone(),
        severity: severity_word(notice.severity, ui),
        level: clean(delivery.origin.as_str()),
        node: clean(&notice.node),
        text: clean(&notice.text),
        occurred: moment(notice.occurred, ui),
        expires: notice.expires.map(|at| moment(at, ui)),
        earliest: moment(delivery.earliest, ui),
        holds: describe_holds(&delivery.holds, ui),
        deadline: moment(delivery.deadline, ui),
        ended: stored.ended.map(|at| moment(at, ui)),
        digest: stored.digest.as_deref().map(clean),
        resent: match stored.resent {
            0 => None,
            1 => Some(ui.t("alerts.once")),
            count => Some(ui.t1("alerts.times", count)),
        },
        id: delivery.id.to_string(),
        attempts: attempts.map(|each| AttemptRow::new(each, ui)).collect(),
        has_older: shown < stored.attempts.count,
        may_resend: is_ended && ui.may(Operation::Notices, &delivery.origin),
        row,
        ui,
    }
}

/// Shows a delivery.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = ui.authority(&allowed);
    let listed = deliveries::find(web.access(), &authority, &parse(&pkid)?).await?;
    render(&build(&ui, &listed))
}

/// Sends a delivery again.
pub(crate) async fn resend(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Notices>,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let pkid = parse(&pkid)?;
    deliveries::resend(web.access(), &ui.authority(&allowed), &pkid).await?;
    Ok(Redirect::to(&format!("/deliveries/{pkid}")).into_response())
}

/// The result of something that was done, with a way back.
#[derive(Template)]
#[template(path = "notice_result.html")]
pub(crate) struct ResultPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) tone: &'static str,
    pub(crate) text: String,
    /// The receiver's reply.
    pub(crate) reply: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) back: String,
    pub(crate) back_text: String,
}

/// Builds the page that asks which failed deliveries are sent again.
pub(crate) fn confirm_resending<'a>(
    ui: &'a Ui,
    query: &ListQuery,
    node: &str,
    errors: &[FieldError],
) -> ConfirmPage<'a> {
    let mut field = FormField::new(
        SINCE,
        ui.t("deliveries.since"),
        ui.t("deliveries.since-help"),
    );
    let choices = SINCES.iter().enumerate();
    let choices =
        choices.map(|(index, (value, _, key))| ((*value).to_owned(), ui.t(key), index == 0));
    field.control = Control::Choice(choices.collect());
    let mut fields = vec![field];
    form::set_errors(&mut fields, errors);
    ConfirmPage {
        title: ui.t("deliveries.resend-title"),
        text: ui.t("deliveries.resend-text"),
        is_final: false,
        node: clean(node),
        action: query.with_filters("/deliveries/resend"),
        button: ui.t("deliveries.resend-confirm"),
        back: query.with_filters("/deliveries"),
        summary: form::summarize(&fields, errors),
        fields,
        failure: None,
        ui,
    }
}

/// Builds the page with the number of deliveries that are sent again.
pub(crate) fn result_of_resending<'a>(
    ui: &'a Ui,
    query: &ListQuery,
    count: u32,
    has_more: bool,
) -> ResultPage<'a> {
    let (tone, text) = match count {
        0 => ("warn", ui.t("deliveries.resent-none")),
        count => ("good", ui.t1("deliveries.resent-count", count)),
    };
    ResultPage {
        title: ui.t("deliveries.resent-title"),
        tone,
        text,
        reply: None,
        next: has_more.then(|| ui.t("deliveries.resent-more")),
        back: query.with_filters("/deliveries"),
        back_text: ui.t("deliveries.back"),
        ui,
    }
}

/// Asks for the time whose failed deliveries are sent again, or sends them.
pub(crate) async fn resend_all(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Notices>,
    Filtered(query): Filtered<ListQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let filter = query.to_filter(&web, &allowed).await?;
    let node = filter.node.as_ref().map(ToString::to_string);
    let node = node.unwrap_or_default();
    let posted = Posted(pairs);
    if !is_confirmed(&posted) {
        return render(&confirm_resending(&ui, &query, &node, &[]));
    }
    let value = posted.get(SINCE).unwrap_or_default();
    let Some((_, span, _)) = SINCES.iter().find(|(each, ..)| *each == value) else {
        let errors = [field_error(SINCE, ui.t("keys.no-choice"))];
        let page = confirm_resending(&ui, &query, &node, &errors);
        return render_with(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let since = Timestamp(web.now().0.saturating_sub(span));
    let authority = ui.authority(&allowed);
    let mut cursor: Option<String> = None;
    let mut count = 0_u32;
    for _ in 0..MAX_RESENT_PAGES {
        let access = web.access();
        let page = deliveries::resend_since(access, &authority, &filter, since, cursor.as_deref());
        let page = page.await?;
        count = count.saturating_add(page.resent);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    render(&result_of_resending(&ui, &query, count, cursor.is_some()))
}

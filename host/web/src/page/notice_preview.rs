//! The coming notices of an organization: when, and who is told.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use relation_app::notices::GrantPreview;
use relation_host::types::Hierarchy;
use relation_notify::routing::{Delivery, NotMade, PlannedNotice, Reason};

use super::deliveries::{describe_details, describe_holds};
use super::notice_words::{channel_word, describe_recipient, kind_badge, moment, to_timestamp};
use super::notices::address;
use super::parts::{Badge, Moment, clean};
use super::ui::{Ui, render};
use crate::access::notice_settings::find_reader_node;
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// A recipient of a coming notice, or one that is not told.
struct ToldRow {
    name: String,
    channel: String,
    /// The reasons for a later time.
    holds: Vec<String>,
    /// The later time.
    earliest: Option<Moment>,
    /// The reason why the recipient is not told.
    reason: Option<String>,
}

impl ToldRow {
    fn new(delivery: &Delivery, ui: &Ui) -> Self {
        Self {
            name: describe_recipient(&delivery.recipient).0,
            channel: channel_word(delivery.channel, ui),
            holds: describe_holds(&delivery.holds, ui),
            earliest: (!delivery.holds.is_empty()).then(|| moment(delivery.earliest, ui)),
            reason: None,
        }
    }

    fn not_made(not_made: &NotMade, ui: &Ui) -> Self {
        let recipient = not_made.recipient.as_ref();
        let channel = not_made.channel;
        Self {
            name: recipient.map_or_else(String::new, |each| describe_recipient(each).0),
            channel: channel.map_or_else(String::new, |each| channel_word(each, ui)),
            holds: Vec::new(),
            earliest: None,
            reason: Some(ui.t(reason_key(&not_made.reason))),
        }
    }
}

/// Returns the key of the text for a reason.
fn reason_key(reason: &Reason) -> &'static str {
    match reason {
        Reason::NotifyOff => "not-told.notify-off",
        Reason::KindOff => "not-told.kind-off",
        Reason::ChannelOff => "not-told.channel-off",
        Reason::NoRecipients => "not-told.no-recipients",
        Reason::DuplicateAddress => "not-told.duplicate-address",
        Reason::InvalidAddress => "not-told.invalid-address",
        Reason::TooManyRecipients => "not-told.too-many-recipients",
        Reason::NotYet { .. } => "not-told.not-yet",
        Reason::AlreadyTold => "not-told.already-told",
        Reason::NoThreshold => "not-told.no-threshold",
        Reason::NothingToRecover => "not-told.nothing-to-recover",
        Reason::ReminderOff => "not-told.reminder-off",
        Reason::Replaced => "not-told.replaced",
    }
}

/// A coming notice.
struct PlannedRow {
    at: Moment,
    distance: Moment,
    badge: Badge,
    details: Option<String>,
    told: Vec<ToldRow>,
    told_above: bool,
}

impl PlannedRow {
    fn new(planned: &PlannedNotice, reader: &Hierarchy, ui: &Ui) -> Self {
        let plan = planned.plan.visible_from(reader);
        let told = plan.deliveries.iter();
        let told = told.map(|delivery| ToldRow::new(delivery, ui));
        let not_made = plan.not_made.iter();
        let not_made = not_made.map(|each| ToldRow::not_made(each, ui));
        Self {
            at: moment(planned.at, ui),
            distance: Moment::relative(to_timestamp(planned.at), ui),
            badge: kind_badge(plan.notice.kind, plan.notice.severity, ui),
            details: describe_details(plan.threshold_ms, planned.event.reminder, ui),
            told: told.chain(not_made).collect(),
            told_above: plan.told_above,
        }
    }
}

/// The coming notices of one grant.
pub(crate) struct GrantSection {
    title: String,
    badge: Badge,
    expires: Option<Moment>,
    rows: Vec<PlannedRow>,
}

/// The page with the coming notices of an organization.
#[derive(Template)]
#[template(path = "preview.html")]
pub(crate) struct PreviewPage<'a> {
    ui: &'a Ui,
    title: String,
    /// The address of the organization's page.
    address: String,
    name: String,
    /// The address of the settings of its node.
    settings: String,
    deliveries: String,
    grants: Vec<GrantSection>,
    is_available: bool,
}

/// Builds the page. `previews`: `None` if the installation sends no notices. `reader` is the highest node that the reader
/// may see.
pub(crate) fn build<'a>(
    ui: &'a Ui,
    (pkid, name, node): (&str, &str, &Hierarchy),
    previews: Option<&[GrantPreview]>,
    reader: &Hierarchy,
) -> PreviewPage<'a> {
    let grants = previews.unwrap_or_default().iter();
    let grants = grants.map(|preview| GrantSection {
        title: ui.t(&format!("grant.{}", preview.grant)),
        badge: Badge::state(preview.state, ui.language),
        expires: preview
            .expires
            .map(|at| Moment::relative(to_timestamp(at), ui)),
        rows: preview
            .planned
            .iter()
            .map(|planned| PlannedRow::new(planned, reader, ui))
            .collect(),
    });
    PreviewPage {
        title: ui.t("preview.title"),
        address: format!("/organizations/{pkid}"),
        name: clean(name),
        settings: address("/notices", node),
        deliveries: format!("/deliveries?record={pkid}"),
        grants: grants.collect(),
        is_available: previews.is_some(),
        ui,
    }
}

/// Shows the coming notices of an organization.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let previews = match &web.options().notices {
        Some(notices) => Some(notices.preview(web.host(), &record.pkid).await?),
        None => None,
    };
    let reader = find_reader_node(&ui.authority(&allowed), &record.hierarchy);
    let about = (record.pkid.as_str(), record.name(), &record.hierarchy);
    render(&build(&ui, about, previews.as_deref(), &reader))
}

//! The coming notices of records.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use relation_app::notices::GrantPreview;
use relation_app::{AppError, ErrorKind};
use relation_host::types::{Hierarchy, Timestamp};
use relation_notify::routing::{Delivery, Hold, NotMade, PlannedNotice, Reason};
use relation_notify::settings::{ChannelKind, Recipient};
use relation_notify::{Notice, NoticeKind, Severity};
use serde::Serialize;

use crate::access::notice_settings::{find_reader_node, hide_path, to_timestamp};
use crate::access::{Allowed, Authority, ClientAddress, permission};
use crate::api::query::Query;
use crate::{Web, WebError};

/// A notice in a response.
#[derive(Serialize)]
pub(crate) struct ShownNotice {
    id: String,
    kind: NoticeKind,
    severity: Severity,
    /// The pkid of the record.
    record: String,
    customer: String,
    hierarchy: String,
    grant: String,
    code: String,
    text: String,
    expires: Option<Timestamp>,
    /// The threshold that the notice reports; 0 without one.
    threshold_ms: u64,
    occurred: Timestamp,
    count: u32,
    link: Option<String>,
}

impl ShownNotice {
    pub(crate) fn new(notice: Notice, threshold_ms: u64) -> Self {
        Self {
            id: notice.id,
            kind: notice.kind,
            severity: notice.severity,
            record: notice.record,
            customer: notice.customer,
            hierarchy: notice.node,
            grant: notice.grant,
            code: notice.code,
            text: notice.text,
            expires: notice.expires.map(to_timestamp),
            threshold_ms,
            occurred: to_timestamp(notice.occurred),
            count: notice.count,
            link: notice.link.map(String::from),
        }
    }
}

/// The coming notices of a grant.
#[derive(Serialize)]
struct ShownPreview {
    grant: String,
    state: &'static str,
    expires: Option<Timestamp>,
    notices: Vec<ShownPlan>,
}

/// A coming notice.
#[derive(Serialize)]
struct ShownPlan {
    at: Timestamp,
    notice: ShownNotice,
    deliveries: Vec<ShownDelivery>,
    not_made: Vec<ShownNotMade>,
    /// Whether a level above the reader's is told too.
    told_above: bool,
}

/// A coming delivery.
#[derive(Serialize)]
struct ShownDelivery {
    hierarchy: Hierarchy,
    channel: ChannelKind,
    recipient: Recipient,
    earliest: Timestamp,
    deadline: Timestamp,
    holds: Vec<Hold>,
}

/// A delivery that is not made.
#[derive(Serialize)]
struct ShownNotMade {
    channel: Option<ChannelKind>,
    recipient: Option<Recipient>,
    hierarchy: Option<Hierarchy>,
    reason: &'static str,
    /// The later time that the settings require.
    at: Option<Timestamp>,
}

/// Shows the coming notices of a record, if its connections do not change.
pub(super) async fn preview(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    address: ClientAddress,
    Path(pkid): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    Query::parse(query.as_deref()).close()?;
    let record = allowed.record(&web, &pkid).await?;
    let notices = web.options().notices.as_ref();
    let notices = notices
        .ok_or_else(|| AppError::new(ErrorKind::Unavailable, "this host does not send notices"))?;
    let document = record.document;
    let previews = notices
        .preview(web.host(), &document.reference.pkid)
        .await?;
    let authority = Authority::Principal(&allowed, address);
    let reader = find_reader_node(&authority, &document.hierarchy);
    let shown = previews.into_iter().map(|each| show(each, &reader));
    let shown: Vec<ShownPreview> = shown.collect();
    Ok(Json(serde_json::json!({ "grants": shown })).into_response())
}

fn show(preview: GrantPreview, reader: &Hierarchy) -> ShownPreview {
    let planned = preview.planned.into_iter();
    ShownPreview {
        grant: preview.grant.to_string(),
        state: preview.state.as_str(),
        expires: preview.expires.map(to_timestamp),
        notices: planned.map(|planned| show_plan(&planned, reader)).collect(),
    }
}

fn show_plan(planned: &PlannedNotice, reader: &Hierarchy) -> ShownPlan {
    let visible = planned.plan.visible_from(reader);
    ShownPlan {
        at: to_timestamp(planned.at),
        notice: ShownNotice::new(visible.notice, visible.threshold_ms),
        deliveries: visible.deliveries.into_iter().map(show_delivery).collect(),
        not_made: visible.not_made.into_iter().map(show_not_made).collect(),
        told_above: visible.told_above,
    }
}

fn show_delivery(delivery: Delivery) -> ShownDelivery {
    let mut recipient = delivery.recipient;
    hide_path(&mut recipient);
    ShownDelivery {
        hierarchy: delivery.origin,
        channel: delivery.channel,
        recipient,
        earliest: to_timestamp(delivery.earliest),
        deadline: to_timestamp(delivery.deadline),
        holds: delivery.holds,
    }
}

fn show_not_made(not_made: NotMade) -> ShownNotMade {
    let mut recipient = not_made.recipient;
    recipient.iter_mut().for_each(hide_path);
    ShownNotMade {
        channel: not_made.channel,
        recipient,
        hierarchy: not_made.origin,
        reason: name_reason(&not_made.reason),
        at: match not_made.reason {
            Reason::NotYet { at } => Some(to_timestamp(at)),
            _ => None,
        },
    }
}

/// Returns the word for a reason.
fn name_reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::NotifyOff => "notify-off",
        Reason::KindOff => "kind-off",
        Reason::ChannelOff => "channel-off",
        Reason::NoRecipients => "no-recipients",
        Reason::DuplicateAddress => "duplicate-address",
        Reason::InvalidAddress => "invalid-address",
        Reason::TooManyRecipients => "too-many-recipients",
        Reason::NotYet { .. } => "not-yet",
        Reason::AlreadyTold => "already-told",
        Reason::NoThreshold => "no-threshold",
        Reason::NothingToRecover => "nothing-to-recover",
        Reason::ReminderOff => "reminder-off",
        Reason::Replaced => "replaced",
    }
}

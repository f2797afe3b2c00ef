//! `notices preview`: who would be told about a customer, when, and by what.

use relation_app::AppError;
use relation_app::notices::GrantPreview;
use relation_host::types::{Hierarchy, Pkid, Timestamp};
use relation_notify::routing::{NotMade, PlannedNotice, Reason, VisiblePlan};
use serde::Serialize;

use super::view::{describe_recipient, name_of, to_timestamp};
use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::table::{Column, Table};
use crate::{Context, time};

/// The preview of a record, as it is printed.
#[derive(Serialize)]
struct PreviewOutput {
    record: Pkid,
    name: String,
    hierarchy: Hierarchy,
    grants: Vec<GrantOutput>,
}

#[derive(Serialize)]
struct GrantOutput {
    grant: &'static str,
    state: &'static str,
    expires: Option<Timestamp>,
    notices: Vec<NoticeOutput>,
}

#[derive(Serialize)]
struct NoticeOutput {
    at: Timestamp,
    #[serde(flatten)]
    plan: VisiblePlan,
}

/// Prints the preview.
pub async fn run(context: &Context, selector: RecordSelector) -> Result<(), AppError> {
    let installation = &context.installation;
    let parts = installation.open_parts().await?;
    let notices = parts.notices.clone();
    let host = installation.host_from(parts).await?;
    let record = selector.find(host.store().as_ref()).await?;
    let grants = notices.preview(&host, &record.pkid).await?;
    let root = find_root(&record.hierarchy);
    let grants = grants.iter().map(|grant| GrantOutput::new(grant, &root));
    let output = PreviewOutput {
        record: record.pkid.clone(),
        name: record.name().to_owned(),
        hierarchy: record.hierarchy.clone(),
        grants: grants.collect(),
    };
    let now = installation.now();
    context.output.print(&output, |output| render(output, now))
}

/// Returns the root of a node: an operator sees the recipients of all levels.
fn find_root(node: &Hierarchy) -> Hierarchy {
    let root = node.as_str().split('.').next().unwrap_or_default();
    root.parse().unwrap_or_else(|_| node.clone())
}

impl GrantOutput {
    fn new(preview: &GrantPreview, root: &Hierarchy) -> Self {
        let to_notice = |planned: &PlannedNotice| NoticeOutput {
            at: to_timestamp(&planned.at),
            plan: planned.plan.visible_from(root),
        };
        Self {
            grant: preview.grant.as_str(),
            state: preview.state.as_str(),
            expires: preview.expires.as_ref().map(to_timestamp),
            notices: preview.planned.iter().map(to_notice).collect(),
        }
    }
}

fn render(output: &PreviewOutput, now: Timestamp) -> String {
    if output.grants.is_empty() {
        let name = escape_control_chars(&output.name);
        return format!("{name} is not connected: there is nothing to tell before it is");
    }
    let grants = output.grants.iter().map(|grant| render_grant(grant, now));
    grants.collect::<Vec<_>>().join("\n\n")
}

fn render_grant(grant: &GrantOutput, now: Timestamp) -> String {
    let expires = grant.expires.map(|expires| {
        let due = time::format_due(expires, now);
        format!(
            "; the refresh token expires {} ({due})",
            time::format_utc(expires)
        )
    });
    let heading = format!(
        "{}: {}{}",
        grant.grant,
        grant.state,
        expires.unwrap_or_default()
    );
    if grant.notices.is_empty() {
        return format!("{heading}\nno notice is planned unless the connection changes");
    }
    let mut rows = Table::with_columns(&[
        Column::new("at (UTC)"),
        Column::new("when").droppable(1),
        Column::new("notice"),
        Column::new("recipient").shortened(16),
        Column::new("named by").tail(12).droppable(2),
        Column::new("note").wrapped(24),
    ]);
    for notice in &grant.notices {
        let kind = match notice.plan.threshold_ms {
            0 => name_of(&notice.plan.notice.kind),
            threshold => {
                let threshold = std::time::Duration::from_millis(threshold);
                let before = relation_host::text::format_span(threshold);
                format!("{}, {before} before", name_of(&notice.plan.notice.kind))
            }
        };
        let at = time::format_timestamp(notice.at);
        let when = match notice.at > now {
            true => time::format_due(notice.at, now),
            false => "now".to_owned(),
        };
        for delivery in &notice.plan.deliveries {
            let earliest = to_timestamp(&delivery.earliest);
            let holds: Vec<String> = delivery.holds.iter().map(name_of).collect();
            let note = match holds.is_empty() {
                true => String::new(),
                false => format!(
                    "at {}, by {}",
                    time::format_timestamp(earliest),
                    holds.join(", ")
                ),
            };
            let recipient = describe_recipient(&delivery.recipient);
            let origin = delivery.origin.as_str();
            rows.add([at.as_str(), &when, &kind, &recipient, origin, &note]);
        }
        for not_made in &notice.plan.not_made {
            let recipient = not_made.recipient.as_ref();
            let recipient = recipient.map_or_else(|| "nobody".to_owned(), describe_recipient);
            let origin = not_made.origin.as_ref().map_or("", Hierarchy::as_str);
            let note = format!("not told: {}", describe_reason(not_made));
            rows.add([at.as_str(), &when, &kind, &recipient, origin, &note]);
        }
    }
    format!("{heading}\n{rows}")
}

fn describe_reason(not_made: &NotMade) -> String {
    if let Reason::NotYet { at } = &not_made.reason {
        return format!("not before {}", time::format_utc(to_timestamp(at)));
    }
    let name = name_of(&not_made.reason);
    let text = match name.as_str() {
        "notify-off" => "notices are switched off (notify)",
        "kind-off" => "this kind is not told (kinds)",
        "channel-off" => "the channel is switched off (channels)",
        "no-recipients" => "no level has a recipient (recipients)",
        "duplicate-address" => "the address is told already",
        "invalid-address" => "the account e-mail of the record is not an address",
        "too-many-recipients" => "there are too many recipients",
        "already-told" => "this threshold or a tighter one was told",
        "no-threshold" => "no threshold applies (thresholds)",
        "reminder-off" => "reminders are switched off (reminder)",
        "replaced" => "a later notice replaces it while it waits",
        other => return other.replace('-', " "),
    };
    text.to_owned()
}

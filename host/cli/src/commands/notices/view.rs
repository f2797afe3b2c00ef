//! Deliveries as text for people.

use relation_host::text::format_span;
use relation_host::types::Timestamp;
use relation_notify::health::DisabledReason;
use relation_notify::routing::Delivery;
use relation_notify::runner::{DeliveryState, ListedDelivery, ListedEndpoint, StoredDelivery};
use relation_notify::settings::Recipient;
use serde::Serialize;

use crate::table::{Column, MAX_NAME_WIDTH, Table, pair_table};
use crate::time;

/// Renders a list of deliveries.
pub fn render_list(deliveries: &[ListedDelivery]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("state"),
        Column::new("notice"),
        Column::new("customer")
            .shortened(12)
            .at_most(MAX_NAME_WIDTH),
        Column::new("recipient").shortened(16),
        Column::new("named by").tail(12).droppable(2),
        Column::new("made (UTC)").droppable(3),
        Column::new("reason").wrapped(24),
        Column::new("pkid").droppable(1),
    ]);
    for ListedDelivery { pkid, stored, .. } in deliveries {
        let customer = match stored.notice.customer.as_str() {
            "" => "-",
            name => name,
        };
        rows.add([
            stored.state.as_str(),
            &name_of(&stored.notice.kind),
            customer,
            &describe_recipient(&stored.delivery.recipient),
            stored.delivery.origin.as_str(),
            &time::format_timestamp(to_timestamp(&stored.created)),
            &find_reason(stored),
            pkid.as_str(),
        ]);
    }
    rows.to_string()
}

/// Renders endpoints with their health.
pub fn render_endpoints(endpoints: &[ListedEndpoint], now: Timestamp) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("state"),
        Column::new("endpoint").shortened(16),
        Column::new("named by").tail(12),
        Column::new("failures"),
        Column::new("failing for"),
    ]);
    for ListedEndpoint {
        origin,
        recipient,
        health,
    } in endpoints
    {
        let state = match (health.disabled(), health.failing_since()) {
            (Some(DisabledReason::Failures), _) => "disabled",
            (Some(DisabledReason::Gone), _) => "disabled (410)",
            (None, Some(_)) => "failing",
            (None, None) => "works",
        };
        let since = health.failing_since();
        let span = since.map(|since| format_span(now.since(to_timestamp(&since))));
        rows.add([
            state,
            &describe_recipient(recipient),
            origin.as_str(),
            &health.failures().to_string(),
            &span.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    rows.to_string()
}

/// Renders a delivery with its attempts.
pub fn render(listed: &ListedDelivery, now: Timestamp) -> String {
    let stored = &listed.stored;
    let Delivery {
        recipient,
        origin,
        earliest,
        deadline,
        holds,
        ..
    } = &stored.delivery;
    let notice = &stored.notice;
    let utc = |at: &chrono::DateTime<chrono::Utc>| time::format_utc(to_timestamp(at));
    let mut pairs = vec![
        ("state", stored.state.as_str().to_owned()),
        (
            "notice",
            format!("{} ({})", name_of(&notice.kind), name_of(&notice.severity)),
        ),
        ("customer", notice.customer.clone()),
        ("node", notice.node.clone()),
        ("text", notice.text.clone()),
        ("recipient", describe_recipient(recipient)),
        ("named by", origin.to_string()),
        ("made", utc(&stored.created)),
    ];
    if stored.state == DeliveryState::Pending {
        let due = time::format_due(to_timestamp(earliest), now);
        let holds: Vec<String> = holds.iter().map(name_of).collect();
        let because = match holds.is_empty() {
            true => String::new(),
            false => format!(", held by {}", holds.join(", ")),
        };
        pairs.push(("due", format!("{} ({due}{because})", utc(earliest))));
        pairs.push(("obsolete after", utc(deadline)));
    }
    pairs.extend(stored.ended.iter().map(|ended| ("ended", utc(ended))));
    let reason = stored.reason.iter();
    pairs.extend(reason.map(|reason| ("reason", reason.clone())));
    if stored.resent > 0 {
        pairs.push(("sent again", stored.resent.to_string()));
    }
    let digest = stored.digest.iter();
    pairs.extend(digest.map(|digest| ("told in digest", digest.clone())));
    pairs.push(("id", stored.delivery.id.as_str().to_owned()));
    pairs.push(("pkid", listed.pkid.to_string()));
    let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
    let mut blocks = vec![pair_table(pairs).to_string()];
    if !stored.attempts.log.is_empty() {
        let mut rows = Table::with_columns(&[
            Column::new("attempt (UTC)"),
            Column::new("result"),
            Column::new("reply").wrapped(24),
        ]);
        for attempt in &stored.attempts.log {
            let result = match attempt.sent {
                true => "sent",
                false => "failed",
            };
            let at = time::format_timestamp(to_timestamp(&attempt.at));
            rows.add([&at, result, &attempt.reply]);
        }
        blocks.push(rows.to_string());
    }
    blocks.join("\n\n")
}

/// Returns the reason for the end of a delivery, or the latest reply.
fn find_reason(stored: &StoredDelivery) -> String {
    let latest = stored.attempts.log.last();
    let latest = latest.map(|attempt| attempt.reply.clone());
    stored.reason.clone().or(latest).unwrap_or_default()
}

/// Describes a recipient with its channel.
pub fn describe_recipient(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Mail(address) => address.as_str().to_owned(),
        Recipient::Webhook(endpoint) => {
            let host = endpoint.url.host_str().unwrap_or_default();
            format!("{} (webhook {host})", endpoint.name)
        }
        Recipient::Snmp(target) => format!("{} (SNMP {})", target.name, target.address()),
    }
}

/// Returns the name that a value of a fixed set has in JSON.
pub fn name_of(value: &impl Serialize) -> String {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

pub fn to_timestamp(time: &chrono::DateTime<chrono::Utc>) -> Timestamp {
    Timestamp(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}

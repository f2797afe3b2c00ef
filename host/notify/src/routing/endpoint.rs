//! The event that the health of an endpoint has changed.

use chrono::{DateTime, SecondsFormat, Utc};
use relation_types::Hierarchy;
use url::Url;

use super::event::{ConnectionFacts, Event};
use crate::health::{DisabledReason, HealthChange};
use crate::settings::Recipient;
use crate::{NoticeKind, Severity};

impl Event {
    /// Creates the event that the health of an endpoint has changed, for the recipients of `level`. `failing_since` tells
    /// two outages of the endpoint apart. The text has the endpoint's name and host, but no path.
    #[must_use]
    pub fn endpoint(
        level: &Hierarchy,
        origin: &Hierarchy,
        endpoint: &Recipient,
        change: HealthChange,
        failing_since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        link: Option<Url>,
    ) -> Self {
        let facts = ConnectionFacts {
            record: format!("endpoint {}", endpoint.id().unwrap_or_default()),
            ..ConnectionFacts::for_installation(level.clone(), link)
        };
        let since = failing_since.unwrap_or(now);
        let (code, severity) = match change {
            HealthChange::Warn => ("NOTICE_ENDPOINT_FAILING", Severity::Major),
            HealthChange::Disable(_) => ("NOTICE_ENDPOINT_DISABLED", Severity::Critical),
            HealthChange::Recover => ("NOTICE_ENDPOINT_RECOVERED", Severity::Info),
        };
        let name = describe(endpoint, origin);
        let at = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let text = match change {
            HealthChange::Warn => format!(
                "{name} has accepted no notice since {at}: look at its deliveries, and repair it; it is disabled after \
                 three days"
            ),
            HealthChange::Disable(DisabledReason::Failures) => format!(
                "{name} is disabled, since it has accepted no notice since {at}: repair it, then send a test"
            ),
            HealthChange::Disable(DisabledReason::Gone) => format!(
                "{name} is disabled, since it accepts no further messages: remove it, or send a test to enable it"
            ),
            HealthChange::Recover => format!("{name} accepts notices again"),
        };
        let source = format!("{origin} {}", endpoint.key());
        let episode = format!("{code} {}", since.timestamp_millis());
        let mut event = Self::new(&facts, NoticeKind::Endpoint, now, source, episode);
        event.notice.severity = severity;
        event.with_text(code, &text)
    }
}

/// Names an endpoint as all recipients of the level may see it.
fn describe(endpoint: &Recipient, origin: &Hierarchy) -> String {
    let (kind, name, place) = match endpoint {
        Recipient::Mail(address) => ("mailbox", address.as_str(), String::new()),
        Recipient::Webhook(webhook) => {
            let place = webhook.url.origin().ascii_serialization();
            ("webhook", webhook.name.as_str(), place)
        }
        Recipient::Snmp(target) => ("SNMP target", target.name.as_str(), target.address()),
    };
    format!("the {kind} \"{name}\" ({place}) of {origin}")
}

//! From changes of alerts to events.
//!
//! The kind follows from the alert's code. Other plugins have codes that the host does not know; there the severity
//! decides, since it says whether the connection works:
//!
//! | severity | kind |
//! |---|---|
//! | critical | reauthorize: the connection does not work, and a person must act |
//! | major, minor, info | import-failed: something did not succeed, and the connection works |

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::event::{ConnectionFacts, Event};
use crate::{NoticeKind, Severity};

/// The members of an alert's document that notices need. Members that are absent have defaults, and others are
/// ignored, since other plugins write alerts too.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AlertFacts {
    /// The alert's pkid.
    pub id: String,
    /// The code, such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// The urgency.
    pub severity: Severity,
    /// The text for an administrator.
    #[serde(default)]
    pub message: String,
    /// The number of occurrences.
    #[serde(default)]
    pub count: u32,
    /// The time of the first occurrence, RFC 3339.
    #[serde(default)]
    pub first: String,
    /// The time of the latest occurrence, RFC 3339.
    #[serde(default)]
    pub latest: String,
    /// The record that the alert is about, or `installation`.
    #[serde(default)]
    pub subject: String,
    /// The crossed threshold in milliseconds before the expiry; 0 without one.
    #[serde(default)]
    pub threshold: u64,
    /// The generation of the refresh token.
    #[serde(default)]
    pub generation: u64,
    /// The grant.
    #[serde(default)]
    pub grant: String,
}

/// A change of an alert in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertTransition {
    /// The alert is new.
    Raised,
    /// The alert occurred again.
    Repeated {
        /// The severity before.
        earlier: Severity,
    },
    /// The alert was deleted.
    Cleared {
        /// Whether the connection works after the commit. A deleted record's does not.
        is_connected: bool,
    },
}

impl AlertFacts {
    /// Reads an alert's body.
    ///
    /// # Errors
    /// Errors of [`serde_json::from_str`].
    pub fn parse(body: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body)
    }

    /// Returns the kind of the notice that the alert raises.
    #[must_use]
    pub fn kind(&self) -> NoticeKind {
        match self.code.as_str() {
            "WEBEX_REFRESH_TOKEN_EXPIRING" => NoticeKind::Expiring,
            "WEBEX_REFRESH_TOKEN_EXPIRED" => NoticeKind::Expired,
            "WEBEX_REAUTHORIZE" => NoticeKind::Reauthorize,
            "WEBEX_REFRESH_FAILING" => NoticeKind::Retrying,
            "WEBEX_MISSING_SCOPE" => NoticeKind::MissingScope,
            // Webex does not accept the integration of the whole installation.
            "WEBEX_INTEGRATION_REFUSED" => NoticeKind::HostTrouble,
            "WEBEX_IMPORT_REMOVALS_HELD"
            | "WEBEX_IMPORT_LIST_FAILED"
            | "WEBEX_WHOLESALE_ORDER_FAILED" => NoticeKind::ImportFailed,
            _ => match self.severity {
                Severity::Critical => NoticeKind::Reauthorize,
                Severity::Major | Severity::Minor | Severity::Info => NoticeKind::ImportFailed,
            },
        }
    }
}

/// Returns the event of an alert's change in a commit at `now`:
///
/// - An alert that is raised is an event.
/// - An alert that is repeated is one only if its severity rose.
/// - An alert about the connection that is cleared is one if the connection works, except for a threshold of the present
///   tokens. All alerts that one commit clears are the same event.
#[must_use]
pub fn event_from_alert(
    alert: &AlertFacts,
    facts: &ConnectionFacts,
    transition: AlertTransition,
    now: DateTime<Utc>,
) -> Option<Event> {
    let kind = alert.kind();
    let rise = match transition {
        AlertTransition::Raised => None,
        AlertTransition::Repeated { earlier } if alert.severity > earlier => Some(alert.severity),
        AlertTransition::Repeated { .. } => return None,
        AlertTransition::Cleared { is_connected } => {
            // The threshold is not crossed yet: it was reported too early, since the clock was ahead.
            let is_early = kind == NoticeKind::Expiring && alert.generation == facts.generation;
            let is_recovery = is_connected && ends_with_recovery(kind) && !is_early;
            return is_recovery.then(|| Event::recovered(facts, now));
        }
    };
    let source = match kind {
        NoticeKind::Expiring => facts.source(),
        _ => alert.id.clone(),
    };
    let episode = match (kind, rise) {
        // A threshold is reported once in a generation.
        (NoticeKind::Expiring, _) => String::new(),
        (_, None) => alert.first.clone(),
        (_, Some(severity)) => format!("{} {severity:?}", alert.first),
    };
    let mut event = Event::new(facts, kind, now, source, episode);
    event.key.generation = alert.generation;
    event.key.threshold_ms = alert.threshold;
    if kind == NoticeKind::Retrying {
        event.failing_since = facts.failing_since;
    }
    event.notice.severity = alert.severity;
    event.notice.count = alert.count.max(1);
    if ends_with_recovery(kind) && alert.generation != facts.generation {
        // The expiry is that of later tokens.
        event.notice.expires = None;
    }
    Some(event.with_text(&alert.code, &alert.message))
}

/// Returns whether notices of this kind say that the connection does not work, or soon will not. When the connection
/// works again, their coming deliveries are obsolete and must be dropped.
#[must_use]
pub const fn ends_with_recovery(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::Expiring
        | NoticeKind::Expired
        | NoticeKind::Reauthorize
        | NoticeKind::Retrying => true,
        NoticeKind::MissingScope
        | NoticeKind::ImportFailed
        | NoticeKind::HostTrouble
        | NoticeKind::Recovered
        | NoticeKind::Endpoint
        | NoticeKind::Test => false,
    }
}

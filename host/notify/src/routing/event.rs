//! Events about a connection, before it is known who is told.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use relation_types::Hierarchy;
use relation_types::reports::State;
use url::Url;

use super::ids::NoticeKey;
use crate::{Notice, NoticeKind, Severity};

/// The maximum number of characters of an alert's text in a notice.
const MAX_TEXT: usize = 1_000;
/// The largest expected difference between the clocks of two hosts.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// The facts about a record and one of its grants that routing needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// The record's pkid.
    pub record: String,
    /// The customer's name.
    pub customer: String,
    /// The record's node.
    pub node: Hierarchy,
    /// The grant, such as `organization`.
    pub grant: String,
    /// The generation of the refresh token.
    pub generation: u64,
    /// The state of the grant.
    pub state: State,
    /// The expiry of the refresh token, if there is one.
    pub expires: Option<DateTime<Utc>>,
    /// The lifetime of the refresh token, if it is known. Thresholds beyond it do not apply.
    pub lifetime: Option<Duration>,
    /// The beginning of the present failures, in the state `retrying`.
    pub failing_since: Option<DateTime<Utc>>,
    /// The account e-mail of the record.
    pub account_email: Option<String>,
    /// The record's page for an administrator.
    pub link: Option<Url>,
}

/// An event about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The parts of the notice's id. Routing sets the threshold.
    pub key: NoticeKey,
    /// The content. Routing sets the id, and the severity before an expiry.
    pub notice: Notice,
    /// The record's node.
    pub node: Hierarchy,
    /// The lifetime of the refresh token, if it is known.
    pub lifetime: Option<Duration>,
    /// The beginning of the failures that a [`NoticeKind::Retrying`] reports.
    pub failing_since: Option<DateTime<Utc>>,
    /// The number of the reminder; 0 for the first notice.
    pub reminder: u32,
    /// The account e-mail of the record.
    pub account_email: Option<String>,
}

impl ConnectionFacts {
    /// Returns the facts for alerts about the whole installation, which belong to no record.
    #[must_use]
    pub fn for_installation(node: Hierarchy, link: Option<Url>) -> Self {
        Self {
            record: "installation".to_owned(),
            customer: String::new(),
            node,
            grant: String::new(),
            generation: 0,
            state: State::Connected,
            expires: None,
            lifetime: None,
            failing_since: None,
            account_email: None,
            link,
        }
    }

    /// Returns the source of notices that belong to the connection, whichever alert raised them.
    pub(super) fn source(&self) -> String {
        format!("{}/{}", self.record, self.grant)
    }
}

impl Event {
    /// Creates an event of the connection at `now`. `source` and `episode` are parts of its id.
    pub(super) fn new(
        facts: &ConnectionFacts,
        kind: NoticeKind,
        now: DateTime<Utc>,
        source: String,
        episode: String,
    ) -> Self {
        Self {
            key: NoticeKey {
                source,
                generation: facts.generation,
                threshold_ms: 0,
                kind,
                episode,
            },
            notice: Notice {
                id: String::new(),
                kind,
                severity: default_severity(kind),
                record: facts.record.clone(),
                customer: facts.customer.clone(),
                node: facts.node.to_string(),
                grant: facts.grant.clone(),
                code: default_code(kind).to_owned(),
                text: cut(&default_text(kind, facts)),
                expires: facts.expires,
                occurred: now,
                count: 1,
                link: facts.link.clone(),
            },
            node: facts.node.clone(),
            lifetime: facts.lifetime,
            failing_since: None,
            reminder: 0,
            account_email: facts.account_email.clone(),
        }
    }

    /// Creates the event that a threshold before the expiry is crossed. Routing finds the threshold.
    #[must_use]
    pub fn expiring(facts: &ConnectionFacts, now: DateTime<Utc>) -> Self {
        Self::new(
            facts,
            NoticeKind::Expiring,
            now,
            facts.source(),
            String::new(),
        )
    }

    /// Creates the event that refreshes have failed since `since`, before an alert reports it.
    #[must_use]
    pub fn retrying(facts: &ConnectionFacts, since: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let episode = since.timestamp_millis().to_string();
        Self {
            failing_since: Some(since),
            ..Self::new(facts, NoticeKind::Retrying, now, facts.source(), episode)
        }
    }

    /// Creates the event that the grant lacks a scope since `since`, before an alert reports it.
    #[must_use]
    pub fn missing_scope(
        facts: &ConnectionFacts,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let episode = since.timestamp_millis().to_string();
        Self::new(
            facts,
            NoticeKind::MissingScope,
            now,
            facts.source(),
            episode,
        )
    }

    /// Creates the event that the connection works again. All alerts that one commit clears are one event, so `now`
    /// must be the commit's time.
    #[must_use]
    pub fn recovered(facts: &ConnectionFacts, now: DateTime<Utc>) -> Self {
        let episode = now.timestamp_millis().to_string();
        let mut event = Self::new(facts, NoticeKind::Recovered, now, facts.source(), episode);
        event.key.generation = 0;
        event
    }

    /// Creates the reminder with this number, 1 or more, that the connection does not work.
    #[must_use]
    pub fn reminder(facts: &ConnectionFacts, number: u32, now: DateTime<Utc>) -> Self {
        let kind = match facts.state {
            State::Reauthorize => NoticeKind::Reauthorize,
            _ => NoticeKind::Expired,
        };
        let episode = format!("reminder {number}");
        Self {
            reminder: number,
            ..Self::new(facts, kind, now, facts.source(), episode)
        }
    }

    /// Creates a test of an administrator's. `nonce` tells two tests apart.
    #[must_use]
    pub fn test(facts: &ConnectionFacts, nonce: &str, now: DateTime<Utc>) -> Self {
        Self::new(
            facts,
            NoticeKind::Test,
            now,
            facts.source(),
            nonce.to_owned(),
        )
    }

    /// Sets the alert's text, cut to a length that every channel can carry.
    #[must_use]
    pub fn with_text(mut self, code: &str, text: &str) -> Self {
        code.clone_into(&mut self.notice.code);
        self.notice.text = cut(text);
        self
    }
}

/// Cuts a text to the maximum.
fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let mut cut: String = characters.by_ref().take(MAX_TEXT).collect();
    if characters.next().is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}

const fn default_severity(kind: NoticeKind) -> Severity {
    match kind {
        NoticeKind::Expired | NoticeKind::Reauthorize | NoticeKind::HostTrouble => {
            Severity::Critical
        }
        NoticeKind::Expiring
        | NoticeKind::MissingScope
        | NoticeKind::Retrying
        | NoticeKind::Endpoint => Severity::Major,
        NoticeKind::ImportFailed => Severity::Minor,
        NoticeKind::Recovered | NoticeKind::Test => Severity::Info,
    }
}

/// Returns the code of an event without an alert, or of a coming one.
const fn default_code(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Expiring => "WEBEX_REFRESH_TOKEN_EXPIRING",
        NoticeKind::Expired => "WEBEX_REFRESH_TOKEN_EXPIRED",
        NoticeKind::Reauthorize => "WEBEX_REAUTHORIZE",
        NoticeKind::MissingScope => "WEBEX_MISSING_SCOPE",
        NoticeKind::Retrying => "WEBEX_REFRESH_FAILING",
        NoticeKind::ImportFailed => "WEBEX_IMPORT_FAILED",
        NoticeKind::HostTrouble => "HOST_TROUBLE",
        NoticeKind::Recovered => "WEBEX_CONNECTION_RECOVERED",
        NoticeKind::Endpoint => "NOTICE_ENDPOINT_FAILING",
        NoticeKind::Test => "NOTICE_TEST",
    }
}

fn default_text(kind: NoticeKind, facts: &ConnectionFacts) -> String {
    let name = &facts.customer;
    let at = |time: Option<DateTime<Utc>>| match time {
        Some(time) => format!(" on {}", time.to_rfc3339_opts(SecondsFormat::Secs, true)),
        None => String::new(),
    };
    match kind {
        NoticeKind::Expiring => format!(
            "the refresh token of {name} expires{}: connect this customer again before that",
            at(facts.expires)
        ),
        NoticeKind::Expired => format!(
            "the refresh token of {name} expired{}: connect this customer again",
            at(facts.expires)
        ),
        NoticeKind::Reauthorize => {
            format!("Webex refused the refresh token of {name}: connect this customer again")
        }
        NoticeKind::MissingScope => {
            format!("the connection of {name} lacks a scope: connect this customer again")
        }
        NoticeKind::Retrying => format!(
            "the access token of {name} cannot be refreshed; the host tries again automatically"
        ),
        NoticeKind::ImportFailed => format!("an import of {name} did not succeed"),
        NoticeKind::HostTrouble => "the host needs the operator".to_owned(),
        NoticeKind::Recovered => format!("the connection of {name} works again"),
        NoticeKind::Endpoint => "an endpoint of notices has changed".to_owned(),
        NoticeKind::Test => "a test of this way of notices".to_owned(),
    }
}

/// Returns the thresholds that apply to a token of this lifetime, the longest first: those that are shorter. If none
/// is, a quarter of the lifetime applies, as in the plugin.
#[must_use]
pub fn thresholds_within(thresholds: &[Duration], lifetime: Option<Duration>) -> Vec<Duration> {
    let applies = |threshold: &Duration| {
        !threshold.is_zero() && lifetime.is_none_or(|lifetime| *threshold < lifetime)
    };
    let mut within: Vec<Duration> = thresholds.iter().copied().filter(applies).collect();
    within.sort_unstable_by(|a, b| b.cmp(a));
    within.dedup();
    if let Some(lifetime) = lifetime
        && within.is_empty()
        && !thresholds.is_empty()
    {
        let quarter = (lifetime / 4).max(Duration::from_millis(1));
        within.push(Duration::from_millis(to_millis(quarter)));
    }
    within
}

/// Returns the smallest threshold that is crossed at `now`; the smallest of all at and after the expiry.
pub(super) fn crossed_threshold(
    thresholds: &[Duration],
    expires: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<Duration> {
    let remaining = (expires - now).to_std().unwrap_or_default();
    let crossed = thresholds
        .iter()
        .filter(|threshold| remaining <= **threshold);
    crossed.min().copied()
}

/// Returns the time at which a threshold is crossed.
pub(super) fn crossing(expires: DateTime<Utc>, threshold: Duration) -> DateTime<Utc> {
    let threshold = TimeDelta::from_std(threshold).unwrap_or(TimeDelta::MAX);
    expires
        .checked_sub_signed(threshold)
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Returns whether a stored time is ahead of the present by more than clocks differ: it was written before the clock was
/// set back.
pub(crate) fn is_ahead(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    time > add(now, CLOCK_TOLERANCE)
}

/// Adds a duration to a time, which stays in the calendar.
pub(super) fn add(time: DateTime<Utc>, duration: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(duration)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the milliseconds of a duration.
pub(super) fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

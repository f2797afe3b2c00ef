//! A notice: the facts reported about one connection, in a form that every channel can write.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

/// The event that a notice reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// The refresh token expires within a threshold.
    Expiring,
    /// The refresh token has expired.
    Expired,
    /// Webex refused the refresh token, so a person must connect again.
    Reauthorize,
    /// The grant lacks a scope.
    MissingScope,
    /// Refreshes have failed for a temporary reason for longer than the settings allow.
    Retrying,
    /// An import or an order did not succeed; the connection works.
    ImportFailed,
    /// The host cannot open its secrets or write its store.
    HostTrouble,
    /// The connection works again after an earlier notice.
    Recovered,
    /// An endpoint of notices fails, is disabled, or works again. Settings do not switch it off.
    Endpoint,
    /// A test that an administrator asked for.
    Test,
}

/// The urgency of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// There is plenty of time for action, or no action is needed.
    Info,
    /// Action should be planned.
    Minor,
    /// Action is needed now.
    Major,
    /// The connection does not work, or stops working at its next step.
    Critical,
}

/// The facts that are reported about one connection. They never contain a secret or a link that connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The id that stays the same for every attempt and every recipient: derived from the alert, its refresh-token
    /// generation, its threshold and its kind.
    pub id: String,
    /// The event.
    pub kind: NoticeKind,
    /// The urgency.
    pub severity: Severity,
    /// The pkid of the customer's record, which keeps the notices of one connection together.
    pub record: String,
    /// The customer's name.
    pub customer: String,
    /// The node of the record, such as `sys.hcs.CustomerA`.
    pub node: String,
    /// The grant, such as `organization`.
    pub grant: String,
    /// The alert's code, such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// The alert's text for an administrator.
    pub text: String,
    /// The end of the refresh token, if the notice is about it.
    pub expires: Option<DateTime<Utc>>,
    /// The time of the event.
    pub occurred: DateTime<Utc>,
    /// The number of occurrences of the alert.
    pub count: u32,
    /// The record's page for an administrator, if the host knows its own address.
    pub link: Option<Url>,
}

/// Notices of one node that are sent together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The id that stays the same for every attempt.
    pub id: String,
    /// The node whose settings fold notices into a digest.
    pub node: String,
    /// The notices, the most urgent first.
    pub notices: Vec<Notice>,
    /// The number of further notices that were left off.
    pub more: u64,
    /// The list of alerts for an administrator, if the host knows its own address.
    pub link: Option<Url>,
}

/// The content of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Message {
    /// One notice.
    Single(Notice),
    /// Several notices.
    Digest(Digest),
}

impl Message {
    /// Returns the id that stays the same for every attempt.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Single(notice) => &notice.id,
            Self::Digest(digest) => &digest.id,
        }
    }

    /// Returns the notices, the most urgent first.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        match self {
            Self::Single(notice) => std::slice::from_ref(notice),
            Self::Digest(digest) => &digest.notices,
        }
    }
}

//! Notices of the outbox: a change of an alert that may have to be reported.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Reference, Timestamp};

/// The model of the notices in the outbox.
pub const NOTICE_MODEL: &str = "host/Notice";

/// The key of the host's documents that belong to a record: its primary key. A notice, and each document that is
/// made of it, has this key, and is deleted with the record.
pub const RECORD_KEY: &str = "record";

/// The body of a document of the model [`NOTICE_MODEL`]. The document is at the alert's node, which is the record's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertNotice {
    /// The change of the alert.
    pub change: NoticeChange,
    /// The alert.
    pub alert: Reference,
    /// The record that the alert is about; `None` for an alert of the installation.
    pub record: Option<Reference>,
    /// The id of the transaction that changed the alert.
    pub transaction: String,
    /// The moment of the change.
    pub time: Timestamp,
    /// The severity before the change, if it rose.
    pub earlier_severity: Option<String>,
    /// The body of the alert: as committed, or as it was for a cleared alert. `None` if a cleared alert could not be
    /// read.
    pub body: Option<Value>,
}

/// The change of an alert that a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeChange {
    /// The alert is new.
    Raised,
    /// The alert became more severe.
    SeverityRose,
    /// The alert is deleted, since its cause has ended.
    Cleared,
}

impl NoticeChange {
    /// Returns the name of the change in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::SeverityRose => "severity-rose",
            Self::Cleared => "cleared",
        }
    }
}

impl fmt::Display for NoticeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

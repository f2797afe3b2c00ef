//! The check of all connections of a node after its settings have changed.

use chrono::{DateTime, Utc};
use relation_host::store::Change;
use relation_types::{Document, Hierarchy, Pkid, Reference, Timestamp, Wakeup};
use serde::{Deserialize, Serialize};

use super::NoticeSettings;
use super::store::derive_pkid;

/// The model of the documents that hold the progress of a check. It is not part of the settings, whose version
/// administrators see.
pub const NOTICE_RECHECK_MODEL: &str = "host/NoticeRecheck";
/// The id of the wakeup that continues a check.
pub(crate) const RECHECK: &str = "notice.recheck";

/// The progress of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRecheck {
    /// The position in the list of records.
    pub cursor: Option<String>,
    /// Whether the list has ended.
    pub is_listed: bool,
    /// The records that are listed and not checked yet.
    pub pending: Vec<PendingRecord>,
    /// The number of records that were checked.
    pub checked: u64,
    /// The number of records that could not be checked.
    pub left_out: u64,
}

/// A record that must be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingRecord {
    pub record: Pkid,
    /// The number of attempts that failed.
    pub failures: u32,
}

/// Returns the document of the check of a node. Its primary key is derived from the node's path.
#[must_use]
pub fn recheck_reference(node: &Hierarchy) -> Reference {
    Reference::new(NOTICE_RECHECK_MODEL, derive_pkid("notice-recheck", node))
}

/// Returns the changes that have all connections at and below a node checked, for the commit that saves the settings of the
/// node. An earlier check of the node that is in progress begins again.
#[must_use]
pub fn recheck_changes(node: &Hierarchy, now: DateTime<Utc>) -> Vec<Change> {
    let subject = recheck_reference(node);
    let body = serde_json::to_string(&StoredRecheck::default()).unwrap_or_else(|_| "{}".to_owned());
    vec![
        Change::Put(Document {
            reference: subject.clone(),
            hierarchy: node.clone(),
            version: 0,
            body,
            keys: Vec::new(),
        }),
        Change::Schedule(Wakeup {
            id: RECHECK.to_owned(),
            subject,
            due: Timestamp(u64::try_from(now.timestamp_millis()).unwrap_or(0)),
            deadline: None,
            payload: String::new(),
        }),
    ]
}

/// Returns whether a change of a level's settings needs [`recheck_changes`]: a threshold that is past may have to be
/// reported now. Settings that do not exist are the default ones.
#[must_use]
pub fn needs_recheck(old: &NoticeSettings, new: &NoticeSettings) -> bool {
    let told = |settings: &NoticeSettings| {
        (
            settings.thresholds.clone(),
            settings.notify.clone(),
            settings.recipients.clone(),
            settings.channels.clone(),
            settings.kinds.clone(),
            settings.account_email.clone(),
        )
    };
    told(old) != told(new)
}

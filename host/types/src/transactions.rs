//! Transactions: the durable record of every call, visible while the call runs and afterwards.

use serde::{Deserialize, Serialize};

use crate::wakeup_kinds::IMPORT_ACTIONS;
use crate::{CALLBACK_MODEL, Hierarchy, Pkid, Reference, Scope, Timestamp};

/// The status of a transaction, in the platform's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// The call waits for its first attempt, or for another one. For a bulk: not all of its calls have ended.
    Queued,
    /// The call runs.
    Processing,
    /// The call succeeded.
    Success,
    /// The call succeeded in part; the message says what failed.
    #[serde(rename = "Success With Async Failures")]
    SuccessWithAsyncFailures,
    /// The call failed; the message gives the reason.
    Fail,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Processing,
        Self::Success,
        Self::SuccessWithAsyncFailures,
        Self::Fail,
    ];

    /// Returns the platform's term.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Processing => "Processing",
            Self::Success => "Success",
            Self::SuccessWithAsyncFailures => "Success With Async Failures",
            Self::Fail => "Fail",
        }
    }

    /// Returns whether the call has ended.
    pub fn is_ended(self) -> bool {
        match self {
            Self::Queued | Self::Processing => false,
            Self::Success | Self::SuccessWithAsyncFailures | Self::Fail => true,
        }
    }
}

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the plugin's developers.
    Debug,
    /// For users who follow the call.
    Info,
    /// A problem that may need attention.
    Warning,
    /// A problem that needs attention.
    Error,
}

/// A line of a transaction's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The level.
    pub level: Level,
    /// The text.
    pub message: String,
}

/// A record that a call opened a secret, or tried to. The transaction names the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretAccess {
    /// The time of the access.
    pub at: Timestamp,
    /// The document that owns the secret; `None`: a secret of the installation.
    pub owner: Option<Reference>,
    /// The secret's name in its owner.
    pub name: String,
    /// The result.
    pub outcome: SecretAccessOutcome,
}

/// The result of opening a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretAccessOutcome {
    /// The call received the secret.
    Opened,
    /// The secret does not exist.
    Absent,
    /// The secret could not be read, or does not open.
    Failed,
}

impl SecretAccessOutcome {
    /// Returns the stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Absent => "absent",
            Self::Failed => "failed",
        }
    }
}

/// The progress of a call, displayed as `[ 3/9 ] message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The number of finished steps.
    pub done: u32,
    /// The total number of steps.
    pub total: u32,
    /// The current step.
    pub message: String,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[ {}/{} ] {}", self.done, self.total, self.message)
    }
}

/// The person or program that asked for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Originator {
    /// The display name, such as that of a user or of an API key.
    pub user: String,
    /// The id that the caller gave to the request.
    pub external_id: Option<String>,
    /// The caller's own reference, such as a ticket.
    pub external_reference: Option<String>,
}

/// The data of a transaction at its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTransaction {
    /// The id: a UUID v7 as text, which sorts by creation time.
    pub id: String,
    /// The action, such as `refresh`.
    pub action: String,
    /// The document that the action works on.
    pub subject: Option<Reference>,
    /// The subject's display name, such as the customer's name; may be empty.
    pub subject_name: String,
    /// The node of a subject that does not exist yet. If the subject exists, the store records the node of its
    /// document.
    pub hierarchy: Option<Hierarchy>,
    /// The originator of the call; `None`: a schedule, or a person at the host.
    pub originator: Option<Originator>,
    /// The primary key of the document ([`QUEUED_CALL_MODEL`](crate::QUEUED_CALL_MODEL)) that holds the request of a
    /// queued call.
    pub request: Option<Pkid>,
    /// When the caller submitted the call.
    pub submitted: Timestamp,
    /// When the call started.
    pub started: Timestamp,
}

/// An update of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionUpdate {
    /// The id of the transaction.
    pub id: String,
    /// The progress; `None`: unchanged.
    pub progress: Option<Progress>,
    /// The subject's display name, once it is known; `None`: unchanged.
    pub subject_name: Option<String>,
    /// Lines to add to the log.
    pub lines: Vec<LogLine>,
    /// The secrets that were opened, to be added.
    pub secret_accesses: Vec<SecretAccess>,
    /// The number of further accesses that are not listed.
    pub omitted_accesses: u64,
    /// The parts of the call that have ended, to be added as transactions of their own.
    pub parts: Vec<TransactionPart>,
    /// The outcome; `None`: the call still runs.
    pub outcome: Option<TransactionOutcome>,
}

/// The outcome of a transaction, or of one attempt of a queued call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionOutcome {
    /// The status; `Queued`: the call is attempted again.
    pub status: Status,
    /// The outcome in one sentence.
    pub message: String,
    /// When the call, or the attempt, ended.
    pub completed: Timestamp,
}

impl TransactionOutcome {
    /// Returns the outcome of a call whose host has ended, detected at `found`.
    pub fn interrupted(found: Timestamp) -> Self {
        Self {
            status: Status::Fail,
            message: "interrupted: the host process that ran it has ended".to_owned(),
            completed: found,
        }
    }

    /// Returns the outcome of a bulk of `calls`, of which `succeeded` have succeeded, at the end of its last call.
    pub fn bulk(calls: u64, succeeded: u64, completed: Timestamp) -> Self {
        let status = match succeeded {
            all if all == calls => Status::Success,
            0 => Status::Fail,
            _ => Status::SuccessWithAsyncFailures,
        };
        Self {
            status,
            message: format!("{succeeded} of {calls} calls succeeded"),
            completed,
        }
    }
}

/// A part of a call that has ended, stored as a transaction of its own with the call's subject, node and originator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionPart {
    /// The number of the part in its call, from 1. See [`part_id`].
    pub number: u32,
    /// The name of the part, such as `Import device/spark/User`.
    pub action: String,
    /// When the part started.
    pub started: Timestamp,
    /// The outcome.
    pub outcome: TransactionOutcome,
}

/// A transaction as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// The id of the transaction.
    pub id: String,
    /// The action, such as `refresh`.
    pub action: String,
    /// The document that the action works on.
    pub subject: Option<Reference>,
    /// The subject's display name.
    pub subject_name: String,
    /// The subject's node when the call began; `None`: unknown.
    pub hierarchy: Option<Hierarchy>,
    /// The originator of the call; `None`: a schedule, or a person at the host.
    pub originator: Option<Originator>,
    /// The primary key of the document with the request of a queued call, which exists until the call succeeds.
    #[serde(skip)]
    pub request: Option<Pkid>,
    /// The status.
    pub status: Status,
    /// The last reported progress.
    pub progress: Option<Progress>,
    /// The outcome in one sentence; empty while the call runs.
    pub message: String,
    /// When the caller submitted the call.
    pub submitted: Timestamp,
    /// When the call started.
    pub started: Timestamp,
    /// When the call ended.
    pub completed: Option<Timestamp>,
    /// The log; empty in listings.
    pub log: Vec<LogLine>,
    /// The secrets that the call opened, or tried to; empty in listings.
    #[serde(rename = "reveals")]
    pub secret_accesses: Vec<SecretAccess>,
    /// The number of further accesses that are not listed.
    #[serde(rename = "more_reveals")]
    pub omitted_accesses: u64,
}

impl Transaction {
    /// Returns whether the call imports data. Wakeups may continue it.
    pub fn is_import(&self) -> bool {
        IMPORT_ACTIONS.contains(&self.action.as_str())
    }

    /// Returns whether a cancellation can have an effect. It can for a call that waits, for an import, which can end
    /// early, and for a queued call, which may wait for another attempt a moment later. A bulk is queued until its end.
    pub fn can_cancel(&self) -> bool {
        match self.status {
            Status::Queued => true,
            Status::Processing => self.is_import() || self.request.is_some(),
            _ => false,
        }
    }
}

impl From<NewTransaction> for Transaction {
    /// Returns the transaction of a call that has just begun.
    fn from(new: NewTransaction) -> Self {
        Self {
            id: new.id,
            action: new.action,
            subject: new.subject,
            subject_name: new.subject_name,
            hierarchy: new.hierarchy,
            originator: new.originator,
            request: new.request,
            status: Status::Processing,
            progress: None,
            message: String::new(),
            submitted: new.submitted,
            started: new.started,
            completed: None,
            log: Vec::new(),
            secret_accesses: Vec::new(),
            omitted_accesses: 0,
        }
    }
}

/// The conditions of a listing of transactions. Parts of a transaction are listed by `parent`, or by the prefix of a
/// part's id. The calls of a bulk are also listed by their subject, and by a node that does not cover the bulk's node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Only those of this subject.
    pub subject: Option<Reference>,
    /// Only those at this node.
    pub hierarchy: Option<(Hierarchy, Scope)>,
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those with this action.
    pub action: Option<String>,
    /// Only those whose id begins with this text.
    pub id_prefix: Option<String>,
    /// Only the parts of the transaction with this id, but not their parts.
    pub parent: Option<String>,
}

impl TransactionFilter {
    /// Returns whether parts of other transactions are excluded, except calls of bulks.
    pub fn excludes_parts(&self) -> bool {
        let prefix = self.id_prefix.as_deref().unwrap_or_default();
        self.parent.is_none() && parent_of(prefix).is_none()
    }

    /// Returns the prefix that every matching id has; empty if there is none.
    pub fn prefix(&self) -> String {
        match &self.parent {
            Some(parent) => format!("{parent}{PART_SEPARATOR}"),
            None => self.id_prefix.clone().unwrap_or_default(),
        }
    }
}

/// Separates the id of a transaction from the number of its part.
const PART_SEPARATOR: char = '.';

/// Returns the id of the `number`-th part of the transaction `parent`. It sorts after its parent's and before that of
/// every later call.
pub fn part_id(parent: &str, number: u32) -> String {
    format!("{parent}{PART_SEPARATOR}{number:04}")
}

/// Returns the reference to the document of a transaction's callback, which is removed with the transaction. `None`: the
/// id is not that of a UUID v7, such as the id of a part.
///
/// The first 96 bits are the time and the counter of the id, so that they are unique too.
pub fn to_callback(id: &str) -> Option<Reference> {
    let digits: String = id.chars().filter(|digit| *digit != '-').collect();
    let pkid = digits.get(..24).filter(|_| digits.len() == 32)?;
    Some(Reference::new(CALLBACK_MODEL, pkid.parse().ok()?))
}

/// Returns the id of the transaction of which `id` is a part.
pub fn parent_of(id: &str) -> Option<&str> {
    id.rsplit_once(PART_SEPARATOR).map(|(parent, _)| parent)
}

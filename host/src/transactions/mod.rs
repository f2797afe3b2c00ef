//! Transactions: the durable record of every call, as a person sees it while it runs and afterwards.

use serde::{Deserialize, Serialize};

use crate::types::{Reference, Timestamp};

pub mod journal;

/// Where a transaction stands; the platform's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// The call runs.
    Processing,
    /// It did what it was asked.
    Success,
    /// It did not; the message says why.
    Fail,
}

impl Status {
    /// The platform's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "Processing",
            Self::Success => "Success",
            Self::Fail => "Fail",
        }
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For whoever follows the call.
    Info,
    /// Something that a person may want to look at.
    Warning,
    /// Something that a person must look at.
    Error,
}

/// A line of a transaction's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// That a call opened a secret, or tried to. Who did is what the transaction says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// When.
    pub at: Timestamp,
    /// The document that it belongs to; none: a secret of the installation.
    pub owner: Option<Reference>,
    /// Its name there.
    pub name: String,
    /// What came of it.
    pub outcome: RevealOutcome,
}

/// What came of opening a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevealOutcome {
    /// The call was given it.
    Opened,
    /// There is none of that name.
    Absent,
    /// It could not be read, or does not open.
    Failed,
}

impl RevealOutcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Absent => "absent",
            Self::Failed => "failed",
        }
    }
}

/// How far a call is, shown as `[ 3/9 ] message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub done: u32,
    /// Steps in all.
    pub total: u32,
    /// What is being done.
    pub message: String,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[ {}/{} ] {}", self.done, self.total, self.message)
    }
}

/// A transaction that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Sorts by the time of its making (a UUID v7, as text).
    pub id: String,
    /// What is done, such as `refresh`.
    pub action: String,
    /// The document it is done to.
    pub subject: Option<Reference>,
    /// What a person calls the subject, such as the customer's name; may be empty.
    pub subject_name: String,
    /// When the caller asked.
    pub submitted: Timestamp,
    /// When the call started.
    pub started: Timestamp,
}

/// News of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionUpdate {
    /// Which one.
    pub id: String,
    /// How far it is; none: as it was.
    pub progress: Option<Progress>,
    /// What the subject is called, once that is known; none: as it was.
    pub subject_name: Option<String>,
    /// Lines to add to the log.
    pub lines: Vec<LogLine>,
    /// Secrets that were opened.
    pub reveals: Vec<Reveal>,
    /// How many more were opened than are named.
    pub more_reveals: u64,
    /// How it ended; none: it still runs.
    pub outcome: Option<Outcome>,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `Success` or `Fail`.
    pub status: Status,
    /// In one sentence.
    pub message: String,
    /// When.
    pub completed: Timestamp,
}

impl Outcome {
    /// That of a call whose host has ended, as the store finds it at `found`.
    pub fn interrupted(found: Timestamp) -> Self {
        Self {
            status: Status::Fail,
            message: "interrupted: the host process that ran it has ended".to_owned(),
            completed: found,
        }
    }
}

/// A transaction as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// Its id.
    pub id: String,
    /// What was done.
    pub action: String,
    /// The document it was done to.
    pub subject: Option<Reference>,
    /// What a person calls the subject.
    pub subject_name: String,
    /// Where it stands.
    pub status: Status,
    /// How far it is or was.
    pub progress: Option<Progress>,
    /// How it ended, in one sentence; empty while it runs.
    pub message: String,
    /// When the caller asked.
    pub submitted: Timestamp,
    /// When the call started.
    pub started: Timestamp,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// Its log; left empty in listings.
    pub log: Vec<LogLine>,
    /// Secrets that it opened, or tried to; left empty in listings.
    pub reveals: Vec<Reveal>,
    /// How many more it opened than are named.
    pub more_reveals: u64,
}

/// Which transactions a listing wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Only those of this subject.
    pub subject: Option<Reference>,
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those with this action.
    pub action: Option<String>,
}

//! The entries of a stash and their file format.
//!
//! A file has three parts:
//! - the line [`MAGIC`];
//! - a line of JSON with store, subject, epoch, time and transaction, which can be listed without a key;
//! - the commit as JSON, sealed with a data key of the store and bound to store, subject and epoch.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::seal::Sealed;
use crate::{Change, Check};
use relation_types::{Document, Pkid, Reference, Timestamp};

/// The first line, which identifies the format.
pub(super) const MAGIC: &str = "relation-stash-1";

/// A commit that the store could not take when it was made.
#[derive(Clone, Debug)]
pub struct StashedCommit {
    /// The record that the call held the lease of.
    pub subject: Reference,
    /// The epoch of that lease.
    pub epoch: u64,
    /// When the commit was stashed.
    pub since: Timestamp,
    /// The id of the call's transaction.
    pub transaction: String,
    /// The conditions that must hold when the commit is applied.
    pub checks: Vec<Check>,
    /// The changes of the commit. Secrets in them are sealed.
    pub changes: Vec<Change>,
}

impl StashedCommit {
    /// Returns the subject's document as this commit leaves it.
    pub fn record(&self) -> Option<&Document> {
        self.changes.iter().rev().find_map(|change| match change {
            Change::Put(document) if document.reference == self.subject => Some(document),
            _ => None,
        })
    }

    /// Returns the data keys that seal the secrets in the commit.
    pub fn data_keys(&self) -> impl Iterator<Item = u32> + '_ {
        self.changes.iter().filter_map(|change| match change {
            Change::PutSecret { sealed, .. } => Some(sealed.key()),
            _ => None,
        })
    }
}

/// The part of an entry that is readable without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The id of the store that the entry is for.
    pub store: String,
    /// The record that the commit is for.
    pub subject: Reference,
    /// The epoch of the call's lease.
    pub epoch: u64,
    /// When the commit was stashed.
    pub since: Timestamp,
    /// The id of the call's transaction.
    pub transaction: String,
}

/// A parsed file.
pub(super) struct Parts {
    pub label: Label,
    pub sealed: Sealed,
}

pub(super) fn join(label: &Label, sealed: &Sealed) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = format!("{MAGIC}\n{}\n", serde_json::to_string(label)?).into_bytes();
    bytes.extend_from_slice(sealed.as_bytes());
    Ok(bytes)
}

/// Parses a file; the error describes the defect.
pub(super) fn split(bytes: &[u8]) -> Result<Parts, String> {
    let rest = bytes
        .strip_prefix(MAGIC.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"\n"))
        .ok_or("it is not a stash entry")?;
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (label, sealed) = end
        .and_then(|end| rest.split_at_checked(end))
        .ok_or("it is cut off")?;
    let label = serde_json::from_slice(label)
        .map_err(|error| format!("its label cannot be read at column {}", error.column()))?;
    let sealed = sealed.strip_prefix(b"\n").unwrap_or_default().to_vec();
    let sealed = Sealed::try_from(sealed).map_err(|error| format!("its content is {error}"))?;
    Ok(Parts { label, sealed })
}

/// The content of an entry.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    /// Repeated inside the sealed part, so that a changed label is detected.
    label: Label,
    checks: Cow<'a, [Check]>,
    changes: Cow<'a, [Change]>,
}

pub(super) fn make_label(commit: &StashedCommit, store: &str) -> Label {
    Label {
        store: store.to_owned(),
        subject: commit.subject.clone(),
        epoch: commit.epoch,
        since: commit.since,
        transaction: commit.transaction.clone(),
    }
}

pub(super) fn encode_content(
    commit: &StashedCommit,
    label: &Label,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Content {
        label: label.clone(),
        checks: Cow::Borrowed(&commit.checks),
        changes: Cow::Borrowed(&commit.changes),
    })
}

/// Decodes the commit under `label`; the error describes the defect.
pub(super) fn decode_content(content: &[u8], label: Label) -> Result<StashedCommit, String> {
    let content: Content = serde_json::from_slice(content)
        .map_err(|error| format!("its content cannot be read at column {}", error.column()))?;
    if content.label != label {
        return Err("its label was changed".to_owned());
    }
    Ok(StashedCommit {
        subject: label.subject,
        epoch: label.epoch,
        since: label.since,
        transaction: label.transaction,
        checks: content.checks.into_owned(),
        changes: content.changes.into_owned(),
    })
}

/// The file name of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryName {
    // The first field, so that the entries of a subject are ordered by epoch.
    pkid: Pkid,
    epoch: u64,
}

impl EntryName {
    pub(super) fn new(subject: &Reference, epoch: u64) -> Self {
        Self {
            pkid: subject.pkid.clone(),
            epoch,
        }
    }

    /// Parses `PKID.EPOCH.answer`; `None` for any other text.
    pub(super) fn parse(file: &str) -> Option<Self> {
        let (pkid, epoch) = file.strip_suffix(".answer")?.split_once('.')?;
        let name = Self {
            pkid: pkid.parse().ok()?,
            epoch: epoch.parse().ok()?,
        };
        // `+1` and `01` parse too, and would name another file.
        (name.file_name() == file).then_some(name)
    }

    pub(super) fn file_name(&self) -> String {
        format!("{}.{}.answer", self.pkid, self.epoch)
    }

    pub(super) fn belongs_to(&self, subject: &Reference) -> bool {
        self.pkid == subject.pkid
    }

    pub(super) fn matches(&self, label: &Label) -> bool {
        self.belongs_to(&label.subject) && self.epoch == label.epoch
    }
}

//! The entries of a stash and their file format.
//!
//! A file has three parts:
//! - the line [`MAGIC`];
//! - a line of JSON with store, subject, epoch, time and transaction, which can be listed without a key;
//! - the commit as JSON, sealed with a data key of the store and bound to store, subject and epoch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::seal::Sealed;
use crate::{Change, Check};
use relation_types::{Document, Filter, Hierarchy, Key, Pkid, Reference, Scope, Timestamp, Wakeup};

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
struct Content {
    /// Repeated inside the sealed part, so that a changed label is detected.
    label: Label,
    checks: Vec<CheckText>,
    changes: Vec<ChangeText>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CheckText {
    Version(Reference, u64),
    Absent(Reference),
    Unique(FilterText, Option<Reference>),
}

#[derive(Serialize, Deserialize)]
struct FilterText {
    model: String,
    node: Option<Hierarchy>,
    subtree: bool,
    equals: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChangeText {
    Put(Document),
    Delete(Reference),
    #[serde(rename = "seal")]
    PutSecret {
        owner: Reference,
        name: String,
        sealed: String,
    },
    #[serde(rename = "unseal")]
    RemoveSecret(Reference, String),
    Schedule(Wakeup),
    Cancel(Reference, String),
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
        checks: commit.checks.iter().map(CheckText::from_check).collect(),
        changes: commit.changes.iter().map(ChangeText::from_change).collect(),
    })
}

/// Decodes the commit under `label`; the error describes the defect.
pub(super) fn decode_content(content: &[u8], label: Label) -> Result<StashedCommit, String> {
    let content: Content = serde_json::from_slice(content)
        .map_err(|error| format!("its content cannot be read at column {}", error.column()))?;
    if content.label != label {
        return Err("its label was changed".to_owned());
    }
    let changes = content.changes.into_iter().map(ChangeText::into_change);
    Ok(StashedCommit {
        subject: label.subject,
        epoch: label.epoch,
        since: label.since,
        transaction: label.transaction,
        checks: content
            .checks
            .into_iter()
            .map(CheckText::into_check)
            .collect(),
        changes: changes.collect::<Result<_, _>>()?,
    })
}

impl CheckText {
    fn from_check(check: &Check) -> Self {
        match check {
            Check::Version(reference, version) => Self::Version(reference.clone(), *version),
            Check::Absent(reference) => Self::Absent(reference.clone()),
            Check::Unique(filter, except) => {
                let place = filter.hierarchy.as_ref();
                let filter = FilterText {
                    model: filter.model.clone(),
                    node: place.map(|(node, _)| node.clone()),
                    subtree: place.is_some_and(|(_, scope)| *scope == Scope::Subtree),
                    equals: filter.equals.clone(),
                };
                Self::Unique(filter, except.clone())
            }
        }
    }

    fn into_check(self) -> Check {
        match self {
            Self::Version(reference, version) => Check::Version(reference, version),
            Self::Absent(reference) => Check::Absent(reference),
            Self::Unique(filter, except) => {
                let scope = if filter.subtree {
                    Scope::Subtree
                } else {
                    Scope::Node
                };
                let filter = Filter {
                    model: filter.model,
                    hierarchy: filter.node.map(|node| (node, scope)),
                    equals: filter.equals,
                };
                Check::Unique(filter, except)
            }
        }
    }
}

impl ChangeText {
    fn from_change(change: &Change) -> Self {
        match change {
            Change::Put(document) => Self::Put(document.clone()),
            Change::Delete(reference) => Self::Delete(reference.clone()),
            Change::PutSecret {
                owner,
                name,
                sealed,
            } => Self::PutSecret {
                owner: owner.clone(),
                name: name.clone(),
                sealed: BASE64.encode(sealed.as_bytes()),
            },
            Change::RemoveSecret(owner, name) => Self::RemoveSecret(owner.clone(), name.clone()),
            Change::Schedule(wakeup) => Self::Schedule(wakeup.clone()),
            Change::Cancel(subject, id) => Self::Cancel(subject.clone(), id.clone()),
        }
    }

    fn into_change(self) -> Result<Change, String> {
        Ok(match self {
            Self::Put(document) => Change::Put(document),
            Self::Delete(reference) => Change::Delete(reference),
            Self::PutSecret {
                owner,
                name,
                sealed,
            } => {
                let bytes = BASE64.decode(sealed).ok();
                let sealed = bytes.and_then(|bytes| Sealed::try_from(bytes).ok());
                let sealed = sealed
                    .ok_or_else(|| format!("the secret {name} in it is not a sealed value"))?;
                Change::PutSecret {
                    owner,
                    name,
                    sealed,
                }
            }
            Self::RemoveSecret(owner, name) => Change::RemoveSecret(owner, name),
            Self::Schedule(wakeup) => Change::Schedule(wakeup),
            Self::Cancel(subject, id) => Change::Cancel(subject, id),
        })
    }
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

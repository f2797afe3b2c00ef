//! What a stash keeps of one commit, and how it is written.
//!
//! A file is three parts: the line [`MAGIC`]; a line of JSON that names store, subject, epoch, time
//! and transaction, for whoever lists a stash without its key; and the commit itself as JSON, sealed
//! under a data key of the store and bound to store, subject and epoch.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::store::seal::Sealed;
use crate::store::{Change, Check};
use crate::types::{Document, Filter, Hierarchy, Key, Pkid, Reference, Scope, Timestamp, Wakeup};

/// The first line: what the file is, and its format.
pub(super) const MAGIC: &str = "relation-stash-1";

/// A commit that a store could not take when it was made.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The record that the call held the lease of.
    pub subject: Reference,
    /// Which claim of it that was.
    pub epoch: u64,
    /// When it was kept.
    pub since: Timestamp,
    /// The transaction of the call.
    pub transaction: String,
    /// What must hold when it is applied.
    pub checks: Vec<Check>,
    /// What is done then. Secrets in it are sealed already.
    pub changes: Vec<Change>,
}

impl Kept {
    /// The subject's document as this commit would leave it.
    pub fn record(&self) -> Option<&Document> {
        self.changes.iter().rev().find_map(|change| match change {
            Change::Put(document) if document.reference == self.subject => Some(document),
            _ => None,
        })
    }

    /// The data keys under which the secrets in it are sealed.
    pub fn data_keys(&self) -> impl Iterator<Item = u32> + '_ {
        self.changes.iter().filter_map(|change| match change {
            Change::PutSecret { sealed, .. } => Some(sealed.key()),
            _ => None,
        })
    }
}

/// What can be read of an entry without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The store it is for.
    pub store: String,
    /// The record.
    pub subject: Reference,
    /// The claim of the call that made it.
    pub epoch: u64,
    /// When it was kept.
    pub since: Timestamp,
    /// The transaction of that call.
    pub transaction: String,
}

/// A file in its parts.
pub(super) struct Parts {
    pub label: Label,
    pub sealed: Sealed,
}

pub(super) fn join(label: &Label, sealed: &Sealed) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = format!("{MAGIC}\n{}\n", serde_json::to_string(label)?).into_bytes();
    bytes.extend_from_slice(sealed.as_bytes());
    Ok(bytes)
}

/// The parts of a file; otherwise what is wrong with it.
pub(super) fn split(bytes: &[u8]) -> Result<Parts, String> {
    let rest = bytes
        .strip_prefix(MAGIC.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"\n"))
        .ok_or("it is no entry of a stash")?;
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
    /// Again, so that what the label says is held against something that is sealed.
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

pub(super) fn label(kept: &Kept, store: &str) -> Label {
    Label {
        store: store.to_owned(),
        subject: kept.subject.clone(),
        epoch: kept.epoch,
        since: kept.since,
        transaction: kept.transaction.clone(),
    }
}

pub(super) fn content(kept: &Kept, label: &Label) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Content {
        label: label.clone(),
        checks: kept.checks.iter().map(CheckText::of).collect(),
        changes: kept.changes.iter().map(ChangeText::of).collect(),
    })
}

/// What was kept under `label`; otherwise what is wrong with the content.
pub(super) fn kept(content: &[u8], label: Label) -> Result<Kept, String> {
    let content: Content = serde_json::from_slice(content)
        .map_err(|error| format!("its content cannot be read at column {}", error.column()))?;
    if content.label != label {
        return Err("its label was changed".to_owned());
    }
    let changes = content.changes.into_iter().map(ChangeText::into_change);
    Ok(Kept {
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
    fn of(check: &Check) -> Self {
        match check {
            Check::Version(of, version) => Self::Version(of.clone(), *version),
            Check::Absent(of) => Self::Absent(of.clone()),
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
            Self::Version(of, version) => Check::Version(of, version),
            Self::Absent(of) => Check::Absent(of),
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
    fn of(change: &Change) -> Self {
        match change {
            Change::Put(document) => Self::Put(document.clone()),
            Change::Delete(which) => Self::Delete(which.clone()),
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
            Self::Delete(which) => Change::Delete(which),
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

/// The file of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    // First, so that the entries of a subject are in the order of their epochs.
    pkid: Pkid,
    epoch: u64,
}

impl Name {
    pub(super) fn of(subject: &Reference, epoch: u64) -> Self {
        Self {
            pkid: subject.pkid.clone(),
            epoch,
        }
    }

    /// `PKID.EPOCH.answer`; none for any other text.
    pub(super) fn parse(file: &str) -> Option<Self> {
        let (pkid, epoch) = file.strip_suffix(".answer")?.split_once('.')?;
        let name = Self {
            pkid: pkid.parse().ok()?,
            epoch: epoch.parse().ok()?,
        };
        // `+1` and `01` parse too, and would name another file.
        (name.file() == file).then_some(name)
    }

    pub(super) fn file(&self) -> String {
        format!("{}.{}.answer", self.pkid, self.epoch)
    }

    pub(super) fn is_of(&self, subject: &Reference) -> bool {
        self.pkid == subject.pkid
    }

    pub(super) fn fits(&self, label: &Label) -> bool {
        self.is_of(&label.subject) && self.epoch == label.epoch
    }
}

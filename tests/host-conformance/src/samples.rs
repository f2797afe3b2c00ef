//! Test data: documents of the suite's own models, at a separate node for each check.

use crate::bindings::automate::platform::scheduling::Wakeup;
use crate::bindings::automate::platform::storage::{
    self, Change, Check, Document, Filter, Key, OnUnavailable, Scope, Secret, SecretName,
    UniqueCheck, VersionCheck, WakeupName,
};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::bindings::wasi::clocks::wall_clock;
use crate::bindings::wasi::random::random;
use crate::options::Options;
use crate::outcome::{CheckFailure, fail};

/// The model of most documents.
pub const SAMPLE: &str = "conformance/Sample";
/// A second model, to distinguish from the first.
pub const OTHER: &str = "conformance/Other";
/// The model of documents written by wakeups that must not come.
pub const WAKEUP_SUBJECT: &str = "conformance/WakeupSubject";
/// The model of the suite's state.
pub const STATE: &str = "conformance/State";
/// The model of the record.
pub const RECORD: &str = "data/SparkCustomer";
/// The key by which documents of the suite are found.
pub const SUITE: &str = "suite";

/// The context of a check.
pub struct CheckContext {
    /// The record's pkid.
    pub pkid: String,
    /// A node below the record's, for this check only.
    pub node: String,
    /// The driver's options.
    pub options: Options,
}

/// Returns a random pkid.
pub fn pkid() -> String {
    hex::encode(random::get_random_bytes(12))
}

/// Returns the host's time in milliseconds since the epoch.
pub fn now() -> u64 {
    let now = wall_clock::now();
    now.seconds * 1000 + u64::from(now.nanoseconds) / 1_000_000
}

/// Returns the reference to a record.
pub fn record(pkid: &str) -> Reference {
    Reference {
        model: RECORD.into(),
        pkid: pkid.into(),
    }
}

/// Returns a record that is not the call's own, and may not exist: the first digit of the pkid differs.
pub fn another_record(pkid: &str) -> Reference {
    let digit = if pkid.starts_with('0') { '1' } else { '0' };
    let rest = pkid.get(1..).unwrap_or_default();
    record(&format!("{digit}{rest}"))
}

/// Creates a key.
pub fn key(name: &str, value: &str) -> Key {
    Key {
        name: name.into(),
        value: value.into(),
    }
}

impl CheckContext {
    /// Returns a new document, which is not written.
    pub fn document(&self) -> Document {
        Document {
            reference: Reference {
                model: SAMPLE.into(),
                pkid: pkid(),
            },
            hierarchy: self.node.clone(),
            version: 0,
            body: "{}".into(),
            keys: vec![key(SUITE, &self.pkid)],
        }
    }

    /// Returns a new document with a further key.
    pub fn document_with_key(&self, name: &str, value: &str) -> Document {
        let mut document = self.document();
        document.keys.push(key(name, value));
        document
    }

    /// Returns a new document at a node below the check's.
    pub fn document_below(&self, below: &str) -> Document {
        let mut document = self.document();
        document.hierarchy = format!("{}{below}", self.node);
        document
    }

    /// Writes a new document.
    pub fn written_document(&self) -> Result<Document, Failure> {
        let document = self.document();
        commit(vec![Change::Put(document.clone())])?;
        Ok(document)
    }

    /// Returns a filter for documents at the check's node with these keys.
    pub fn filter(&self, equals: Vec<Key>) -> Filter {
        Filter {
            model: SAMPLE.into(),
            hierarchy: self.node.clone(),
            scope: Scope::Subtree,
            equals,
        }
    }

    /// Returns the pkids of the documents with these keys.
    pub fn find_pkids(&self, equals: Vec<Key>) -> Result<Vec<String>, Failure> {
        find_pkids(&self.filter(equals))
    }
}

/// Returns the pkids of the first thousand matches, in the host's order.
pub fn find_pkids(filter: &Filter) -> Result<Vec<String>, Failure> {
    let page = storage::find(filter, None, 1000)?;
    let pkids = page
        .documents
        .into_iter()
        .map(|document| document.reference.pkid);
    Ok(pkids.collect())
}

/// Commits changes without a condition.
pub fn commit(changes: Vec<Change>) -> Result<(), Failure> {
    storage::commit(&[], &changes, OnUnavailable::Fail)
}

/// Commits changes on a condition.
pub fn commit_if(check: Check, changes: Vec<Change>) -> Result<(), Failure> {
    storage::commit(&[check], &changes, OnUnavailable::Fail)
}

/// Returns a change that stores a secret.
pub fn secret(owner: &Document, name: &str, value: &str) -> Change {
    Change::PutSecret(Secret {
        owner: owner.reference.clone(),
        name: name.into(),
        value: value.into(),
    })
}

/// Returns a check that a document has this version.
pub fn version_check(reference: Reference, version: u64) -> Check {
    Check::Version(VersionCheck { reference, version })
}

/// Returns a check that no other document matches.
pub fn unique_check(filter: Filter, except: Option<Reference>) -> Check {
    Check::Unique(UniqueCheck { filter, except })
}

/// Returns a removal of a secret.
pub fn removal(owner: Reference, name: String) -> Change {
    Change::RemoveSecret(SecretName { owner, name })
}

/// Returns a removal of a wakeup.
pub fn cancel(subject: Reference, id: String) -> Change {
    Change::Cancel(WakeupName { subject, id })
}

/// Returns a wakeup that is due far in the future.
pub fn wakeup(subject: &Document, id: &str, payload: &str) -> Wakeup {
    const YEAR: u64 = 365 * 86_400_000;
    Wakeup {
        id: id.into(),
        subject: subject.reference.clone(),
        due: now() + YEAR,
        deadline: None,
        payload: payload.into(),
    }
}

/// Reads a document, which must exist.
pub fn read(reference: &Reference) -> Result<Document, CheckFailure> {
    match storage::get(reference)? {
        Some(document) => Ok(document),
        None => fail(format!(
            "{}/{} was committed but does not exist",
            reference.model, reference.pkid
        )),
    }
}

/// Returns whether the document exists.
pub fn is_there(document: &Document) -> Result<bool, Failure> {
    Ok(storage::get(&document.reference)?.is_some())
}

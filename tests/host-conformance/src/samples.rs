//! What checks work on: documents of the suite's own models, at a node of each check's own.

use crate::bindings::automate::platform::scheduling::Wakeup;
use crate::bindings::automate::platform::storage::{
    self, Change, Check, Document, Filter, Key, OnUnavailable, Scope, Secret, SecretName,
    UniqueCheck, VersionCheck, WakeupName,
};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::bindings::wasi::clocks::wall_clock;
use crate::bindings::wasi::random::random;
use crate::options::Options;
use crate::verdict::{Verdict, failed};

/// The model of most documents.
pub const SAMPLE: &str = "conformance/Sample";
/// Another one, to be told from it.
pub const OTHER: &str = "conformance/Other";
/// What is written when a wakeup comes that must not.
pub const WOKEN: &str = "conformance/Woken";
/// What the suite knows.
pub const STATE: &str = "conformance/State";
/// The model of the record that calls are made for.
pub const RECORD: &str = "data/SparkCustomer";
/// The key by which a document of the suite is found again.
pub const SUITE: &str = "suite";

/// What one check is given.
pub struct Scene {
    /// The record's pkid.
    pub pkid: String,
    /// A node below the record's, for this check alone.
    pub node: String,
    /// What the driver said.
    pub options: Options,
}

/// Twelve random bytes.
pub fn pkid() -> String {
    let bytes = random::get_random_bytes(12);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since the epoch, by the host's clock.
pub fn now() -> u64 {
    let now = wall_clock::now();
    now.seconds * 1000 + u64::from(now.nanoseconds) / 1_000_000
}

/// The reference to a record.
pub fn record(pkid: &str) -> Reference {
    Reference {
        model: RECORD.into(),
        pkid: pkid.into(),
    }
}

/// A record that a call on the record of this pkid has nothing to do with, whether it exists or not:
/// its pkid has another first digit.
pub fn another_record(pkid: &str) -> Reference {
    let digit = if pkid.starts_with('0') { '1' } else { '0' };
    let rest = pkid.get(1..).unwrap_or_default();
    record(&format!("{digit}{rest}"))
}

/// One key.
pub fn key(name: &str, value: &str) -> Key {
    Key {
        name: name.into(),
        value: value.into(),
    }
}

impl Scene {
    /// A document that nobody has written yet.
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

    /// One with a further key.
    pub fn keyed(&self, name: &str, value: &str) -> Document {
        let mut document = self.document();
        document.keys.push(key(name, value));
        document
    }

    /// One at another node below that of the check.
    pub fn at(&self, below: &str) -> Document {
        let mut document = self.document();
        document.hierarchy = format!("{}{below}", self.node);
        document
    }

    /// One that is written.
    pub fn written(&self) -> Result<Document, Failure> {
        let document = self.document();
        commit(vec![Change::Put(document.clone())])?;
        Ok(document)
    }

    /// Everything at the node of the check that has these keys.
    pub fn filter(&self, equals: Vec<Key>) -> Filter {
        Filter {
            model: SAMPLE.into(),
            hierarchy: self.node.clone(),
            scope: Scope::Subtree,
            equals,
        }
    }

    /// The pkids of what is found by these keys.
    pub fn found(&self, equals: Vec<Key>) -> Result<Vec<String>, Failure> {
        found(&self.filter(equals))
    }
}

/// The pkids of the first thousand that match, in the order in which they came.
pub fn found(filter: &Filter) -> Result<Vec<String>, Failure> {
    let page = storage::find(filter, None, 1000)?;
    let pkids = page
        .documents
        .into_iter()
        .map(|document| document.reference.pkid);
    Ok(pkids.collect())
}

/// Changes without a condition.
pub fn commit(changes: Vec<Change>) -> Result<(), Failure> {
    storage::commit(&[], &changes, OnUnavailable::Fail)
}

/// Changes on a condition.
pub fn commit_if(check: Check, changes: Vec<Change>) -> Result<(), Failure> {
    storage::commit(&[check], &changes, OnUnavailable::Fail)
}

/// A secret of a document.
pub fn secret(owner: &Document, name: &str, value: &str) -> Change {
    Change::PutSecret(Secret {
        owner: owner.reference.clone(),
        name: name.into(),
        value: value.into(),
    })
}

/// The check that a document has this version.
pub fn version_check(reference: Reference, version: u64) -> Check {
    Check::Version(VersionCheck { reference, version })
}

/// The check that nothing else matches.
pub fn unique_check(filter: Filter, except: Option<Reference>) -> Check {
    Check::Unique(UniqueCheck { filter, except })
}

/// The removal of a secret.
pub fn removal(owner: Reference, name: String) -> Change {
    Change::RemoveSecret(SecretName { owner, name })
}

/// The removal of a wakeup.
pub fn cancel(subject: Reference, id: String) -> Change {
    Change::Cancel(WakeupName { subject, id })
}

/// A wakeup that is due far in the future.
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

/// The document, which must be there.
pub fn read(reference: &Reference) -> Result<Document, Verdict> {
    match storage::get(reference)? {
        Some(document) => Ok(document),
        None => failed(format!(
            "{}/{} was committed and is not there",
            reference.model, reference.pkid
        )),
    }
}

/// Whether the document is there.
pub fn is_there(document: &Document) -> Result<bool, Failure> {
    Ok(storage::get(&document.reference)?.is_some())
}

//! How far an import is: the document from which an interrupted one goes on, and which says
//! afterwards what the last one did.
//!
//! The position is always that of a page to be read next. Whatever is done with a page before the
//! position moves behind it, can be done again. What was seen on the pages before is kept in
//! documents of its own, one or more for each page, until the whole list has been read: only then
//! is it known what has vanished.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::removal::Removal;
use crate::platform::{
    Change, Check, Document, Failure, Key, Reference, Storage, Timestamp, is_pkid,
};
use crate::record::{Record, key};
use crate::reports::{ImportCount, SyncKind};

/// The model of `Import`.
pub const IMPORT: &str = "data/SparkImport";
/// The model of what was seen on pages that were read.
pub const SEEN: &str = "data/SparkImportPage";

/// How long an unfinished import can be gone on with since its last step, in milliseconds: a day.
/// Later than that its list would be too old, and Webex's address of the next page as well.
pub const STALE: u64 = 86_400_000;
/// How many documents one document of [`SEEN`] names.
const SEEN_TOGETHER: usize = 5_000;

/// The primary key of a document that follows from what it stands for, so that doing a step again
/// makes nothing twice: the first 96 bits of SHA-256 over record, model and Webex's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId([u8; 12]);

impl DocumentId {
    /// The key of what `record` calls `id` in `model`.
    pub fn of(record: &str, model: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [record, model, id] {
            // A length in front of each: no two triples run into the same bytes.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut key = [0; 12];
        key.iter_mut()
            .zip(hash.finalize())
            .for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// Understands 24 lower-case hexadecimal characters.
    pub fn parse(pkid: &str) -> Option<Self> {
        if !is_pkid(pkid) {
            return None;
        }
        let [0, 0, 0, 0, key @ ..] = u128::from_str_radix(pkid, 16).ok()?.to_be_bytes() else {
            return None;
        };
        Some(Self(key))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far the list of one model is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The model that its entries are stored as.
    pub model: String,
    /// How many entries the pages before the position have.
    pub found: u32,
    /// How many were new.
    pub added: u32,
    /// How many had changed.
    pub updated: u32,
    /// How many had vanished.
    pub removed: u32,
    /// How many pages are behind the position.
    #[serde(default)]
    pub pages: u32,
    /// The address of the page to be read next; none: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many documents say what was seen. Without `next` they are of no use any more.
    #[serde(default)]
    pub seen: u32,
    /// The list was read to its end, and what has vanished is removed.
    #[serde(default)]
    pub ended: bool,
    /// Why the list cannot be known to be whole, so that nothing of it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// The removal that was not plausible and not accepted: nothing was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Removal>,
}

impl List {
    /// Goes back to the first page; what was counted as changed stays counted.
    pub fn restart(&mut self) {
        self.next = None;
        self.pages = 0;
        self.found = 0;
        self.ended = false;
        self.partial = None;
        self.held = None;
    }
}

/// An import: the one that runs, or the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The record's primary key.
    pub owner: String,
    /// What is imported.
    pub kind: SyncKind,
    /// The organisation that is read: its bare UUID.
    #[serde(default)]
    pub organization: Option<String>,
    /// Notes that a person accepts all removals of this import.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_removals: bool,
    /// When its first step began.
    pub begun: Timestamp,
    /// When its last step was done.
    pub progressed: Timestamp,
    /// When it was at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// How far each list is, in the order of reading.
    pub lists: Vec<List>,
}

impl Import {
    /// The document of the imports of `kind` of a record.
    pub fn reference(record: &str, kind: SyncKind) -> Reference {
        let id = DocumentId::of(record, IMPORT, kind.as_str());
        Reference::new(IMPORT, id.to_string())
    }

    /// The unfinished import of `record` to go on with, or a new one; and the version of the
    /// document it is stored as, 0 when there is none. With `accepts_removals`, lists of which
    /// nothing was removed are read again.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn open(
        storage: &(impl Storage + ?Sized),
        record: &Record,
        kind: SyncKind,
        accepts_removals: bool,
        now: Timestamp,
    ) -> Result<(Self, u64), Failure> {
        let stored = storage.get(&Self::reference(&record.pkid, kind))?;
        let version = stored.as_ref().map_or(0, |document| document.version);
        // One that cannot be read is of another release: it is begun anew.
        let earlier: Option<Self> =
            stored.and_then(|document| serde_json::from_str(&document.body).ok());
        let new = Self::new(record, kind, now);
        let mut import = match earlier {
            Some(earlier) => new.or_rest_of(earlier, now),
            None => new,
        };
        if accepts_removals {
            import.accepts_removals = true;
            let lists = import.lists.iter_mut();
            lists
                .filter(|list| list.held.is_some())
                .for_each(List::restart);
        }
        Ok((import, version))
    }

    fn new(record: &Record, kind: SyncKind, now: Timestamp) -> Self {
        let list = |model: &str| List {
            model: model.to_owned(),
            ..List::default()
        };
        Self {
            owner: record.pkid.clone(),
            kind,
            organization: record.organization().map(str::to_owned),
            accepts_removals: false,
            begun: now,
            progressed: now,
            finished: None,
            lists: kind
                .directories()
                .iter()
                .map(|directory| list(directory.model))
                .collect(),
        }
    }

    fn or_rest_of(mut self, earlier: Self, now: Timestamp) -> Self {
        let models = |import: &Self| -> Vec<String> {
            let lists = import.lists.iter();
            lists.map(|list| list.model.clone()).collect()
        };
        let goes_on = earlier.finished.is_none()
            && earlier.organization == self.organization
            && models(&earlier) == models(&self)
            && now.abs_diff(earlier.progressed) <= STALE;
        if goes_on {
            return earlier;
        }
        // What was seen long ago is to be cleared away.
        for list in &mut self.lists {
            let before = earlier.lists.iter().find(|each| each.model == list.model);
            list.seen = before.map_or(0, |before| before.seen);
        }
        self
    }

    /// The change that stores it, and the condition that `version` is the one stored so far.
    ///
    /// # Errors
    /// `internal` when it cannot be written as JSON.
    pub fn put(&self, hierarchy: &str, version: u64) -> Result<(Check, Change), Failure> {
        let reference = Self::reference(&self.owner, self.kind);
        let check = match version {
            0 => Check::Absent(reference.clone()),
            version => Check::Version(reference.clone(), version),
        };
        let body = serde_json::to_string(self)
            .map_err(|error| Failure::Internal(format!("the import cannot be written: {error}")))?;
        let keys = vec![
            Key::new(key::OWNER, &self.owner),
            Key::new(key::NAME, self.kind.as_str()),
        ];
        Ok((
            check,
            Change::Put(document(reference, hierarchy, body, keys)),
        ))
    }

    /// Steps done: pages read, and one for the end of each list.
    pub fn done(&self) -> u32 {
        self.lists.iter().fold(0, |done, list| {
            done.saturating_add(list.pages)
                .saturating_add(list.ended.into())
        })
    }

    /// Steps that it has as far as is known: every list that has not ended has a page to come.
    pub fn total(&self) -> u32 {
        let to_come = self.lists.iter().filter(|list| !list.ended).count();
        let to_come = u32::try_from(to_come).unwrap_or(u32::MAX);
        self.done().saturating_add(to_come.saturating_mul(2))
    }

    /// What became of the documents of each model.
    pub fn models(&self) -> Vec<ImportCount> {
        self.lists
            .iter()
            .map(|list| ImportCount {
                model: list.model.clone(),
                found: list.found,
                added: list.added,
                updated: list.updated,
                removed: list.removed,
            })
            .collect()
    }
}

/// The `number`-th document of what was seen of `model`.
pub fn seen_reference(record: &str, model: &str, number: u32) -> Reference {
    let id = DocumentId::of(record, SEEN, &format!("{model}/{number}"));
    Reference::new(SEEN, id.to_string())
}

/// The documents that keep what was seen on a page, numbered from `first`.
pub fn seen_documents(
    record: &Record,
    model: &str,
    first: u32,
    ids: &[DocumentId],
) -> Vec<Document> {
    ids.chunks(SEEN_TOGETHER)
        .zip(first..)
        .map(|(ids, number)| {
            let ids: Vec<String> = ids.iter().map(DocumentId::to_string).collect();
            let body = serde_json::json!({
                "owner": record.pkid, "model": model, "ids": ids.join(" "),
            });
            document(
                seen_reference(&record.pkid, model, number),
                &record.hierarchy,
                body.to_string(),
                vec![Key::new(key::OWNER, &record.pkid)],
            )
        })
        .collect()
}

/// What a document of [`seen_documents`] names; none when it is damaged.
pub fn seen_in(document: &Document) -> Option<Vec<DocumentId>> {
    let body: serde_json::Value = serde_json::from_str(&document.body).ok()?;
    let ids = body.get("ids")?.as_str()?;
    ids.split_ascii_whitespace()
        .map(DocumentId::parse)
        .collect()
}

fn document(reference: Reference, hierarchy: &str, body: String, keys: Vec<Key>) -> Document {
    Document {
        reference,
        hierarchy: hierarchy.to_owned(),
        version: 0,
        body,
        keys,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_import_follows_from_record_model_and_id() {
        let id = DocumentId::of("0123456789abcdef01234567", "device/spark/Role", "R1");
        assert_eq!(
            id,
            DocumentId::of("0123456789abcdef01234567", "device/spark/Role", "R1")
        );
        assert_ne!(
            id,
            DocumentId::of("0123456789abcdef01234567", "device/spark/RoleR", "1")
        );
        assert_eq!(id.to_string().len(), 24);
        assert_eq!(DocumentId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn what_is_no_key_is_not_read_as_one() {
        for pkid in [
            "",
            "0123",
            "+123456789abcdef01234567",
            "0123456789ABCDEF01234567",
            "0123456789abcdef0123456789",
        ] {
            assert_eq!(DocumentId::parse(pkid), None, "{pkid}");
        }
    }
}

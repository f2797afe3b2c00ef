//! The stored progress of an import, used to resume an interrupted one and to report the last one.
//!
//! The position is the page to read next. All work on a page before the position moves on can be
//! repeated. The entries seen on earlier pages are stored in separate documents, one or more per page. When the whole
//! list has been read, the vanished entries are known.

use serde::{Deserialize, Serialize};

use super::document_id::DocumentId;
use super::plan::DataSync;
use super::removal::Removal;
use crate::platform::{
    Change, Check, Document, Failure, Key, Millis, Reference, Storage, UnixMillis, VersionCheck,
};
use crate::record::{Record, key};
use crate::reports::ImportCount;

/// The model of the documents with the progress of imports.
pub const IMPORT_MODEL: &str = "data/SparkImport";
/// The model of documents with the entries seen on a page.
pub const SEEN_MODEL: &str = "data/SparkImportPage";

/// How long an unfinished import can be resumed after its last step: a day. After that,
/// the list is too old, and so is Webex's address of the next page.
pub const MAX_IDLE: Millis = Millis::from_hours(24);
/// The maximum number of ids in one document of [`SEEN_MODEL`].
pub const MAX_IDS_PER_DOCUMENT: usize = 5_000;
/// The maximum number of documents of [`SEEN_MODEL`] of one list; a larger number in a stored import is an error.
const MAX_SEEN_DOCUMENTS: u32 = 100_000;

/// The changes to the sites of a list's locations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCounts {
    /// The number of new sites.
    pub added: u32,
    /// The number of sites that took the new name of their location.
    pub renamed: u32,
    /// The number of sites that stay although their locations have vanished.
    pub left: u32,
    /// The names of the first of these sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_names: Vec<String>,
}

impl SiteCounts {
    /// The maximum number of names of sites that stay.
    const MAX_NAMES: usize = 5;

    /// Adds sites that stay, by their names.
    pub fn add_left(&mut self, names: &[&str]) {
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(count);
        let room = Self::MAX_NAMES.saturating_sub(self.left_names.len());
        let first = names.iter().take(room).map(|name| (*name).to_owned());
        self.left_names.extend(first);
    }

    /// Describes the sites that stay. `None` if there are none.
    pub fn describe_left(&self) -> Option<String> {
        let names = self.left_names.join(", ");
        let named = u32::try_from(self.left_names.len()).unwrap_or(u32::MAX);
        let more = match self.left.saturating_sub(named) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        match self.left {
            0 => None,
            1 => Some(format!(
                "1 site stays although its location has vanished at Webex: {names}"
            )),
            left => Some(format!(
                "{left} sites stay although their locations have vanished at Webex: {names}{more}"
            )),
        }
    }

    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// The progress of one model's list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListProgress {
    /// The model of the stored entries.
    pub model: String,
    /// When its first page was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<UnixMillis>,
    /// The number of entries on the pages before the position.
    pub found: u32,
    /// The number of new entries.
    pub added: u32,
    /// The number of changed entries.
    pub updated: u32,
    /// The number of vanished entries.
    pub removed: u32,
    /// The changes to sites.
    #[serde(default, skip_serializing_if = "SiteCounts::is_zero")]
    pub sites: SiteCounts,
    /// The number of pages before the position.
    #[serde(default)]
    pub pages: u32,
    /// The address of the page to read next; none: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether the page to read next begins with the last entry before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overlaps: bool,
    /// The digest of the entries before the position. `None` unless one of them may have moved unnoticed between two
    /// pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
    /// The digest of the whole list when it was read first and lacked stored entries. They are removed if the list is the
    /// same when it is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_digest: Option<u64>,
    /// The number of documents with seen entries. Without `next` they are obsolete.
    #[serde(rename = "seen", default)]
    pub seen_documents: u32,
    /// Whether the list is finished: read to its end with removals made, or failed.
    #[serde(default)]
    pub ended: bool,
    /// The number of entries in the whole list, if Webex reported the number.
    #[serde(rename = "counted", default, skip_serializing_if = "Option::is_none")]
    pub reported_total: Option<u64>,
    /// The number of pages in the last import, by which the number of steps to come is estimated.
    #[serde(default)]
    pub expected_pages: u32,
    /// The number of calls that ended with a temporary error of this list.
    #[serde(default)]
    pub attempts: u32,
    /// Why the list could not be read. No entries were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Why the list may be incomplete, so that no documents are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// The implausible removal that was not accepted; no documents were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Removal>,
}

impl ListProgress {
    /// Restarts at the first page and keeps the counts of changes.
    pub fn restart(&mut self) {
        self.next = None;
        self.overlaps = false;
        self.digest = None;
        self.pages = 0;
        self.found = 0;
        self.ended = false;
        self.reported_total = None;
        self.partial = None;
        self.held = None;
        self.failed = None;
    }

    /// Ends the list without reading the rest of it.
    pub fn fail(&mut self, reason: String) {
        self.next = None;
        self.ended = true;
        self.failed = Some(reason);
    }
}

/// Documents with seen entries of a list that the import does not read any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObsoleteSeen {
    /// The model of the list's entries.
    pub model: String,
    /// The number of documents.
    pub count: u32,
}

/// The running import, or the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The record's primary key.
    pub owner: String,
    /// The primary key of the data sync.
    pub sync: String,
    /// The data sync's name.
    #[serde(default)]
    pub name: String,
    /// Whether the import only removes stored documents.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purges: bool,
    /// The bare UUID of the organization.
    #[serde(default)]
    pub organization: Option<String>,
    /// Whether a person accepts all removals of this import.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_removals: bool,
    /// When the first step began.
    pub begun: UnixMillis,
    /// When the last step was done.
    pub progressed: UnixMillis,
    /// When the import was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<UnixMillis>,
    /// The progress of each list, in the order of reading.
    pub lists: Vec<ListProgress>,
    /// The documents to remove of lists that an abandoned import has read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obsolete: Vec<ObsoleteSeen>,
}

impl Import {
    /// Returns the reference of the document with the import of the data sync with the primary key `sync`.
    pub fn reference(record: &str, sync: &str) -> Reference {
        let id = DocumentId::derive(record, IMPORT_MODEL, sync);
        Reference::new(IMPORT_MODEL, id.to_string())
    }

    /// Loads the unfinished import of `record` or creates a new one. Returns the import and the version of
    /// its stored document, 0 if none is stored. With `accepts_removals`, lists with held removals are read
    /// again.
    ///
    /// # Errors
    /// Storage errors.
    pub fn load_or_new(
        storage: &dyn Storage,
        record: &Record,
        sync: &DataSync,
        accepts_removals: bool,
        now: UnixMillis,
    ) -> Result<(Self, u64), Failure> {
        let stored = storage.get(&Self::reference(&record.pkid, &sync.pkid))?;
        let version = stored.as_ref().map_or(0, |document| document.version);
        // A state that cannot be read was written by another release, so that the import begins again.
        let earlier: Option<Self> =
            stored.and_then(|document| serde_json::from_str(&document.body).ok());
        let new = Self::new(record, sync, now);
        let mut import = match earlier {
            Some(earlier) => new.resume_or_restart(earlier, now),
            None => new,
        };
        if accepts_removals {
            import.accepts_removals = true;
            let lists = import.lists.iter_mut();
            lists
                .filter(|list| list.held.is_some())
                .for_each(ListProgress::restart);
        }
        Ok((import, version))
    }

    fn new(record: &Record, sync: &DataSync, now: UnixMillis) -> Self {
        let list = |model: &str| ListProgress {
            model: model.to_owned(),
            ..ListProgress::default()
        };
        Self {
            owner: record.pkid.clone(),
            sync: sync.pkid.clone(),
            name: sync.name.clone(),
            purges: sync.purges,
            organization: record.organization().map(str::to_owned),
            accepts_removals: false,
            begun: now,
            progressed: now,
            finished: None,
            obsolete: Vec::new(),
            lists: sync
                .lists
                .iter()
                .map(|directory| list(directory.model))
                .collect(),
        }
    }

    fn resume_or_restart(mut self, earlier: Self, now: UnixMillis) -> Self {
        let models = |import: &Self| -> Vec<String> {
            let lists = import.lists.iter();
            lists.map(|list| list.model.clone()).collect()
        };
        let resumable = earlier.is_running(now)
            && earlier.organization == self.organization
            && earlier.purges == self.purges
            && models(&earlier) == models(&self);
        let is_sound = |list: &ListProgress| list.seen_documents <= MAX_SEEN_DOCUMENTS;
        let is_known = |list: &ObsoleteSeen| list.count <= MAX_SEEN_DOCUMENTS;
        if resumable && earlier.lists.iter().all(is_sound) && earlier.obsolete.iter().all(is_known)
        {
            return earlier;
        }
        // Documents of an abandoned import must be removed.
        let lost = earlier.lists.iter().filter(|before| {
            before.seen_documents > 0 && self.lists.iter().all(|list| list.model != before.model)
        });
        let lost = lost.map(|before| ObsoleteSeen {
            model: before.model.clone(),
            count: before.seen_documents.min(MAX_SEEN_DOCUMENTS),
        });
        let before = earlier.obsolete.iter().filter(|list| is_known(list));
        self.obsolete = before.cloned().chain(lost).collect();
        for list in &mut self.lists {
            let before = earlier.lists.iter().find(|each| each.model == list.model);
            list.seen_documents =
                before.map_or(0, |before| before.seen_documents.min(MAX_SEEN_DOCUMENTS));
            list.expected_pages = before.map_or(0, |before| before.pages);
        }
        self
    }

    /// Returns whether the import has begun and can be resumed.
    pub fn is_running(&self, now: UnixMillis) -> bool {
        self.finished.is_none() && now.abs_diff(self.progressed) <= MAX_IDLE
    }

    /// Returns the change that stores the import, and the check that `version` is the stored one.
    ///
    /// # Errors
    /// `internal` if the import cannot be written as JSON.
    pub fn to_commit(&self, hierarchy: &str, version: u64) -> Result<(Check, Change), Failure> {
        let reference = Self::reference(&self.owner, &self.sync);
        let check = match version {
            0 => Check::Absent(reference.clone()),
            version => Check::Version(VersionCheck {
                reference: reference.clone(),
                version,
            }),
        };
        let body = serde_json::to_string(self)
            .map_err(|error| Failure::Internal(format!("the import cannot be written: {error}")))?;
        let keys = vec![
            Key::new(key::OWNER, &self.owner),
            Key::new(key::NAME, &self.name),
        ];
        Ok((
            check,
            Change::Put(document(reference, hierarchy, body, keys)),
        ))
    }

    /// Returns the number of steps done: pages read, and one for the end of each list.
    pub fn steps_done(&self) -> u32 {
        self.lists.iter().fold(0, |done, list| {
            done.saturating_add(list.pages)
                .saturating_add(list.ended.into())
        })
    }

    /// Returns the number of steps known so far. A list that has not ended has a page to come, or as many as the last
    /// import read.
    pub fn steps_total(&self) -> u32 {
        let to_come = self.lists.iter().filter(|list| !list.ended);
        to_come.fold(self.steps_done(), |total, list| {
            let pages = list.expected_pages.saturating_sub(list.pages).max(1);
            total.saturating_add(pages).saturating_add(1)
        })
    }

    /// Lists the references of all documents with seen entries.
    pub fn seen_references(&self) -> impl Iterator<Item = Reference> {
        let lists = self
            .lists
            .iter()
            .map(|list| (&list.model, list.seen_documents));
        let obsolete = self.obsolete.iter().map(|list| (&list.model, list.count));
        lists.chain(obsolete).flat_map(|(model, count)| {
            let numbers = 0..count.min(MAX_SEEN_DOCUMENTS);
            numbers.map(|number| seen_reference(&self.owner, &self.sync, model, number))
        })
    }

    /// Returns the counts of each model.
    pub fn models(&self) -> Vec<ImportCount> {
        self.lists
            .iter()
            .map(|list| ImportCount {
                model: list.model.clone(),
                found: list.found,
                added: list.added,
                updated: list.updated,
                removed: list.removed,
                failed: list.failed.clone(),
            })
            .collect()
    }
}

/// Returns the reference of the `number`-th document with entries of `model` that the data sync `sync` has seen.
pub fn seen_reference(record: &str, sync: &str, model: &str, number: u32) -> Reference {
    let id = DocumentId::derive(record, SEEN_MODEL, &format!("{sync}/{model}/{number}"));
    Reference::new(SEEN_MODEL, id.to_string())
}

/// Builds the documents with the entries seen on a page, numbered from `first`.
pub fn build_seen_documents(
    record: &Record,
    sync: &str,
    model: &str,
    first: u32,
    ids: &[DocumentId],
) -> Vec<Document> {
    ids.chunks(MAX_IDS_PER_DOCUMENT)
        .zip(first..)
        .map(|(ids, number)| {
            let ids: Vec<String> = ids.iter().map(DocumentId::to_string).collect();
            let body = serde_json::json!({
                "owner": record.pkid, "model": model, "ids": ids.join(" "),
            });
            document(
                seen_reference(&record.pkid, sync, model, number),
                &record.hierarchy,
                body.to_string(),
                vec![Key::new(key::OWNER, &record.pkid)],
            )
        })
        .collect()
}

/// Parses a document of [`build_seen_documents`]; none if it is damaged.
pub fn parse_seen(document: &Document) -> Option<Vec<DocumentId>> {
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

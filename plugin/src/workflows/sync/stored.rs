//! The stored data syncs of a record: the default ones, which every record has, and those that an administrator has added.

use serde_json::Value;

use super::document_id::DocumentId;
use crate::owned_documents::{self, DATA_SYNC, SYNC_ALL, SYNC_ROLES_LICENSES, SYNC_USERS};
use crate::platform::{
    Check, Document, Failure, FieldError, Filter, Key, Reference, Scope, Storage, VersionCheck,
};
use crate::record::{OwnedDocument, Record, key};
use crate::text::find_similar;

/// The beginning of the roles of the default data syncs, which callers may leave out.
const ROLE_PREFIX: &str = "sync-";
/// The number of documents in one page of a query.
const PAGE_SIZE: u32 = 100;

/// A stored data sync.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSync {
    /// The primary key of its document.
    pub pkid: String,
    /// The name by which it is found.
    pub name: String,
    /// The role of a default data sync; none: an administrator has added it.
    pub role: Option<String>,
    /// The content; null if it is not JSON.
    pub body: Value,
    /// The version of the document; 0: the document is not stored, and `body` is the default.
    version: u64,
}

impl StoredSync {
    /// Finds the data sync of `record` that `selector` names: its role, with or without `sync-`, its name, or its
    /// primary key.
    ///
    /// # Errors
    /// `invalid` for an unknown one, field `sync`; storage errors.
    pub fn find(storage: &dyn Storage, record: &Record, selector: &str) -> Result<Self, Failure> {
        if let Some(owned) = default_syncs(record).find(|owned| is_selected(owned, selector)) {
            let document = storage.get(&owned.reference())?;
            return Ok(Self::from_owned(record, owned, document));
        }
        let defaults: Vec<OwnedDocument> = default_syncs(record).collect();
        let mut names: Vec<&str> = defaults.iter().map(|sync| short_role(&sync.role)).collect();
        let added = list_added(storage, record)?;
        let mut found = added.iter();
        if let Some(sync) = found.find(|sync| sync.pkid == selector || sync.name == selector) {
            return Ok(sync.clone());
        }
        names.extend(added.iter().map(|sync| sync.name.as_str()));
        let full_names = defaults.iter().map(|sync| sync.name.as_str());
        let hint = match find_similar(selector, names.iter().copied().chain(full_names)) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("there are {}", names.join(", ")),
        };
        let message = format!("{} has no data sync {selector:?}; {hint}", record.name());
        Err(Failure::Invalid(vec![FieldError::new("sync", message)]))
    }

    /// Returns the data sync of `record` with the primary key `pkid`; none if there is none.
    ///
    /// # Errors
    /// Storage errors.
    pub fn get(
        storage: &dyn Storage,
        record: &Record,
        pkid: &str,
    ) -> Result<Option<Self>, Failure> {
        let document = storage.get(&Reference::new(DATA_SYNC, pkid))?;
        if let Some(owned) = default_syncs(record).find(|owned| owned.pkid == pkid) {
            return Ok(Some(Self::from_owned(record, owned, document)));
        }
        let owner = Key::new(key::OWNER, &record.pkid);
        let document = document.filter(|document| {
            document.hierarchy == record.hierarchy && document.keys.contains(&owner)
        });
        Ok(document.map(Self::from_added))
    }

    /// Lists the data syncs of `record`, the default ones first.
    ///
    /// # Errors
    /// Storage errors.
    pub fn list(storage: &dyn Storage, record: &Record) -> Result<Vec<Self>, Failure> {
        let owned: Vec<OwnedDocument> = default_syncs(record).collect();
        let references: Vec<Reference> = owned.iter().map(OwnedDocument::reference).collect();
        let documents = storage.get_many(&references)?;
        let defaults = owned.into_iter().zip(documents);
        let defaults = defaults.map(|(owned, document)| Self::from_owned(record, owned, document));
        Ok(defaults.chain(list_added(storage, record)?).collect())
    }

    /// Returns whether `record` has the data sync with the primary key `pkid`, or can make it again.
    ///
    /// # Errors
    /// Storage errors.
    pub fn exists(storage: &dyn Storage, record: &Record, pkid: &str) -> Result<bool, Failure> {
        let is_default = default_syncs(record).any(|sync| sync.pkid == pkid);
        Ok(is_default || Self::get(storage, record, pkid)?.is_some())
    }

    /// Returns the reference to the document.
    pub fn reference(&self) -> Reference {
        Reference::new(DATA_SYNC, &self.pkid)
    }

    /// Returns the check that the document has not changed since it was read.
    pub fn version_check(&self) -> Check {
        match self.version {
            0 => Check::Absent(self.reference()),
            version => Check::Version(VersionCheck {
                reference: self.reference(),
                version,
            }),
        }
    }

    fn from_added(document: Document) -> Self {
        let name = document.keys.iter().find(|each| each.name == key::NAME);
        Self {
            name: name.map(|name| name.value.clone()).unwrap_or_default(),
            role: None,
            body: parse_body(&document),
            version: document.version,
            pkid: document.reference.pkid,
        }
    }

    fn from_owned(record: &Record, owned: OwnedDocument, stored: Option<Document>) -> Self {
        let (body, version) = match &stored {
            Some(document) => (parse_body(document), document.version),
            // Another client has deleted the document, or an older release has not made it.
            None => (owned_documents::default_body(record, &owned), 0),
        };
        Self {
            pkid: owned.pkid,
            name: owned.name,
            role: Some(owned.role),
            body,
            version,
        }
    }
}

/// Returns the data syncs that every record has. A record of an older release does not name them.
pub fn default_syncs(record: &Record) -> impl Iterator<Item = OwnedDocument> {
    [SYNC_ALL, SYNC_ROLES_LICENSES, SYNC_USERS]
        .into_iter()
        .filter_map(|role| {
            if let Some(owned) = record.owned_document(role) {
                return Some(owned.clone());
            }
            Some(OwnedDocument {
                model: DATA_SYNC.to_owned(),
                pkid: DocumentId::derive(&record.pkid, DATA_SYNC, role).to_string(),
                name: owned_documents::data_sync_name(record, role)?,
                role: role.to_owned(),
            })
        })
}

/// Returns the last part of the wakeups' ids of the data sync with the primary key `pkid`: its role without `sync-`, or
/// its primary key.
pub fn wakeup_suffix(record: &Record, pkid: &str) -> String {
    let owned = default_syncs(record).find(|sync| sync.pkid == pkid);
    owned.map_or_else(|| pkid.to_owned(), |sync| short_role(&sync.role).to_owned())
}

/// Returns whether `selector` would name a default data sync by its role.
pub fn is_role(selector: &str) -> bool {
    let roles = [SYNC_ALL, SYNC_ROLES_LICENSES, SYNC_USERS];
    roles
        .iter()
        .any(|role| selector == *role || selector == short_role(role))
}

fn short_role(role: &str) -> &str {
    role.strip_prefix(ROLE_PREFIX).unwrap_or(role)
}

fn is_selected(owned: &OwnedDocument, selector: &str) -> bool {
    let names = [
        owned.role.as_str(),
        short_role(&owned.role),
        &owned.pkid,
        &owned.name,
    ];
    names.contains(&selector)
}

/// Lists the data syncs that an administrator has added to `record`.
fn list_added(storage: &dyn Storage, record: &Record) -> Result<Vec<StoredSync>, Failure> {
    let filter = Filter {
        model: DATA_SYNC.to_owned(),
        hierarchy: record.hierarchy.clone(),
        scope: Scope::Node,
        equals: vec![Key::new(key::OWNER, &record.pkid)],
    };
    let defaults: Vec<String> = default_syncs(record).map(|sync| sync.pkid).collect();
    let mut added = Vec::new();
    let mut cursor = None;
    loop {
        let page = storage.find(&filter, cursor.as_deref(), PAGE_SIZE)?;
        let documents = page.documents.into_iter();
        added.extend(
            documents
                .filter(|document| !defaults.contains(&document.reference.pkid))
                .map(StoredSync::from_added),
        );
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(added),
        }
    }
}

fn parse_body(document: &Document) -> Value {
    serde_json::from_str(&document.body).unwrap_or_default()
}

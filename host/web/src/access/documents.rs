//! Users, sessions, keys, links and audit events as documents of the host's store.
//!
//! Their models begin with `host/`, which the plugin cannot read or write.

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Change, Check, Commit, SortOrder, Store, StoreError};
use relation_host::types::{
    Document, FieldError, Filter, Hierarchy, Key, Page, Pkid, Reference, Scope,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audit::{self, AuditObject, NewAuditEvent};
use super::nodes;
use super::users::{field_error, find_name_error, fold_name, invalid};
use super::{AccessParts, Authority, Permission};
use crate::WebError;

/// A part of the hierarchy: a node with a scope; `None` is everywhere.
pub(super) type Range = Option<(Hierarchy, Scope)>;

/// The body of a document of the host.
pub(super) trait Stored: Serialize + DeserializeOwned {
    /// The model.
    const MODEL: &'static str;

    /// Returns the search keys.
    fn keys(&self) -> Vec<Key>;
}

/// The body of a document with a name that an administrator has chosen.
pub(super) trait Named: Stored {
    /// Returns the name.
    fn name(&self) -> &str;
}

/// An object that lists show: a document without its secrets.
pub(super) trait Listed: From<Entry<Self::Body>> + Serialize + Send + 'static {
    /// The stored body.
    type Body: Stored + Send;
    /// The operation that the list needs.
    type Permission: Permission;
    /// Whether the list begins with the latest pkid.
    const DESCENDING: bool = false;
}

/// Creates a search key.
pub(super) fn key(name: &str, value: impl Into<String>) -> Key {
    Key {
        name: name.to_owned(),
        value: value.into(),
    }
}

/// A document of the host, as it was read or will be written.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) pkid: Pkid,
    pub(super) node: Hierarchy,
    /// 0 for a new document.
    pub(super) version: u64,
    pub(super) body: T,
}

impl<T: Stored> Entry<T> {
    /// Creates a document that is not stored yet.
    pub(super) fn new(pkid: Pkid, node: Hierarchy, body: T) -> Self {
        Self {
            pkid,
            node,
            version: 0,
            body,
        }
    }

    pub(super) fn parse(document: Document) -> Result<Self, StoreError> {
        // The error of serde may repeat a part of the body.
        let body = serde_json::from_str(&document.body).map_err(|_| {
            StoreError::Corrupt(format!("cannot read the body of {}", document.reference))
        })?;
        Ok(Self {
            pkid: document.reference.pkid,
            node: document.hierarchy,
            version: document.version,
            body,
        })
    }

    pub(super) fn reference(&self) -> Reference {
        Reference::new(T::MODEL, self.pkid.clone())
    }

    /// Returns the change that writes the document.
    pub(super) fn to_put(&self) -> Result<Change, StoreError> {
        let body = serde_json::to_string(&self.body).map_err(|_| {
            StoreError::Invalid(format!("cannot write the body of {}", self.reference()))
        })?;
        Ok(Change::Put(Document {
            reference: self.reference(),
            hierarchy: self.node.clone(),
            version: self.version,
            body,
            keys: self.body.keys(),
        }))
    }

    /// Returns the document as the object of an event.
    pub(super) fn to_audit_object(&self) -> AuditObject
    where
        T: Named,
    {
        AuditObject::new(self.reference(), self.body.name())
    }

    /// Returns the change that deletes the document.
    pub(super) fn to_delete(&self) -> Change {
        Change::Delete(self.reference())
    }

    /// Returns the condition that the document is still as it was read, or does not exist if it is new.
    pub(super) fn to_check(&self) -> Check {
        match self.version {
            0 => Check::Absent(self.reference()),
            version => Check::Version(self.reference(), version),
        }
    }
}

/// Returns the filter for documents of a model.
pub(super) fn filter<T: Stored>(range: &Range, equals: Vec<Key>) -> Filter {
    Filter {
        model: T::MODEL.to_owned(),
        hierarchy: range.clone(),
        equals,
    }
}

/// Creates the search key of a name, whatever its case.
pub(super) fn name_key(name: &str) -> Key {
    key("name", fold_name(name))
}

/// Returns the filter for documents of a name.
pub(super) fn named<T: Named>(range: &Range, name: &str) -> Filter {
    filter::<T>(range, vec![name_key(name)])
}

/// Returns the filter for documents of a name at one node.
pub(super) fn named_at<T: Named>(node: &Hierarchy, name: &str) -> Filter {
    named::<T>(&Some((node.clone(), Scope::Node)), name)
}

/// Returns the errors of the name and the node of a new document, whose name is unique at its node. Without a node, the
/// name is not compared with others. `taken` is the error of a name that another document has.
pub(super) async fn find_name_errors<T: Named>(
    parts: &AccessParts,
    name: &str,
    node: Option<&Hierarchy>,
    taken: &str,
) -> Result<Vec<FieldError>, StoreError> {
    let mut errors = Vec::new();
    if let Some(error) = find_name_error(name) {
        errors.push(field_error("name", error));
    } else if let Some(node) = node {
        let same_name = named_at::<T>(node, name);
        if parts.store().count(&same_name, 1).await? > 0 {
            errors.push(field_error("name", taken));
        }
    }
    if let Some(node) = node {
        let error = nodes::find_error(parts, node).await?;
        errors.extend(error.map(|error| field_error("hierarchy", error)));
    }
    Ok(errors)
}

/// Reads a document.
pub(super) async fn get<T: Stored>(
    store: &dyn Store,
    pkid: &Pkid,
) -> Result<Option<Entry<T>>, StoreError> {
    let reference = Reference::new(T::MODEL, pkid.clone());
    let found = store.get(&[reference]).await?;
    found
        .into_iter()
        .flatten()
        .next()
        .map(Entry::parse)
        .transpose()
}

/// Reads a page of documents.
pub(super) async fn list<T: Stored>(
    store: &dyn Store,
    filter: &Filter,
    descending: bool,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Entry<T>>, StoreError> {
    let order = SortOrder {
        key: None,
        descending,
    };
    let page = store.list(filter, &order, cursor, limit.max(1)).await?;
    let items = page.items.into_iter().map(Entry::parse);
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        next: page.next,
    })
}

/// Removes all documents of a kind with a condition, in small commits. Returns their number.
pub(super) async fn remove_all<T: Stored>(
    parts: &AccessParts,
    is_removed: impl Fn(&Entry<T>) -> bool,
) -> Result<u64, StoreError> {
    const PAGE_SIZE: u32 = 500;
    let filter = filter::<T>(&None, Vec::new());
    let mut removed = 0;
    let mut cursor: Option<String> = None;
    loop {
        let page = list::<T>(parts.store(), &filter, false, cursor.as_deref(), PAGE_SIZE).await?;
        let items = page.items.iter().filter(|entry| is_removed(entry));
        let changes: Vec<Change> = items.map(Entry::to_delete).collect();
        removed += changes.len() as u64;
        if !changes.is_empty() {
            commit(parts, Vec::new(), changes).await?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(removed);
        }
    }
}

/// Lists objects in a part of the hierarchy, ordered by pkid.
pub(super) async fn list_objects<T: Listed>(
    parts: &AccessParts,
    range: &Range,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<T>, StoreError> {
    let filter = filter::<T::Body>(range, Vec::new());
    let page = list(parts.store(), &filter, T::DESCENDING, cursor, limit).await?;
    Ok(Page {
        items: page.items.into_iter().map(T::from).collect(),
        next: page.next,
    })
}

/// Reads a document at a node that `check` permits.
///
/// # Errors
/// 404 if the document does not exist; the error of `check`.
pub(super) async fn find<T: Stored>(
    parts: &AccessParts,
    pkid: &Pkid,
    check: impl FnOnce(&Hierarchy) -> Result<(), WebError>,
) -> Result<Entry<T>, WebError> {
    let found = get::<T>(parts.store(), pkid).await?;
    let entry = found.ok_or_else(WebError::not_found)?;
    check(&entry.node)?;
    Ok(entry)
}

/// Reads a document at a node of the administrator's.
///
/// # Errors
/// 404 if the document does not exist or is outside of the administrator's nodes.
pub(super) async fn find_visible<T: Stored>(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Entry<T>, WebError> {
    find(parts, pkid, |node| authority.check_node(node)).await
}

/// Checks that a node exists, or that the administrator may add it.
///
/// # Errors
/// An error of the node.
pub(super) async fn check_node_exists<P: Permission>(
    parts: &AccessParts,
    authority: &Authority<'_, P>,
    node: &Hierarchy,
) -> Result<(), WebError> {
    if authority.may_add_node(node) || nodes::exists(parts, node).await? {
        return Ok(());
    }
    let message = "the node does not exist, and you do not have the operation add there: name an existing node";
    Err(invalid(vec![field_error("hierarchy", message)]))
}

/// Adds a document with its node and its event.
///
/// # Errors
/// `taken` as the error of the name if a document matches `same_name`. An error of the node if it does not exist and
/// the administrator may not add it.
pub(super) async fn add<T: Stored>(
    parts: &AccessParts,
    authority: &Authority<'_>,
    entry: &Entry<T>,
    event: NewAuditEvent,
    same_name: Filter,
    taken: &str,
) -> Result<(), WebError> {
    let checks = vec![entry.to_check(), Check::Unique(same_name, None)];
    check_node_exists(parts, authority, &entry.node).await?;
    let mut changes = nodes::to_keep(&entry.node)?;
    changes.extend([entry.to_put()?, audit::to_change(parts, event)?]);
    match commit(parts, checks, changes).await {
        // The text of the store names the other document, which may be outside of the administrator's nodes.
        Err(StoreError::Conflict(_)) => Err(invalid(vec![field_error("name", taken)])),
        committed => Ok(committed?),
    }
}

/// Reads all documents that match. For filters that match few documents.
pub(super) async fn list_all<T: Stored>(
    store: &dyn Store,
    filter: &Filter,
) -> Result<Vec<Entry<T>>, StoreError> {
    const PAGE_SIZE: u32 = 1000;
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let page = list(store, filter, false, cursor.as_deref(), PAGE_SIZE).await?;
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(items);
        }
    }
}

/// Writes the changes of a document that was read before, if the conditions hold.
///
/// # Errors
/// 409 with the name of the document if a condition does not hold: the text of the store names versions and pkids.
pub(super) async fn commit_change<T: Named>(
    parts: &AccessParts,
    entry: &Entry<T>,
    checks: Vec<Check>,
    changes: Vec<Change>,
) -> Result<(), WebError> {
    let committed = commit(parts, checks, changes).await;
    committed.map_err(|error| match error {
        StoreError::Conflict(_) => to_change_error(entry),
        error => error.into(),
    })
}

/// Returns the error of a document that a concurrent request has changed.
pub(super) fn to_change_error<T: Named>(entry: &Entry<T>) -> WebError {
    let message = format!("{} was changed in the meantime", entry.body.name());
    let error = AppError::new(ErrorKind::Conflict, message);
    error
        .hint("nothing was done: read it again, and try again")
        .into()
}

/// Writes changes, if the conditions hold.
pub(super) async fn commit(
    parts: &AccessParts,
    checks: Vec<Check>,
    changes: Vec<Change>,
) -> Result<(), StoreError> {
    let commit = Commit {
        checks,
        changes,
        now: parts.now(),
        ..Commit::default()
    };
    match parts.sealer() {
        // Secrets that are sealed with an older data key are sealed again.
        Ok(sealer) => sealer.commit(parts.store(), commit).await,
        Err(_) => parts.store().commit(commit).await,
    }
}

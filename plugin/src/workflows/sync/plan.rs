//! Data syncs: the stored documents that say what an import reads and changes.

use serde::Deserialize;
use serde_json::Value;

use super::state::DocumentId;
use crate::owned_documents::{self, DATA_SYNC, SYNC_ALL, SYNC_ROLES_LICENSES, SYNC_USERS};
use crate::platform::{
    Change, Document, Failure, FieldError, Filter, Key, Reference, Scope, Storage, UnixMillis,
    Wakeup, is_pkid,
};
use crate::record::{OwnedDocument, Record, key};
use crate::scopes;
use crate::text::find_similar;
use crate::timing::MIN_DELAY;
use crate::webex::directories::{
    CONTACT_CENTER_SITES, DIRECTORIES, LICENSES, ROLES, WHOLESALE_CUSTOMERS, WHOLESALE_SUBSCRIBERS,
    find_directory,
};
use crate::webex::directory::{Directory, Entry};

/// The kind of the wakeups that begin or resume an import. The id continues with a full stop and the role of the data
/// sync, without `sync-`, or its primary key.
const WAKEUP_KIND: &str = "sync";
/// The beginning of the roles of a record's own data syncs, which callers may leave out.
const ROLE_PREFIX: &str = "sync-";

/// A data sync of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSync {
    /// The primary key of its document.
    pub pkid: String,
    /// Its name.
    pub name: String,
    /// The lists to read, in order.
    pub lists: Vec<&'static Directory>,
    /// Whether it only removes the stored documents.
    pub purges: bool,
    /// The permitted changes.
    pub permits: Permits,
    filters: Vec<InstanceFilter>,
}

/// The changes of stored documents that a data sync permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permits {
    /// New documents may be added.
    pub add: bool,
    /// Stored documents may be replaced by what Webex has.
    pub update: bool,
    /// Documents of vanished entries may be removed.
    pub remove: bool,
}

/// The stored form of a data sync. Members that an administrator has left out have their defaults.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    name: String,
    #[serde(default)]
    sync_type: Option<String>,
    #[serde(default)]
    refresh_existing_data: Option<bool>,
    #[serde(default)]
    model_type_list: Vec<String>,
    #[serde(default)]
    model_instance_filter: Option<Vec<InstanceFilter>>,
    #[serde(default)]
    disabled_operations: Option<Vec<String>>,
}

/// A condition on the entries of a model. An entry that fails one is left as it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceFilter {
    model: String,
    attribute: String,
    #[serde(default)]
    condition: Condition,
    value: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Condition {
    #[default]
    Equals,
    Contains,
    StartsWith,
}

impl DataSync {
    /// Finds the data sync of `record` that `selector` names: its role, with or without `sync-`, its name, or its
    /// primary key.
    ///
    /// # Errors
    /// `invalid` for an unknown one, field `sync`, and for every unusable member of the stored document, by the
    /// member's name; those of the storage.
    pub fn find(
        storage: &(impl Storage + ?Sized),
        record: &Record,
        selector: &str,
    ) -> Result<Self, Failure> {
        let role = match selector.starts_with(ROLE_PREFIX) {
            true => selector.to_owned(),
            false => format!("{ROLE_PREFIX}{selector}"),
        };
        let is_selected = |owned: &OwnedDocument| {
            [&owned.role, &owned.pkid, &owned.name]
                .into_iter()
                .any(|name| name == selector)
                || owned.role == role
        };
        if let Some(owned) = own_syncs(record).find(is_selected) {
            return match storage.get(&owned.reference())? {
                Some(document) => Self::parse(record, &document),
                // Another client has deleted the document, or an older release has not made it.
                None => {
                    let body = owned_documents::default_body(record, &owned);
                    Self::from_value(record, owned.pkid, body)
                }
            };
        }
        let filter = Filter {
            model: DATA_SYNC.to_owned(),
            hierarchy: record.hierarchy.clone(),
            scope: Scope::Node,
            equals: vec![Key::new(key::OWNER, &record.pkid)],
        };
        let roles = own_syncs(record).filter_map(|own| {
            let role = own.role.strip_prefix(ROLE_PREFIX);
            role.map(str::to_owned)
        });
        let mut names: Vec<String> = roles.collect();
        let mut cursor = None;
        loop {
            let page = storage.find(&filter, cursor.as_deref(), 100)?;
            for document in page.documents {
                let name = document.keys.iter().find(|each| each.name == key::NAME);
                let name = name.map(|name| name.value.clone()).unwrap_or_default();
                if document.reference.pkid == selector || name == selector {
                    return Self::parse(record, &document);
                }
                names.push(name);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let hint = match find_similar(selector, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("there are {}", names.join(", ")),
        };
        let message = format!("{} has no data sync {selector:?}; {hint}", record.name());
        Err(Failure::Invalid(vec![FieldError::new("sync", message)]))
    }

    /// Whether `record` has the data sync with the primary key `pkid`, or can make it again.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn exists(
        storage: &(impl Storage + ?Sized),
        record: &Record,
        pkid: &str,
    ) -> Result<bool, Failure> {
        if own_syncs(record).any(|own| own.pkid == pkid) {
            return Ok(true);
        }
        let document = storage.get(&Reference::new(DATA_SYNC, pkid))?;
        let owner = Key::new(key::OWNER, &record.pkid);
        Ok(document.is_some_and(|document| {
            document.hierarchy == record.hierarchy && document.keys.contains(&owner)
        }))
    }

    fn parse(record: &Record, document: &Document) -> Result<Self, Failure> {
        let value = serde_json::from_str(&document.body).unwrap_or_default();
        Self::from_value(record, document.reference.pkid.clone(), value)
    }

    fn from_value(record: &Record, pkid: String, value: Value) -> Result<Self, Failure> {
        let body: Body = serde_json::from_value(value).map_err(|error| {
            let message = format!("the data sync {pkid} cannot be read: {error}");
            Failure::Invalid(vec![FieldError::new("sync", message)])
        })?;
        let mut errors = Vec::new();
        let mut lists = Vec::new();
        for model in &body.model_type_list {
            match find_directory(model) {
                Some(directory) if lists.contains(&directory) => {}
                Some(directory) => lists.push(directory),
                None => errors.push(FieldError::new("model_type_list", unknown_model(model))),
            }
        }
        if lists.is_empty() && errors.is_empty() {
            errors.push(FieldError::new("model_type_list", "names no model"));
        }
        let purges = match body.sync_type.as_deref() {
            None | Some("pull") => false,
            Some("purge_local") => true,
            Some(other) => {
                let message = format!("must be pull or purge_local, not {other:?}");
                errors.push(FieldError::new("sync_type", message));
                false
            }
        };
        // A record without this part of Webex has none of its models at Webex, but may have stored ones.
        lists.retain(|directory| purges || is_applicable(record, directory));
        let disabled = body.disabled_operations.unwrap_or_default();
        for operation in &disabled {
            if !matches!(operation.as_str(), "add" | "update" | "remove") {
                let message = format!("must be add, update or remove, not {operation:?}");
                errors.push(FieldError::new("disabled_operations", message));
            }
        }
        let filters = body.model_instance_filter.unwrap_or_default();
        for filter in &filters {
            if find_directory(&filter.model).is_none() {
                let message = unknown_model(&filter.model);
                errors.push(FieldError::new("model_instance_filter", message));
            }
        }
        if !errors.is_empty() {
            return Err(Failure::Invalid(errors));
        }
        let is_permitted = |operation: &str| !disabled.iter().any(|each| each == operation);
        Ok(Self {
            pkid,
            name: body.name,
            lists,
            purges,
            permits: Permits {
                add: is_permitted("add"),
                update: is_permitted("update") && body.refresh_existing_data.unwrap_or(true),
                remove: is_permitted("remove"),
            },
            filters,
        })
    }

    /// Whether the data sync is about `entry` of `model`.
    pub fn includes(&self, model: &str, entry: &Entry) -> bool {
        let mut filters = self.filters.iter().filter(|filter| filter.model == model);
        filters.all(|filter| filter.matches(entry))
    }

    /// Returns the change that schedules this data sync of `record` at `due`.
    pub fn schedule(&self, record: &Record, due: UnixMillis) -> Change {
        schedule(record, &self.pkid, due)
    }
}

impl InstanceFilter {
    fn matches(&self, entry: &Entry) -> bool {
        let is_match = |text: &str| match self.condition {
            Condition::Equals => text == self.value,
            Condition::Contains => text.contains(&self.value),
            Condition::StartsWith => text.starts_with(&self.value),
        };
        match entry.fields.get(&self.attribute) {
            Some(Value::String(text)) => is_match(text),
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).any(is_match),
            Some(Value::Null) | None => false,
            Some(other) => is_match(&other.to_string()),
        }
    }
}

/// Returns the models of imported documents, which `delete` removes with a record.
pub fn imported_models() -> impl Iterator<Item = &'static str> {
    DIRECTORIES.iter().map(|directory| directory.model)
}

/// Returns the data sync whose wakeup is `wakeup`, by its primary key.
pub fn from_wakeup(wakeup: &Wakeup) -> Option<&str> {
    let has_kind = wakeup.id.split('.').next() == Some(WAKEUP_KIND);
    (has_kind && is_pkid(&wakeup.payload)).then_some(&wakeup.payload)
}

/// Returns the change that schedules the import of roles and licenses of `record` at `due`.
pub fn schedule_roles_licenses(record: &Record, due: UnixMillis) -> Option<Change> {
    let owned = own_syncs(record).find(|own| own.role == SYNC_ROLES_LICENSES)?;
    Some(schedule(record, &owned.pkid, due))
}

/// Returns the change that schedules the import of roles and licenses of a record with pasted tokens without delay.
/// None when a scope that the import needs is known to be missing.
pub fn schedule_for_pasted(record: &Record, now: UnixMillis) -> Option<Change> {
    let needed = [ROLES, LICENSES].map(|each| each.scope.to_owned());
    let missing = scopes::missing(&needed, &record.body.connection.scopes);
    match missing.is_empty() {
        true => schedule_roles_licenses(record, now + MIN_DELAY),
        false => None,
    }
}

/// Returns the id of the wakeup of the data sync with the primary key `pkid`.
pub fn wakeup_id(record: &Record, pkid: &str) -> String {
    let owned = own_syncs(record).find(|own| own.pkid == pkid);
    let role = owned
        .as_ref()
        .and_then(|own| own.role.strip_prefix(ROLE_PREFIX));
    format!("{WAKEUP_KIND}.{}", role.unwrap_or(pkid))
}

/// Returns the data syncs that every record has. A record of an older release does not name them.
fn own_syncs(record: &Record) -> impl Iterator<Item = OwnedDocument> {
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

fn schedule(record: &Record, pkid: &str, due: UnixMillis) -> Change {
    Change::Schedule(Wakeup {
        id: wakeup_id(record, pkid),
        subject: record.reference(),
        due: due.0,
        deadline: None,
        payload: pkid.to_owned(),
    })
}

/// Returns the lists that the organization of `record` cannot have.
pub fn inapplicable_directories(record: &Record) -> impl Iterator<Item = &'static Directory> {
    DIRECTORIES
        .iter()
        .filter(|directory| !is_applicable(record, directory))
}

/// Whether the organization of `record` can have the list.
fn is_applicable(record: &Record, directory: &Directory) -> bool {
    match *directory {
        CONTACT_CENTER_SITES => record.flag("webex_contact_center"),
        WHOLESALE_CUSTOMERS | WHOLESALE_SUBSCRIBERS => record.grants().contains(&directory.grant),
        _ => true,
    }
}

fn unknown_model(model: &str) -> String {
    let models = || imported_models();
    match find_similar(model, models()) {
        Some(similar) => format!("{model:?} cannot be imported; did you mean {similar}?"),
        None => {
            let models: Vec<&str> = models().collect();
            format!(
                "{model:?} cannot be imported; there are {}",
                models.join(", ")
            )
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

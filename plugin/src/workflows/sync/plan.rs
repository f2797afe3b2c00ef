//! Data syncs: the stored documents that say what an import reads and changes.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::stored::{StoredSync, default_syncs, wakeup_suffix};
use crate::owned_documents::SYNC_ROLES_LICENSES;
use crate::platform::{Change, Failure, FieldError, Storage, UnixMillis, Wakeup, is_pkid};
use crate::record::Record;
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
    pub allowed_changes: AllowedChanges,
    filters: Vec<InstanceFilter>,
}

/// The changes of stored documents that a data sync permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedChanges {
    /// New documents may be added.
    pub add: bool,
    /// Stored documents may be replaced by those of Webex.
    pub update: bool,
    /// Documents of vanished entries may be removed.
    pub remove: bool,
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
    /// member's name; storage errors.
    pub fn find(storage: &dyn Storage, record: &Record, selector: &str) -> Result<Self, Failure> {
        let found = StoredSync::find(storage, record, selector)?;
        Self::from_value(record, found.pkid, &found.body)
    }

    /// Reads the content of a data sync.
    ///
    /// # Errors
    /// `invalid` for every unusable member, by its name; field `sync` if the content is not an object.
    pub fn from_value(record: &Record, pkid: String, value: &Value) -> Result<Self, Failure> {
        let Some(body) = value.as_object() else {
            let message = format!("the document of the data sync {pkid} is not a JSON object");
            return Err(Failure::Invalid(vec![FieldError::new("sync", message)]));
        };
        let mut errors = Vec::new();
        let name: String = read_member(body, "name", &mut errors);
        let models: Option<Vec<String>> = read_member(body, "model_type_list", &mut errors);
        let mut lists = Vec::new();
        for model in models.iter().flatten() {
            match find_directory(model) {
                Some(directory) if lists.contains(&directory) => {}
                Some(directory) => lists.push(directory),
                None => errors.push(FieldError::new("model_type_list", unknown_model(model))),
            }
        }
        let has_error = |errors: &[FieldError]| {
            let mut errors = errors.iter();
            errors.any(|error| error.field == "model_type_list")
        };
        if lists.is_empty() && !has_error(&errors) {
            errors.push(FieldError::new("model_type_list", "names no model"));
        }
        let sync_type: Option<String> = read_member(body, "sync_type", &mut errors);
        let purges = match sync_type.as_deref() {
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
        let refreshes: Option<bool> = read_member(body, "refresh_existing_data", &mut errors);
        let disabled: Option<Vec<String>> = read_member(body, "disabled_operations", &mut errors);
        let disabled = disabled.unwrap_or_default();
        for operation in &disabled {
            if !matches!(operation.as_str(), "add" | "update" | "remove") {
                let message = format!("must be add, update or remove, not {operation:?}");
                errors.push(FieldError::new("disabled_operations", message));
            }
        }
        let filters = read_filters(body, &mut errors);
        if !errors.is_empty() {
            return Err(Failure::Invalid(errors));
        }
        let is_permitted = |operation: &str| !disabled.iter().any(|each| each == operation);
        Ok(Self {
            pkid,
            name,
            lists,
            purges,
            allowed_changes: AllowedChanges {
                add: is_permitted("add"),
                update: is_permitted("update") && refreshes.unwrap_or(true),
                remove: is_permitted("remove"),
            },
            filters,
        })
    }

    /// Returns whether the data sync leaves out entries of `model`.
    pub fn is_filtered(&self, model: &str) -> bool {
        self.filters.iter().any(|filter| filter.model == model)
    }

    /// Returns whether the data sync is about `entry` of `model`.
    pub fn includes(&self, model: &str, entry: &Entry) -> bool {
        let mut filters = self.filters.iter().filter(|filter| filter.model == model);
        filters.all(|filter| filter.matches(entry))
    }

    /// Returns the change that schedules this data sync of `record` at `due`.
    pub fn schedule(&self, record: &Record, due: UnixMillis) -> Change {
        schedule_import(record, &self.pkid, due)
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
    let owned = default_syncs(record).find(|sync| sync.role == SYNC_ROLES_LICENSES)?;
    Some(schedule_import(record, &owned.pkid, due))
}

/// Returns the change that schedules the import of roles and licenses of a record with pasted tokens without delay.
/// `None` when a scope that the import needs is known to be missing.
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
    format!("{WAKEUP_KIND}.{}", wakeup_suffix(record, pkid))
}

/// Returns the change that schedules the import by the data sync with the primary key `pkid` at `due`.
pub fn schedule_import(record: &Record, pkid: &str, due: UnixMillis) -> Change {
    Change::Schedule(Wakeup {
        id: wakeup_id(record, pkid),
        subject: record.reference(),
        due: due.0,
        deadline: None,
        payload: pkid.to_owned(),
    })
}

/// Reads a member of a data sync. An absent or unusable one has the default; the latter is an error.
fn read_member<T: DeserializeOwned + Default>(
    body: &Map<String, Value>,
    name: &str,
    errors: &mut Vec<FieldError>,
) -> T {
    match body.get(name) {
        None | Some(Value::Null) => T::default(),
        Some(value) => T::deserialize(value).unwrap_or_else(|error| {
            errors.push(FieldError::new(name, format!("cannot be used: {error}")));
            T::default()
        }),
    }
}

/// Reads the filters of a data sync; each unusable one is an error.
fn read_filters(body: &Map<String, Value>, errors: &mut Vec<FieldError>) -> Vec<InstanceFilter> {
    const NAME: &str = "model_instance_filter";
    let filters: Option<Vec<Value>> = read_member(body, NAME, errors);
    let mut usable = Vec::new();
    for (filter, number) in filters.into_iter().flatten().zip(1_u32..) {
        match InstanceFilter::deserialize(&filter) {
            Err(error) => {
                let message = format!("condition {number} cannot be used: {error}");
                errors.push(FieldError::new(NAME, message));
            }
            Ok(filter) if find_directory(&filter.model).is_none() => {
                errors.push(FieldError::new(NAME, unknown_model(&filter.model)));
            }
            Ok(filter) => usable.push(filter),
        }
    }
    usable
}

/// Returns the lists that the organization of `record` cannot have.
pub fn inapplicable_directories(record: &Record) -> impl Iterator<Item = &'static Directory> {
    DIRECTORIES
        .iter()
        .filter(|directory| !is_applicable(record, directory))
}

/// Returns whether the organization of `record` can have the list.
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

//! Adds, changes and deletes data syncs of a record.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::sync::{self, DataSync, Import, StoredSync, is_role};
use crate::model::TEXT_LIMIT;
use crate::names::{find_hidden_character, normalize_name};
use crate::owned_documents::{DATA_SYNC, new_pkid};
use crate::platform::{
    Change, Check, Document, Failure, FieldError, Key, Level, Platform, Reference, is_pkid,
};
use crate::record::{Record, key};
use crate::sync_schedule::{self, SyncSchedule};
use crate::text::trim_text;

/// The maximum number of data syncs that an administrator can add to a record.
const MAX_ADDED: usize = 50;
/// The maximum number of conditions of a data sync.
const MAX_CONDITIONS: usize = 100;
/// The maximum number of documents that one commit deletes; hosts allow more.
const COMMIT_SIZE: usize = 500;

/// The members of a data sync that an administrator may give.
pub mod member {
    /// The name. Only that of an added data sync can be changed.
    pub const NAME: &str = "name";
    /// Any text.
    pub const DESCRIPTION: &str = "description";
    /// One of [`SYNC_TYPES`].
    pub const SYNC_TYPE: &str = "sync_type";
    /// Whether stored documents are replaced by those of Webex.
    pub const REFRESH_EXISTING_DATA: &str = "refresh_existing_data";
    /// The models to import, in order.
    pub const MODELS: &str = "model_type_list";
    /// Conditions on the entries.
    pub const FILTER: &str = "model_instance_filter";
    /// The operations that are not permitted.
    pub const DISABLED: &str = "disabled_operations";
    /// All members.
    pub const ALL: [&str; 7] = [
        NAME,
        DESCRIPTION,
        SYNC_TYPE,
        REFRESH_EXISTING_DATA,
        MODELS,
        FILTER,
        DISABLED,
    ];
    /// The sync types that can be executed.
    pub const SYNC_TYPES: &[&str] = &["pull", "purge_local"];
}

/// The effect of saving a data sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SaveOutcome {
    /// A data sync was added to the record.
    Added,
    /// The data sync was changed.
    Changed,
    /// The data sync was as requested already.
    Unchanged,
}

/// The result of saving a data sync.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SaveReport {
    /// The data sync's name.
    pub sync: String,
    /// The data sync's primary key.
    pub sync_pkid: String,
    /// The effect.
    pub outcome: SaveOutcome,
    /// The stored content.
    pub data_sync: Map<String, Value>,
    /// The result for the administrator.
    pub message: String,
}

/// The result of deleting a data sync.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeleteReport {
    /// The data sync's name.
    pub sync: String,
    /// The data sync's primary key.
    pub sync_pkid: String,
    /// Whether a schedule was deleted with it.
    pub had_schedule: bool,
    /// Whether an import that had not ended was canceled.
    pub cancelled_import: bool,
    /// The result for the administrator.
    pub message: String,
}

/// Changes the data sync `selector` of the record `pkid`, or adds one if `selector` is none. Members that are not
/// given keep their values, or have their defaults.
///
/// # Errors
/// `invalid` with all errors, by member: every member with which the data sync cannot be executed, a name that is taken
/// or cannot be changed, and too many data syncs. `not-found`, `conflict`, `unavailable`.
pub fn save_data_sync(
    platform: &dyn Platform,
    pkid: &str,
    selector: Option<&str>,
    members: &Map<String, Value>,
) -> Result<SaveReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let before = match selector {
        Some(selector) => Some(StoredSync::find(platform, &record, selector)?),
        None => None,
    };
    let others = StoredSync::list(platform, &record)?;
    let mut errors = Vec::new();
    let (name, body) = merge_members(&record, before.as_ref(), members, &mut errors);
    let sync_pkid = before
        .as_ref()
        .map_or_else(|| new_pkid(platform), |before| before.pkid.clone());
    let sync = match DataSync::from_value(&record, sync_pkid, &Value::Object(body.clone())) {
        Ok(sync) => Some(sync),
        Err(Failure::Invalid(found)) => {
            let known: BTreeSet<String> = errors.iter().map(|error| error.field.clone()).collect();
            errors.extend(
                found
                    .into_iter()
                    .filter(|error| !known.contains(&error.field)),
            );
            None
        }
        Err(failure) => return Err(failure),
    };
    let is_other = |other: &&StoredSync| {
        let own = before.as_ref().map(|before| &before.pkid);
        Some(&other.pkid) != own && normalize_name(&other.name) == normalize_name(&name)
    };
    let other = others.iter().find(is_other);
    if let Some(other) = other
        && before.is_none()
        && errors.is_empty()
        && other.body.as_object() == Some(&body)
    {
        // The result of an earlier call was lost.
        let message = format!("{name} exists already, as requested");
        let pkid = other.pkid.clone();
        return Ok(report(name, pkid, SaveOutcome::Unchanged, body, message));
    }
    let customer = record.name();
    if let Some(StoredSync { pkid: other, .. }) = other {
        let message = format!(
            "is taken: the data sync {other} of {customer} has this name; to change it, name it in the argument sync"
        );
        errors.push(FieldError::new(member::NAME, message));
    } else if before.is_none() && count_added(&others) >= MAX_ADDED {
        let message = format!(
            "would be one too many: {customer} has {MAX_ADDED} added data syncs, and can have no more; delete one"
        );
        errors.push(FieldError::new(member::NAME, message));
    }
    let (Some(sync), true) = (sync, errors.is_empty()) else {
        return Err(Failure::Invalid(errors));
    };
    let pkid = sync.pkid;
    let (outcome, message) = match &before {
        None => (
            SaveOutcome::Added,
            format!("{name} was added to {customer}"),
        ),
        Some(before) if before.body.as_object() == Some(&body) => {
            let message = format!("{name} is as requested already");
            (SaveOutcome::Unchanged, message)
        }
        Some(_) => (SaveOutcome::Changed, format!("{name} was changed")),
    };
    if outcome != SaveOutcome::Unchanged {
        let check = match &before {
            Some(before) => before.version_check(),
            None => Check::Absent(Reference::new(DATA_SYNC, &pkid)),
        };
        let mut changes = vec![Change::Put(document(&record, &pkid, &name, &body))];
        if before.is_some_and(|before| before.name != name) {
            let renamed = [(pkid.clone(), name.clone())];
            changes.extend(sync_schedule::rename_changes(platform, &record, &renamed)?);
        }
        platform.commit(vec![record.version_check(), check], changes)?;
    }
    platform.log(Level::Info, &message);
    Ok(report(name, pkid, outcome, body, message))
}

/// Deletes the data sync `selector`, which an administrator has added to the record `pkid`, with its schedule and its
/// wakeups. An import by it that has not ended is canceled; what was imported stays.
///
/// # Errors
/// `invalid`, field `sync`, for an unknown data sync and for one of those that every record has; `not-found`,
/// `conflict`, `unavailable`.
pub fn delete_data_sync(
    platform: &dyn Platform,
    pkid: &str,
    selector: &str,
) -> Result<DeleteReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let found = StoredSync::find(platform, &record, selector)?;
    if let Some(role) = &found.role {
        let message = format!(
            "{} ({role}) is one of the data syncs that every customer has, and cannot be deleted; unschedule it, or \
             disable its operations",
            found.name
        );
        return Err(Failure::Invalid(vec![FieldError::new("sync", message)]));
    }
    let sync = found.pkid.as_str();
    let had_schedule = SyncSchedule::read(platform, &record, sync)?.is_some();
    let import = sync::wakeup_id(&record, sync);
    let wakeups = platform.wakeups(&record.reference())?;
    let cancelled_import = wakeups.iter().any(|wakeup| wakeup.id == import);
    // If an interruption leaves a part of these, the import begins its list again.
    let seen_documents = find_seen_documents(platform, &record, sync)?;
    for batch in seen_documents.chunks(COMMIT_SIZE) {
        let changes = batch.iter().cloned().map(Change::Delete).collect();
        platform.commit(vec![record.version_check()], changes)?;
    }
    let mut changes = Vec::from(sync_schedule::removal_changes(&record, sync));
    changes.extend([
        Change::Cancel(record.reference(), import),
        Change::Delete(Import::reference(&record.pkid, sync)),
        Change::Delete(found.reference()),
    ]);
    platform.commit(vec![record.version_check(), found.version_check()], changes)?;
    let message = match (had_schedule, cancelled_import) {
        (true, true) => "deleted with its schedule, and its import was canceled",
        (true, false) => "deleted with its schedule",
        (false, true) => "deleted, and its import was canceled",
        (false, false) => "deleted",
    };
    let message = format!("{} was {message}; what it imported stays", found.name);
    platform.log(Level::Info, &message);
    Ok(DeleteReport {
        sync: found.name,
        sync_pkid: found.pkid,
        had_schedule,
        cancelled_import,
        message,
    })
}

/// Returns the name and the content of a data sync with the given members, and adds their errors.
fn merge_members(
    record: &Record,
    before: Option<&StoredSync>,
    members: &Map<String, Value>,
    errors: &mut Vec<FieldError>,
) -> (String, Map<String, Value>) {
    // A document that another client has made unreadable begins with the defaults.
    let stored = before.and_then(|before| before.body.as_object().cloned());
    let mut body = stored.unwrap_or_else(|| default_members(record));
    for (name, value) in members {
        let value = normalize_member(name, value, errors);
        body.insert(name.clone(), value);
    }
    let name = match before {
        Some(before) if !members.contains_key(member::NAME) => before.name.clone(),
        _ => {
            let name = body.get(member::NAME).and_then(Value::as_str);
            let name = name.unwrap_or_default().to_owned();
            check_name(&name, before, errors);
            name
        }
    };
    body.insert(member::NAME.to_owned(), name.as_str().into());
    (name, body)
}

fn report(
    sync: String,
    sync_pkid: String,
    outcome: SaveOutcome,
    data_sync: Map<String, Value>,
    message: String,
) -> SaveReport {
    SaveReport {
        sync,
        sync_pkid,
        outcome,
        data_sync,
        message,
    }
}

fn count_added(syncs: &[StoredSync]) -> usize {
    syncs.iter().filter(|sync| sync.role.is_none()).count()
}

/// Returns the members of a new data sync.
fn default_members(record: &Record) -> Map<String, Value> {
    let mut body = Map::new();
    for (name, value) in [
        ("owner", record.pkid.as_str().into()),
        (member::DESCRIPTION, "".into()),
        ("device_type", "Spark".into()),
        (member::SYNC_TYPE, "pull".into()),
        (member::REFRESH_EXISTING_DATA, true.into()),
        (member::MODELS, json!([])),
        (member::FILTER, Value::Null),
        (member::DISABLED, json!([])),
    ] {
        body.insert(name.to_owned(), value);
    }
    body
}

/// Brings a given member into the form in which it is stored, and checks its size.
fn normalize_member(name: &str, value: &Value, errors: &mut Vec<FieldError>) -> Value {
    match value {
        Value::String(text) => {
            let text = trim_text(text);
            check_text(name, text, errors);
            text.into()
        }
        Value::Array(items) if name == member::FILTER => {
            let count = items.len();
            if count > MAX_CONDITIONS {
                let message =
                    format!("has {count} conditions; at most {MAX_CONDITIONS} are possible");
                errors.push(FieldError::new(name, message));
            }
            let objects = items.iter().filter_map(Value::as_object);
            for text in objects.flat_map(Map::values).filter_map(Value::as_str) {
                check_length(name, text, errors);
            }
            match items.is_empty() {
                true => Value::Null,
                false => value.clone(),
            }
        }
        Value::Array(items) => {
            let mut unique: Vec<Value> = Vec::new();
            for item in items {
                if !unique.contains(item) {
                    unique.push(item.clone());
                }
            }
            unique.into()
        }
        other => other.clone(),
    }
}

/// Checks a name or another text for people. A length or a character that is wrong is an error.
fn check_text(name: &str, text: &str, errors: &mut Vec<FieldError>) {
    check_length(name, text, errors);
    if let Some(error) = find_hidden_character(text) {
        errors.push(FieldError::new(name, error));
    }
}

fn check_length(name: &str, text: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count();
    if !u32::try_from(length).is_ok_and(|length| length <= TEXT_LIMIT) {
        let message = format!("has {length} characters; at most {TEXT_LIMIT} are possible");
        errors.push(FieldError::new(name, message));
    }
}

/// Checks the name of a data sync that is added, or whose name is given.
fn check_name(name: &str, before: Option<&StoredSync>, errors: &mut Vec<FieldError>) {
    let error = match before {
        Some(before) if before.name == name => return,
        Some(StoredSync { role: Some(_), .. }) => {
            "cannot be changed: this data sync is named after the customer"
        }
        _ if name.is_empty() => "is required",
        _ if is_role(name) || is_pkid(name) => {
            "is not possible: it selects a data sync by its role or its pkid"
        }
        _ => return,
    };
    errors.push(FieldError::new(member::NAME, error));
}

fn document(record: &Record, pkid: &str, name: &str, body: &Map<String, Value>) -> Document {
    Document {
        reference: Reference::new(DATA_SYNC, pkid),
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body: Value::Object(body.clone()).to_string(),
        keys: [
            Key::new(key::NAME, name),
            Key::new(key::OWNER, &record.pkid),
        ]
        .into_iter()
        .filter(Key::fits)
        .collect(),
    }
}

/// Returns the documents with the entries that an unfinished import has seen.
fn find_seen_documents(
    platform: &dyn Platform,
    record: &Record,
    sync: &str,
) -> Result<Vec<Reference>, Failure> {
    let import = platform.get(&Import::reference(&record.pkid, sync))?;
    let import = import.and_then(|document| serde_json::from_str::<Import>(&document.body).ok());
    Ok(import.iter().flat_map(Import::seen_references).collect())
}

#[cfg(test)]
#[path = "data_syncs_tests.rs"]
mod tests;

//! The settings of notices at each node, their secrets, and tests of recipients.
//!
//! A node has at most one document with settings. The secrets of recipients are sealed secrets of that document, which are
//! never read back. The paths of webhooks are not shown either.

mod endpoints;
mod hidden;
mod recipient_test;
mod resolved;
mod secrets;

pub use endpoints::enable;
pub use hidden::HIDDEN_PATH;
pub(crate) use hidden::hide_path;
pub use recipient_test::{TestReport, send_test};
pub(crate) use resolved::find_reader_node;
pub use resolved::resolve;
pub(super) use secrets::find_snmp_version;
pub use secrets::{SnmpCredentials, rotate_secret, set_snmp_secrets};

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use relation_app::notices::read_level;
use relation_app::{AppError, ErrorKind};
use relation_host::store::{Change, Check, StoreError};
use relation_host::types::{Document, Hierarchy, Key, Page, Timestamp};
use relation_notify::health::EndpointHealth;
use relation_notify::settings::{
    NOTICE_SETTINGS_MODEL, NoticeSettings, Rules, needs_recheck, parse, recheck_changes, reference,
};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use self::endpoints::find_health;
use self::hidden::{check_servers, hide_paths, plan_addresses, restore_paths};
use self::secrets::{find_states, plan_secrets};
use super::audit::{self, AuditObject, FieldChange};
use super::documents::{self, Entry, Stored};
use super::nodes::{self, find_spelling};
use super::users::{check_fields, field_error};
use super::{AccessParts, Authority, permission};
use crate::WebError;

/// The maximum size of settings as JSON, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The maximum number of items of a page.
const MAX_LISTED: u32 = 1000;

/// The settings of a node, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// The node.
    pub hierarchy: Hierarchy,
    /// The settings; all fields are inherited if the node has none. The paths of webhooks are hidden: see [`HIDDEN_PATH`].
    pub settings: NoticeSettings,
    /// The version; 0 if the node has no settings.
    pub version: u64,
    /// The states of secrets, by the id of the webhook or the SNMP target. Lists have none.
    pub secrets: BTreeMap<String, SecretState>,
    /// The health of endpoints, by the id of the webhook or the SNMP target. Lists have none.
    pub health: BTreeMap<String, EndpointHealth>,
}

/// The state of a recipient's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecretState {
    /// Whether the secret is set.
    pub set: bool,
    /// The time until which a replaced signing secret of a webhook signs too.
    pub overlap_end: Option<Timestamp>,
}

/// A signing secret that the host has made. It is shown once.
#[derive(Clone, Debug)]
pub struct NewSecret {
    /// The id of the webhook.
    pub id: String,
    /// The name of the webhook.
    pub name: String,
    /// The secret, as Standard Webhooks has it.
    pub signing_secret: SecretString,
}

/// Settings that were saved.
#[derive(Clone, Debug)]
pub struct SavedSettings {
    /// The settings.
    pub node: NodeSettings,
    /// The signing secrets of new webhooks.
    pub new_secrets: Vec<NewSecret>,
}

impl Stored for NoticeSettings {
    const MODEL: &'static str = NOTICE_SETTINGS_MODEL;

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

impl From<Entry<NoticeSettings>> for NodeSettings {
    fn from(entry: Entry<NoticeSettings>) -> Self {
        Self {
            hierarchy: entry.node,
            settings: hide_paths(&entry.body),
            version: entry.version,
            secrets: BTreeMap::new(),
            health: BTreeMap::new(),
        }
    }
}

/// Reads the settings of a node, without secrets.
///
/// # Errors
/// 404 for a node outside of the reader's; the stored settings cannot be read.
pub async fn find(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Read>,
    node: &Hierarchy,
) -> Result<NodeSettings, WebError> {
    let node = find_spelling(parts.store(), node).await?;
    authority.check_node(&node)?;
    show(parts, &node).await
}

async fn show(parts: &AccessParts, node: &Hierarchy) -> Result<NodeSettings, WebError> {
    let document = load(parts, node).await?;
    let settings = match &document {
        Some(document) => read_level(document)?.settings,
        None => NoticeSettings::default(),
    };
    Ok(NodeSettings {
        hierarchy: node.clone(),
        secrets: find_states(parts, node, &settings).await?,
        health: find_health(parts, node, &settings).await?,
        settings: hide_paths(&settings),
        version: version(document.as_ref()),
    })
}

/// Lists the nodes that have settings, at and below a node of the reader's.
///
/// # Errors
/// Errors of [`Allowed::range`](super::Allowed::range); the cursor belongs to another list; settings cannot be read.
pub async fn list(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Read>,
    node: Option<&Hierarchy>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<NodeSettings>, WebError> {
    let range = authority.range(node)?;
    let filter = documents::filter::<NoticeSettings>(&range, Vec::new());
    let limit = limit.min(MAX_LISTED);
    let page = documents::list::<NoticeSettings>(parts.store(), &filter, false, cursor, limit);
    let page = page.await?;
    Ok(Page {
        items: page.items.into_iter().map(NodeSettings::from).collect(),
        next: page.next,
    })
}

/// Replaces the settings of a node: a field that is left out is inherited. Each new webhook gets a signing secret, and the
/// secrets of removed recipients are removed. `version` is the one that was read; without it, any is replaced.
///
/// The whole address of a webhook with a path is sealed, and the settings are stored with a hidden path.
///
/// The community of an SNMP target is removed if the target's address changes, because it is sent in clear.
///
/// # Errors
/// All errors of fields; 404 for a node outside of the administrator's; 412 if the settings have another version.
pub async fn save(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    rules: Rules,
    node: &Hierarchy,
    settings: &Value,
    expected: Option<u64>,
) -> Result<SavedSettings, WebError> {
    let node = find_spelling(parts.store(), node).await?;
    authority.check_node(&node)?;
    let document = load(parts, &node).await?;
    let version = version(document.as_ref());
    check_version(version, expected)?;
    // Settings that cannot be read are replaced.
    let before = document.as_ref().and_then(|found| read_level(found).ok());
    let before = before.map(|level| level.settings).unwrap_or_default();
    let after = parse_all(parts, rules, &node, settings, &before).await?;
    documents::check_node_exists(parts, authority, &node).await?;
    let (address_changes, is_address_changed) =
        plan_addresses(parts, &node, &before, &after).await?;

    let entry = Entry {
        pkid: reference(&node).pkid,
        node: node.clone(),
        version,
        body: hide_paths(&after),
    };
    let plan = plan_secrets(parts, &node, &before, &entry.body).await?;
    let mut field_changes = find_changes(&before, &entry.body)?;
    let is_shown = field_changes
        .iter()
        .any(|change| change.field == "recipients");
    if is_address_changed && !is_shown {
        field_changes.push(FieldChange::secret("recipients"));
    }
    let changed = plan.changed.iter();
    field_changes.extend(changed.map(|id| FieldChange::secret(&format!("secrets.{id}"))));
    let event = authority
        .to_node_event("save-notice-settings", &node)
        .on(to_object(&node))
        .with_changes(field_changes);
    let mut changes = nodes::to_keep(&node)?;
    changes.push(entry.to_put()?);
    changes.extend(address_changes);
    changes.extend(plan.changes);
    if needs_recheck(&before, &entry.body) {
        changes.extend(recheck_changes(&node, to_time(parts.now())));
    }
    changes.push(audit::to_change(parts, event)?);
    let committed = documents::commit(parts, vec![entry.to_check()], changes).await;
    committed.map_err(|error| to_commit_error(error, &node, expected))?;
    Ok(SavedSettings {
        node: show(parts, &node).await?,
        new_secrets: plan.new_secrets,
    })
}

/// Removes the settings of a node with their secrets: all fields are inherited.
///
/// # Errors
/// 404 for a node outside of the administrator's, or without settings; 412 if the settings have another version.
pub async fn remove(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    node: &Hierarchy,
    expected: Option<u64>,
) -> Result<(), WebError> {
    let node = find_spelling(parts.store(), node).await?;
    authority.check_node(&node)?;
    let document = load(parts, &node).await?;
    check_version(version(document.as_ref()), expected)?;
    let document = document.ok_or_else(WebError::not_found)?;
    let before = read_level(&document).map(|level| level.settings);
    let before = before.unwrap_or_default();
    let after = NoticeSettings::default();
    let event = authority
        .to_node_event("remove-notice-settings", &node)
        .on(to_object(&node))
        .with_changes(find_changes(&before, &after)?);
    let mut changes = vec![
        Change::Delete(document.reference.clone()),
        audit::to_change(parts, event)?,
    ];
    if needs_recheck(&before, &after) {
        changes.extend(recheck_changes(&node, to_time(parts.now())));
    }
    let check = Check::Version(document.reference, document.version);
    let committed = documents::commit(parts, vec![check], changes).await;
    committed.map_err(|error| to_commit_error(error, &node, expected))
}

/// Checks settings as [`save`] does, and changes nothing.
pub(super) async fn check(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    rules: Rules,
    node: &Hierarchy,
    settings: &Value,
) -> Result<(), WebError> {
    authority.check_node(node)?;
    let document = load(parts, node).await?;
    let before = document.as_ref().and_then(|found| read_level(found).ok());
    let before = before.map(|level| level.settings).unwrap_or_default();
    let parsed = parse_all(parts, rules, node, settings, &before).await;
    parsed.map(drop)
}

/// Returns the version of a node's settings; 0 if it has none.
///
/// # Errors
/// 404 for a node outside of the administrator's.
pub(super) async fn find_version(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    node: &Hierarchy,
) -> Result<u64, WebError> {
    authority.check_node(node)?;
    Ok(version(load(parts, node).await?.as_ref()))
}

/// Parses the settings that an administrator gives, and reports all errors together.
async fn parse_all(
    parts: &AccessParts,
    rules: Rules,
    node: &Hierarchy,
    settings: &Value,
    before: &NoticeSettings,
) -> Result<NoticeSettings, WebError> {
    if settings.to_string().len() > MAX_BYTES {
        let message = format!("the settings have more than {MAX_BYTES} bytes");
        return Err(AppError::new(ErrorKind::LimitExceeded, message).into());
    }
    let mut settings = settings.clone();
    let mut errors = restore_paths(&mut settings, before);
    let parsed = parse(&settings, rules);
    let mut found = parsed.as_ref().err().cloned().unwrap_or_default();
    if let Some(notices) = &parts.options().notices {
        found.extend(check_servers(&mut settings, before, notices));
    }
    for error in found {
        if errors.iter().all(|each| each.field != error.field) {
            errors.push(error);
        }
    }
    let error = nodes::find_error(parts, node).await?;
    errors.extend(error.map(|error| field_error("hierarchy", error)));
    check_fields(errors)?;
    Ok(parsed.unwrap_or_default())
}

/// Reads the document with the settings of a node.
async fn load(parts: &AccessParts, node: &Hierarchy) -> Result<Option<Document>, StoreError> {
    let found = parts.store().get(&[reference(node)]).await?;
    Ok(found.into_iter().flatten().next())
}

fn version(document: Option<&Document>) -> u64 {
    document.map_or(0, |document| document.version)
}

/// Returns the changed fields. The paths of webhooks are not among their values.
fn find_changes(
    before: &NoticeSettings,
    after: &NoticeSettings,
) -> Result<Vec<FieldChange>, WebError> {
    let (old, new) = (to_json(&hide_paths(before))?, to_json(&hide_paths(after))?);
    let fields = new.as_object().into_iter().flatten();
    let changes = fields.filter_map(|(field, new)| {
        let old = old.get(field).cloned().unwrap_or_default();
        (old != *new).then(|| FieldChange::new(field, old, new.clone()))
    });
    Ok(changes.collect())
}

fn to_json(settings: &NoticeSettings) -> Result<Value, WebError> {
    serde_json::to_value(settings).map_err(|error| {
        let message = format!("the notice settings cannot be written: {error}");
        AppError::new(ErrorKind::Internal, message).into()
    })
}

/// Returns the settings of a node as the object of an event.
fn to_object(node: &Hierarchy) -> AuditObject {
    AuditObject::new(reference(node), node.as_str())
}

/// Compares a version with the one that the caller has read.
fn check_version(current: u64, expected: Option<u64>) -> Result<(), WebError> {
    match expected {
        Some(expected) if expected != current => Err(changed(ErrorKind::Changed)),
        _ => Ok(()),
    }
}

/// Returns the error of settings that another request has changed.
fn changed(kind: ErrorKind) -> WebError {
    let message = "the notice settings were changed in the meantime";
    let hint = "nothing was done: read them again, and repeat the change";
    AppError::new(kind, message).hint(hint).into()
}

fn to_commit_error(error: StoreError, node: &Hierarchy, expected: Option<u64>) -> WebError {
    match (error, expected) {
        (StoreError::Conflict(text), expected) => {
            tracing::debug!(%node, text, "notice settings were changed in the meantime");
            changed(match expected {
                Some(_) => ErrorKind::Changed,
                None => ErrorKind::Conflict,
            })
        }
        (error, _) => error.into(),
    }
}

pub(crate) fn to_time(timestamp: Timestamp) -> DateTime<Utc> {
    let millis = i64::try_from(timestamp.0).ok();
    millis
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

pub(crate) fn to_timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}

//! The documents that a record owns: its data syncs, schedules and shadow.

use serde_json::{Map, Value, json};

use crate::actions;
use crate::grant::Grant;
use crate::model::{RELATION, SHADOW, derived};
use crate::platform::{
    Change, Document, Environment, Failure, Key, Platform, Reference, Storage, UnixMillis,
};
use crate::record::{OwnedDocument, Record, key};
use crate::sync_schedule;
use crate::tokens::TokenUpdate;

/// The model of data syncs.
pub const DATA_SYNC: &str = "data/DataSync";
/// The model of schedules.
pub const SCHEDULE: &str = "data/Schedule";
/// The model of shadows.
pub const SHADOW_MODEL: &str = "data/SparkCustomerShadow";

/// The role of the sync of all objects, users included.
pub const SYNC_ALL: &str = "sync-all";
/// The role of the sync of roles and licenses.
pub const SYNC_ROLES_LICENSES: &str = "sync-roles-licenses";
/// The role of the sync of users.
pub const SYNC_USERS: &str = "sync-users";
/// The role of the schedule that shows the token refreshes.
pub const REFRESH_SCHEDULE: &str = Grant::Organization.refresh_schedule();
/// The role of the schedule that shows the expiry checks.
pub const EXPIRY_SCHEDULE: &str = Grant::Organization.expiry_schedule();
/// The role of the shadow.
pub const SHADOW_ROLE: &str = "shadow";

/// Random bytes of a primary key: 24 hexadecimal characters.
const PKID_BYTES: usize = 12;

enum Purpose {
    Sync(&'static [&'static str]),
    Schedule(&'static str),
}

struct DocumentTemplate {
    role: &'static str,
    // The document's name is this prefix and the customer's name, without a separator.
    prefix: &'static str,
    description: &'static str,
    purpose: Purpose,
    // Only a record with this grant owns the document.
    grant: Grant,
}

// Schedules first: the order is also the order of removal.
const TEMPLATES: &[DocumentTemplate] = &[
    DocumentTemplate {
        role: REFRESH_SCHEDULE,
        prefix: "RefreshSpark",
        description: "Refreshes the access token of the Webex organization",
        purpose: Purpose::Schedule(actions::REFRESH),
        grant: Grant::Organization,
    },
    DocumentTemplate {
        role: EXPIRY_SCHEDULE,
        prefix: "CheckExpirySpark",
        description: "Checks when the tokens of the Webex organization expire",
        purpose: Purpose::Schedule(actions::CHECK_EXPIRY),
        grant: Grant::Organization,
    },
    DocumentTemplate {
        role: Grant::WholesaleCustomers.refresh_schedule(),
        prefix: "RefreshSparkWholesaleCustomers",
        description: "Refreshes the access token for wholesale customers",
        purpose: Purpose::Schedule(actions::REFRESH),
        grant: Grant::WholesaleCustomers,
    },
    DocumentTemplate {
        role: Grant::WholesaleCustomers.expiry_schedule(),
        prefix: "CheckExpirySparkWholesaleCustomers",
        description: "Checks when the tokens for wholesale customers expire",
        purpose: Purpose::Schedule(actions::CHECK_EXPIRY),
        grant: Grant::WholesaleCustomers,
    },
    DocumentTemplate {
        role: Grant::WholesaleUsers.refresh_schedule(),
        prefix: "RefreshSparkWholesaleUsers",
        description: "Refreshes the access token for wholesale users",
        purpose: Purpose::Schedule(actions::REFRESH),
        grant: Grant::WholesaleUsers,
    },
    DocumentTemplate {
        role: Grant::WholesaleUsers.expiry_schedule(),
        prefix: "CheckExpirySparkWholesaleUsers",
        description: "Checks when the tokens for wholesale users expire",
        purpose: Purpose::Schedule(actions::CHECK_EXPIRY),
        grant: Grant::WholesaleUsers,
    },
    DocumentTemplate {
        role: SYNC_ALL,
        prefix: "SyncSpark",
        description: "Everything in the Webex organization, users included",
        // In the platform's documented order.
        purpose: Purpose::Sync(&[
            "device/spark/Organization",
            "device/spark/Role",
            "device/spark/License",
            "device/spark/WorkspaceLocation",
            "device/spark/Location",
            "device/spark/User",
            "device/spark/Place",
            "device/spark/Group",
            // Read if the record has this part of Webex.
            "device/spark/CXSite",
            "device/spark/WholesaleCustomer",
            "device/spark/WholesaleSubscriber",
        ]),
        grant: Grant::Organization,
    },
    DocumentTemplate {
        role: SYNC_ROLES_LICENSES,
        prefix: "SyncSparkRolesLicenses",
        description: "Roles and licenses of the Webex organization",
        purpose: Purpose::Sync(&["device/spark/Role", "device/spark/License"]),
        grant: Grant::Organization,
    },
    DocumentTemplate {
        role: SYNC_USERS,
        prefix: "SyncSparkUsers",
        description: "Users of the Webex organization",
        purpose: Purpose::Sync(&["device/spark/User"]),
        grant: Grant::Organization,
    },
];

/// The run times that a schedule shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTimes {
    /// The last run.
    pub last: Option<UnixMillis>,
    /// The next run; a schedule without a next run is not active.
    pub next: Option<UnixMillis>,
}

/// Assigns a new record its owned documents: syncs and schedules, and a shadow if its fields name
/// one.
pub fn plan(record: &mut Record, environment: &dyn Environment) {
    record.body.owned_documents = TEMPLATES
        .iter()
        .filter(|template| record.grants().contains(&template.grant))
        .map(|template| OwnedDocument {
            model: template.model().to_owned(),
            pkid: new_pkid(environment),
            name: template.name(record.name()),
            role: template.role.to_owned(),
        })
        .collect();
    if let Some(name) = shadow_name(record) {
        let shadow = new_shadow(name.to_owned(), environment);
        record.body.owned_documents.push(shadow);
    }
}

/// Returns the changes that create the owned documents of a new record. `refresh` and `expiry` are
/// the run times of the organization's two schedules.
pub fn creation_changes(record: &Record, refresh: RunTimes, expiry: RunTimes) -> Vec<Change> {
    record
        .body
        .owned_documents
        .iter()
        .map(|owned| {
            let times = match owned.role.as_str() {
                REFRESH_SCHEDULE => refresh,
                EXPIRY_SCHEDULE => expiry,
                _ => RunTimes::default(),
            };
            let body = new_body(record, owned, times);
            Change::Put(document(record, owned, &body))
        })
        .collect()
}

/// A stored schedule of a record, read in advance so that it can be updated without another read.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSchedule {
    role: &'static str,
    body: Option<Map<String, Value>>,
}

impl StoredSchedule {
    /// Reads the schedule of `role`.
    ///
    /// # Errors
    /// Storage errors; `internal` when the document cannot be parsed.
    pub fn read(
        storage: &dyn Storage,
        record: &Record,
        role: &'static str,
    ) -> Result<Self, Failure> {
        let body = match record.owned_document(role) {
            Some(owned) => stored_body(storage, owned)?,
            None => None,
        };
        Ok(Self { role, body })
    }

    /// Reads both schedules of `grant`, in one request: refresh and expiry.
    ///
    /// # Errors
    /// Errors of [`read`](Self::read).
    pub fn read_both(
        storage: &dyn Storage,
        record: &Record,
        grant: Grant,
    ) -> Result<[Self; 2], Failure> {
        let roles = [grant.refresh_schedule(), grant.expiry_schedule()];
        let owned = roles.map(|role| record.owned_document(role));
        let references: Vec<Reference> = owned
            .iter()
            .flatten()
            .map(|owned| owned.reference())
            .collect();
        let mut found = match references.is_empty() {
            true => Vec::new(),
            false => storage.get_many(&references)?,
        }
        .into_iter();
        let [refresh, expiry] = owned.map(|owned| match owned {
            Some(_) => found.next().flatten().map(parse_body).transpose(),
            None => Ok(None),
        });
        let [refresh_role, expiry_role] = roles;
        Ok([
            Self {
                role: refresh_role,
                body: refresh?,
            },
            Self {
                role: expiry_role,
                body: expiry?,
            },
        ])
    }

    /// Returns the change that updates the schedule. `None` when the schedule is up to date, or the
    /// record has no such document. `executed` is the time of a run that has just happened.
    pub fn reschedule(
        &self,
        record: &Record,
        executed: Option<UnixMillis>,
        next: Option<UnixMillis>,
    ) -> Option<Change> {
        let owned = record.owned_document(self.role)?;
        let mut body = match &self.body {
            Some(body) => body.clone(),
            // The document was deleted by another client, and the connection still needs it.
            None => new_body(record, owned, RunTimes::default()),
        };
        if let Some(executed) = executed {
            body.insert(
                "last_executed".to_owned(),
                derived::format_timestamp(executed).into(),
            );
        }
        // A rename in the same commit is not stored yet.
        body.insert("name".to_owned(), owned.name.as_str().into());
        set_next(&mut body, next);
        let changed = self.body.as_ref() != Some(&body);
        changed.then(|| Change::Put(document(record, owned, &body)))
    }
}

/// Reads the schedule of `role` and updates it as [`StoredSchedule::reschedule`] does.
///
/// # Errors
/// Errors of [`StoredSchedule::read`].
pub fn reschedule(
    storage: &dyn Storage,
    record: &Record,
    role: &'static str,
    executed: Option<UnixMillis>,
    next: Option<UnixMillis>,
) -> Result<Option<Change>, Failure> {
    let stored = StoredSchedule::read(storage, record, role)?;
    Ok(stored.reschedule(record, executed, next))
}

/// Updates both schedules of `grant` after new tokens. Without a next expiry check, that schedule keeps
/// the present one.
///
/// # Errors
/// Errors of [`StoredSchedule::read`].
pub fn reschedule_grant(
    storage: &dyn Storage,
    record: &Record,
    grant: Grant,
    update: &TokenUpdate,
) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    for (role, next) in [
        (grant.refresh_schedule(), Some(update.next_refresh)),
        (grant.expiry_schedule(), update.next_check),
    ] {
        if next.is_some() {
            changes.extend(reschedule(storage, record, role, None, next)?);
        }
    }
    Ok(changes)
}

/// Updates the names of the owned documents, and of the schedules of its data syncs, after a change of the record's
/// name or shadow. Returns the changes to commit besides the record. Other edits of an administrator in these documents are
/// kept.
pub fn sync_names(record: &mut Record, platform: &dyn Platform) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let mut documents = std::mem::take(&mut record.body.owned_documents);
    let mut shadow = shadow_name(record).map(str::to_owned);
    let mut removed = Vec::new();
    let mut renamed = Vec::new();
    for owned in &mut documents {
        let name = if owned.role == SHADOW_ROLE {
            match shadow.take() {
                Some(name) => name,
                None => {
                    removed.push(owned.reference());
                    continue;
                }
            }
        } else {
            match TEMPLATES
                .iter()
                .find(|template| template.role == owned.role)
            {
                Some(template) => template.name(record.name()),
                None => continue,
            }
        };
        if owned.name == name {
            continue;
        }
        owned.name.clone_from(&name);
        if owned.model == DATA_SYNC {
            renamed.push((owned.pkid.clone(), name.clone()));
        }
        let mut body = match stored_body(platform, owned)? {
            Some(body) => body,
            None => new_body(record, owned, RunTimes::default()),
        };
        body.insert("name".to_owned(), name.into());
        changes.push(Change::Put(document(record, owned, &body)));
    }
    documents.retain(|owned| !removed.contains(&owned.reference()));
    changes.extend(removed.into_iter().map(Change::Delete));
    if let Some(name) = shadow {
        let owned = new_shadow(name, platform);
        let body = new_body(record, &owned, RunTimes::default());
        changes.push(Change::Put(document(record, &owned, &body)));
        documents.push(owned);
    }
    record.body.owned_documents = documents;
    changes.extend(sync_schedule::rename_changes(platform, record, &renamed)?);
    Ok(changes)
}

impl DocumentTemplate {
    fn model(&self) -> &'static str {
        match self.purpose {
            Purpose::Sync(_) => DATA_SYNC,
            Purpose::Schedule(_) => SCHEDULE,
        }
    }

    fn name(&self, customer: &str) -> String {
        format!("{}{customer}", self.prefix)
    }
}

fn new_shadow(name: String, environment: &dyn Environment) -> OwnedDocument {
    OwnedDocument {
        model: SHADOW_MODEL.to_owned(),
        pkid: new_pkid(environment),
        name,
        role: SHADOW_ROLE.to_owned(),
    }
}

/// Creates a random primary key: 24 lower-case hexadecimal characters.
pub fn new_pkid(environment: &dyn Environment) -> String {
    let bytes = environment.random(PKID_BYTES);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shadow_name(record: &Record) -> Option<&str> {
    let shadows = record.body.fields.get(SHADOW)?.as_array()?;
    shadows.first()?.get("name")?.as_str()
}

/// Returns the name of the record's data sync of `role`, if every record has one.
pub fn data_sync_name(record: &Record, role: &str) -> Option<String> {
    let mut templates = TEMPLATES.iter();
    let template = templates.find(|each| each.role == role && each.model() == DATA_SYNC)?;
    Some(template.name(record.name()))
}

/// Returns the body with which an owned document is created.
pub fn default_body(record: &Record, owned: &OwnedDocument) -> Value {
    Value::Object(new_body(record, owned, RunTimes::default()))
}

fn new_body(record: &Record, owned: &OwnedDocument, times: RunTimes) -> Map<String, Value> {
    let template = TEMPLATES
        .iter()
        .find(|template| template.role == owned.role);
    let value = match template.map(|template| (template, &template.purpose)) {
        None => json!({ "name": owned.name, "owner": record.pkid }),
        Some((template, Purpose::Sync(models))) => json!({
            "name": owned.name,
            "owner": record.pkid,
            "description": template.description,
            "device_type": "Spark",
            "sync_type": "pull",
            "refresh_existing_data": true,
            "model_type_list": models,
            "model_instance_filter": null,
            "disabled_operations": [],
        }),
        Some((template, Purpose::Schedule(action))) => json!({
            "name": owned.name,
            "owner": record.pkid,
            "description": template.description,
            "schedule_type": "Multi Execution",
            "active": false,
            "last_executed": times.last.map(derived::format_timestamp),
            "scheduled_resources": [{
                "action": "execute",
                "resource_type": RELATION,
                "resource_attribute": "pkid",
                "resource_instance": record.pkid,
                "perform_action": action,
            }],
            "single_execute": null,
            "multi_execute": null,
        }),
    };
    let mut body = match value {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    if let Some(template) = template.filter(|template| template.grant != Grant::Organization) {
        body.insert("grant".to_owned(), template.grant.as_str().into());
    }
    if owned.model == SCHEDULE {
        set_next(&mut body, times.next);
    }
    body
}

fn set_next(body: &mut Map<String, Value>, next: Option<UnixMillis>) {
    body.insert("active".to_owned(), next.is_some().into());
    let next = next.map(|next| json!({ "next": derived::format_timestamp(next) }));
    body.insert("multi_execute".to_owned(), next.unwrap_or(Value::Null));
}

fn stored_body(
    storage: &dyn Storage,
    owned: &OwnedDocument,
) -> Result<Option<Map<String, Value>>, Failure> {
    let document = storage.get(&owned.reference())?;
    document.map(parse_body).transpose()
}

fn parse_body(document: Document) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&document.body).map_err(|error| {
        let reference = document.reference;
        Failure::Internal(format!("the stored {reference} cannot be read: {error}"))
    })
}

fn document(record: &Record, owned: &OwnedDocument, body: &Map<String, Value>) -> Document {
    Document {
        reference: Reference::new(&owned.model, &owned.pkid),
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body: Value::Object(body.clone()).to_string(),
        keys: [
            Key::new(key::NAME, &owned.name),
            Key::new(key::OWNER, &record.pkid),
        ]
        .into_iter()
        .filter(Key::fits)
        .collect(),
    }
}

#[cfg(test)]
#[path = "owned_documents_tests.rs"]
mod tests;

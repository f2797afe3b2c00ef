//! The documents that belong to a record: its data syncs, schedules and shadow.

use serde_json::{Map, Value, json};

use crate::grant::Grant;
use crate::model::{RELATION, SHADOW, derived};
use crate::platform::{Change, Document, Environment, Failure, Key, Reference, Storage, Timestamp};
use crate::record::{Part, Record, key};
use crate::workflows::describe::{EXPIRY_ACTION, REFRESH_ACTION};

/// The model of data syncs.
pub const DATA_SYNC: &str = "data/DataSync";
/// The model of schedules.
pub const SCHEDULE: &str = "data/Schedule";
/// The model of shadows.
pub const SHADOW_MODEL: &str = "data/SparkCustomerShadow";

/// The role of the sync of everything, users included.
pub const SYNC_ALL: &str = "sync-all";
/// The role of the sync of roles and licences.
pub const SYNC_ROLES_LICENSES: &str = "sync-roles-licenses";
/// The role of the sync of users.
pub const SYNC_USERS: &str = "sync-users";
/// The role of the schedule that refreshes the access token.
pub const REFRESH_SCHEDULE: &str = Grant::Organization.refresh_schedule();
/// The role of the schedule that checks the expiries.
pub const EXPIRY_SCHEDULE: &str = Grant::Organization.expiry_schedule();
/// The role of the shadow.
pub const SHADOW_ROLE: &str = "shadow";

/// Random bytes of a primary key: 24 hexadecimal characters.
const PKID_BYTES: usize = 12;

enum Purpose {
    Sync(&'static [&'static str]),
    Schedule(&'static str),
}

struct Plan {
    role: &'static str,
    // The part is called by this and the customer's name, with nothing between.
    prefix: &'static str,
    description: &'static str,
    purpose: Purpose,
    // Only a record that has this grant has the part.
    grant: Grant,
}

// Schedules first: it is also the order of removal.
const PLANS: &[Plan] = &[
    Plan {
        role: REFRESH_SCHEDULE,
        prefix: "RefreshSpark",
        description: "Refreshes the access token of the Webex organization",
        purpose: Purpose::Schedule(REFRESH_ACTION),
        grant: Grant::Organization,
    },
    Plan {
        role: EXPIRY_SCHEDULE,
        prefix: "CheckExpirySpark",
        description: "Checks when the tokens of the Webex organization expire",
        purpose: Purpose::Schedule(EXPIRY_ACTION),
        grant: Grant::Organization,
    },
    Plan {
        role: Grant::WholesaleCustomers.refresh_schedule(),
        prefix: "RefreshSparkWholesaleCustomers",
        description: "Refreshes the access token for wholesale customers",
        purpose: Purpose::Schedule(REFRESH_ACTION),
        grant: Grant::WholesaleCustomers,
    },
    Plan {
        role: Grant::WholesaleCustomers.expiry_schedule(),
        prefix: "CheckExpirySparkWholesaleCustomers",
        description: "Checks when the tokens for wholesale customers expire",
        purpose: Purpose::Schedule(EXPIRY_ACTION),
        grant: Grant::WholesaleCustomers,
    },
    Plan {
        role: Grant::WholesaleUsers.refresh_schedule(),
        prefix: "RefreshSparkWholesaleUsers",
        description: "Refreshes the access token for wholesale users",
        purpose: Purpose::Schedule(REFRESH_ACTION),
        grant: Grant::WholesaleUsers,
    },
    Plan {
        role: Grant::WholesaleUsers.expiry_schedule(),
        prefix: "CheckExpirySparkWholesaleUsers",
        description: "Checks when the tokens for wholesale users expire",
        purpose: Purpose::Schedule(EXPIRY_ACTION),
        grant: Grant::WholesaleUsers,
    },
    Plan {
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
        ]),
        grant: Grant::Organization,
    },
    Plan {
        role: SYNC_ROLES_LICENSES,
        prefix: "SyncSparkRolesLicenses",
        description: "Roles and licenses of the Webex organization",
        purpose: Purpose::Sync(&["device/spark/Role", "device/spark/License"]),
        grant: Grant::Organization,
    },
    Plan {
        role: SYNC_USERS,
        prefix: "SyncSparkUsers",
        description: "Users of the Webex organization",
        purpose: Purpose::Sync(&["device/spark/User"]),
        grant: Grant::Organization,
    },
];

/// When a schedule ran and will run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The last run.
    pub last: Option<Timestamp>,
    /// The next run; a schedule without one is not active.
    pub next: Option<Timestamp>,
}

/// Gives a new record its parts: syncs and schedules, and a shadow when its fields have one.
pub fn plan(record: &mut Record, environment: &(impl Environment + ?Sized)) {
    record.body.parts = PLANS
        .iter()
        .filter(|plan| record.grants().contains(&plan.grant))
        .map(|plan| Part {
            model: plan.model().to_owned(),
            pkid: new_pkid(environment),
            name: plan.name(record.name()),
            role: plan.role.to_owned(),
        })
        .collect();
    if let Some(name) = shadow_name(record) {
        let shadow = new_shadow(name.to_owned(), environment);
        record.body.parts.push(shadow);
    }
}

/// The changes that create every part of a new record; `refresh` and `expiry` are the times of
/// the organisation's two schedules.
pub fn creation(record: &Record, refresh: Times, expiry: Times) -> Vec<Change> {
    record
        .body
        .parts
        .iter()
        .map(|part| {
            let times = match part.role.as_str() {
                REFRESH_SCHEDULE => refresh,
                EXPIRY_SCHEDULE => expiry,
                _ => Times::default(),
            };
            let body = new_body(record, part, times);
            Change::Put(document(record, part, &body))
        })
        .collect()
}

/// A schedule of a record as it is stored, to be brought up to date without asking the store again.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    role: &'static str,
    body: Option<Map<String, Value>>,
}

impl Stored {
    /// Reads the schedule of `role`.
    ///
    /// # Errors
    /// Those of the storage; `internal` when the document cannot be read.
    pub fn read(
        storage: &(impl Storage + ?Sized),
        record: &Record,
        role: &'static str,
    ) -> Result<Self, Failure> {
        let body = match record.part(role) {
            Some(part) => stored_body(storage, part)?,
            None => None,
        };
        Ok(Self { role, body })
    }

    /// The change that brings it up to date; none when it is already, or the record has no such
    /// part. `executed` is the moment of a run that has just happened.
    pub fn reschedule(
        &self,
        record: &Record,
        executed: Option<Timestamp>,
        next: Option<Timestamp>,
    ) -> Option<Change> {
        let part = record.part(self.role)?;
        let mut body = match &self.body {
            Some(body) => body.clone(),
            // Somebody took the document away, and the connection still needs it.
            None => new_body(record, part, Times::default()),
        };
        if let Some(executed) = executed {
            body.insert(
                "last_executed".to_owned(),
                derived::format_timestamp(executed).into(),
            );
        }
        // A rename in the same commit is not stored yet.
        body.insert("name".to_owned(), part.name.as_str().into());
        set_next(&mut body, next);
        let changed = self.body.as_ref() != Some(&body);
        changed.then(|| Change::Put(document(record, part, &body)))
    }
}

/// As [`Stored::reschedule`], of what is stored now.
///
/// # Errors
/// Those of [`Stored::read`].
pub fn reschedule(
    storage: &(impl Storage + ?Sized),
    record: &Record,
    role: &'static str,
    executed: Option<Timestamp>,
    next: Option<Timestamp>,
) -> Result<Option<Change>, Failure> {
    let stored = Stored::read(storage, record, role)?;
    Ok(stored.reschedule(record, executed, next))
}

/// Makes the parts follow the record's name and shadow, and says what has to change besides the
/// record itself. What an administrator changed in a part's document otherwise is kept.
pub fn follow(
    record: &mut Record,
    platform: &(impl Storage + Environment + ?Sized),
) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let mut parts = std::mem::take(&mut record.body.parts);
    let mut shadow = shadow_name(record).map(str::to_owned);
    let mut gone = Vec::new();
    for part in &mut parts {
        let name = if part.role == SHADOW_ROLE {
            match shadow.take() {
                Some(name) => name,
                None => {
                    gone.push(part.reference());
                    continue;
                }
            }
        } else {
            match PLANS.iter().find(|plan| plan.role == part.role) {
                Some(plan) => plan.name(record.name()),
                None => continue,
            }
        };
        if part.name == name {
            continue;
        }
        part.name.clone_from(&name);
        let mut body = match stored_body(platform, part)? {
            Some(body) => body,
            None => new_body(record, part, Times::default()),
        };
        body.insert("name".to_owned(), name.into());
        changes.push(Change::Put(document(record, part, &body)));
    }
    parts.retain(|part| !gone.contains(&part.reference()));
    changes.extend(gone.into_iter().map(Change::Delete));
    if let Some(name) = shadow {
        let part = new_shadow(name, platform);
        let body = new_body(record, &part, Times::default());
        changes.push(Change::Put(document(record, &part, &body)));
        parts.push(part);
    }
    record.body.parts = parts;
    Ok(changes)
}

impl Plan {
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

fn new_shadow(name: String, environment: &(impl Environment + ?Sized)) -> Part {
    Part {
        model: SHADOW_MODEL.to_owned(),
        pkid: new_pkid(environment),
        name,
        role: SHADOW_ROLE.to_owned(),
    }
}

/// A primary key for a new document: 24 lower-case hexadecimal characters, by chance.
pub fn new_pkid(environment: &(impl Environment + ?Sized)) -> String {
    let bytes = environment.random(PKID_BYTES);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shadow_name(record: &Record) -> Option<&str> {
    let shadows = record.body.fields.get(SHADOW)?.as_array()?;
    shadows.first()?.get("name")?.as_str()
}

fn new_body(record: &Record, part: &Part, times: Times) -> Map<String, Value> {
    let plan = PLANS.iter().find(|plan| plan.role == part.role);
    let value = match plan.map(|plan| (plan, &plan.purpose)) {
        None => json!({ "name": part.name, "owner": record.pkid }),
        Some((plan, Purpose::Sync(models))) => json!({
            "name": part.name,
            "owner": record.pkid,
            "description": plan.description,
            "device_type": "Spark",
            "sync_type": "pull",
            "refresh_existing_data": true,
            "model_type_list": models,
            "model_instance_filter": null,
            "disabled_operations": [],
        }),
        Some((plan, Purpose::Schedule(action))) => json!({
            "name": part.name,
            "owner": record.pkid,
            "description": plan.description,
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
    if let Some(plan) = plan.filter(|plan| plan.grant != Grant::Organization) {
        body.insert("grant".to_owned(), plan.grant.as_str().into());
    }
    if part.model == SCHEDULE {
        set_next(&mut body, times.next);
    }
    body
}

fn set_next(body: &mut Map<String, Value>, next: Option<Timestamp>) {
    body.insert("active".to_owned(), next.is_some().into());
    let next = next.map(|next| json!({ "next": derived::format_timestamp(next) }));
    body.insert("multi_execute".to_owned(), next.unwrap_or(Value::Null));
}

fn stored_body(
    storage: &(impl Storage + ?Sized),
    part: &Part,
) -> Result<Option<Map<String, Value>>, Failure> {
    let Some(document) = storage.get(&part.reference())? else {
        return Ok(None);
    };
    serde_json::from_str(&document.body)
        .map(Some)
        .map_err(|error| {
            let reference = document.reference;
            Failure::Internal(format!("the stored {reference} cannot be read: {error}"))
        })
}

fn document(record: &Record, part: &Part, body: &Map<String, Value>) -> Document {
    Document {
        reference: Reference::new(&part.model, &part.pkid),
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body: Value::Object(body.clone()).to_string(),
        keys: [
            Key::new(key::NAME, &part.name),
            Key::new(key::OWNER, &record.pkid),
        ]
        .into_iter()
        .filter(Key::fits)
        .collect(),
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;

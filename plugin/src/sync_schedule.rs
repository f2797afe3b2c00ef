//! Schedules of data syncs: documents of `data/Schedule` that an administrator has put on a data sync, and their
//! wakeups.

use serde_json::{Map, Value, json};

use crate::model::derived::{format_timestamp, parse_timestamp};
use crate::owned_documents::{DATA_SYNC, SCHEDULE};
use crate::platform::{
    Change, Check, Document, Failure, Key, Reference, Storage, UnixMillis, VersionCheck, Wakeup,
    is_pkid,
};
use crate::record::{Record, key};
use crate::recurrence::{DEFAULT_ZONE, Interval, LocalTime, Recurrence, Zone};
use crate::workflows::sync::{DocumentId, StoredSync, wakeup_suffix};

/// The kind of the wakeups of schedules. The id continues with a full stop and the role of the data sync, without
/// `sync-`, or its primary key.
const WAKEUP_KIND: &str = "schedule";
/// The beginning of a schedule's name, which continues with the name of the data sync.
const NAME_PREFIX: &str = "Schedule";
/// The schedule type of one occurrence, and the member with its times.
const SINGLE: (&str, &str) = ("Single Execution", "single_execute");
/// The schedule type of several occurrences, and the member with their times.
const MULTI: (&str, &str) = ("Multi Execution", "multi_execute");

/// The stored schedule of a data sync. A data sync has at most one.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncSchedule {
    // The primary key of the data sync.
    sync: String,
    body: Map<String, Value>,
    // The version of the document; 0: not stored yet.
    version: u64,
}

impl SyncSchedule {
    /// Creates the schedule of `sync` with the occurrences `recurrence`, the next of them at `next`. Replaces
    /// `earlier`, whose last run is kept.
    pub fn new(
        record: &Record,
        sync: &StoredSync,
        recurrence: &Recurrence,
        next: UnixMillis,
        earlier: Option<&Self>,
    ) -> Self {
        let (schedule_type, member) = match recurrence.every {
            Some(_) => MULTI,
            None => SINGLE,
        };
        let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
        let mut times = Map::new();
        times.insert("start".to_owned(), recurrence.start.to_string().into());
        if let Some(every) = recurrence.every {
            times.insert("every".to_owned(), every.to_string().into());
            let until = recurrence.until.map(|until| until.to_string());
            times.insert("until".to_owned(), text(until));
        }
        let last = earlier.and_then(|earlier| earlier.body.get("last_executed").cloned());
        let mut body = Map::new();
        for (name, value) in [
            ("name", format!("{NAME_PREFIX}{}", sync.name).into()),
            ("owner", record.pkid.as_str().into()),
            ("description", "Executes the data sync".into()),
            ("schedule_type", schedule_type.into()),
            ("active", true.into()),
            ("last_executed", last.unwrap_or(Value::Null)),
            ("time_zone", recurrence.zone.to_string().into()),
            (
                "scheduled_resources",
                json!([{
                    "action": "execute",
                    "resource_type": DATA_SYNC,
                    "resource_attribute": "pkid",
                    "resource_instance": sync.pkid,
                    "perform_action": "execute",
                }]),
            ),
            (SINGLE.1, Value::Null),
            (MULTI.1, Value::Null),
            (member, times.into()),
        ] {
            body.insert(name.to_owned(), value);
        }
        let mut schedule = Self {
            sync: sync.pkid.clone(),
            body,
            version: earlier.map_or(0, |earlier| earlier.version),
        };
        schedule.set_next(Some(next));
        schedule
    }

    /// Reads the schedule of the data sync with the primary key `sync`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn read(
        storage: &dyn Storage,
        record: &Record,
        sync: &str,
    ) -> Result<Option<Self>, Failure> {
        let document = storage.get(&reference(record, sync))?;
        Ok(document.map(|document| Self::from_document(sync, &document)))
    }

    fn from_document(sync: &str, document: &Document) -> Self {
        Self {
            sync: sync.to_owned(),
            // A document that another client has made unreadable has no occurrence.
            body: serde_json::from_str(&document.body).unwrap_or_default(),
            version: document.version,
        }
    }

    /// Returns the occurrences.
    ///
    /// # Errors
    /// The document's member that cannot be used, and why.
    pub fn recurrence(&self) -> Result<Recurrence, String> {
        let times = self.times().ok_or("has no times")?;
        let text = |name: &str| times.get(name).and_then(Value::as_str);
        let of_member = |name: &'static str| move |error: String| format!("{name} {error}");
        let zone = self.body.get("time_zone").and_then(Value::as_str);
        let every = text("every").map(str::parse::<Interval>).transpose();
        let until = text("until").map(str::parse::<LocalTime>).transpose();
        Ok(Recurrence {
            start: text("start")
                .unwrap_or_default()
                .parse()
                .map_err(of_member("start"))?,
            zone: Zone::find(zone.unwrap_or(DEFAULT_ZONE)).map_err(of_member("time_zone"))?,
            every: every.map_err(of_member("every"))?,
            until: until.map_err(of_member("until"))?,
        })
    }

    /// Returns the time of the next run; none if the schedule is not active.
    pub fn next(&self) -> Option<UnixMillis> {
        let is_active = self.body.get("active").and_then(Value::as_bool);
        let next = self.times()?.get("next")?.as_str()?;
        parse_timestamp(next).filter(|_| is_active == Some(true))
    }

    /// Sets the time of the last run.
    pub fn set_last_executed(&mut self, time: UnixMillis) {
        let time = format_timestamp(time);
        self.body.insert("last_executed".to_owned(), time.into());
    }

    /// Sets the time of the next run; a schedule without one is not active.
    pub fn set_next(&mut self, next: Option<UnixMillis>) {
        self.body.insert("active".to_owned(), next.is_some().into());
        let next = next.map_or(Value::Null, |next| format_timestamp(next).into());
        for (_, member) in [SINGLE, MULTI] {
            if let Some(Value::Object(times)) = self.body.get_mut(member) {
                times.insert("next".to_owned(), next.clone());
            }
        }
    }

    /// Returns the check that the document is as it was read, and the changes that store it with its wakeup.
    pub fn to_commit(&self, record: &Record) -> (Check, [Change; 2]) {
        let reference = reference(record, &self.sync);
        let check = match self.version {
            0 => Check::Absent(reference.clone()),
            version => Check::Version(VersionCheck {
                reference: reference.clone(),
                version,
            }),
        };
        let name = self.body.get("name").and_then(Value::as_str);
        let keys = [
            Key::new(key::NAME, name.unwrap_or_default()),
            Key::new(key::OWNER, &record.pkid),
        ];
        let document = Document {
            reference,
            hierarchy: record.hierarchy.clone(),
            version: 0,
            body: Value::Object(self.body.clone()).to_string(),
            keys: keys.into_iter().filter(Key::fits).collect(),
        };
        let id = wakeup_id(record, &self.sync);
        let wakeup = match self.next() {
            None => Change::Cancel(record.reference(), id),
            Some(next) => Change::Schedule(Wakeup {
                id,
                subject: record.reference(),
                due: next.0,
                deadline: None,
                payload: self.sync.clone(),
            }),
        };
        (check, [Change::Put(document), wakeup])
    }

    fn times(&self) -> Option<&Map<String, Value>> {
        let schedule_type = self.body.get("schedule_type").and_then(Value::as_str);
        let mut types = [SINGLE, MULTI].into_iter();
        let (_, member) = types.find(|(name, _)| Some(*name) == schedule_type)?;
        self.body.get(member)?.as_object()
    }
}

/// Returns the changes that remove the schedule of the data sync with the primary key `sync`, and its wakeup.
pub fn removal_changes(record: &Record, sync: &str) -> [Change; 2] {
    [
        Change::Delete(reference(record, sync)),
        Change::Cancel(record.reference(), wakeup_id(record, sync)),
    ]
}

/// Returns the changes that rename the schedules of renamed data syncs, given by primary key and new name.
///
/// # Errors
/// Storage errors.
pub fn rename_changes(
    storage: &dyn Storage,
    record: &Record,
    renamed: &[(String, String)],
) -> Result<Vec<Change>, Failure> {
    if renamed.is_empty() {
        return Ok(Vec::new());
    }
    let syncs = renamed.iter().map(|(sync, _)| reference(record, sync));
    let stored = storage.get_many(&syncs.collect::<Vec<_>>())?;
    let mut changes = Vec::new();
    for ((sync, name), document) in renamed.iter().zip(stored) {
        if let Some(document) = document {
            let mut schedule = SyncSchedule::from_document(sync, &document);
            let name = format!("{NAME_PREFIX}{name}");
            schedule.body.insert("name".to_owned(), name.into());
            let (_, [put, _]) = schedule.to_commit(record);
            changes.push(put);
        }
    }
    Ok(changes)
}

/// Returns the primary key of the data sync whose schedule has the wakeup `wakeup`.
pub fn from_wakeup(wakeup: &Wakeup) -> Option<&str> {
    let has_kind = wakeup.id.split('.').next() == Some(WAKEUP_KIND);
    (has_kind && is_pkid(&wakeup.payload)).then_some(&wakeup.payload)
}

/// Returns the reference to the schedule of the data sync with the primary key `sync`.
pub fn reference(record: &Record, sync: &str) -> Reference {
    let id = DocumentId::derive(&record.pkid, SCHEDULE, sync);
    Reference::new(SCHEDULE, id.to_string())
}

/// Returns the id of the wakeup of the schedule of the data sync with the primary key `sync`.
pub fn wakeup_id(record: &Record, sync: &str) -> String {
    format!("{WAKEUP_KIND}.{}", wakeup_suffix(record, sync))
}

//! The data syncs of a record with their schedules, as its documents have them.

use std::time::UNIX_EPOCH;

use relation_host::reports::RecordDetails;
use relation_host::store::Store;
use relation_host::types::{Document, Filter, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AppError, alerts};

/// The model of data syncs.
const DATA_SYNC: &str = "data/DataSync";
/// The model of schedules.
const SCHEDULE: &str = "data/Schedule";
/// The maximum number of documents of a model that are read. The plugin permits fewer.
const MAX_DOCUMENTS: u32 = 1000;

/// A data sync of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataSyncRow {
    /// The primary key.
    pub pkid: String,
    /// The name.
    pub name: String,
    /// The role of a data sync that every record has; `None`: an administrator has added it.
    pub role: Option<String>,
    /// The sync type, such as `pull`.
    pub sync_type: Option<String>,
    /// The models, in the order of the import.
    pub models: Vec<String>,
    /// The schedule, if there is one.
    pub schedule: Option<ScheduleRow>,
}

/// The schedule of a data sync. `start` and `until` are local times of the time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleRow {
    /// The primary key.
    pub pkid: String,
    /// Whether there is another run.
    pub active: bool,
    /// The name of the time zone.
    pub time_zone: String,
    /// The first run.
    pub start: String,
    /// The time between two runs; `None`: there is one run.
    pub every: Option<String>,
    /// The end of the runs.
    pub until: Option<String>,
    /// The last run.
    pub last_executed: Option<Timestamp>,
    /// The next run.
    pub next: Option<Timestamp>,
}

/// The members of a data sync that are shown. Members that cannot be read are left out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DataSyncBody {
    name: Value,
    sync_type: Value,
    model_type_list: Value,
}

/// The members of a schedule that are shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ScheduleBody {
    active: Value,
    last_executed: Value,
    time_zone: Value,
    scheduled_resources: Value,
    single_execute: Value,
    multi_execute: Value,
}

/// Lists the data syncs of `record`: those that every record has, then the others by name.
///
/// # Errors
/// The store cannot be read.
pub async fn list(store: &dyn Store, record: &RecordDetails) -> Result<Vec<DataSyncRow>, AppError> {
    let mut schedules: Vec<(String, ScheduleRow)> = read(store, record, SCHEDULE)
        .await?
        .iter()
        .filter_map(parse_schedule)
        .collect();
    let owned = &record.owned_documents;
    let position = |pkid: &str| {
        let mut owned = owned.iter();
        owned.position(|owned| owned.reference.pkid.as_str() == pkid)
    };
    let documents = read(store, record, DATA_SYNC).await?;
    let rows = documents.iter().filter_map(|document| {
        let body: DataSyncBody = serde_json::from_str(&document.body).ok()?;
        let pkid = document.reference.pkid.to_string();
        let role = position(&pkid).and_then(|position| owned.get(position));
        let models = body.model_type_list.as_array();
        let models = models.into_iter().flatten().filter_map(to_text).collect();
        let schedule = schedules.iter().position(|(sync, _)| *sync == pkid);
        Some(DataSyncRow {
            name: to_text(&body.name).unwrap_or_default(),
            role: role.map(|owned| owned.role.clone()),
            sync_type: to_text(&body.sync_type),
            models,
            schedule: schedule.map(|position| schedules.swap_remove(position).1),
            pkid,
        })
    });
    let mut rows: Vec<DataSyncRow> = rows.collect();
    rows.sort_by_cached_key(|row| {
        let position = position(&row.pkid).unwrap_or(usize::MAX);
        (position, row.name.clone())
    });
    Ok(rows)
}

async fn read(
    store: &dyn Store,
    record: &RecordDetails,
    model: &str,
) -> Result<Vec<Document>, AppError> {
    let filter = Filter {
        model: model.to_owned(),
        ..alerts::filter_by_owner(record.connection.pkid.as_str())
    };
    Ok(store.find(&filter, None, MAX_DOCUMENTS).await?.items)
}

/// Reads a schedule, and the primary key of the data sync that it is for. `None` for a schedule of something else.
fn parse_schedule(document: &Document) -> Option<(String, ScheduleRow)> {
    let body: ScheduleBody = serde_json::from_str(&document.body).ok()?;
    let resource = body.scheduled_resources.get(0)?;
    if resource.get("resource_type")?.as_str() != Some(DATA_SYNC) {
        return None;
    }
    let sync = to_text(resource.get("resource_instance")?)?;
    let mut times = [&body.single_execute, &body.multi_execute].into_iter();
    let times = times.find(|times| times.is_object());
    let text = |name: &str| times.and_then(|times| to_text(times.get(name)?));
    let row = ScheduleRow {
        pkid: document.reference.pkid.to_string(),
        active: body.active.as_bool().unwrap_or_default(),
        time_zone: to_text(&body.time_zone).unwrap_or_else(|| "UTC".to_owned()),
        start: text("start").unwrap_or_default(),
        every: text("every"),
        until: text("until"),
        last_executed: to_text(&body.last_executed).and_then(|text| parse_time(&text)),
        next: text("next").and_then(|text| parse_time(&text)),
    };
    Some((sync, row))
}

fn to_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Parses RFC 3339 in UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    let time = humantime::parse_rfc3339(text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use relation_host::types::{Pkid, Reference};
    use serde_json::json;

    use super::*;

    fn schedule(body: &Value) -> Option<(String, ScheduleRow)> {
        parse_schedule(&Document {
            reference: Reference {
                model: SCHEDULE.to_owned(),
                pkid: Pkid::random(),
            },
            hierarchy: "sys.Contoso".parse().unwrap(),
            version: 1,
            body: body.to_string(),
            keys: Vec::new(),
        })
    }

    #[test]
    fn schedule_belongs_to_its_data_sync() {
        let resource = json!({"resource_type": DATA_SYNC, "resource_instance": "d0"});
        let (sync, row) = schedule(&json!({
            "active": true,
            "time_zone": "Europe/Zurich",
            "scheduled_resources": [resource],
            "last_executed": null,
            "single_execute": null,
            "multi_execute": {"start": "2026-12-01T03:00", "every": "1d", "next": "2026-12-01T02:00:00Z"},
        }))
        .unwrap();
        assert_eq!(sync, "d0");
        assert_eq!(row.every.as_deref(), Some("1d"));
        assert_eq!(row.next, Some(Timestamp(1_796_090_400_000)));
        assert_eq!(row.last_executed, None);
    }

    #[test]
    fn schedule_of_something_else_is_left_out() {
        let token = json!({"resource_type": "relation/SparkCustomer", "resource_instance": "r0"});
        for body in [
            json!({"scheduled_resources": [token]}),
            json!({"scheduled_resources": []}),
            json!({"scheduled_resources": 5}),
            json!([]),
        ] {
            assert_eq!(schedule(&body), None, "{body}");
        }
    }
}

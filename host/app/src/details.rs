//! A record with everything that belongs to it.

use relation_host::reports::RecordDetails;
use relation_host::store::{DueWakeup, Store};
use relation_host::types::{Document, Filter, Reference, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::AppError;
use crate::alerts::{self, Alert, INSTALLATION};

/// The maximum number of alerts of one record, and of the installation.
const MAX_ALERTS: u32 = 100;

/// The model of import documents.
const IMPORT_MODEL: &str = "data/SparkImport";

/// A record with everything that belongs to it.
#[derive(Debug, Serialize)]
pub struct FullRecord {
    /// The record.
    #[serde(flatten)]
    pub record: RecordDetails,
    /// The alerts of the record and of the installation.
    pub alerts: Vec<Alert>,
    /// The state of the last import.
    pub imports: Vec<Map<String, Value>>,
    /// The record's wakeups, the earliest first.
    pub wakeups: Vec<WakeupRow>,
}

/// A wakeup of a record.
#[derive(Debug, Serialize)]
pub struct WakeupRow {
    /// The name among the wakeups of the record.
    pub id: String,
    /// When the wakeup is due.
    pub due: Timestamp,
    /// The number of failed calls.
    pub attempts: u32,
}

/// Reads what belongs to `record`.
///
/// # Errors
/// The store cannot be read.
pub async fn gather(store: &dyn Store, record: RecordDetails) -> Result<FullRecord, AppError> {
    let pkid = record.connection.pkid.to_string();
    let mut found = Vec::new();
    // Alerts of the installation concern every customer.
    for owner in [pkid.as_str(), INSTALLATION] {
        let filter = alerts::filter_by_owner(owner);
        let page = alerts::read_page(store, &filter, None, MAX_ALERTS).await?;
        found.extend(page.items);
    }
    let imports = Filter {
        model: IMPORT_MODEL.to_owned(),
        ..alerts::filter_by_owner(&pkid)
    };
    let imports = store.find(&imports, None, MAX_ALERTS).await?;
    let wakeups = store
        .wakeups(&Reference::record(record.connection.pkid.clone()))
        .await?;
    Ok(FullRecord {
        alerts: found,
        imports: imports.items.iter().filter_map(parse_body).collect(),
        wakeups: wakeups.into_iter().map(wakeup_row).collect(),
        record,
    })
}

fn parse_body(document: &Document) -> Option<Map<String, Value>> {
    serde_json::from_str(&document.body).ok()
}

fn wakeup_row(due: DueWakeup) -> WakeupRow {
    WakeupRow {
        id: due.wakeup.id,
        due: due.wakeup.due,
        attempts: due.attempts,
    }
}

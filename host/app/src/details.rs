//! A record with everything that belongs to it.

use relation_host::reports::RecordDetails;
use relation_host::store::Store;
use relation_host::types::{Document, Filter, Reference};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::AppError;
use crate::alerts::{self, Alert, INSTALLATION};
use crate::data_syncs::{self, DataSyncRow};
use crate::imports::{self, FailedImport};
use crate::records::StoredRecord;
use crate::wakeups::{self, WakeupRow};

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
    /// The data syncs with their schedules.
    pub data_syncs: Vec<DataSyncRow>,
    /// The alerts of the record and of the installation.
    pub alerts: Vec<Alert>,
    /// The state of the last import.
    pub imports: Vec<Map<String, Value>>,
    /// The last import, if it failed.
    pub failed_import: Option<FailedImport>,
    /// The record's wakeups, the earliest first.
    pub wakeups: Vec<WakeupRow>,
}

/// Reads the documents that concern the record `stored`. `record` is the plugin's view of the same record.
///
/// # Errors
/// The store cannot be read.
pub async fn gather(
    store: &dyn Store,
    stored: &StoredRecord,
    record: RecordDetails,
) -> Result<FullRecord, AppError> {
    let pkid = record.connection.pkid.to_string();
    let mut found = Vec::new();
    // Alerts of the installation concern every customer.
    for owner in [pkid.as_str(), INSTALLATION] {
        let filter = alerts::filter_by_owner(owner);
        let page = alerts::read_page(store, &filter, None, MAX_ALERTS).await?;
        found.extend(page.items);
    }
    let imported = Filter {
        model: IMPORT_MODEL.to_owned(),
        ..alerts::filter_by_owner(&pkid)
    };
    let imported = store.find(&imported, None, MAX_ALERTS).await?;
    let reference = Reference::record(record.connection.pkid.clone());
    let mut rows = Vec::new();
    for due in store.wakeups(&reference).await? {
        rows.push(wakeups::to_row(store, due, Some(&record.connection)).await?);
    }
    Ok(FullRecord {
        data_syncs: data_syncs::list(store, &record).await?,
        alerts: found,
        imports: imported.items.iter().filter_map(parse_body).collect(),
        failed_import: imports::find_failed(store, stored).await?,
        wakeups: rows,
        record,
    })
}

fn parse_body(document: &Document) -> Option<Map<String, Value>> {
    serde_json::from_str(&document.body).ok()
}

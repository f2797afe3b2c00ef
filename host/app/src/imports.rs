//! Imports that failed and have not succeeded since.

use std::collections::BTreeSet;

use relation_host::reports::State;
use relation_host::store::Store;
use relation_host::transactions::{Status, Transaction, TransactionFilter};
use relation_host::types::{Hierarchy, Pkid, Reference, Timestamp};
use relation_host::wakeup_kinds;
use serde::Serialize;

use crate::AppError;
use crate::records::StoredRecord;

/// The maximum number of failed transactions that [`list_failed`] reads, the newest first.
const SCANNED: u32 = 1000;

/// The beginning of the plugin's message about a call that did nothing but wait for another import.
const WAITING: &str = "waits until ";
/// The number of a customer's transactions that are read, the newest first. At most one call of a record runs at a time, so
/// that the second one has ended. An import that waits for another one is called every 30 seconds, for up to two hours.
const NEWEST: [u32; 2] = [2, 300];

/// An import whose last call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedImport {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The customer's name.
    pub name: String,
    /// The customer's node.
    pub hierarchy: Hierarchy,
    /// The time at which the import's last call ended.
    pub at: Timestamp,
    /// The reason.
    pub message: String,
    /// The transaction that has the details.
    pub transaction: String,
    /// The time of the next attempt; `None` if a person must start the import.
    pub retry: Option<Timestamp>,
    /// The next step.
    pub hint: String,
}

impl FailedImport {
    /// Returns whether the import is not tried again until a person acts.
    pub fn needs_person(&self) -> bool {
        self.retry.is_none()
    }
}

/// Returns the last import of `record` if it failed.
///
/// # Errors
/// The store cannot be read.
pub async fn find_failed(
    store: &dyn Store,
    record: &StoredRecord,
) -> Result<Option<FailedImport>, AppError> {
    let mut last: Option<Transaction> = None;
    for action in wakeup_kinds::IMPORT_ACTIONS {
        let filter = TransactionFilter {
            subject: Some(record.reference()),
            action: Some(action.to_owned()),
            ..TransactionFilter::default()
        };
        let mut ended = None;
        for count in NEWEST {
            let newest = store.transactions(&filter, None, count).await?.items;
            let is_all = newest.len() < count as usize;
            ended = newest.into_iter().find(has_imported);
            if ended.is_some() || is_all {
                break;
            }
        }
        last = last
            .into_iter()
            .chain(ended)
            .max_by(|one, other| one.id.cmp(&other.id));
    }
    let Some(failed) = last.filter(|last| last.status == Status::Fail) else {
        return Ok(None);
    };
    let wakeups = store.wakeups(&record.reference()).await?;
    let mut wakeups = wakeups.into_iter().map(|due| due.wakeup);
    let retry = wakeups.find(|wakeup| wakeup.kind() == wakeup_kinds::SYNC);
    let needs_consent = [State::NotConnected, State::Reauthorize, State::Expired];
    let needs_consent = needs_consent.iter().any(|state| record.has_state(*state));
    let name = record.selector();
    let hint = match (&retry, needs_consent) {
        (Some(_), _) => format!(
            "correct what the reason names, if anything; `relation-host run` tries again, \
             `relation-host sync {name}` immediately"
        ),
        (None, true) => record.connect_hint(),
        (None, false) => format!("correct the cause; `relation-host sync {name}` imports again"),
    };
    Ok(Some(FailedImport {
        pkid: record.pkid.clone(),
        name: record.name().to_owned(),
        hierarchy: record.hierarchy.clone(),
        at: failed.completed.unwrap_or(failed.started),
        message: failed.message,
        transaction: failed.id,
        retry: retry.map(|wakeup| wakeup.due),
        hint,
    }))
}

/// Returns whether the call of an import has ended and not only waited.
fn has_imported(call: &Transaction) -> bool {
    let has_waited = call.status == Status::Success && call.message.starts_with(WAITING);
    call.completed.is_some() && !has_waited
}

/// Lists at most `limit` failed imports, the newest first. Reads only the newest failed transactions, so that the
/// time does not grow with the number of customers.
///
/// # Errors
/// The store cannot be read.
pub async fn list_failed(store: &dyn Store, limit: usize) -> Result<Vec<FailedImport>, AppError> {
    let filter = TransactionFilter {
        status: Some(Status::Fail),
        ..TransactionFilter::default()
    };
    let transactions = store.transactions(&filter, None, SCANNED).await?.items;
    let imports = transactions.into_iter();
    let is_import = |failed: &Transaction| {
        let action = failed.action.as_str();
        wakeup_kinds::IMPORT_ACTIONS.contains(&action)
    };
    let imports = imports.filter(is_import);
    let mut seen: BTreeSet<Reference> = BTreeSet::new();
    let mut found = Vec::new();
    for subject in imports.filter_map(|failed| failed.subject) {
        if found.len() == limit {
            break;
        }
        if !seen.insert(subject.clone()) {
            continue;
        }
        let document = store.get(&[subject]).await?.into_iter().flatten().next();
        if let Some(document) = document {
            let record = StoredRecord::from(document).with_shared_name(store).await?;
            found.extend(find_failed(store, &record).await?);
        }
    }
    Ok(found)
}

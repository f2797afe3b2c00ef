//! Reads the state of a record after a call.

use relation_host::Host;
use relation_host::store::{DueWakeup, StoreError};
use relation_host::types::{Document, Failure, Filter, Key, Pkid, Reference};
use temporalio_sdk::activities::ActivityError;

use crate::calls::{CountImported, Snapshot};
use crate::failure;

/// The keys of one search.
const PAGE: u32 = 1000;

/// Reads a record's document.
pub async fn read_document(host: &Host, pkid: &Pkid) -> Result<Option<Document>, ActivityError> {
    let reference = Reference::record(pkid.clone());
    let found = host.store().get(std::slice::from_ref(&reference)).await;
    let found = found.map_err(failure::from_error)?;
    Ok(found.into_iter().flatten().next())
}

/// Reads the state of a record. Returns `None` if the record does not exist.
pub async fn read(host: &Host, pkid: &Pkid) -> Result<Option<Snapshot>, ActivityError> {
    let Some(document) = read_document(host, pkid).await? else {
        return Ok(None);
    };
    let shown = host.show(std::slice::from_ref(&document)).await;
    let now = host.clock().now();
    let shown = shown.map_err(|error| failure::from_call(error, now))?;
    let Some(shown) = shown.into_iter().next() else {
        let text = "the plugin has shown no record".to_owned();
        return Err(failure::from_error(Failure::Internal(text)));
    };
    let connection = shown.map_err(failure::from_error)?.connection;
    let wakeups = host.store().wakeups(&document.reference).await;
    let wakeups = wakeups.map_err(failure::from_error)?;
    let next = wakeups.iter().map(|due| due.wakeup.due).min();
    Ok(Some(Snapshot {
        pkid: connection.pkid,
        name: connection.name,
        hierarchy: connection.hierarchy,
        state: connection.state,
        notes: connection.notes,
        next_refresh: connection.next_refresh,
        next_wakeup: next,
        next_wakeup_in_ms: next.map(|next| next.0.saturating_sub(now.0)),
    }))
}

/// Returns the due wakeup of a record that runs first.
pub async fn next_due(host: &Host, pkid: &Pkid) -> Result<Option<DueWakeup>, ActivityError> {
    let wakeups = host.store().wakeups(&Reference::record(pkid.clone())).await;
    let wakeups = wakeups.map_err(failure::from_error)?;
    let now = host.clock().now();
    let due = wakeups.into_iter().filter(|due| due.wakeup.due <= now);
    Ok(due.min_by_key(|due| {
        let deadline = due.wakeup.deadline.map_or(u64::MAX, |deadline| deadline.0);
        (deadline, due.wakeup.due)
    }))
}

/// Counts the documents of a model that imports of a record have stored.
pub async fn count_imported(host: &Host, input: &CountImported) -> Result<u64, StoreError> {
    let filter = Filter {
        model: input.model.clone(),
        hierarchy: None,
        equals: vec![Key {
            name: "owner".to_owned(),
            value: input.pkid.to_string(),
        }],
    };
    let (mut counted, mut cursor) = (0, None);
    loop {
        let page = host.store().find_pkids(&filter, cursor.as_deref(), PAGE);
        let page = page.await?;
        counted += page.items.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(counted);
        }
    }
}

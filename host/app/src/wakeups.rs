//! The scheduled wakeups, with their failures.

use std::collections::BTreeMap;

use relation_host::reports::{ConnectionReport, FailedRefresh, Grant, State};
use relation_host::store::{DueWakeup, Store};
use relation_host::transactions::{Status, TransactionFilter};
use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use relation_host::wakeup_kinds;
use serde::Serialize;

use crate::{AppError, Installation, records};

/// The maximum number of documents per read.
const READ_CHUNK: usize = 1000;

/// A wakeup with its failures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WakeupRow {
    /// The wakeup's id, unique for its record.
    pub id: String,
    /// When the wakeup is due.
    pub due: Timestamp,
    /// The number of consecutive failures: of calls, and of refreshes that the plugin retries.
    pub attempts: u32,
    /// The reason for the last failure.
    pub last_error: Option<String>,
}

/// A wakeup with the name of its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedWakeupRow {
    /// The record.
    pub subject: Reference,
    /// The customer's name; empty if the record does not exist.
    pub subject_name: String,
    /// The wakeup.
    #[serde(flatten)]
    pub wakeup: WakeupRow,
}

/// Adds names and failures to the wakeups of any records. The plugin is loaded only if a refresh of one of the
/// records is retried.
///
/// # Errors
/// The store cannot be read, or the plugin cannot be loaded.
pub async fn to_named_rows(
    installation: &Installation,
    store: &dyn Store,
    due: Vec<DueWakeup>,
) -> Result<Vec<NamedWakeupRow>, AppError> {
    let mut subjects: Vec<Reference> = due.iter().map(|due| due.wakeup.subject.clone()).collect();
    subjects.sort();
    subjects.dedup();
    let mut names = BTreeMap::new();
    let mut retrying = Vec::new();
    for chunk in subjects.chunks(READ_CHUNK) {
        for document in store.get(chunk).await?.into_iter().flatten() {
            let name = records::find_name(&document).unwrap_or_default().to_owned();
            names.insert(document.reference.clone(), name);
            if records::has_state(&document, State::Retrying) {
                retrying.push(document);
            }
        }
    }
    let connections = read_connections(installation, &retrying).await?;
    let mut rows = Vec::with_capacity(due.len());
    for due in due {
        let subject = due.wakeup.subject.clone();
        let connection = connections.get(&subject);
        rows.push(NamedWakeupRow {
            subject_name: names.get(&subject).cloned().unwrap_or_default(),
            wakeup: to_row(store, due, connection).await?,
            subject,
        });
    }
    Ok(rows)
}

/// Adds failures to a wakeup. `connection` is that of its record, needed only if a refresh is retried.
///
/// # Errors
/// The store cannot be read.
pub async fn to_row(
    store: &dyn Store,
    due: DueWakeup,
    connection: Option<&ConnectionReport>,
) -> Result<WakeupRow, AppError> {
    let retry = connection.and_then(|connection| find_retry(connection, &due.wakeup));
    let last_error = match (due.attempts, retry) {
        (0, retry) => retry.map(|failed| failed.reason.clone()),
        (_, _) => find_last_failure(store, &due.wakeup).await?,
    };
    Ok(WakeupRow {
        attempts: retry.map_or(0, |failed| failed.attempts) + due.attempts,
        last_error,
        due: due.wakeup.due,
        id: due.wakeup.id,
    })
}

/// Reads the connections of records. A record that the plugin cannot read is left out.
async fn read_connections(
    installation: &Installation,
    documents: &[Document],
) -> Result<BTreeMap<Reference, ConnectionReport>, AppError> {
    if documents.is_empty() {
        return Ok(BTreeMap::new());
    }
    let host = installation.plugin_host().await?;
    let shown = host.show(documents).await?.into_iter();
    let shown = documents.iter().zip(shown).filter_map(|(document, shown)| {
        let details = shown.ok()?;
        Some((document.reference.clone(), details.connection))
    });
    Ok(shown.collect())
}

/// Finds the failed refresh that the wakeup repeats.
fn find_retry<'c>(connection: &'c ConnectionReport, wakeup: &Wakeup) -> Option<&'c FailedRefresh> {
    let is_own = |grant: Grant| match grant {
        Grant::Organization => wakeup.id == wakeup_kinds::REFRESH,
        grant => wakeup.id.strip_prefix(wakeup_kinds::REFRESH) == Some(&format!(".{grant}")),
    };
    let mut grants = connection.grants.iter();
    let own = grants.find(|status| status.state == State::Retrying && is_own(status.grant))?;
    own.failed_refresh.as_ref()
}

/// Finds the error of the last failed call of a wakeup.
async fn find_last_failure(store: &dyn Store, wakeup: &Wakeup) -> Result<Option<String>, AppError> {
    let filter = TransactionFilter {
        subject: Some(wakeup.subject.clone()),
        status: Some(Status::Fail),
        action: Some(wakeup.action().to_owned()),
        ..TransactionFilter::default()
    };
    let failed = store.transactions(&filter, None, 1).await?.items;
    Ok(failed.into_iter().next().map(|failed| failed.message))
}

#[cfg(test)]
mod tests {
    use relation_host::reports::GrantStatus;
    use relation_host::types::Pkid;

    use super::*;

    fn status(grant: Grant, state: State) -> GrantStatus {
        let failed = FailedRefresh {
            attempts: 3,
            since: None,
            reason: format!("{grant} failed"),
            tracking_id: None,
            needs_change: false,
        };
        GrantStatus {
            grant,
            state,
            access_token_expires: None,
            refresh_token_expires: None,
            refresh_token_lifetime_ms: None,
            generation: 0,
            refreshed: None,
            failed_refresh: Some(failed),
            next_refresh: None,
            scopes: Vec::new(),
            missing_scopes: Vec::new(),
        }
    }

    fn find<'c>(connection: &'c ConnectionReport, id: &str) -> Option<&'c str> {
        let wakeup = Wakeup {
            id: id.to_owned(),
            subject: Reference::record(connection.pkid.clone()),
            due: Timestamp(0),
            deadline: None,
            payload: String::new(),
        };
        find_retry(connection, &wakeup).map(|failed| failed.reason.as_str())
    }

    #[test]
    fn retry_belongs_to_the_wakeup_of_its_grant() {
        let connection = ConnectionReport {
            pkid: Pkid::random(),
            name: "Contoso".to_owned(),
            hierarchy: "sys.Contoso".parse().unwrap(),
            state: State::Retrying,
            access_token_expires: None,
            refresh_token_expires: None,
            next_refresh: None,
            grants: vec![
                status(Grant::Organization, State::Retrying),
                status(Grant::WholesaleCustomers, State::Reauthorize),
                status(Grant::WholesaleUsers, State::Retrying),
            ],
            notes: String::new(),
        };
        assert_eq!(find(&connection, "refresh"), Some("organization failed"));
        let users = find(&connection, "refresh.wholesale-users");
        assert_eq!(users, Some("wholesale-users failed"));
        // A refresh that Webex refused is not retried.
        assert_eq!(find(&connection, "refresh.wholesale-customers"), None);
        for other in ["expiry", "sync", "refreshing", "expiry.wholesale-users"] {
            assert_eq!(find(&connection, other), None, "{other}");
        }
    }
}

//! Checks every connection once after an upgrade. New requirements of a release or of settings, such as another scope,
//! then show before the next refresh.

use relation_host::Host;
use relation_host::reports::{ConnectionReport, State};
use relation_host::store::{Change, Commit, StoreError};
use relation_host::types::{Document, Pkid, Reference};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use tokio_util::sync::CancellationToken;

use crate::AppError;
use crate::config::Config;
use crate::records;

/// The model of the document that stores the progress.
const MODEL: &str = "host/Review";
/// The number of records per read. Progress is stored after each page.
const PAGE_SIZE: u32 = 100;
/// The number of pages between two log lines.
const PAGES_PER_LOG_LINE: u64 = 100;

/// The progress of the check.
#[derive(Default, Serialize, Deserialize)]
struct CheckProgress {
    /// Identifies the release and the settings of the check.
    revision: String,
    /// The cursor of the next page. `None` if the check is complete.
    next: Option<String>,
}

/// Checks every connection, unless this release has done so with these settings. Continues an interrupted
/// check. Errors are only logged: each connection is checked again at its next refresh.
pub async fn run(host: &Host, config: &Config, shutdown: &CancellationToken) {
    if let Err(error) = check_connections(host, config, shutdown).await {
        tracing::warn!(%error, "not all connections could be checked after an upgrade; the next start continues");
    }
}

async fn check_connections(
    host: &Host,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<(), AppError> {
    let revision = revision(host, config);
    let mut progress = load_progress(host).await?;
    if progress.revision == revision && progress.next.is_none() {
        return Ok(());
    }
    let reason = match progress.revision.is_empty() {
        true => "at the first start",
        false => "after an upgrade or a change of settings",
    };
    if progress.revision != revision {
        progress = CheckProgress {
            revision,
            next: None,
        };
    }
    let filter = records::filter(None, None, None);
    let (mut pages, mut checked) = (0_u64, 0_u64);
    loop {
        let store = host.store();
        let page = store
            .find(&filter, progress.next.as_deref(), PAGE_SIZE)
            .await?;
        let shown = host.show(&page.items).await?;
        for (document, details) in page.items.iter().zip(shown) {
            if shutdown.is_cancelled() {
                return Ok(());
            }
            match details {
                Ok(details) => checked += check_record(host, &details.connection).await,
                Err(failure) => {
                    let customer = records::find_name(document).unwrap_or_default();
                    tracing::warn!(?customer, subject = %document.reference, %failure, "a record cannot be read");
                }
            }
        }
        progress.next = page.next;
        save_progress(host, &progress).await?;
        pages += 1;
        if progress.next.is_none() {
            tracing::info!(checked, "every connection was checked {reason}");
            return Ok(());
        }
        if pages % PAGES_PER_LOG_LINE == 0 {
            tracing::info!(checked, "checking every connection after an upgrade");
        }
    }
}

/// Checks each grant of a record that has tokens. Returns how many were checked.
async fn check_record(host: &Host, connection: &ConnectionReport) -> u64 {
    let mut checked = 0;
    let grants = connection.grants.iter();
    for status in grants.filter(|status| status.state != State::NotConnected) {
        match host.check_grant(&connection.pkid, status.grant).await {
            Ok(_) => checked += 1,
            Err(error) => {
                let customer = &connection.name;
                tracing::warn!(?customer, pkid = %connection.pkid, %error, "a connection could not be checked");
            }
        }
    }
    checked
}

/// Returns a digest of what the check depends on: the plugin and its settings. They are not secrets.
fn revision(host: &Host, config: &Config) -> String {
    let mut digest = Sha256::new_with_prefix(host.plugin().name());
    for (key, value) in &config.settings {
        for part in [key, value] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    hex::encode(digest.finalize())
}

fn progress_reference() -> Option<Reference> {
    let pkid: Pkid = "0".repeat(24).parse().ok()?;
    Some(Reference::new(MODEL, pkid))
}

async fn load_progress(host: &Host) -> Result<CheckProgress, StoreError> {
    let wanted: Vec<Reference> = progress_reference().into_iter().collect();
    let found = host
        .store()
        .get(&wanted)
        .await?
        .into_iter()
        .flatten()
        .next();
    // A document that cannot be read is from another release.
    Ok(found
        .and_then(|document| serde_json::from_str(&document.body).ok())
        .unwrap_or_default())
}

async fn save_progress(host: &Host, progress: &CheckProgress) -> Result<(), StoreError> {
    let body = serde_json::to_string(progress);
    let (Some(reference), Ok(hierarchy), Ok(body)) = (progress_reference(), "sys".parse(), body)
    else {
        return Ok(());
    };
    let document = Document {
        reference,
        hierarchy,
        version: 0,
        body,
        keys: Vec::new(),
    };
    let changes = vec![Change::Put(document)];
    host.store()
        .commit(Commit {
            changes,
            ..Commit::default()
        })
        .await
}

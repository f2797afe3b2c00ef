//! After an upgrade: looks once at every connection, so that what a new release or new settings ask of
//! it, such as another scope, shows at once and not only with its next refresh.

use relation_host::Host;
use relation_host::reports::State;
use relation_host::store::{Change, Commit, StoreError};
use relation_host::types::{Document, Pkid, Reference};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::records::{self, Record};
use super::stop::Stop;
use crate::config::Config;

/// The model of the one document that remembers it.
const MODEL: &str = "host/Review";
/// Records that are read at once. Progress is remembered after each of these pages.
const PAGE: u32 = 100;
/// Pages between two lines in the log.
const TOLD: u64 = 100;

/// How far the connections have been looked at.
#[derive(Default, Serialize, Deserialize)]
struct Reviewed {
    /// Which release with which settings looked at them.
    revision: String,
    /// Where it goes on; none: it is done.
    next: Option<String>,
}

/// Looks at every connection, unless this release with these settings has done so; goes on where it was
/// stopped. What cannot be checked now is checked with its next refresh.
pub async fn after_upgrade(host: &Host, config: &Config, stop: &Stop) {
    if let Err(error) = review(host, config, stop).await {
        tracing::warn!(%error, "connections could not all be looked at after an upgrade; the next start goes on");
    }
}

async fn review(host: &Host, config: &Config, stop: &Stop) -> Result<(), StoreError> {
    let revision = revision(host, config);
    let mut reviewed = remembered(host).await?;
    if reviewed.revision == revision && reviewed.next.is_none() {
        return Ok(());
    }
    if reviewed.revision != revision {
        reviewed = Reviewed {
            revision,
            next: None,
        };
    }
    let filter = records::filter(None, None, None);
    let (mut pages, mut checked) = (0_u64, 0_u64);
    loop {
        let store = host.store();
        let page = store.find(&filter, reviewed.next.as_deref(), PAGE).await?;
        for document in &page.items {
            if stop.asked() {
                return Ok(());
            }
            checked += look(host, document).await;
        }
        reviewed.next = page.next;
        remember(host, &reviewed).await?;
        pages += 1;
        if reviewed.next.is_none() {
            tracing::info!(
                checked,
                "every connection was looked at after an upgrade or a change of settings"
            );
            return Ok(());
        }
        if pages % TOLD == 0 {
            tracing::info!(checked, "looking at every connection after an upgrade");
        }
    }
}

/// Checks each grant of a record that has tokens; says how many.
async fn look(host: &Host, document: &Document) -> u64 {
    let subject = &document.reference;
    let Ok(record) = Record::of(document) else {
        tracing::warn!(%subject, "the stored record cannot be read");
        return 0;
    };
    let mut checked = 0;
    let grants = record.summary().grants;
    for granted in grants
        .iter()
        .filter(|granted| granted.state != State::NotConnected)
    {
        match host.check_grant(&record.pkid, granted.grant).await {
            Ok(_) => checked += 1,
            Err(error) => {
                tracing::warn!(%subject, %error, "a connection could not be looked at");
            }
        }
    }
    checked
}

/// What decides how a connection is judged: the plugin and its settings. None of them is a secret.
fn revision(host: &Host, config: &Config) -> String {
    let mut digest = Sha256::new_with_prefix(host.plugin().name());
    for (key, value) in &config.settings {
        for part in [key, value] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reference() -> Option<Reference> {
    let pkid: Pkid = "0".repeat(24).parse().ok()?;
    Some(Reference::new(MODEL, pkid))
}

async fn remembered(host: &Host) -> Result<Reviewed, StoreError> {
    let wanted: Vec<Reference> = reference().into_iter().collect();
    let found = host
        .store()
        .get(&wanted)
        .await?
        .into_iter()
        .flatten()
        .next();
    // One that cannot be read is one of another release.
    Ok(found
        .and_then(|document| serde_json::from_str(&document.body).ok())
        .unwrap_or_default())
}

async fn remember(host: &Host, reviewed: &Reviewed) -> Result<(), StoreError> {
    let body = serde_json::to_string(reviewed);
    let (Some(reference), Ok(hierarchy), Ok(body)) = (reference(), "sys".parse(), body) else {
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

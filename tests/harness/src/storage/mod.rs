//! The content of a store, for tests: documents, digests of secrets, and wakeups.

use std::collections::{BTreeMap, BTreeSet};

use relation_host::store::seal::{SealError, Sealer};
use relation_host::store::{SecretScope, Store, StoreError};
use relation_host::types::{Hierarchy, Reference, Timestamp};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;

use crate::redaction::{Redactor, digest};

mod difference;
mod observing_layer;

pub use difference::{Change, Changes, Difference};
pub(crate) use observing_layer::{ObservingLayer, OperationCounts};

/// The page size of queries.
const PAGE: u32 = 500;

/// The model of alerts (see the contract).
const ALERT: &str = "data/Alert/";

/// The content of a store at one moment.
///
/// Documents are named `MODEL/PKID`, such as `data/SparkCustomer/0123456789abcdef01234567`. Secrets and wakeups
/// have the name of their document, `#` and their own name, such as `data/SparkCustomer/…#refresh`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// The documents.
    pub documents: BTreeMap<String, StoredDocument>,
    /// The digests of the secrets; `unreadable` for a secret that cannot be decrypted.
    pub secrets: BTreeMap<String, String>,
    /// The wakeups.
    pub wakeups: BTreeMap<String, StoredWakeup>,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredDocument {
    /// The node of the document.
    pub hierarchy: Hierarchy,
    /// The number of writes.
    pub version: u64,
    /// The keys by which the document is found.
    pub keys: BTreeMap<String, String>,
    /// The content.
    pub body: Value,
}

/// A wakeup as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredWakeup {
    /// The time from which the wakeup is due.
    pub due: Timestamp,
    /// The latest useful time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The plugin's data in the wakeup.
    pub payload: String,
    /// The number of failed calls.
    pub attempts: u32,
}

/// An active alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The name of the document.
    pub document: String,
    /// The content.
    pub body: Value,
}

impl Snapshot {
    /// Reads the given documents, all secrets and all wakeups.
    pub(crate) async fn capture(
        store: &dyn Store,
        sealer: &Sealer,
        redactor: &Redactor,
        known: &BTreeSet<Reference>,
    ) -> Result<Self, StoreError> {
        let mut snapshot = Self::default();
        let known: Vec<Reference> = known.iter().cloned().collect();
        for chunk in known.chunks(PAGE as usize) {
            for document in store.get(chunk).await?.into_iter().flatten() {
                let body = serde_json::from_str(&document.body)
                    .unwrap_or_else(|_| Value::String(document.body.clone()));
                let keys = document.keys.into_iter();
                let stored = StoredDocument {
                    hierarchy: document.hierarchy,
                    version: document.version,
                    keys: keys.map(|key| (key.name, key.value)).collect(),
                    body,
                };
                let name = document.reference.to_string();
                snapshot.documents.insert(name, stored);
            }
        }
        snapshot.read_secrets(store, sealer, redactor).await?;
        snapshot.read_wakeups(store).await?;
        // Only now are all secrets known that these could contain.
        for stored in snapshot.documents.values_mut() {
            stored.body = redactor.json(&stored.body);
            for value in stored.keys.values_mut() {
                *value = redactor.text(value);
            }
        }
        for stored in snapshot.wakeups.values_mut() {
            stored.payload = redactor.text(&stored.payload);
        }
        Ok(snapshot)
    }

    async fn read_secrets(
        &mut self,
        store: &dyn Store,
        sealer: &Sealer,
        redactor: &Redactor,
    ) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let page = store
                .secrets(SecretScope::All, cursor.as_deref(), PAGE)
                .await?;
            for secret in page.items {
                let opened = sealer.reveal(store, &secret.owner, &secret.name).await;
                let digest = match opened {
                    Ok(Some(value)) => {
                        redactor.learn(value.expose_secret());
                        digest(value.expose_secret())
                    }
                    Err(SealError::Store(error)) => return Err(error),
                    // Removed since the listing, or not decryptable.
                    Ok(None) | Err(_) => "unreadable".to_owned(),
                };
                let name = format!("{}#{}", secret.owner, secret.name);
                self.secrets.insert(name, digest);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn read_wakeups(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let page = store.upcoming(None, cursor.as_deref(), PAGE).await?;
            for found in page.items {
                let wakeup = found.wakeup;
                let name = format!("{}#{}", wakeup.subject, wakeup.id);
                let stored = StoredWakeup {
                    due: wakeup.due,
                    deadline: wakeup.deadline,
                    payload: wakeup.payload,
                    attempts: found.attempts,
                };
                self.wakeups.insert(name, stored);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Returns the changes to `later`.
    pub fn difference(&self, later: &Self) -> Difference {
        Difference {
            documents: Changes::between(&self.documents, &later.documents),
            secrets: Changes::between(&self.secrets, &later.secrets),
            wakeups: Changes::between(&self.wakeups, &later.wakeups),
        }
    }

    /// Returns the documents of one model, such as `data/Schedule`, with their names.
    pub fn documents_of<'a>(
        &'a self,
        model: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a StoredDocument)> + 'a {
        let is_of_model = move |name: &str| {
            name.rsplit_once('/')
                .is_some_and(|(prefix, _)| prefix == model)
        };
        self.documents
            .iter()
            .filter(move |(name, _)| is_of_model(name))
            .map(|(name, stored)| (name.as_str(), stored))
    }

    /// Returns the active alerts.
    pub fn alerts(&self) -> Vec<Alert> {
        let alerts = self.documents.iter();
        alerts
            .filter(|(name, _)| name.starts_with(ALERT))
            .map(|(name, stored)| Alert {
                document: name.clone(),
                body: stored.body.clone(),
            })
            .collect()
    }
}

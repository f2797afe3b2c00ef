//! `automate:platform/settings`: the plain settings of the installation, and those of the record's node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Call;
use super::bindings::automate::platform::settings;
use crate::node_settings::NodeSettings;
use crate::store::StoreError;
use crate::types::{Document, Hierarchy, RECORD_MODEL, Reference};

/// How long a call waits for the settings of its record's node.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The plain settings of a call.
#[derive(Debug, Default)]
pub(crate) struct CallSettings {
    /// The settings of the installation. They have those of the record's node once `is_complete`.
    plain: Arc<BTreeMap<String, String>>,
    /// The node of the call's record, as far as the call knows it.
    node: Option<Hierarchy>,
    /// Whether the settings of the node need not be read any more.
    is_complete: bool,
}

impl CallSettings {
    /// Creates the settings of a call. `node` is that of a record which the call adds.
    pub(crate) fn new(plain: Arc<BTreeMap<String, String>>, node: Option<Hierarchy>) -> Self {
        Self {
            plain,
            node,
            is_complete: false,
        }
    }
}

impl settings::Host for Call {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.gate.count()?;
        self.complete_settings().await;
        Ok(self.settings.plain.get(&key).cloned())
    }

    async fn all(&mut self) -> wasmtime::Result<Vec<settings::Setting>> {
        self.gate.count()?;
        self.complete_settings().await;
        let all = self.settings.plain.iter();
        Ok(all
            .map(|(key, value)| settings::Setting {
                key: key.clone(),
                value: value.clone(),
            })
            .collect())
    }
}

impl Call {
    /// Notes the node of the call's record, if one of the documents that were read is the record. The settings then
    /// need no read of the store to find the node.
    pub(super) fn note_node<'a>(&mut self, read: impl IntoIterator<Item = &'a Document>) {
        if self.services.node_settings.is_none() || self.settings.is_complete {
            return;
        }
        let Some(lease) = &self.lease else {
            return;
        };
        let mut read = read.into_iter();
        if let Some(record) = read.find(|document| document.reference == lease.subject) {
            self.settings.node = Some(record.hierarchy.clone());
        }
    }

    /// Replaces settings by those of the record's node, once in a call. A call without a record keeps the
    /// installation's, and so does one whose node or settings cannot be read: no call fails because of them.
    async fn complete_settings(&mut self) {
        if self.settings.is_complete {
            return;
        }
        self.settings.is_complete = true;
        let Some(provider) = &self.services.node_settings else {
            return;
        };
        let subject = self.lease.as_ref().map(|lease| &lease.subject);
        let Some(record) = subject.filter(|subject| subject.model == RECORD_MODEL) else {
            return;
        };
        let found = self.find_node_settings(provider.as_ref(), record);
        let reason = match tokio::time::timeout(READ_TIMEOUT, found).await {
            Ok(Ok(found)) => {
                if !found.is_empty() {
                    Arc::make_mut(&mut self.settings.plain).extend(found);
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "they could not be read within {} second",
                READ_TIMEOUT.as_secs()
            ),
        };
        tracing::warn!(
            transaction = self.journal.id(),
            subject = %record,
            reason,
            "the settings of the record's node cannot be used; the call uses the installation's settings"
        );
    }

    /// Returns the settings of the node of `record`; none if the record does not exist.
    async fn find_node_settings(
        &self,
        provider: &dyn NodeSettings,
        record: &Reference,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let store = self.services.store.as_ref();
        let node = match &self.settings.node {
            Some(node) => Some(node.clone()),
            None => {
                let found = store.get(std::slice::from_ref(record)).await?;
                let document = found.into_iter().flatten().next();
                document.map(|document| document.hierarchy)
            }
        };
        match node {
            Some(node) => provider.find(store, &node).await,
            None => Ok(BTreeMap::new()),
        }
    }
}

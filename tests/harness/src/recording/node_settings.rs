//! The recorder's source of settings: notes the settings of nodes that calls use.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::NodeSettings;
use relation_host::store::{Store, StoreError};
use relation_host::types::Hierarchy;

use super::Recorder;

/// An observed source of settings.
pub(super) struct RecordingSettings {
    pub(super) source: Arc<dyn NodeSettings>,
    pub(super) recorder: Recorder,
}

#[async_trait]
impl NodeSettings for RecordingSettings {
    async fn find(
        &self,
        _store: &dyn Store,
        node: &Hierarchy,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        // The call uses other settings if the source fails, or takes too long and is dropped.
        let mut reading = Reading {
            recorder: &self.recorder,
            is_done: false,
        };
        // The documents of the source are not data of the call, so its reads are not recorded.
        let found = self.source.find(&*self.recorder.0.store, node).await?;
        reading.is_done = true;
        self.recorder
            .notes()
            .note_node_settings(node.as_str(), &found);
        Ok(found)
    }
}

/// Marks the call as inexpressible if the settings could not be read.
struct Reading<'a> {
    recorder: &'a Recorder,
    is_done: bool,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let reason = || "the settings of its node could not be read".to_owned();
            self.recorder.notes().mark_inexpressible(reason);
        }
    }
}

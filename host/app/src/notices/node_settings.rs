//! The plugin's settings that follow the notice settings of a record's node. With them, the plugin raises alerts when
//! notices are due.

use std::collections::BTreeMap;

use async_trait::async_trait;
use relation_host::NodeSettings;
use relation_host::store::{Store, StoreError};
use relation_host::types::Hierarchy;
use relation_notify::settings::{Defaults, Level, Origin, load_levels, resolve};

use super::read_level;

/// The plugin's setting for the times before the expiry.
pub(super) const THRESHOLDS: &str = "expiry.thresholds";
/// The plugin's setting for the duration of failed refreshes.
pub(super) const FAILING_AFTER: &str = "refresh.failing-after";

/// The settings that levels decide. A field that none decides stays the installation's.
pub(super) struct LevelSettings(pub Defaults);

#[async_trait]
impl NodeSettings for LevelSettings {
    async fn find(
        &self,
        store: &dyn Store,
        node: &Hierarchy,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let documents = load_levels(store, node).await?;
        let mut levels: Vec<Level> = Vec::new();
        for document in &documents {
            match read_level(document) {
                Ok(level) => levels.push(level),
                Err(error) => tracing::warn!(%error, "a level of the notice settings is left out"),
            }
        }
        let mut found = BTreeMap::new();
        if levels.is_empty() {
            return Ok(found);
        }
        let fields = resolve(&levels, &self.0).fields;
        if fields.thresholds.origin != Origin::Default {
            found.insert(THRESHOLDS.to_owned(), fields.format_thresholds());
        }
        if fields.retrying_after.origin != Origin::Default {
            let after = fields.retrying_after.value.to_string();
            found.insert(FAILING_AFTER.to_owned(), after);
        }
        Ok(found)
    }
}

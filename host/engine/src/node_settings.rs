//! Plain settings of nodes, which replace the installation's in calls about their records.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::store::{Store, StoreError};
use crate::types::Hierarchy;

/// A source of plain settings that differ from node to node: see [`HostBuilder::node_settings`].
///
/// [`HostBuilder::node_settings`]: crate::HostBuilder::node_settings
#[async_trait]
pub trait NodeSettings: Send + Sync {
    /// Returns the settings that replace the installation's in a call about a record at `node`. A setting that is not
    /// returned stays as it is. The values must have the format that the plugin describes, since a call fails with
    /// another one.
    ///
    /// Called at most once in a call of the plugin, and only if the plugin reads its settings. One visit to the store
    /// should be enough, since a refresh waits for the result, up to a second.
    ///
    /// # Errors
    /// The store could not be read. The installation's settings are used, and the host logs a warning.
    async fn find(
        &self,
        store: &dyn Store,
        node: &Hierarchy,
    ) -> Result<BTreeMap<String, String>, StoreError>;
}

//! How a command selects a record: by pkid or by name.

use relation_app::AppError;
use relation_app::records::{self, StoredRecord};
use relation_host::store::Store;
use relation_host::types::Hierarchy;
use relation_web::access::nodes;

/// Selects the record of a command.
#[derive(Clone, Debug, clap::Args)]
pub struct RecordSelector {
    /// The record, by pkid or by name
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// The node at or below which the name is looked up
    #[arg(long, value_name = "PATH")]
    pub hierarchy: Option<Hierarchy>,
}

impl RecordSelector {
    /// Finds the selected record.
    pub async fn find(&self, store: &dyn Store) -> Result<StoredRecord, AppError> {
        let node = find_node(store, self.hierarchy.as_ref()).await?;
        records::find(store, &self.record, node.as_ref()).await
    }
}

/// Returns the node of a command in its stored spelling.
pub async fn find_node(
    store: &dyn Store,
    node: Option<&Hierarchy>,
) -> Result<Option<Hierarchy>, AppError> {
    Ok(match node {
        Some(node) => Some(nodes::find_spelling(store, node).await?),
        None => None,
    })
}

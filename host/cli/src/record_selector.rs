//! How a command selects a record: by pkid or by name.

use relation_app::AppError;
use relation_app::records::{self, StoredRecord};
use relation_host::store::Store;
use relation_host::types::Hierarchy;

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
        records::find(store, &self.record, self.hierarchy.as_ref()).await
    }
}

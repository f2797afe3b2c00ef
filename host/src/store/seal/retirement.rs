//! The end of a data key that nothing needs any more, in the store or elsewhere.

use std::sync::Arc;

use async_trait::async_trait;

use super::SealError;
use crate::store::{Retirement, Store};

/// Whatever keeps values outside of the store that are sealed with its data keys.
#[async_trait]
pub trait SealedElsewhere: Send + Sync {
    /// Names it in messages, such as `the stash /var/lib/relation/relation.db-stash`.
    fn describe(&self) -> String;

    /// How many of its values are sealed with data key `key`.
    async fn sealed_with(&self, key: u32) -> std::io::Result<u64>;
}

/// Removes a data key that nothing is sealed with, in the store or `elsewhere`; see
/// [`Store::retire_data_key`].
pub async fn retire(
    store: &dyn Store,
    elsewhere: &[Arc<dyn SealedElsewhere>],
    key: u32,
    despite_quarantined: bool,
) -> Result<Retirement, SealError> {
    for holder in elsewhere {
        match holder.sealed_with(key).await {
            Ok(0) => {}
            Ok(values) => {
                return Err(SealError::UsedElsewhere {
                    key,
                    holder: holder.describe(),
                    values,
                });
            }
            Err(source) => {
                return Err(SealError::Elsewhere {
                    key,
                    holder: holder.describe(),
                    source,
                });
            }
        }
    }
    Ok(store.retire_data_key(key, despite_quarantined).await?)
}

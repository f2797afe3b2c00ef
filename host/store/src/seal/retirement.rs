//! Retirement of data keys that are not needed any more, in the store or elsewhere.

use std::sync::Arc;

use async_trait::async_trait;

use super::SealError;
use crate::{Retirement, Store};

/// A place outside of the store that holds values sealed with its data keys.
#[async_trait]
pub trait DataKeyUser: Send + Sync {
    /// Describes the place in messages, such as `the stash /var/lib/relation/relation.db-stash`.
    fn describe(&self) -> String;

    /// Returns how many of its values are sealed with data key `key`.
    async fn sealed_with(&self, key: u32) -> std::io::Result<u64>;
}

/// Removes a data key that does not seal any value in the store or in `elsewhere`; see
/// [`KeyStore::retire_data_key`](crate::KeyStore::retire_data_key).
pub async fn retire(
    store: &dyn Store,
    elsewhere: &[Arc<dyn DataKeyUser>],
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
                return Err(SealError::UsageUnknown {
                    key,
                    holder: holder.describe(),
                    source,
                });
            }
        }
    }
    Ok(store.retire_data_key(key, despite_quarantined).await?)
}

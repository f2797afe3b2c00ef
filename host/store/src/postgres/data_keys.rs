//! The wrapped data keys.

use serde::Deserialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{Result, WriteError, corrupt, from_millis, require_text, to_millis};
use super::{Lane, PostgresStore};
use crate::seal::{DataKey, Sealed};
use crate::{Retirement, SecretCount, StoreError, validate_rewrap};

/// There are only as many data keys as rotations.
const ALL: &str = "SELECT id, kek_id, wrapped, created FROM relation.data_keys ORDER BY id";

impl PostgresStore {
    pub(super) async fn list_data_keys(&self) -> Result<Vec<DataKey>> {
        let rows = self.read(Lane::Read, ALL, &[]).await?;
        rows.iter().map(read).collect()
    }

    /// Adds `key` unless its id exists; returns the stored key.
    pub(super) async fn insert_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        require_text("the id of a key-encryption key", &key.kek_id)?;
        let id = i64::from(key.id);
        let created = to_millis(key.created);
        let values = [
            (&id as _, Type::INT8),
            (&key.kek_id as _, Type::TEXT),
            (&key.wrapped as _, Type::BYTEA),
            (&created as _, Type::INT8),
        ];
        loop {
            match self.write("relation.add_data_key_v1", &values).await {
                Ok(result) if result.is_empty() => return Ok(key),
                Ok(_) => {
                    let stored = self.list_data_keys().await?;
                    if let Some(stored) = stored.into_iter().find(|stored| stored.id == key.id) {
                        return Ok(stored);
                    }
                    // It was retired meanwhile.
                }
                Err(WriteError::Refused { code, detail }) if code == "RL010" => {
                    return Err(describe_other(&key, &detail));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Replaces the data keys `current` by `rewrapped`.
    pub(super) async fn replace_data_keys(
        &self,
        current: &[DataKey],
        rewrapped: &[DataKey],
    ) -> Result<(), StoreError> {
        validate_rewrap(current, rewrapped)?;
        for key in rewrapped {
            require_text("the id of a key-encryption key", &key.kek_id)?;
        }
        let ids: Vec<i64> = current.iter().map(|key| i64::from(key.id)).collect();
        let created: Vec<i64> = current.iter().map(|key| to_millis(key.created)).collect();
        let [read, new] = [current, rewrapped].map(|keys| {
            let columns = keys
                .iter()
                .map(|key| (key.kek_id.as_str(), key.wrapped.as_slice()));
            columns.unzip::<_, _, Vec<&str>, Vec<&[u8]>>()
        });
        let values = [
            (&ids as _, Type::INT8_ARRAY),
            (&read.0 as _, Type::TEXT_ARRAY),
            (&read.1 as _, Type::BYTEA_ARRAY),
            (&created as _, Type::INT8_ARRAY),
            (&new.0 as _, Type::TEXT_ARRAY),
            (&new.1 as _, Type::BYTEA_ARRAY),
        ];
        match self.write("relation.rewrap_data_keys_v1", &values).await {
            Ok(_) => Ok(()),
            Err(WriteError::Refused { code, .. }) if code == "RL011" => {
                Err(StoreError::data_keys_changed())
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn remove_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        let [format, ..] = Sealed::key_prefix(id);
        let format = vec![format];
        let shortest = i64::from(Sealed::MIN_BYTES);
        let key = i64::from(id);
        let values = [
            (&key as _, Type::INT8),
            (&despite_quarantined as _, Type::BOOL),
            (&format as _, Type::BYTEA),
            (&shortest as _, Type::INT8),
        ];
        let result = self.write("relation.retire_data_key_v1", &values).await?;
        match result.as_str() {
            "newest" => return Ok(Retirement::Newest),
            "absent" => return Ok(Retirement::Absent),
            "retired" => return Ok(Retirement::Retired),
            _ => {}
        }
        let counts: Result<Vec<u64>, _> = result.split(' ').map(str::parse).collect();
        match counts.as_deref() {
            Ok([all, quarantined, unknown]) => Ok(Retirement::InUse {
                sealed: SecretCount {
                    all: *all,
                    quarantined: *quarantined,
                },
                unknown: *unknown,
            }),
            _ => Err(StoreError::Corrupt(format!(
                "the retirement of data key {id} has the result {result}"
            ))),
        }
    }
}

/// Describes the stored data key that another key-encryption key wraps.
fn describe_other(key: &DataKey, detail: &str) -> StoreError {
    #[derive(Deserialize)]
    struct Other {
        id: u32,
        kek_id: String,
    }

    match serde_json::from_str(detail) {
        Ok(Other { id, kek_id }) => {
            let other = DataKey {
                id,
                kek_id,
                ..key.clone()
            };
            StoreError::other_key_encryption_key(key, &other)
        }
        Err(error) => StoreError::Corrupt(format!("a refused data key: {error}")),
    }
}

fn read(row: &Row) -> Result<DataKey> {
    let id: i64 = row.try_get(0)?;
    Ok(DataKey {
        id: u32::try_from(id).map_err(|_| corrupt(format!("the id of a data key is {id}")))?,
        kek_id: row.try_get(1)?,
        wrapped: row.try_get(2)?,
        created: from_millis(row.try_get(3)?),
    })
}

//! Sealed secrets: listing in pages, and replacement unless another process was faster.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::error::{Result, SqlError, from_millis, from_sql_count, parse_reference, to_millis};
use super::{SqliteStore, data_keys, documents};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::seal::{DataKey, Sealed};
use crate::{
    KeyStore, KeyUse, Quarantine, ResealAction, ResealStep, Retirement, SecretCount, SecretScope,
    StoreError, StoredSecret,
};
use relation_types::{Page, Reference};

const COLUMNS: &str = "SELECT model, pkid, name, sealed, quarantined, quarantined_at FROM secrets
    WHERE (model, pkid, name) > (?1, ?2, ?3)";
const ORDER: &str = "ORDER BY model, pkid, name LIMIT ?4";
const NOT_UNDER: &str = "AND (substr(sealed, 1, 5) <> ?5 OR length(sealed) < ?6)";
const QUARANTINED: &str = "AND quarantined IS NOT NULL";
const USE: &str = "SELECT CASE WHEN length(sealed) < ?1 THEN x'' ELSE substr(sealed, 1, 5) END,
    count(*), count(quarantined) FROM secrets GROUP BY 1";

/// Does not overwrite a value that was sealed after it was read: sealed values never repeat, since each
/// has a random nonce.
const RESEAL: &str = "UPDATE secrets SET sealed = ?5, quarantined = ?6, quarantined_at = ?7
    WHERE model = ?1 AND pkid = ?2 AND name = ?3 AND sealed = ?4";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[RESEAL];

#[async_trait]
impl KeyStore for SqliteStore {
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.read(|connection| documents::sealed(connection, owner, name))
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_secrets(&self.id, scope);
        let after = match cursor {
            Some(cursor) => listing.position(cursor)?,
            None => Default::default(),
        };
        let found = self
            .readers
            .read_blocking(move |connection| {
                let mut found = list(connection, scope, &after, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(build_page(found, |last: &StoredSecret| {
            let StoredSecret { owner, name, .. } = last;
            listing.cursor(&[&owner.model, owner.pkid.as_str(), name])
        }))
    }

    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        self.writer
            .write(move |connection| reseal(connection, &steps))
            .await
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        self.read(data_keys::all)
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.writer
            .write(move |connection| data_keys::add(connection, &key))
            .await
    }

    async fn rewrap_data_keys(
        &self,
        current: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| data_keys::rewrap(connection, &current, &rewrapped))
            .await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.writer
            .write(move |connection| data_keys::retire(connection, id, despite_quarantined))
            .await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        self.readers.read_blocking(key_use).await
    }
}

/// Lists the secrets after this model, pkid and name.
pub(super) fn list(
    connection: &Connection,
    scope: SecretScope,
    [model, pkid, name]: &[String; 3],
    limit: usize,
) -> Result<Vec<StoredSecret>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let condition = match scope {
        SecretScope::All => "",
        SecretScope::NotSealedWith(_) => NOT_UNDER,
        SecretScope::Quarantined => QUARANTINED,
    };
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} {condition} {ORDER}"))?;
    let mut rows = match scope {
        SecretScope::NotSealedWith(key) => {
            let beginning = Sealed::key_prefix(key);
            let shortest = Sealed::MIN_BYTES;
            statement.query(params![model, pkid, name, limit, beginning, shortest])?
        }
        SecretScope::All | SecretScope::Quarantined => {
            statement.query(params![model, pkid, name, limit])?
        }
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<StoredSecret> {
    let reason: Option<String> = row.get(4)?;
    let since: Option<i64> = row.get(5)?;
    Ok(StoredSecret {
        owner: parse_reference(row.get(0)?, row.get(1)?)?,
        name: row.get(2)?,
        bytes: row.get(3)?,
        quarantined: reason.map(|reason| Quarantine {
            reason,
            since: from_millis(since.unwrap_or_default()),
        }),
    })
}

pub(super) fn key_use(connection: &Connection) -> Result<KeyUse> {
    let mut statement = connection.prepare_cached(USE)?;
    let mut rows = statement.query([Sealed::MIN_BYTES])?;
    let mut found = KeyUse::default();
    while let Some(row) = rows.next()? {
        let beginning: Vec<u8> = row.get(0)?;
        let count = match Sealed::key_from_prefix(&beginning) {
            Some(key) => found.by_key.entry(key).or_default(),
            None => &mut found.malformed,
        };
        *count = SecretCount {
            all: count.all + from_sql_count(row.get(1)?, "a count")?,
            quarantined: count.quarantined + from_sql_count(row.get(2)?, "a count")?,
        };
    }
    Ok(found)
}

pub(super) fn reseal(connection: &Connection, steps: &[ResealStep]) -> Result<Vec<bool>> {
    let newest = data_keys::newest(connection)?;
    steps
        .iter()
        .map(|step| reseal_one(connection, newest, step))
        .collect()
}

fn reseal_one(connection: &Connection, newest: Option<u32>, step: &ResealStep) -> Result<bool> {
    let secret = &step.secret;
    let (bytes, quarantine) = match &step.to {
        ResealAction::Sealed(sealed) if newest != Some(sealed.key()) => {
            return Err(SqlError(StoreError::StaleKey(sealed.key())));
        }
        ResealAction::Sealed(sealed) => (sealed.as_bytes(), None),
        ResealAction::Quarantined(quarantine) => (secret.bytes.as_slice(), Some(quarantine)),
        ResealAction::Sound => (secret.bytes.as_slice(), None),
    };
    let changed = connection.prepare_cached(RESEAL)?.execute(params![
        secret.owner.model,
        secret.owner.pkid.as_str(),
        secret.name,
        secret.bytes,
        bytes,
        quarantine.map(|quarantine| &quarantine.reason),
        quarantine.map(|quarantine| to_millis(quarantine.since)),
    ])?;
    Ok(changed > 0)
}

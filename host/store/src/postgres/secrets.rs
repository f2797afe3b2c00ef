//! Sealed secrets: listing in pages, and replacement unless another process was faster.

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{
    PgError, Result, WriteError, from_millis, from_sql_count, parse_reference, to_millis,
};
use super::{Lane, PostgresStore};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::seal::{DataKey, HINT, Sealed};
use crate::{
    KeyStore, KeyUse, Quarantine, ResealAction, ResealStep, Retirement, SecretCount, SecretScope,
    StoreError, StoredSecret,
};
use relation_types::{Page, Reference};

const SEALED: &str =
    "SELECT sealed FROM relation.secrets WHERE model = $1 AND pkid = $2 AND name = $3";
const ALL: &str =
    "SELECT model, pkid, name, sealed, quarantined, quarantined_at FROM relation.secrets
    WHERE (model, pkid, name) > ($1, $2, $3) ORDER BY model, pkid, name LIMIT $4";
const NOT_UNDER: &str =
    "SELECT model, pkid, name, sealed, quarantined, quarantined_at FROM relation.secrets
    WHERE (model, pkid, name) > ($1, $2, $3) AND (substr(sealed, 1, 5) <> $5 OR length(sealed) < $6)
    ORDER BY model, pkid, name LIMIT $4";
const QUARANTINED: &str =
    "SELECT model, pkid, name, sealed, quarantined, quarantined_at FROM relation.secrets
    WHERE (model, pkid, name) > ($1, $2, $3) AND quarantined IS NOT NULL
    ORDER BY model, pkid, name LIMIT $4";
/// Reads every secret, in whatever order is the fastest.
const USE: &str = "SELECT u.beginning, count(*), count(u.quarantined) FROM (
        SELECT CASE WHEN length(sealed) < $1 THEN ''::bytea ELSE substr(sealed, 1, 5) END AS beginning,
            quarantined FROM relation.secrets) u
    GROUP BY u.beginning";

#[async_trait]
impl KeyStore for PostgresStore {
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        if owner.model.contains('\0') || name.contains('\0') {
            return Ok(None);
        }
        let values = [
            (&owner.model as _, Type::TEXT),
            (&owner.pkid.as_str() as _, Type::TEXT),
            (&name as _, Type::TEXT),
        ];
        let rows = self.read(Lane::Read, SEALED, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let bytes: Vec<u8> = row.try_get(0).map_err(PgError::from)?;
        let sealed = Sealed::try_from(bytes).map_err(|error| {
            StoreError::Corrupt(format!("the secret {name} of {owner} is {error}: {HINT}"))
        })?;
        Ok(Some(sealed))
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
        let mut found = self
            .list_secrets(scope, &after, limit.saturating_add(1))
            .await?;
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(build_page((found, more), |last: &StoredSecret| {
            let StoredSecret { owner, name, .. } = last;
            listing.cursor(&[&owner.model, owner.pkid.as_str(), name])
        }))
    }

    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        let count = steps.len();
        let mut rows = ResealRows::default();
        for step in steps {
            rows.push(step);
        }
        let values = [
            (&rows.models as _, Type::TEXT_ARRAY),
            (&rows.pkids as _, Type::TEXT_ARRAY),
            (&rows.names as _, Type::TEXT_ARRAY),
            (&rows.read as _, Type::BYTEA_ARRAY),
            (&rows.sealed as _, Type::BYTEA_ARRAY),
            (&rows.keys as _, Type::INT8_ARRAY),
            (&rows.reasons as _, Type::TEXT_ARRAY),
            (&rows.since as _, Type::INT8_ARRAY),
        ];
        let done = match self.write("relation.reseal_v1", &values).await {
            Ok(done) => done,
            Err(WriteError::Refused { code, detail }) if code == "RL006" => {
                let key = detail.parse();
                return Err(StoreError::StaleKey(key.unwrap_or_default()));
            }
            Err(error) => return Err(error.into()),
        };
        let done: Vec<bool> = done.chars().map(|step| step == 't').collect();
        if done.len() == count {
            return Ok(done);
        }
        let found = done.len();
        Err(StoreError::Corrupt(format!(
            "{found} of {count} changes of secrets have a result"
        )))
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        Ok(self.list_data_keys().await?)
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.insert_data_key(key).await
    }

    async fn rewrap_data_keys(
        &self,
        current: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.replace_data_keys(&current, &rewrapped).await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.remove_data_key(id, despite_quarantined).await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        Ok(self.count_secrets().await?)
    }
}

impl PostgresStore {
    /// Lists the secrets after this model, pkid and name.
    pub(super) async fn list_secrets(
        &self,
        scope: SecretScope,
        [model, pkid, name]: &[String; 3],
        limit: usize,
    ) -> Result<Vec<StoredSecret>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let shortest = i32::try_from(Sealed::MIN_BYTES).unwrap_or(i32::MAX);
        let beginning;
        let mut values = vec![
            (model as _, Type::TEXT),
            (pkid as _, Type::TEXT),
            (name as _, Type::TEXT),
            (&limit as _, Type::INT8),
        ];
        let statement = match scope {
            SecretScope::All => ALL,
            SecretScope::Quarantined => QUARANTINED,
            SecretScope::NotSealedWith(key) => {
                beginning = Sealed::key_prefix(key).to_vec();
                values.push((&beginning as _, Type::BYTEA));
                values.push((&shortest as _, Type::INT4));
                NOT_UNDER
            }
        };
        let rows = self.read(Lane::Slow, statement, &values).await?;
        rows.iter().map(read).collect()
    }

    async fn count_secrets(&self) -> Result<KeyUse> {
        let shortest = i32::try_from(Sealed::MIN_BYTES).unwrap_or(i32::MAX);
        let values = [(&shortest as _, Type::INT4)];
        let mut found = KeyUse::default();
        for row in self.read(Lane::Slow, USE, &values).await? {
            let count = match Sealed::key_from_prefix(row.try_get(0)?) {
                Some(key) => found.by_key.entry(key).or_default(),
                None => &mut found.malformed,
            };
            *count = SecretCount {
                all: count.all + from_sql_count(row.try_get(1)?, "a count")?,
                quarantined: count.quarantined + from_sql_count(row.try_get(2)?, "a count")?,
            };
        }
        Ok(found)
    }
}

fn read(row: &Row) -> Result<StoredSecret> {
    let reason: Option<String> = row.try_get(4)?;
    let since: Option<i64> = row.try_get(5)?;
    Ok(StoredSecret {
        owner: parse_reference(row.try_get(0)?, row.try_get(1)?)?,
        name: row.try_get(2)?,
        bytes: row.try_get(3)?,
        quarantined: reason.map(|reason| Quarantine {
            reason,
            since: from_millis(since.unwrap_or_default()),
        }),
    })
}

/// The steps of a rotation, as one array for each parameter.
#[derive(Default)]
struct ResealRows {
    models: Vec<String>,
    pkids: Vec<String>,
    names: Vec<String>,
    read: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
    keys: Vec<Option<i64>>,
    reasons: Vec<Option<String>>,
    since: Vec<Option<i64>>,
}

impl ResealRows {
    fn push(&mut self, ResealStep { secret, to }: ResealStep) {
        let (sealed, key, quarantine) = match to {
            ResealAction::Sealed(sealed) => {
                let key = i64::from(sealed.key());
                (sealed.as_bytes().to_vec(), Some(key), None)
            }
            ResealAction::Quarantined(quarantine) => (secret.bytes.clone(), None, Some(quarantine)),
            ResealAction::Sound => (secret.bytes.clone(), None, None),
        };
        self.models.push(secret.owner.model);
        self.pkids.push(secret.owner.pkid.as_str().to_owned());
        self.names.push(secret.name);
        self.read.push(secret.bytes);
        self.sealed.push(sealed);
        self.keys.push(key);
        let since = quarantine.as_ref().map(|found| to_millis(found.since));
        self.since.push(since);
        let reason = quarantine.map(|found| found.reason.replace('\0', "\u{fffd}"));
        self.reasons.push(reason);
    }
}

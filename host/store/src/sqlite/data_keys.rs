//! The wrapped data keys.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Result, SqlError, corrupt, from_millis, from_sql_count, to_millis};
use crate::seal::{DataKey, Sealed};
use crate::{Retirement, SecretCount, StoreError, validate_rewrap};

/// There are only as many data keys as rotations.
const ALL: &str = "SELECT id, kek_id, wrapped, created FROM data_keys ORDER BY id";
const GET: &str = "SELECT id, kek_id, wrapped, created FROM data_keys WHERE id = ?1";
const NEWEST: &str = "SELECT max(id) FROM data_keys";
const ADD: &str = "INSERT INTO data_keys (id, kek_id, wrapped, created) VALUES (?1, ?2, ?3, ?4)";
const REWRAP: &str = "UPDATE data_keys SET kek_id = ?2, wrapped = ?3 WHERE id = ?1";
const RETIRE: &str = "DELETE FROM data_keys WHERE id = ?1";

/// Reads every secret: an index would add a cost to each refresh, for an operation that runs about once
/// a year. The last column counts values with an unknown key: damaged ones, or values that name a key
/// that never existed.
const NEEDING: &str = "SELECT
    count(*) FILTER (WHERE substr(sealed, 1, 5) = ?1 AND length(sealed) >= ?3),
    count(quarantined) FILTER (WHERE substr(sealed, 1, 5) = ?1 AND length(sealed) >= ?3),
    count(*) FILTER (WHERE length(sealed) < ?3 OR substr(sealed, 1, 1) <> substr(?2, 1, 1)
        OR substr(sealed, 1, 5) > ?2)
    FROM secrets";

pub(super) fn all(connection: &Connection) -> Result<Vec<DataKey>> {
    let mut statement = connection.prepare_cached(ALL)?;
    let keys = statement.query_map([], read)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

pub(super) fn get(connection: &Connection, id: u32) -> Result<Option<DataKey>> {
    let mut statement = connection.prepare_cached(GET)?;
    Ok(statement.query_row([id], read).optional()?)
}

/// Returns the id of the key to seal with; `None` in a store that no host has opened yet.
pub(super) fn newest(connection: &Connection) -> Result<Option<u32>> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Adds `key` unless its id exists; returns the stored key.
pub(super) fn add(connection: &Connection, key: &DataKey) -> Result<DataKey> {
    if let Some(stored) = get(connection, key.id)? {
        return Ok(stored);
    }
    if let Some(other) = all(connection)?
        .iter()
        .find(|other| other.kek_id != key.kek_id)
    {
        return Err(SqlError(StoreError::other_key_encryption_key(key, other)));
    }
    connection.prepare_cached(ADD)?.execute(params![
        key.id,
        key.kek_id,
        key.wrapped,
        to_millis(key.created)
    ])?;
    get(connection, key.id)?.ok_or_else(|| corrupt(format!("data key {} was not stored", key.id)))
}

pub(super) fn rewrap(
    connection: &Connection,
    current: &[DataKey],
    rewrapped: &[DataKey],
) -> Result<()> {
    validate_rewrap(current, rewrapped)?;
    if all(connection)? != current {
        return Err(SqlError(StoreError::data_keys_changed()));
    }
    for key in rewrapped {
        connection
            .prepare_cached(REWRAP)?
            .execute(params![key.id, key.kek_id, key.wrapped])?;
    }
    Ok(())
}

pub(super) fn retire(
    connection: &Connection,
    id: u32,
    despite_quarantined: bool,
) -> Result<Retirement> {
    let newest = match newest(connection)? {
        Some(newest) if newest == id => return Ok(Retirement::Newest),
        Some(newest) if get(connection, id)?.is_some() => newest,
        _ => return Ok(Retirement::Absent),
    };
    let beginning = Sealed::key_prefix(id);
    let last = Sealed::key_prefix(newest);
    let counts: (i64, i64, i64) = connection
        .prepare_cached(NEEDING)?
        .query_row(params![beginning, last, Sealed::MIN_BYTES], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let sealed = SecretCount {
        all: from_sql_count(counts.0, "a count")?,
        quarantined: from_sql_count(counts.1, "a count")?,
    };
    let unknown = from_sql_count(counts.2, "a count")?;
    let needed = match despite_quarantined {
        true => sealed.all > sealed.quarantined,
        false => sealed.all > 0 || unknown > 0,
    };
    if needed {
        return Ok(Retirement::InUse { sealed, unknown });
    }
    connection.prepare_cached(RETIRE)?.execute([id])?;
    Ok(Retirement::Retired)
}

fn read(row: &Row<'_>) -> rusqlite::Result<DataKey> {
    Ok(DataKey {
        id: row.get(0)?,
        kek_id: row.get(1)?,
        wrapped: row.get(2)?,
        created: from_millis(row.get(3)?),
    })
}

//! The wrapped data keys.

use rusqlite::{Connection, Row, params};

use super::fault::{Done, corrupt, millis, moment};
use crate::store::seal::DataKey;

/// There are only as many as rotations.
const ALL: &str = "SELECT id, kek_id, wrapped, created FROM data_keys ORDER BY id";
const GET: &str = "SELECT id, kek_id, wrapped, created FROM data_keys WHERE id = ?1";
const ADD: &str = "INSERT INTO data_keys (id, kek_id, wrapped, created) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO NOTHING";

pub(super) fn all(connection: &Connection) -> Done<Vec<DataKey>> {
    let mut statement = connection.prepare_cached(ALL)?;
    let keys = statement.query_map([], read)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Adds `key` unless there is one with its id; the one that is stored.
pub(super) fn add(connection: &Connection, key: &DataKey) -> Done<DataKey> {
    connection.prepare_cached(ADD)?.execute(params![
        key.id,
        key.kek_id,
        key.wrapped,
        millis(key.created)
    ])?;
    let mut statement = connection.prepare_cached(GET)?;
    let mut stored = statement.query_map([key.id], read)?;
    match stored.next() {
        Some(key) => Ok(key?),
        None => Err(corrupt(format!("data key {} was not stored", key.id))),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<DataKey> {
    Ok(DataKey {
        id: row.get(0)?,
        kek_id: row.get(1)?,
        wrapped: row.get(2)?,
        created: moment(row.get(3)?),
    })
}

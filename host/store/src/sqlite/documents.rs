//! Documents, their search keys and their secrets: one row at a time.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, corrupt, from_sql_count, parse_hierarchy};
use super::search::{self, Direction, SearchLimits};
use super::{SqliteStore, commit, sorted};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::seal::{HINT, Sealed};
use crate::{Commit, DocumentStore, SortOrder, StoreError};
use relation_types::{Document, Filter, Key, Page, Pkid, Reference};

const GET: &str =
    "SELECT hierarchy, version, body, keys FROM documents WHERE model = ?1 AND pkid = ?2";
const VERSION: &str = "SELECT version FROM documents WHERE model = ?1 AND pkid = ?2";
const HEAD: &str = "SELECT id, hierarchy, keys FROM documents WHERE model = ?1 AND pkid = ?2";
const INSERT: &str = "INSERT INTO documents (model, pkid, hierarchy, version, body, keys)
    VALUES (?1, ?2, ?3, 1, ?4, ?5)";
/// Does not set indexed columns: SQLite would rewrite the indexes even for an unchanged hierarchy.
const REPLACE: &str =
    "UPDATE documents SET version = version + 1, body = ?2, keys = ?3 WHERE id = ?1";
/// Replaces the body of a document whose node and keys stay the same, which is the usual change.
const REWRITE: &str = "UPDATE documents SET version = version + 1, body = ?5
    WHERE model = ?1 AND pkid = ?2 AND hierarchy = ?3 AND keys = ?4";
const MOVE: &str = "UPDATE documents SET hierarchy = ?2 WHERE id = ?1";
const DELETE: &str = "DELETE FROM documents WHERE id = ?1";
const ADD_KEY: &str =
    "INSERT INTO document_keys (model, name, value, pkid) VALUES (?1, ?2, ?3, ?4)";
const DROP_KEY: &str =
    "DELETE FROM document_keys WHERE model = ?1 AND name = ?2 AND value = ?3 AND pkid = ?4";
const SEALED: &str = "SELECT sealed FROM secrets WHERE model = ?1 AND pkid = ?2 AND name = ?3";
const PUT_SECRET: &str = "INSERT INTO secrets (model, pkid, name, sealed) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET sealed = excluded.sealed, quarantined = NULL, quarantined_at = NULL";
const REMOVE_SECRET: &str = "DELETE FROM secrets WHERE model = ?1 AND pkid = ?2 AND name = ?3";
const DROP_SECRETS: &str = "DELETE FROM secrets WHERE model = ?1 AND pkid = ?2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    GET,
    VERSION,
    HEAD,
    REPLACE,
    REWRITE,
    MOVE,
    DELETE,
    DROP_KEY,
    SEALED,
    REMOVE_SECRET,
    DROP_SECRETS,
];

/// The number of documents that are read on the calling thread.
const FEW: usize = 16;

/// A document without its body.
struct Head {
    id: i64,
    hierarchy: String,
    keys: String,
}

#[async_trait]
impl DocumentStore for SqliteStore {
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        match references {
            [] => Ok(Vec::new()),
            [one] => self.read(|connection| Ok(vec![get(connection, one)?])),
            few if few.len() <= FEW => self.readers.read_snapshot(|connection| {
                let found = few.iter().map(|one| get(connection, one));
                found.collect()
            }),
            several => {
                let several = several.to_vec();
                let each = move |connection: &Connection| {
                    let found = several.iter().map(|one| get(connection, one));
                    found.collect()
                };
                self.readers.read_blocking(each).await
            }
        }
    }

    async fn list(
        &self,
        filter: &Filter,
        order: &SortOrder,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = validate_limit(limit)?;
        order.validate(&filter.model)?;
        let listing = Listing::for_documents(&self.id, filter, order);
        let after = match cursor {
            Some(cursor) => Some(listing.document_position(order, cursor)?),
            None => None,
        };
        if order.key.is_none()
            && let Some(found) = self.find_few(filter, order, after.as_ref(), limit)?
        {
            return Ok(build_page(found, |last: &Document| {
                listing.document_cursor(order, last)
            }));
        }
        let (filter, sorting) = (filter.clone(), order.clone());
        let found = self
            .readers
            .read_blocking(move |connection| {
                let effort = SearchLimits::default();
                let want = limit + 1;
                let mut found = sorted::find(connection, &filter, &sorting, after, want, effort)?;
                let more = found.len() > limit;
                found.truncate(limit);
                let pkids = found.into_iter().map(|(_, pkid)| pkid);
                let documents = search::fetch(connection, &filter.model, pkids)?;
                Ok((documents, more))
            })
            .await?;
        Ok(build_page(found, |last: &Document| {
            listing.document_cursor(order, last)
        }))
    }

    async fn find_pkids(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Pkid>, StoreError> {
        let limit = validate_limit(limit)?;
        let order = SortOrder::default();
        let listing = Listing::for_documents(&self.id, filter, &order);
        let direction = Direction::Ascending;
        let from = match cursor {
            Some(cursor) => direction.after(&listing.document_position(&order, cursor)?.1),
            None => direction.start(),
        };
        let filter = filter.clone();
        let found = self
            .readers
            .read_blocking(move |connection| {
                let effort = SearchLimits::default();
                let want = limit + 1;
                search::find_pkids(connection, &filter, direction, &from, want, effort)
            })
            .await?;
        let more = found.len() > limit;
        let pkids = found.into_iter().take(limit).map(search::parse_pkid);
        let pkids = pkids.collect::<Result<Vec<_>>>()?;
        Ok(build_page((pkids, more), |last: &Pkid| {
            listing.cursor(&[last.as_str()])
        }))
    }

    async fn count(&self, filter: &Filter, at_most: u64) -> Result<u64, StoreError> {
        let filter = filter.clone();
        let effort = SearchLimits::default();
        self.readers
            .read_blocking(move |connection| search::count(connection, &filter, at_most, effort))
            .await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.validate()?;
        self.writer
            .write(move |connection| commit::commit(connection, &commit))
            .await
    }
}

impl SqliteStore {
    /// Finds a page on the calling thread, if the filter's first key is rare; `None` when it is not.
    fn find_few(
        &self,
        filter: &Filter,
        order: &SortOrder,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Option<(Vec<Document>, bool)>, StoreError> {
        if filter.equals.is_empty() {
            return Ok(None);
        }
        let direction = Direction::new(order.descending);
        let from = match after {
            Some((_, pkid)) => direction.after(pkid),
            None => direction.start(),
        };
        self.readers.read_snapshot(|connection| {
            let Some(mut found) = search::find_few(connection, filter, direction, &from, FEW)?
            else {
                return Ok(None);
            };
            let more = found.len() > limit;
            found.truncate(limit);
            let documents = search::fetch(connection, &filter.model, found.into_iter())?;
            Ok(Some((documents, more)))
        })
    }
}

pub(super) fn get(connection: &Connection, reference: &Reference) -> Result<Option<Document>> {
    let row = connection
        .prepare_cached(GET)?
        .query_row(params![reference.model, reference.pkid.as_str()], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get::<_, String>(3)?,
            ))
        })
        .optional()?;
    let Some((node, version, body, keys)) = row else {
        return Ok(None);
    };
    Ok(Some(Document {
        reference: reference.clone(),
        hierarchy: parse_hierarchy(node, reference)?,
        version: from_sql_count(version, "a version")?,
        body,
        keys: decode_keys(&keys, reference)?,
    }))
}

/// Returns the version of a document; `None` when it does not exist.
pub(super) fn version(connection: &Connection, reference: &Reference) -> Result<Option<u64>> {
    let found = connection
        .prepare_cached(VERSION)?
        .query_row(params![reference.model, reference.pkid.as_str()], |row| {
            row.get(0)
        })
        .optional()?;
    found
        .map(|version| from_sql_count(version, "a version"))
        .transpose()
}

/// Returns the keys of a document; none when it does not exist.
pub(super) fn keys(connection: &Connection, reference: &Reference) -> Result<Vec<Key>> {
    match head(connection, reference)? {
        Some(head) => decode_keys(&head.keys, reference),
        None => Ok(Vec::new()),
    }
}

pub(super) fn exists(connection: &Connection, reference: &Reference) -> Result<bool> {
    let mut statement = connection.prepare_cached(VERSION)?;
    Ok(statement.exists(params![reference.model, reference.pkid.as_str()])?)
}

pub(super) fn put(connection: &Connection, document: &Document) -> Result<()> {
    let reference = &document.reference;
    let (model, pkid) = (&reference.model, reference.pkid.as_str());
    let node = document.hierarchy.as_str();
    let keys = encode_keys(&document.keys)?;
    let rewritten = connection.prepare_cached(REWRITE)?.execute(params![
        model,
        pkid,
        node,
        keys,
        document.body
    ])?;
    if rewritten > 0 {
        return Ok(());
    }
    let old = match head(connection, reference)? {
        None => {
            connection.prepare_cached(INSERT)?.execute(params![
                model,
                pkid,
                node,
                document.body,
                keys
            ])?;
            sorted::update(connection, reference, None, Some((node, &document.keys)))?;
            Vec::new()
        }
        Some(head) => {
            connection
                .prepare_cached(REPLACE)?
                .execute(params![head.id, document.body, keys])?;
            if head.hierarchy != node {
                connection
                    .prepare_cached(MOVE)?
                    .execute(params![head.id, node])?;
            }
            let old = decode_keys(&head.keys, reference)?;
            let was = (head.hierarchy.as_str(), old.as_slice());
            sorted::update(
                connection,
                reference,
                Some(was),
                Some((node, &document.keys)),
            )?;
            old
        }
    };
    let old: BTreeSet<&Key> = old.iter().collect();
    let new: BTreeSet<&Key> = document.keys.iter().collect();
    for key in old.difference(&new) {
        drop_key(connection, reference, key)?;
    }
    for key in new.difference(&old) {
        connection
            .prepare_cached(ADD_KEY)?
            .execute(params![model, key.name, key.value, pkid])?;
    }
    Ok(())
}

/// Deletes a document with its keys and secrets, but not its wakeups.
pub(super) fn delete(connection: &Connection, reference: &Reference) -> Result<()> {
    if let Some(head) = head(connection, reference)? {
        connection.prepare_cached(DELETE)?.execute([head.id])?;
        let keys = decode_keys(&head.keys, reference)?;
        for key in &keys {
            drop_key(connection, reference, key)?;
        }
        sorted::update(connection, reference, Some((&head.hierarchy, &keys)), None)?;
    }
    connection
        .prepare_cached(DROP_SECRETS)?
        .execute(params![reference.model, reference.pkid.as_str()])?;
    Ok(())
}

pub(super) fn sealed(
    connection: &Connection,
    owner: &Reference,
    name: &str,
) -> Result<Option<Sealed>> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached(SEALED)?
        .query_row(params![owner.model, owner.pkid.as_str(), name], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let sealed = Sealed::try_from(bytes)
        .map_err(|error| corrupt(format!("the secret {name} of {owner} is {error}: {HINT}")))?;
    Ok(Some(sealed))
}

pub(super) fn put_secret(
    connection: &Connection,
    owner: &Reference,
    name: &str,
    sealed: &Sealed,
) -> Result<()> {
    connection.prepare_cached(PUT_SECRET)?.execute(params![
        owner.model,
        owner.pkid.as_str(),
        name,
        sealed.as_bytes()
    ])?;
    Ok(())
}

pub(super) fn remove_secret(connection: &Connection, owner: &Reference, name: &str) -> Result<()> {
    connection.prepare_cached(REMOVE_SECRET)?.execute(params![
        owner.model,
        owner.pkid.as_str(),
        name
    ])?;
    Ok(())
}

fn head(connection: &Connection, reference: &Reference) -> Result<Option<Head>> {
    let head = connection
        .prepare_cached(HEAD)?
        .query_row(params![reference.model, reference.pkid.as_str()], |row| {
            Ok(Head {
                id: row.get(0)?,
                hierarchy: row.get(1)?,
                keys: row.get(2)?,
            })
        })
        .optional()?;
    Ok(head)
}

fn drop_key(connection: &Connection, reference: &Reference, key: &Key) -> Result<()> {
    connection.prepare_cached(DROP_KEY)?.execute(params![
        reference.model,
        key.name,
        key.value,
        reference.pkid.as_str()
    ])?;
    Ok(())
}

/// Encodes keys as JSON: `[["name","value"],…]`.
fn encode_keys(keys: &[Key]) -> Result<String> {
    let pairs: Vec<(&str, &str)> = keys
        .iter()
        .map(|key| (key.name.as_str(), key.value.as_str()))
        .collect();
    serde_json::to_string(&pairs).map_err(|error| corrupt(error.to_string()))
}

pub(super) fn decode_keys(text: &str, reference: &Reference) -> Result<Vec<Key>> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text)
        .map_err(|error| corrupt(format!("the keys of {reference}: {error}")))?;
    Ok(pairs
        .into_iter()
        .map(|(name, value)| Key { name, value })
        .collect())
}

//! Transactions and their logs.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{
    Result, SqlError, from_millis, from_sql_count, parse_reference, to_millis, to_sql_count,
};
use super::sorted::list_nodes;
use super::transaction_columns::{
    decode_accesses, encode_accesses, encode_originator, level_name, parse_level, parse_status,
    read_node, read_originator, read_pkid,
};
use super::writer::Batch;
use super::{SqliteStore, calls, documents, queue, search, transaction_listing};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::{PruneReport, PruneRequest, StoreError, TransactionStore};
use relation_types::transactions::{
    LogLine, NewTransaction, Progress, Status, Transaction, TransactionFilter, TransactionOutcome,
    TransactionUpdate, parent_of, part_id, to_callback,
};
use relation_types::{Page, Pkid, QUEUED_CALL_MODEL, Reference};

const BEGIN: &str = "INSERT INTO transactions
    (id, action, subject_model, subject_pkid, subject_name, status, message, submitted, started,
     holder, hierarchy, originator, request)
    VALUES (?1, ?2, ?3, ?4, ?5, ?11, '', ?6, ?7, ?8, ?9, ?10, ?12) ON CONFLICT DO NOTHING";
pub(super) const ADD_NODE: &str = "INSERT INTO transaction_nodes (node, id) VALUES (?1, ?2)";
const EXISTS: &str = "SELECT 1 FROM transactions WHERE id = ?1";
const REPORT: &str = "UPDATE transactions SET
    progress_done = COALESCE(?2, progress_done), progress_total = COALESCE(?3, progress_total),
    progress_message = COALESCE(?4, progress_message), subject_name = COALESCE(?5, subject_name),
    more_reveals = more_reveals + ?6, reveals = reveals || ?7
    WHERE id = ?1 AND status = 'Processing'";
/// Not the same statement as `REPORT`: a status is in two indexes.
const FINISH: &str = "UPDATE transactions SET
    progress_done = COALESCE(?2, progress_done), progress_total = COALESCE(?3, progress_total),
    progress_message = COALESCE(?4, progress_message), subject_name = COALESCE(?5, subject_name),
    more_reveals = more_reveals + ?6, reveals = reveals || ?7, status = ?8, message = ?9,
    completed = ?10
    WHERE id = ?1 AND status = 'Processing'";
pub(super) const ADD_LINE: &str =
    "INSERT INTO transaction_log (transaction_id, at, level, message) VALUES (?1, ?2, ?3, ?4)";
/// A part has the subject, the node and the originator of its transaction. It has no rows by node, because it is only
/// listed with its transaction.
const ADD_PART: &str = "INSERT INTO transactions
    (id, action, subject_model, subject_pkid, subject_name, status, message, submitted, started,
     completed, holder, hierarchy, originator)
    SELECT ?2, ?3, subject_model, subject_pkid, subject_name, ?4, ?5, ?6, ?6, ?7, holder,
        hierarchy, originator
    FROM transactions WHERE id = ?1 ON CONFLICT DO NOTHING";
const CLOSE: &str = "UPDATE transactions SET status = ?2, message = ?3, completed = ?4
    WHERE id = ?1 AND request IS NULL";
const RUNNING: &str = "SELECT id, holder FROM transactions INDEXED BY transactions_running
    WHERE status = 'Processing'";
const RUNNING_WITHOUT_LEASE: &str = "SELECT id FROM transactions t
    INDEXED BY transactions_running
    WHERE status = 'Processing' AND holder = ?1 AND subject_pkid IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM leases l WHERE l.model = t.subject_model AND l.pkid = t.subject_pkid
        AND l.holder = ?1)";
const GET: &str = "SELECT id, action, subject_model, subject_pkid, subject_name, status,
    progress_done, progress_total, progress_message, message, submitted, started, completed,
    more_reveals, hierarchy, originator, request, reveals FROM transactions WHERE id = ?1";
const LOG: &str =
    "SELECT at, level, message FROM transaction_log WHERE transaction_id = ?1 ORDER BY id";
const NEXT: &str = "SELECT id, status, started, completed FROM transactions
    WHERE id > ?1 ORDER BY id LIMIT ?2";
const DELETE_LOG: &str = "DELETE FROM transaction_log WHERE transaction_id = ?1";
const BELONGINGS: &str = "SELECT hierarchy, request FROM transactions WHERE id = ?1";
const DELETE_NODE: &str = "DELETE FROM transaction_nodes WHERE node = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM transactions WHERE id = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    EXISTS,
    REPORT,
    FINISH,
    ADD_PART,
    CLOSE,
    GET,
    LOG,
    NEXT,
    DELETE_LOG,
    BELONGINGS,
    DELETE_NODE,
    DELETE,
];

#[async_trait]
impl TransactionStore for SqliteStore {
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        let id = id.to_owned();
        self.readers
            .read_blocking(move |connection| get(connection, &id))
            .await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_transactions(&self.id, filter);
        let before = match cursor {
            Some(cursor) => {
                let [id] = listing.position(cursor)?;
                Some(id)
            }
            None => None,
        };
        let filter = filter.clone();
        let found = self
            .readers
            .read_blocking(move |connection| {
                let before = before.as_deref();
                let mut found = transaction_listing::list(connection, &filter, before, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(build_page(found, |last: &Transaction| {
            listing.cursor(&[&last.id])
        }))
    }

    async fn count_transactions(
        &self,
        filter: &TransactionFilter,
        at_most: u64,
    ) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.readers
            .read_blocking(move |connection| {
                transaction_listing::count(connection, &filter, at_most)
            })
            .await
    }

    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError> {
        // Most steps find nothing to remove; then the writer is not needed.
        let look = move |connection: &Connection| find_prunable(connection, &prune);
        let (ids, next) = self.readers.read_blocking(look).await?;
        let removed = ids.len() as u64;
        if !ids.is_empty() {
            let forget = move |connection: &Batch<'_>| delete(connection, &ids);
            self.writer.write(forget).await?;
        }
        Ok(PruneReport { removed, next })
    }
}

pub(super) fn begin(connection: &Connection, holder: &str, new: &NewTransaction) -> Result<()> {
    add(connection, Status::Processing, holder, new)
}

/// Records a transaction as queued.
pub(super) fn add_queued(connection: &Connection, new: &NewTransaction) -> Result<()> {
    add(connection, Status::Queued, "", new)
}

fn add(connection: &Connection, status: Status, holder: &str, new: &NewTransaction) -> Result<()> {
    let subject = new.subject.as_ref();
    let stored = match subject {
        Some(subject) => search::find_node(connection, &subject.model, subject.pkid.as_str())?,
        None => None,
    };
    let given = || new.hierarchy.as_ref().map(ToString::to_string);
    let node = stored.or_else(given);
    let inserted = connection.prepare_cached(BEGIN)?.execute(params![
        new.id,
        new.action,
        subject.map(|subject| &subject.model),
        subject.map(|subject| subject.pkid.as_str()),
        new.subject_name,
        to_millis(new.submitted),
        to_millis(new.started),
        holder,
        node,
        encode_originator(new.originator.as_ref())?,
        status.as_str(),
        new.request.as_ref().map(Pkid::as_str)
    ])?;
    if inserted == 0 {
        return Err(SqlError(StoreError::duplicate_transaction(&new.id)));
    }
    if let Some(node) = node {
        let mut statement = connection.prepare_cached(ADD_NODE)?;
        for node in queue::find_listing_nodes(connection, &new.id, &node)? {
            statement.execute(params![node, new.id])?;
        }
    }
    Ok(())
}

/// Records an update of a running transaction. An update of an ended one is dropped.
pub(super) fn report(connection: &Connection, update: &TransactionUpdate) -> Result<()> {
    if record(connection, update)? || exists(connection, &update.id)? {
        return Ok(());
    }
    Err(SqlError(StoreError::unknown_transaction(&update.id)))
}

/// Works like [`report`], but an unknown transaction does not prevent the end of a call.
pub(super) fn finish(connection: &Connection, update: &TransactionUpdate) -> Result<()> {
    record(connection, update).map(|_| ())
}

fn exists(connection: &Connection, id: &str) -> Result<bool> {
    Ok(connection.prepare_cached(EXISTS)?.exists([id])?)
}

/// Records an update; returns whether the transaction is running. Otherwise, nothing is recorded.
fn record(connection: &Connection, update: &TransactionUpdate) -> Result<bool> {
    let progress = update.progress.as_ref();
    let done = progress.map(|progress| progress.done);
    let total = progress.map(|progress| progress.total);
    let message = progress.map(|progress| &progress.message);
    let omitted = to_sql_count(update.omitted_accesses);
    let name = &update.subject_name;
    let accesses = encode_accesses(&update.secret_accesses)?;
    let updated = match &update.outcome {
        None => connection.prepare_cached(REPORT)?.execute(params![
            update.id, done, total, message, name, omitted, accesses
        ])?,
        Some(outcome) => connection.prepare_cached(FINISH)?.execute(params![
            update.id,
            done,
            total,
            message,
            name,
            omitted,
            accesses,
            outcome.status.as_str(),
            outcome.message,
            Some(to_millis(outcome.completed)).filter(|_| outcome.status.is_ended())
        ])?,
    };
    if updated == 0 {
        return Ok(false);
    }
    for line in &update.lines {
        connection.prepare_cached(ADD_LINE)?.execute(params![
            update.id,
            to_millis(line.at),
            level_name(line.level),
            line.message
        ])?;
    }
    for part in &update.parts {
        connection.prepare_cached(ADD_PART)?.execute(params![
            update.id,
            part_id(&update.id, part.number),
            part.action,
            part.outcome.status.as_str(),
            part.outcome.message,
            to_millis(part.started),
            to_millis(part.outcome.completed)
        ])?;
    }
    if let (Some(bulk), Some(outcome)) = (parent_of(&update.id), &update.outcome) {
        queue::close_bulk(connection, bulk, outcome.completed)?;
    }
    Ok(true)
}

pub(super) fn close(connection: &Connection, id: &str, outcome: &TransactionOutcome) -> Result<()> {
    connection.prepare_cached(CLOSE)?.execute(params![
        id,
        outcome.status.as_str(),
        outcome.message,
        to_millis(outcome.completed)
    ])?;
    Ok(())
}

/// Returns the holders of the running transactions.
pub(super) fn running_holders(connection: &Connection) -> Result<BTreeSet<String>> {
    Ok(running(connection)?
        .into_iter()
        .map(|(_, holder)| holder)
        .collect())
}

/// Ends every running transaction of `holder`; returns their number.
pub(super) fn close_all_by(
    connection: &Connection,
    holder: &str,
    outcome: &TransactionOutcome,
) -> Result<u64> {
    let mut closed = 0;
    for (id, by) in running(connection)? {
        if by == holder {
            queue::interrupt(connection, &id, outcome)?;
            closed += 1;
        }
    }
    Ok(closed)
}

/// Ends the running transactions of `holder` whose subject it does not lease any more; returns their
/// number.
pub(super) fn close_without_lease(
    connection: &Connection,
    holder: &str,
    outcome: &TransactionOutcome,
) -> Result<u64> {
    let mut statement = connection.prepare_cached(RUNNING_WITHOUT_LEASE)?;
    let ids = statement.query_map([holder], |row| row.get(0))?;
    let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
    for id in &ids {
        queue::interrupt(connection, id, outcome)?;
    }
    Ok(ids.len() as u64)
}

fn running(connection: &Connection) -> Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(RUNNING)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn get(connection: &Connection, id: &str) -> Result<Option<Transaction>> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut transaction = read(row)?;
    transaction.log = log(connection, id)?;
    transaction.secret_accesses = decode_accesses(&row.get::<_, String>(17)?, id)?;
    Ok(Some(transaction))
}

fn log(connection: &Connection, id: &str) -> Result<Vec<LogLine>> {
    let mut statement = connection.prepare_cached(LOG)?;
    let mut rows = statement.query([id])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let level: String = row.get(1)?;
        lines.push(LogLine {
            at: from_millis(row.get(0)?),
            level: parse_level(&level)?,
            message: row.get(2)?,
        });
    }
    Ok(lines)
}

/// Returns the transactions of one step to remove, and where the next step begins.
pub(super) fn find_prunable(
    connection: &Connection,
    prune: &PruneRequest,
) -> Result<(Vec<String>, Option<String>)> {
    let after = prune.after.as_deref().unwrap_or_default();
    let limit = prune.limit.max(1);
    let mut statement = connection.prepare_cached(NEXT)?;
    let mut rows = statement.query(params![after, limit])?;
    let mut removable = Vec::new();
    let (mut read, mut last, mut is_over) = (0, None, true);
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let status: String = row.get(1)?;
        let completed: Option<i64> = row.get(3)?;
        if prune.covers(parse_status(&status)?, completed.map(from_millis)) {
            removable.push(id.clone());
        }
        is_over &= prune.ends_at(from_millis(row.get(2)?));
        last = Some(id);
        read += 1;
    }
    let next = last.filter(|_| read == limit && !is_over);
    Ok((removable, next))
}

/// Removes ended transactions with their logs, requests and callbacks.
pub(super) fn delete(connection: &Connection, ids: &[String]) -> Result<()> {
    for id in ids {
        connection.prepare_cached(DELETE_LOG)?.execute([id])?;
        let mut statement = connection.prepare_cached(BELONGINGS)?;
        let found = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)));
        let (node, request): (Option<String>, Option<String>) =
            found.optional()?.unwrap_or_default();
        if let Some(request) = read_pkid(request)? {
            calls::delete_document(connection, &Reference::new(QUEUED_CALL_MODEL, request))?;
        }
        if let Some(callback) = to_callback(id)
            && documents::exists(connection, &callback)?
        {
            calls::delete_document(connection, &callback)?;
        }
        if let Some(node) = node {
            let mut statement = connection.prepare_cached(DELETE_NODE)?;
            for node in list_nodes(&node) {
                statement.execute(params![node, id])?;
            }
        }
        connection.prepare_cached(DELETE)?.execute([id])?;
    }
    Ok(())
}

pub(super) fn read(row: &Row<'_>) -> Result<Transaction> {
    let subject = match (row.get(2)?, row.get(3)?) {
        (Some(model), Some(pkid)) => Some(parse_reference(model, pkid)?),
        _ => None,
    };
    let progress = match (row.get(6)?, row.get(7)?, row.get(8)?) {
        (Some(done), Some(total), Some(message)) => Some(Progress {
            done,
            total,
            message,
        }),
        _ => None,
    };
    let status: String = row.get(5)?;
    let completed: Option<i64> = row.get(12)?;
    Ok(Transaction {
        id: row.get(0)?,
        action: row.get(1)?,
        subject,
        subject_name: row.get(4)?,
        hierarchy: read_node(row.get(14)?)?,
        originator: read_originator(row.get(15)?)?,
        request: read_pkid(row.get(16)?)?,
        status: parse_status(&status)?,
        progress,
        message: row.get(9)?,
        submitted: from_millis(row.get(10)?),
        started: from_millis(row.get(11)?),
        completed: completed.map(from_millis),
        log: Vec::new(),
        secret_accesses: Vec::new(),
        omitted_accesses: from_sql_count(row.get(13)?, "a count of openings")?,
    })
}

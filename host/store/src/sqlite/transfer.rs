//! The store as the source or the target of a transfer.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::OpenError;
use super::error::{
    Result, SqlError, corrupt, from_millis, from_sql_count, parse_hierarchy, parse_reference,
    to_millis, to_sql_count,
};
use super::sorted::list_nodes;
use super::{SqliteStore, documents, secrets, transaction_columns, transactions, wakeups};
use crate::transfer::{
    Position, Row, RowKind, TransferMark, TransferSide, TransferStore, format_mark, not_a_target,
    parse_mark,
};
use crate::{SecretScope, StoreError};
use relation_types::transactions::Transaction;
use relation_types::{Document, Hierarchy, Pkid};

const MARK: &str = "SELECT value FROM meta WHERE name = 'transfer'";
const SET_MARK: &str = "INSERT INTO meta (name, value) VALUES ('transfer', ?1)
    ON CONFLICT DO UPDATE SET value = excluded.value";
const REMOVE_MARK: &str = "DELETE FROM meta WHERE name = 'transfer'";
const OPEN_CALLS: &str =
    "SELECT model || '/' || pkid FROM (SELECT model, pkid FROM leases WHERE epoch > 0 LIMIT 5)
    UNION ALL
    SELECT 'transaction ' || id FROM (SELECT id FROM transactions WHERE status = 'Processing' LIMIT 5)";

const DOCUMENTS: &str = "SELECT model, pkid, hierarchy, version, body, keys FROM documents
    WHERE (model, pkid) > (?1, ?2) ORDER BY model, pkid LIMIT ?3";
const WAKEUPS: &str =
    "SELECT model, pkid, id, due, payload, revision, attempts, deadline, scheduled
    FROM wakeups WHERE (model, pkid, id) > (?1, ?2, ?3) ORDER BY model, pkid, id LIMIT ?4";
const INTERRUPTED: &str = "SELECT model, pkid, began FROM leases
    WHERE epoch = 0 AND (model, pkid) > (?1, ?2) ORDER BY model, pkid LIMIT ?3";
const TRANSACTIONS: &str = "SELECT id FROM transactions WHERE id > ?1 ORDER BY id LIMIT ?2";
const IS_AT_NODE: &str = "SELECT 1 FROM transaction_nodes WHERE node = ?1 AND id = ?2";

const SET_VERSION: &str = "UPDATE documents SET version = ?3 WHERE model = ?1 AND pkid = ?2";
const ADD_SECRET: &str = "INSERT INTO secrets
    (model, pkid, name, sealed, quarantined, quarantined_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const ADD_WAKEUP: &str = "INSERT INTO wakeups
    (model, pkid, id, due, payload, revision, attempts, deadline, scheduled)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const ADD_INTERRUPTED: &str = "INSERT INTO leases (model, pkid, epoch, holder, expires, began)
    VALUES (?1, ?2, 0, '', 0, ?3)";

/// Only running transactions need a holder.
const ADD_TRANSACTION: &str = "INSERT INTO transactions
    (id, action, subject_model, subject_pkid, subject_name, status, progress_done, progress_total,
     progress_message, message, submitted, started, completed, hierarchy, originator, request,
     reveals, more_reveals, holder)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, '')";

const LAST_NUMBER: &str = "SELECT value FROM sequence";
const RAISE_NUMBER: &str = "UPDATE sequence SET value = max(value, ?1)";

/// The size of the contents after which a page ends.
const PAGE_BYTES: usize = 4 << 20;

#[async_trait]
impl TransferStore for SqliteStore {
    async fn transfer_mark(&self) -> Result<Option<TransferMark>, StoreError> {
        self.read(find_mark)
    }

    async fn set_transfer_mark(&self, mark: Option<TransferMark>) -> Result<(), StoreError> {
        let json = mark.as_ref().map(format_mark).transpose()?;
        self.writer
            .write(move |connection| {
                match json {
                    Some(json) => connection.prepare_cached(SET_MARK)?.execute([json])?,
                    None => connection.prepare_cached(REMOVE_MARK)?.execute([])?,
                };
                Ok(())
            })
            .await
    }

    async fn other_users(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.process_lock.find_other_processes())
    }

    async fn open_calls(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(OPEN_CALLS)?;
            let found = statement.query_map([], |row| row.get(0))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    async fn count_rows(&self, kind: RowKind) -> Result<u64, StoreError> {
        let count = format!("SELECT count(*) FROM {}", table(kind));
        self.readers
            .read_blocking(move |connection| {
                let found = connection.query_row(&count, [], |row| row.get(0))?;
                from_sql_count(found, "a count")
            })
            .await
    }

    async fn last_position(&self, kind: RowKind) -> Result<Option<Position>, StoreError> {
        let columns = match kind {
            RowKind::Documents | RowKind::InterruptedCalls => ["model", "pkid", "''"],
            RowKind::Secrets => ["model", "pkid", "name"],
            RowKind::Wakeups => ["model", "pkid", "id"],
            RowKind::Transactions => ["id", "''", "''"],
        };
        let order: Vec<String> = columns
            .iter()
            .filter(|column| **column != "''")
            .map(|column| format!("{column} DESC"))
            .collect();
        let last = format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT 1",
            columns.join(", "),
            table(kind),
            order.join(", ")
        );
        self.readers
            .read_blocking(move |connection| {
                let position = |row: &SqlRow<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?]);
                Ok(connection.query_row(&last, [], position).optional()?)
            })
            .await
    }

    async fn read_rows(
        &self,
        kind: RowKind,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let after = after.clone();
        self.readers
            .read_blocking(move |connection| read_rows(connection, kind, &after, limit))
            .await
    }

    async fn write_rows(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                match find_mark(connection)? {
                    Some(mark) if mark.side == TransferSide::Target => {}
                    _ => return Err(SqlError(not_a_target())),
                }
                rows.iter().try_for_each(|row| write_row(connection, row))
            })
            .await
    }

    async fn last_number(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let last = connection.query_row(LAST_NUMBER, [], |row| row.get(0))?;
            from_sql_count(last, "the counter")
        })
    }

    async fn raise_number(&self, at_least: u64) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| {
                let mut statement = connection.prepare_cached(RAISE_NUMBER)?;
                statement.execute([to_sql_count(at_least)])?;
                Ok(())
            })
            .await
    }
}

/// Returns the mark of a store that is the source or the target of a transfer.
pub(super) fn find_mark(connection: &Connection) -> Result<Option<TransferMark>> {
    let mut statement = connection.prepare_cached(MARK)?;
    let json: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(json.as_deref().map(parse_mark).transpose()?)
}

/// Refuses a store that is the source or the target of a transfer, except with a mark that is `accepted`.
pub(super) fn require_unmarked(
    connection: &Connection,
    path: &Path,
    accepted: impl Fn(&TransferMark) -> bool,
) -> Result<(), OpenError> {
    let path = path.to_owned();
    match find_mark(connection) {
        Ok(Some(mark)) if !accepted(&mark) => Err(OpenError::Marked {
            path,
            mark: Box::new(mark),
        }),
        Ok(_) => Ok(()),
        Err(fault) => Err(OpenError::Store {
            path,
            source: fault.0,
        }),
    }
}

/// Returns the table of a kind of row, with the condition that selects the rows.
fn table(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Documents => "documents",
        RowKind::Secrets => "secrets",
        RowKind::Wakeups => "wakeups",
        RowKind::InterruptedCalls => "leases WHERE epoch = 0",
        RowKind::Transactions => "transactions",
    }
}

fn read_rows(
    connection: &Connection,
    kind: RowKind,
    after: &Position,
    limit: u32,
) -> Result<Vec<Row>> {
    let [first, second, third] = after;
    match kind {
        RowKind::Documents => collect(
            connection,
            DOCUMENTS,
            params![first, second, limit],
            |row| {
                let document = read_document(row)?;
                let size = document.body.len();
                Ok((Row::Document(document), size))
            },
        ),
        RowKind::Secrets => {
            let found = secrets::list(connection, SecretScope::All, after, limit as usize)?;
            Ok(found.into_iter().map(Row::Secret).collect())
        }
        RowKind::Wakeups => collect(
            connection,
            WAKEUPS,
            params![first, second, third, limit],
            |row| {
                let found = wakeups::read(row)?;
                let scheduled = from_millis(row.get(8)?);
                let size = found.wakeup.payload.len();
                Ok((Row::Wakeup { found, scheduled }, size))
            },
        ),
        RowKind::InterruptedCalls => collect(
            connection,
            INTERRUPTED,
            params![first, second, limit],
            |row| {
                let subject = parse_reference(row.get(0)?, row.get(1)?)?;
                let began = from_millis(row.get(2)?);
                Ok((Row::InterruptedCall { subject, began }, 0))
            },
        ),
        RowKind::Transactions => collect(connection, TRANSACTIONS, params![first, limit], |row| {
            let id: String = row.get(0)?;
            let transaction = transactions::get(connection, &id)?
                .ok_or_else(|| corrupt(format!("transaction {id} disappeared")))?;
            let nodes = find_nodes(connection, &transaction)?;
            let log = transaction.log.iter().map(|line| line.message.len() + 32);
            let size = log.sum::<usize>() + transaction.secret_accesses.len() * 128;
            let transaction = Box::new(transaction);
            Ok((Row::Transaction { transaction, nodes }, size))
        }),
    }
}

/// Collects rows until they are longer than a page.
fn collect(
    connection: &Connection,
    statement: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&SqlRow<'_>) -> Result<(Row, usize)>,
) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(parameters)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let (row, size) = read(row)?;
        found.push(row);
        bytes += size;
    }
    Ok(found)
}

fn read_document(row: &SqlRow<'_>) -> Result<Document> {
    let reference = parse_reference(row.get(0)?, row.get(1)?)?;
    Ok(Document {
        hierarchy: parse_hierarchy(row.get(2)?, &reference)?,
        version: from_sql_count(row.get(3)?, "a version")?,
        body: row.get(4)?,
        keys: documents::decode_keys(&row.get::<_, String>(5)?, &reference)?,
        reference,
    })
}

/// Returns the nodes at which a transaction is listed.
fn find_nodes(connection: &Connection, transaction: &Transaction) -> Result<Vec<String>> {
    let Some(hierarchy) = &transaction.hierarchy else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(IS_AT_NODE)?;
    let mut nodes = Vec::new();
    for node in list_nodes(hierarchy.as_str()) {
        if statement.exists([node.as_str(), &transaction.id])? {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

fn write_row(connection: &Connection, row: &Row) -> Result<()> {
    match row {
        Row::Document(document) => {
            documents::put(connection, document)?;
            connection.prepare_cached(SET_VERSION)?.execute(params![
                document.reference.model,
                document.reference.pkid.as_str(),
                to_sql_count(document.version)
            ])?;
        }
        Row::Secret(secret) => {
            let quarantine = secret.quarantined.as_ref();
            connection.prepare_cached(ADD_SECRET)?.execute(params![
                secret.owner.model,
                secret.owner.pkid.as_str(),
                secret.name,
                secret.bytes,
                quarantine.map(|quarantine| &quarantine.reason),
                quarantine.map(|quarantine| to_millis(quarantine.since)),
            ])?;
        }
        Row::Wakeup { found, scheduled } => {
            let wakeup = &found.wakeup;
            connection.prepare_cached(ADD_WAKEUP)?.execute(params![
                wakeup.subject.model,
                wakeup.subject.pkid.as_str(),
                wakeup.id,
                to_millis(wakeup.due),
                wakeup.payload,
                to_sql_count(found.revision),
                found.attempts,
                wakeups::to_sql_deadline(wakeup.deadline),
                to_millis(*scheduled)
            ])?;
        }
        Row::InterruptedCall { subject, began } => {
            connection
                .prepare_cached(ADD_INTERRUPTED)?
                .execute(params![
                    subject.model,
                    subject.pkid.as_str(),
                    to_millis(*began)
                ])?;
        }
        Row::Transaction { transaction, nodes } => {
            write_transaction(connection, transaction, nodes)?;
        }
    }
    Ok(())
}

fn write_transaction(
    connection: &Connection,
    transaction: &Transaction,
    nodes: &[String],
) -> Result<()> {
    let Transaction { id, subject, .. } = transaction;
    let progress = transaction.progress.as_ref();
    connection
        .prepare_cached(ADD_TRANSACTION)?
        .execute(params![
            id,
            transaction.action,
            subject.as_ref().map(|subject| &subject.model),
            subject.as_ref().map(|subject| subject.pkid.as_str()),
            transaction.subject_name,
            transaction.status.as_str(),
            progress.map(|progress| progress.done),
            progress.map(|progress| progress.total),
            progress.map(|progress| &progress.message),
            transaction.message,
            to_millis(transaction.submitted),
            to_millis(transaction.started),
            transaction.completed.map(to_millis),
            transaction.hierarchy.as_ref().map(Hierarchy::as_str),
            transaction_columns::encode_originator(transaction.originator.as_ref())?,
            transaction.request.as_ref().map(Pkid::as_str),
            transaction_columns::encode_accesses(&transaction.secret_accesses)?,
            to_sql_count(transaction.omitted_accesses),
        ])?;
    let mut statement = connection.prepare_cached(transactions::ADD_LINE)?;
    for line in &transaction.log {
        let level = transaction_columns::level_name(line.level);
        statement.execute(params![id, to_millis(line.at), level, line.message])?;
    }
    let mut statement = connection.prepare_cached(transactions::ADD_NODE)?;
    for node in nodes {
        statement.execute([node, id])?;
    }
    Ok(())
}

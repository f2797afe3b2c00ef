//! The store as the source or the target of a transfer: see `functions/transfer.sql`.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row as SqlRow};

use super::error::{
    Result, WriteError, corrupt, describe, from_millis, from_sql_count, parse_reference,
    require_text, to_millis, to_sql_count,
};
use super::updates::{encode, encode_lines, to_text};
use super::{Lane, OpenError, PostgresStore, commit, documents, transactions, wakeups};
use crate::transfer::{
    Position, Row, RowKind, TransferMark, TransferSide, TransferStore, format_mark, not_a_target,
    parse_mark,
};
use crate::{SecretScope, StoreError, StoredSecret};
use relation_types::transactions::Transaction;
use relation_types::{Document, Hierarchy, Pkid, Reference};

const MARK: &str = "SELECT value FROM relation.meta WHERE name = 'transfer'";
/// A host that ends in order says so. Any other host may still run until it has not been seen for a while.
const OTHER_USERS: &str = "SELECT name || ' (last seen ' || to_char(seen AT TIME ZONE 'UTC', 'HH24:MI:SS') || ' UTC)'
    FROM relation.holders WHERE id <> $1 AND seen > clock_timestamp() - interval '20 seconds' ORDER BY seen DESC LIMIT 10";
const OPEN_CALLS: &str = "SELECT l.model || '/' || l.pkid FROM
        (SELECT model, pkid FROM relation.leases WHERE epoch > 0 ORDER BY model, pkid LIMIT 5) AS l
    UNION ALL
    SELECT 'transaction ' || t.id FROM
        (SELECT id FROM relation.transactions WHERE status = 'Processing' ORDER BY id LIMIT 5) AS t";
const LAST_NUMBER: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM relation.numbers";

/// A page ends when its bodies are longer than 4 MiB.
const DOCUMENTS: &str = "SELECT hierarchy, version, body, keys, model, pkid FROM (
        SELECT *, sum(length(body)) OVER (ORDER BY model, pkid) - length(body) AS before FROM (
            SELECT * FROM relation.documents WHERE (model, pkid) > ($1, $2) ORDER BY model, pkid LIMIT $3) AS d
    ) AS p WHERE before < 4194304 ORDER BY model, pkid";
const WAKEUPS: &str =
    "SELECT model, pkid, id, due, payload, revision, attempts, deadline, scheduled
    FROM relation.wakeups WHERE (model, pkid, id) > ($1, $2, $3) ORDER BY model, pkid, id LIMIT $4";
const INTERRUPTED: &str = "SELECT model, pkid, began FROM relation.leases
    WHERE epoch = 0 AND (model, pkid) > ($1, $2) ORDER BY model, pkid LIMIT $3";
/// The first columns are those of listings.
const TRANSACTIONS: &str = "SELECT t.id, t.action, t.subject_model, t.subject_pkid, t.subject_name, t.status,
        t.progress_done, t.progress_total, t.progress_message, t.message, t.submitted, t.started, t.completed,
        t.more_reveals, t.hierarchy, t.originator, t.request, n.lines, n.reveals,
        ARRAY(SELECT a.node FROM relation.transaction_nodes AS a
            WHERE a.id = t.id AND a.node = ANY (relation.listing_nodes(t.hierarchy)))
    FROM relation.transactions AS t, LATERAL (
        SELECT coalesce(string_agg(w.lines, '' ORDER BY w.number), '') AS lines,
            coalesce(string_agg(w.reveals, '' ORDER BY w.number), '') AS reveals
        FROM relation.transaction_news AS w WHERE w.transaction_id = t.id) AS n
    WHERE t.id > $1 ORDER BY t.id LIMIT $2";
/// Transactions can have long logs.
const MAX_TRANSACTIONS: i64 = 100;

#[async_trait]
impl TransferStore for PostgresStore {
    async fn transfer_mark(&self) -> Result<Option<TransferMark>, StoreError> {
        let rows = self.read(Lane::Read, MARK, &[]).await?;
        let json = rows.first().map(|row| row.try_get::<_, String>(0));
        let json = json.transpose().map_err(|error| describe(&error))?;
        json.as_deref().map(parse_mark).transpose()
    }

    async fn set_transfer_mark(&self, mark: Option<TransferMark>) -> Result<(), StoreError> {
        let json = mark.as_ref().map(format_mark).transpose()?;
        let hold = mark.is_some_and(|mark| mark.side == TransferSide::Source);
        let values = [(&json as _, Type::TEXT), (&hold as _, Type::BOOL)];
        self.write("relation.set_transfer_mark_v1", &values).await?;
        Ok(())
    }

    async fn other_users(&self) -> Result<Vec<String>, StoreError> {
        let values = [(&self.holder as _, Type::TEXT)];
        let rows = self.read(Lane::Read, OTHER_USERS, &values).await?;
        Ok(read_texts(&rows)?)
    }

    async fn open_calls(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.read(Lane::Slow, OPEN_CALLS, &[]).await?;
        Ok(read_texts(&rows)?)
    }

    async fn count_rows(&self, kind: RowKind) -> Result<u64, StoreError> {
        let count = format!("SELECT count(*) FROM {}", table(kind));
        Ok(self.read_count(&count).await?)
    }

    async fn last_position(&self, kind: RowKind) -> Result<Option<Position>, StoreError> {
        let (columns, order) = match kind {
            RowKind::Documents | RowKind::InterruptedCalls => {
                ("model, pkid, ''", "model DESC, pkid DESC")
            }
            RowKind::Secrets => ("model, pkid, name", "model DESC, pkid DESC, name DESC"),
            RowKind::Wakeups => ("model, pkid, id", "model DESC, pkid DESC, id DESC"),
            RowKind::Transactions => ("id, '', ''", "id DESC"),
        };
        let table = table(kind);
        let last = format!("SELECT {columns} FROM {table} ORDER BY {order} LIMIT 1");
        let rows = self.read(Lane::Slow, &last, &[]).await?;
        let position = |row: &SqlRow| -> Result<Position> {
            Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?])
        };
        Ok(rows.first().map(position).transpose()?)
    }

    async fn read_rows(
        &self,
        kind: RowKind,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.list_rows(kind, after, i64::from(limit)).await?)
    }

    async fn write_rows(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        let kind = match rows.first().map(Row::kind) {
            None | Some(RowKind::Documents) => "documents",
            Some(RowKind::Secrets) => "secrets",
            Some(RowKind::Wakeups) => "wakeups",
            Some(RowKind::InterruptedCalls) => "interrupted-calls",
            Some(RowKind::Transactions) => "transactions",
        };
        let rows = rows.iter().map(encode_row);
        let rows = Value::Array(rows.collect::<Result<_, _>>()?).to_string();
        let values = [(&kind as _, Type::TEXT), (&rows as _, Type::TEXT)];
        match self.write("relation.transfer_rows_v1", &values).await {
            Ok(_) => Ok(()),
            Err(WriteError::Refused { code, .. }) if code == "RL012" => Err(not_a_target()),
            Err(error) => Err(error.into()),
        }
    }

    async fn last_number(&self) -> Result<u64, StoreError> {
        Ok(self.read_count(LAST_NUMBER).await?)
    }

    async fn raise_number(&self, at_least: u64) -> Result<(), StoreError> {
        let at_least = to_sql_count(at_least);
        if at_least > 0 {
            let values = [(&at_least as _, Type::INT8)];
            self.write("relation.raise_number_v1", &values).await?;
        }
        Ok(())
    }
}

impl PostgresStore {
    async fn read_count(&self, statement: &str) -> Result<u64> {
        let rows = self.read(Lane::Slow, statement, &[]).await?;
        let count = rows.first().map(|row| row.try_get(0)).transpose()?;
        from_sql_count(count.unwrap_or_default(), "a count")
    }

    async fn list_rows(&self, kind: RowKind, after: &Position, limit: i64) -> Result<Vec<Row>> {
        let [first, second, third] = after;
        let first = (first as _, Type::TEXT);
        let second = (second as _, Type::TEXT);
        let third = (third as _, Type::TEXT);
        let few = limit.min(MAX_TRANSACTIONS);
        let wanted = (&limit as _, Type::INT8);
        let (statement, values, read): (_, _, fn(&SqlRow) -> Result<Row>) = match kind {
            RowKind::Secrets => {
                let limit = usize::try_from(limit).unwrap_or(1);
                let found = self.list_secrets(SecretScope::All, after, limit).await?;
                return Ok(found.into_iter().map(Row::Secret).collect());
            }
            RowKind::Documents => (DOCUMENTS, vec![first, second, wanted], read_document),
            RowKind::Wakeups => (WAKEUPS, vec![first, second, third, wanted], read_wakeup),
            RowKind::InterruptedCalls => {
                (INTERRUPTED, vec![first, second, wanted], read_interrupted)
            }
            RowKind::Transactions => {
                let limit = (&few as _, Type::INT8);
                (TRANSACTIONS, vec![first, limit], read_transaction)
            }
        };
        let rows = self.read(Lane::Slow, statement, &values).await?;
        rows.iter().map(read).collect()
    }
}

/// Refuses a store that is the source or the target of a transfer, except with a mark that is `accepted`.
pub(super) async fn require_unmarked(
    client: &Client,
    accepted: impl Fn(&TransferMark) -> bool,
) -> Result<(), OpenError> {
    let found = client.query_typed_opt(MARK, &[]).await;
    let row = found.map_err(|error| describe(&error))?;
    let json: Option<String> = match row {
        Some(row) => row.try_get(0).map_err(|error| describe(&error))?,
        None => None,
    };
    match json.as_deref().map(parse_mark).transpose()? {
        Some(mark) if !accepted(&mark) => Err(OpenError::Marked(Box::new(mark))),
        _ => Ok(()),
    }
}

/// Returns the table of a kind of row, with the condition that selects the rows.
fn table(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Documents => "relation.documents",
        RowKind::Secrets => "relation.secrets",
        RowKind::Wakeups => "relation.wakeups",
        RowKind::InterruptedCalls => "relation.leases WHERE epoch = 0",
        RowKind::Transactions => "relation.transactions",
    }
}

fn read_texts(rows: &[SqlRow]) -> Result<Vec<String>> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn read_document(row: &SqlRow) -> Result<Row> {
    let reference = parse_reference(row.try_get(4)?, row.try_get(5)?)?;
    let document = documents::read_document(row, &reference)?;
    let document = document.ok_or_else(|| corrupt(format!("{reference} has no node")))?;
    Ok(Row::Document(document))
}

fn read_wakeup(row: &SqlRow) -> Result<Row> {
    Ok(Row::Wakeup {
        found: wakeups::read(row)?,
        scheduled: from_millis(row.try_get(8)?),
    })
}

fn read_interrupted(row: &SqlRow) -> Result<Row> {
    Ok(Row::InterruptedCall {
        subject: parse_reference(row.try_get(0)?, row.try_get(1)?)?,
        began: from_millis(row.try_get(2)?),
    })
}

fn read_transaction(row: &SqlRow) -> Result<Row> {
    let mut transaction = transactions::read(row)?;
    transaction.log = decode_lines(row.try_get(17)?, &transaction.id)?;
    transaction.secret_accesses = decode_lines(row.try_get(18)?, &transaction.id)?;
    Ok(Row::Transaction {
        transaction: Box::new(transaction),
        nodes: row.try_get(19)?,
    })
}

fn decode_lines<T: DeserializeOwned>(lines: &str, id: &str) -> Result<Vec<T>> {
    let decode = |line| {
        serde_json::from_str(line)
            .map_err(|error| corrupt(format!("a line of the transaction {id}: {error}")))
    };
    lines.lines().map(decode).collect()
}

fn encode_row(row: &Row) -> Result<Value, StoreError> {
    match row {
        Row::Document(document) => encode_document(document),
        Row::Secret(secret) => encode_secret(secret),
        Row::Wakeup { found, scheduled } => {
            let wakeup = &found.wakeup;
            require_name(&wakeup.subject, "the id of a wakeup", &wakeup.id)?;
            Ok(json!({
                "model": wakeup.subject.model,
                "pkid": wakeup.subject.pkid.as_str(),
                "id": wakeup.id,
                "due": to_millis(wakeup.due),
                "deadline": wakeups::to_sql_deadline(wakeup.deadline),
                "payload": hex::encode(&wakeup.payload),
                "revision": to_sql_count(found.revision),
                "attempts": found.attempts,
                "scheduled": to_millis(*scheduled),
            }))
        }
        Row::InterruptedCall { subject, began } => Ok(json!({
            "model": subject.model,
            "pkid": subject.pkid.as_str(),
            "began": to_millis(*began),
        })),
        Row::Transaction { transaction, nodes } => encode_transaction(transaction, nodes),
    }
}

fn encode_document(document: &Document) -> Result<Value, StoreError> {
    let Document { reference, .. } = document;
    require_name(reference, "the body", &document.body)?;
    for key in &document.keys {
        require_name(reference, "the name of a key", &key.name)?;
        require_name(reference, "the value of a key", &key.value)?;
    }
    Ok(json!({
        "model": reference.model,
        "pkid": reference.pkid.as_str(),
        "node": document.hierarchy.as_str(),
        "version": to_sql_count(document.version),
        "body": document.body,
        "keys": commit::encode_keys(&document.keys)?,
    }))
}

fn encode_secret(secret: &StoredSecret) -> Result<Value, StoreError> {
    require_name(&secret.owner, "the name of a secret", &secret.name)?;
    let quarantine = secret.quarantined.as_ref();
    Ok(json!({
        "model": secret.owner.model,
        "pkid": secret.owner.pkid.as_str(),
        "name": secret.name,
        "sealed": hex::encode(&secret.bytes),
        "quarantined": quarantine.map(|quarantine| to_text(&quarantine.reason)),
        "quarantined_at": quarantine.map(|quarantine| to_millis(quarantine.since)),
    }))
}

fn encode_transaction(transaction: &Transaction, nodes: &[String]) -> Result<Value, StoreError> {
    let Transaction { id, subject, .. } = transaction;
    require_text("the id of a transaction", id)?;
    require_text("the action of a transaction", &transaction.action)?;
    let subject = subject.as_ref();
    let progress = transaction.progress.as_ref();
    Ok(json!({
        "id": id,
        "action": transaction.action,
        "subject_model": subject.map(|subject| &subject.model),
        "subject_pkid": subject.map(|subject| subject.pkid.as_str()),
        "subject_name": to_text(&transaction.subject_name),
        "status": transaction.status.as_str(),
        "done": progress.map(|progress| progress.done),
        "total": progress.map(|progress| progress.total),
        "progress": progress.map(|progress| to_text(&progress.message)),
        "message": to_text(&transaction.message),
        "submitted": to_millis(transaction.submitted),
        "started": to_millis(transaction.started),
        "completed": transaction.completed.map(to_millis),
        "hierarchy": transaction.hierarchy.as_ref().map(Hierarchy::as_str),
        // JSON within JSON: the text is stored as it is.
        "originator": transaction.originator.as_ref().map(encode).transpose()?,
        "request": transaction.request.as_ref().map(Pkid::as_str),
        "omitted": to_sql_count(transaction.omitted_accesses),
        "lines": encode_lines(&transaction.log)?,
        "reveals": encode_lines(&transaction.secret_accesses)?,
        "nodes": nodes,
    }))
}

/// Refuses a text of a document with U+0000, which PostgreSQL cannot store.
fn require_name(owner: &Reference, what: &str, text: &str) -> Result<(), StoreError> {
    require_text("the model of a document", &owner.model)?;
    require_text(&format!("{what} of {owner}"), text)
}

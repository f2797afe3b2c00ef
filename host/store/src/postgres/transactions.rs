//! Transactions with their logs, and the removal of old ones. Calls and commits record them.

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{Result, corrupt, from_millis, from_sql_count, parse_reference};
use super::{Lane, PostgresStore, transaction_listing};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::{PruneReport, PruneRequest, StoreError, TransactionStore};
use relation_types::transactions::{
    LogLine, Originator, Progress, SecretAccess, Status, Transaction, TransactionFilter,
    to_callback,
};
use relation_types::{CALLBACK_MODEL, Hierarchy, Page, Pkid, QUEUED_CALL_MODEL};

const GET: &str = "SELECT id, action, subject_model, subject_pkid, subject_name, status,
    progress_done, progress_total, progress_message, message, submitted, started, completed,
    more_reveals, hierarchy, originator, request FROM relation.transactions WHERE id = $1";
const NEWS: &str = "SELECT lines, reveals FROM relation.transaction_news
    WHERE transaction_id = $1 ORDER BY number";
const NEXT: &str = "SELECT id, status, started, completed FROM relation.transactions
    WHERE id > $1 ORDER BY id LIMIT $2";

#[async_trait]
impl TransactionStore for PostgresStore {
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        if id.contains('\0') {
            return Ok(None);
        }
        let values = [(&id as _, Type::TEXT)];
        let rows = self.read(Lane::Read, GET, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut transaction = read(row)?;
        for news in self.read(Lane::Read, NEWS, &values).await? {
            transaction.log.extend(decode_lines(&news, id)?);
            let accesses = decode_accesses(&news, id)?;
            transaction.secret_accesses.extend(accesses);
        }
        Ok(Some(transaction))
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
        let want = limit.saturating_add(1);
        let mut found = transaction_listing::list(self, filter, before.as_deref(), want).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(build_page((found, more), |last: &Transaction| {
            listing.cursor(&[&last.id])
        }))
    }

    async fn count_transactions(
        &self,
        filter: &TransactionFilter,
        at_most: u64,
    ) -> Result<u64, StoreError> {
        Ok(transaction_listing::count(self, filter, at_most).await?)
    }

    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError> {
        let (ids, next) = self.find_prunable(&prune).await?;
        if ids.is_empty() {
            return Ok(PruneReport { removed: 0, next });
        }
        let callbacks: Vec<String> = ids
            .iter()
            .filter_map(|id| Some(to_callback(id)?.pkid.as_str().to_owned()))
            .collect();
        let values = [
            (&ids as _, Type::TEXT_ARRAY),
            (&QUEUED_CALL_MODEL as _, Type::TEXT),
            (&CALLBACK_MODEL as _, Type::TEXT),
            (&callbacks as _, Type::TEXT_ARRAY),
        ];
        let removed = self.write("relation.prune_v1", &values).await?;
        let removed = removed
            .parse()
            .map_err(|_| StoreError::Corrupt(format!("a number of removed rows is {removed}")))?;
        Ok(PruneReport { removed, next })
    }
}

impl PostgresStore {
    /// Returns the transactions of one step to remove, and where the next step begins.
    async fn find_prunable(&self, prune: &PruneRequest) -> Result<(Vec<String>, Option<String>)> {
        let after = prune.after.as_deref().unwrap_or_default();
        let limit = i64::from(prune.limit.max(1));
        let values = [(&after as _, Type::TEXT), (&limit as _, Type::INT8)];
        let rows = self.read(Lane::Slow, NEXT, &values).await?;
        let mut removable = Vec::new();
        let (mut last, mut is_over) = (None, true);
        for row in &rows {
            let id: String = row.try_get(0)?;
            let status = parse_status(row.try_get(1)?)?;
            let completed: Option<i64> = row.try_get(3)?;
            if prune.covers(status, completed.map(from_millis)) {
                removable.push(id.clone());
            }
            is_over &= prune.ends_at(from_millis(row.try_get(2)?));
            last = Some(id);
        }
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        Ok((removable, last.filter(|_| is_full && !is_over)))
    }
}

fn decode_lines(news: &Row, id: &str) -> Result<Vec<LogLine>> {
    let lines: &str = news.try_get(0)?;
    let lines = lines.lines().map(|line| {
        serde_json::from_str(line).map_err(|error| {
            corrupt(format!(
                "a line of the log of the transaction {id}: {error}"
            ))
        })
    });
    lines.collect()
}

fn decode_accesses(news: &Row, id: &str) -> Result<Vec<SecretAccess>> {
    let lines: &str = news.try_get(1)?;
    let accesses = lines.lines().map(|line| {
        serde_json::from_str(line)
            .map_err(|error| corrupt(format!("a secret access of the transaction {id}: {error}")))
    });
    accesses.collect()
}

/// Reads the columns of a listing.
pub(super) fn read(row: &Row) -> Result<Transaction> {
    let subject = match (row.try_get(2)?, row.try_get(3)?) {
        (Some(model), Some(pkid)) => Some(parse_reference(model, pkid)?),
        _ => None,
    };
    let progress = match (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?) {
        (Some(done), Some(total), Some(message)) => Some(Progress {
            done: read_progress(done)?,
            total: read_progress(total)?,
            message,
        }),
        _ => None,
    };
    let completed: Option<i64> = row.try_get(12)?;
    Ok(Transaction {
        id: row.try_get(0)?,
        action: row.try_get(1)?,
        subject,
        subject_name: row.try_get(4)?,
        hierarchy: read_node(row.try_get(14)?)?,
        originator: read_originator(row.try_get(15)?)?,
        request: read_pkid(row.try_get(16)?)?,
        status: parse_status(row.try_get(5)?)?,
        progress,
        message: row.try_get(9)?,
        submitted: from_millis(row.try_get(10)?),
        started: from_millis(row.try_get(11)?),
        completed: completed.map(from_millis),
        log: Vec::new(),
        secret_accesses: Vec::new(),
        omitted_accesses: from_sql_count(row.try_get(13)?, "a count of openings")?,
    })
}

fn read_progress(steps: i64) -> Result<u32> {
    u32::try_from(steps).map_err(|_| corrupt(format!("the progress of a transaction is {steps}")))
}

fn read_node(node: Option<String>) -> Result<Option<Hierarchy>> {
    node.map(Hierarchy::try_from)
        .transpose()
        .map_err(|error| corrupt(format!("the node of a transaction: {error}")))
}

fn read_pkid(pkid: Option<String>) -> Result<Option<Pkid>> {
    pkid.map(Pkid::try_from)
        .transpose()
        .map_err(|error| corrupt(format!("the request of a transaction: {error}")))
}

fn read_originator(json: Option<&str>) -> Result<Option<Originator>> {
    json.map(serde_json::from_str)
        .transpose()
        .map_err(|error| corrupt(format!("the originator of a transaction: {error}")))
}

fn parse_status(text: &str) -> Result<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| corrupt(format!("a transaction has the status {text}")))
}

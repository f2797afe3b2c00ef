//! Transactions and their logs.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::fault::{Done, Fault, corrupt, count_in, count_out, millis, moment, reference};
use super::reveals;
use crate::store::{Prune, StoreError};
use crate::transactions::{
    Level, LogLine, NewTransaction, Outcome, Progress, Status, Transaction, TransactionFilter,
    TransactionUpdate,
};

const BEGIN: &str = "INSERT INTO transactions
    (id, action, subject_model, subject_pkid, subject_name, status, message, submitted, started,
     holder)
    VALUES (?1, ?2, ?3, ?4, ?5, 'Processing', '', ?6, ?7, ?8) ON CONFLICT DO NOTHING";
const STATUS: &str = "SELECT status FROM transactions WHERE id = ?1";
const PROGRESS: &str = "UPDATE transactions
    SET progress_done = ?2, progress_total = ?3, progress_message = ?4 WHERE id = ?1";
const RENAME: &str = "UPDATE transactions SET subject_name = ?2 WHERE id = ?1";
const ADD_LINE: &str =
    "INSERT INTO transaction_log (transaction_id, at, level, message) VALUES (?1, ?2, ?3, ?4)";
const MORE_REVEALS: &str = "UPDATE transactions SET more_reveals = more_reveals + ?2 WHERE id = ?1";
const CLOSE: &str =
    "UPDATE transactions SET status = ?2, message = ?3, completed = ?4 WHERE id = ?1";
const RUNNING: &str = "SELECT id, holder FROM transactions INDEXED BY transactions_running
    WHERE status = 'Processing'";
const RUNNING_WITHOUT_LEASE: &str = "SELECT id FROM transactions t
    INDEXED BY transactions_running
    WHERE status = 'Processing' AND holder = ?1 AND subject_pkid IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM leases l WHERE l.model = t.subject_model AND l.pkid = t.subject_pkid
        AND l.holder = ?1)";
const GET: &str = "SELECT id, action, subject_model, subject_pkid, subject_name, status,
    progress_done, progress_total, progress_message, message, submitted, started, completed,
    more_reveals FROM transactions WHERE id = ?1";
const LOG: &str =
    "SELECT at, level, message FROM transaction_log WHERE transaction_id = ?1 ORDER BY id";
const NEXT: &str = "SELECT id, status, started, completed FROM transactions
    WHERE id > ?1 ORDER BY id LIMIT ?2";
const FORGET_LOG: &str = "DELETE FROM transaction_log WHERE transaction_id = ?1";
const FORGET: &str = "DELETE FROM transactions WHERE id = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    STATUS,
    PROGRESS,
    RENAME,
    MORE_REVEALS,
    CLOSE,
    GET,
    LOG,
    NEXT,
    FORGET_LOG,
    FORGET,
];

pub(super) fn begin(connection: &Connection, holder: &str, new: &NewTransaction) -> Done<()> {
    let subject = new.subject.as_ref();
    let inserted = connection.prepare_cached(BEGIN)?.execute(params![
        new.id,
        new.action,
        subject.map(|subject| &subject.model),
        subject.map(|subject| subject.pkid.as_str()),
        new.subject_name,
        millis(new.submitted),
        millis(new.started),
        holder
    ])?;
    match inserted {
        1 => Ok(()),
        _ => Err(Fault(StoreError::begun_before(&new.id))),
    }
}

/// Records news of a transaction that runs; news of one that has ended comes too late and is dropped.
pub(super) fn report(connection: &Connection, news: &TransactionUpdate) -> Done<()> {
    match status(connection, &news.id)? {
        None => Err(Fault(StoreError::never_began(&news.id))),
        Some(Status::Processing) => record(connection, news),
        Some(_) => Ok(()),
    }
}

/// Like [`report`], but nothing stands in the way of the end of a call.
pub(super) fn finish(connection: &Connection, news: &TransactionUpdate) -> Done<()> {
    match status(connection, &news.id)? {
        Some(Status::Processing) => record(connection, news),
        _ => Ok(()),
    }
}

fn status(connection: &Connection, id: &str) -> Done<Option<Status>> {
    let status: Option<String> = connection
        .prepare_cached(STATUS)?
        .query_row([id], |row| row.get(0))
        .optional()?;
    status.as_deref().map(status_of).transpose()
}

fn record(connection: &Connection, news: &TransactionUpdate) -> Done<()> {
    if let Some(Progress {
        done,
        total,
        message,
    }) = &news.progress
    {
        connection
            .prepare_cached(PROGRESS)?
            .execute(params![news.id, done, total, message])?;
    }
    if let Some(name) = &news.subject_name {
        connection
            .prepare_cached(RENAME)?
            .execute([&news.id, name])?;
    }
    for line in &news.lines {
        connection.prepare_cached(ADD_LINE)?.execute(params![
            news.id,
            millis(line.at),
            level_name(line.level),
            line.message
        ])?;
    }
    reveals::add(connection, &news.id, &news.reveals)?;
    if news.more_reveals > 0 {
        connection
            .prepare_cached(MORE_REVEALS)?
            .execute(params![news.id, count_in(news.more_reveals)])?;
    }
    match &news.outcome {
        Some(outcome) => close(connection, &news.id, outcome),
        None => Ok(()),
    }
}

fn close(connection: &Connection, id: &str, outcome: &Outcome) -> Done<()> {
    connection.prepare_cached(CLOSE)?.execute(params![
        id,
        outcome.status.as_str(),
        outcome.message,
        millis(outcome.completed)
    ])?;
    Ok(())
}

/// Who runs the transactions that run.
pub(super) fn running_holders(connection: &Connection) -> Done<BTreeSet<String>> {
    Ok(running(connection)?
        .into_iter()
        .map(|(_, holder)| holder)
        .collect())
}

/// Ends every transaction that `holder` runs; how many they were.
pub(super) fn close_all_of(connection: &Connection, holder: &str, outcome: &Outcome) -> Done<u64> {
    let mut closed = 0;
    for (id, by) in running(connection)? {
        if by == holder {
            close(connection, &id, outcome)?;
            closed += 1;
        }
    }
    Ok(closed)
}

/// Ends the transactions on a subject that `holder` runs without a lease of that subject: their time
/// is over. How many they were.
pub(super) fn close_those_without_lease(
    connection: &Connection,
    holder: &str,
    outcome: &Outcome,
) -> Done<u64> {
    let mut statement = connection.prepare_cached(RUNNING_WITHOUT_LEASE)?;
    let ids = statement.query_map([holder], |row| row.get(0))?;
    let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
    for id in &ids {
        close(connection, id, outcome)?;
    }
    Ok(ids.len() as u64)
}

fn running(connection: &Connection) -> Done<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(RUNNING)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn get(connection: &Connection, id: &str) -> Done<Option<Transaction>> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut transaction = read(row)?;
    transaction.log = log(connection, id)?;
    transaction.reveals = reveals::of(connection, id)?;
    Ok(Some(transaction))
}

fn log(connection: &Connection, id: &str) -> Done<Vec<LogLine>> {
    let mut statement = connection.prepare_cached(LOG)?;
    let mut rows = statement.query([id])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let level: String = row.get(1)?;
        lines.push(LogLine {
            at: moment(row.get(0)?),
            level: level_of(&level)?,
            message: row.get(2)?,
        });
    }
    Ok(lines)
}

/// The transactions of one step that are to be removed, and where the next step begins.
pub(super) fn prunable(
    connection: &Connection,
    prune: &Prune,
) -> Done<(Vec<String>, Option<String>)> {
    let after = prune.after.as_deref().unwrap_or_default();
    let limit = prune.limit.max(1);
    let mut statement = connection.prepare_cached(NEXT)?;
    let mut rows = statement.query(params![after, limit])?;
    let mut removable = Vec::new();
    let (mut seen, mut last, mut is_over) = (0, None, true);
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let status: String = row.get(1)?;
        let completed: Option<i64> = row.get(3)?;
        if prune.covers(status_of(&status)?, completed.map(moment)) {
            removable.push(id.clone());
        }
        is_over &= prune.ends_at(moment(row.get(2)?));
        last = Some(id);
        seen += 1;
    }
    let next = last.filter(|_| seen == limit && !is_over);
    Ok((removable, next))
}

/// Removes transactions that have ended, with their logs.
pub(super) fn forget(connection: &Connection, ids: &[String]) -> Done<()> {
    for id in ids {
        connection.prepare_cached(FORGET_LOG)?.execute([id])?;
        reveals::forget(connection, id)?;
        connection.prepare_cached(FORGET)?.execute([id])?;
    }
    Ok(())
}

/// The newest `want` transactions that match, behind `before` when that is given.
pub(super) fn list(
    connection: &Connection,
    filter: &TransactionFilter,
    before: Option<&str>,
    want: usize,
) -> Done<Vec<Transaction>> {
    let want = i64::try_from(want).unwrap_or(i64::MAX);
    // Without a position: behind every id, which is before the last character there is.
    let before = before.unwrap_or("\u{10ffff}");
    let subject = filter.subject.as_ref();
    let subject = subject.map(|subject| (subject.model.as_str(), subject.pkid.as_str()));
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":before", &before), (":want", &want)];
    if let Some((model, pkid)) = &subject {
        values.push((":model", model));
        values.push((":pkid", pkid));
    }
    if let Some(action) = &filter.action {
        values.push((":action", action));
    }
    let mut statement = connection.prepare_cached(&listing(filter))?;
    let mut rows = statement.query(values.as_slice())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The statement of a listing: walks one index from the newest, the one of which the fewest rows are
/// expected to match, and looks at the rest of the filter on the way.
pub(super) fn listing(filter: &TransactionFilter) -> String {
    let index = match filter {
        TransactionFilter {
            subject: Some(_), ..
        } => "INDEXED BY transactions_by_subject",
        TransactionFilter {
            status: Some(Status::Processing),
            ..
        } => "INDEXED BY transactions_running",
        TransactionFilter {
            status: Some(Status::Fail),
            ..
        } => "INDEXED BY transactions_failed",
        TransactionFilter {
            action: Some(_), ..
        } => "INDEXED BY transactions_by_action",
        TransactionFilter { .. } => "",
    };
    let mut statement = format!(
        "SELECT id, action, subject_model, subject_pkid, subject_name, status,
        progress_done, progress_total, progress_message, message, submitted, started, completed,
        more_reveals FROM transactions {index} WHERE id < :before"
    );
    if filter.subject.is_some() {
        statement.push_str(" AND subject_model = :model AND subject_pkid = :pkid");
    }
    // Spelled out, because only so does SQLite see that a partial index will do.
    statement.push_str(match filter.status {
        None => "",
        Some(Status::Processing) => " AND status = 'Processing'",
        Some(Status::Success) => " AND status = 'Success'",
        Some(Status::Fail) => " AND status = 'Fail'",
    });
    if filter.action.is_some() {
        statement.push_str(" AND action = :action");
    }
    statement.push_str(" ORDER BY id DESC LIMIT :want");
    statement
}

fn read(row: &Row<'_>) -> Done<Transaction> {
    let subject = match (row.get(2)?, row.get(3)?) {
        (Some(model), Some(pkid)) => Some(reference(model, pkid)?),
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
        status: status_of(&status)?,
        progress,
        message: row.get(9)?,
        submitted: moment(row.get(10)?),
        started: moment(row.get(11)?),
        completed: completed.map(moment),
        log: Vec::new(),
        reveals: Vec::new(),
        more_reveals: count_out(row.get(13)?, "a count of openings")?,
    })
}

fn status_of(text: &str) -> Done<Status> {
    [Status::Processing, Status::Success, Status::Fail]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| corrupt(format!("a transaction has the status {text}")))
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn level_of(text: &str) -> Done<Level> {
    [Level::Debug, Level::Info, Level::Warning, Level::Error]
        .into_iter()
        .find(|level| level_name(*level) == text)
        .ok_or_else(|| corrupt(format!("a line of a log has the level {text}")))
}

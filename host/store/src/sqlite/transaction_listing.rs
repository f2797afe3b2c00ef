//! Listings of transactions, the newest first.

use rusqlite::{Connection, Row, ToSql};

use super::error::Result;
use super::transactions::read;
use relation_types::Scope;
use relation_types::transactions::{Status, Transaction, TransactionFilter};

/// Returns the newest `want` matching transactions, after `before` when that is given.
pub(super) fn list(
    connection: &Connection,
    filter: &TransactionFilter,
    before: Option<&str>,
    want: usize,
) -> Result<Vec<Transaction>> {
    let want = i64::try_from(want).unwrap_or(i64::MAX);
    query(
        connection,
        &listing_statement(filter),
        filter,
        (before, want),
        read,
    )
}

/// Counts the matching transactions up to `at_most`.
pub(super) fn count(
    connection: &Connection,
    filter: &TransactionFilter,
    at_most: u64,
) -> Result<u64> {
    let want = i64::try_from(at_most).unwrap_or(i64::MAX);
    let statement = counting_statement(filter);
    let counted = query(connection, &statement, filter, (None, want), |row| {
        Ok(row.get::<_, i64>(0)?)
    })?;
    let counted = counted.into_iter().next().unwrap_or_default();
    Ok(u64::try_from(counted).unwrap_or_default())
}

/// Runs the statement of a listing or of a count, and reads its rows.
fn query<T>(
    connection: &Connection,
    statement: &str,
    filter: &TransactionFilter,
    (before, want): (Option<&str>, i64),
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let prefix = filter.prefix();
    // The last possible character is after every id, and after every id that begins with the prefix.
    let last = format!("{prefix}\u{10ffff}");
    let before = before.unwrap_or(&last);
    let subject = filter.subject.as_ref();
    let subject = subject.map(|subject| (subject.model.as_str(), subject.pkid.as_str()));
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":before", &before), (":want", &want)];
    if let Some((model, pkid)) = &subject {
        values.push((":model", model));
        values.push((":pkid", pkid));
    }
    let node = index_node(filter);
    if let Some(node) = &node {
        values.push((":node", node));
    }
    let place = filter.hierarchy.as_ref().map(|(place, _)| place.as_str());
    if let Some(place) = place.as_ref().filter(|_| node.is_none()) {
        values.push((":place", place));
    }
    let row = row_node(filter).filter(|_| statement.contains(":row"));
    if let Some(row) = &row {
        values.push((":row", row));
    }
    if let Some(action) = &filter.action {
        values.push((":action", action));
    }
    if !prefix.is_empty() {
        values.push((":prefix", &prefix));
    }
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(values.as_slice())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// Returns the node of the rows of `transaction_nodes` that are in a listing.
fn row_node(filter: &TransactionFilter) -> Option<String> {
    let (node, scope) = filter.hierarchy.as_ref()?;
    Some(match scope {
        Scope::Subtree => node.to_string(),
        Scope::Node => format!("{node}."),
    })
}

/// Returns the node whose rows of `transaction_nodes` a listing walks; `None`: it walks another index.
fn index_node(filter: &TransactionFilter) -> Option<String> {
    // Most parts have no such row. The transactions of one subject, and those that have not ended, are few and have an
    // index.
    let is_open = filter.status.is_some_and(|status| !status.is_ended());
    let is_few = filter.subject.is_some() || is_open;
    if is_few || !filter.excludes_parts() {
        return None;
    }
    row_node(filter)
}

/// Builds the statement of a listing. It walks the index that is expected to be the most selective from
/// the newest entry, and filters the rows by the other conditions.
pub(super) fn listing_statement(filter: &TransactionFilter) -> String {
    const COLUMNS: &str = "id, action, subject_model, subject_pkid, subject_name, status,
        progress_done, progress_total, progress_message, message, submitted, started, completed,
        more_reveals, hierarchy, originator, request";
    select(COLUMNS, filter)
}

/// Builds the statement of a count. It walks the same index as a listing.
pub(super) fn counting_statement(filter: &TransactionFilter) -> String {
    format!("SELECT count(*) FROM ({})", select("1", filter))
}

/// Returns the condition that leaves parts out, except the calls of bulks that the listing shows.
fn exclude_parts(filter: &TransactionFilter, is_by_node: bool) -> &'static str {
    match filter {
        filter if !filter.excludes_parts() => "",
        TransactionFilter {
            subject: Some(_), ..
        } => " AND (instr(id, '.') = 0 OR request IS NOT NULL)",
        // The rows by node are those of what is shown there.
        _ if is_by_node => "",
        TransactionFilter {
            hierarchy: Some(_), ..
        } => {
            " AND (instr(id, '.') = 0 OR EXISTS
                (SELECT 1 FROM transaction_nodes n WHERE n.node = :row AND n.id = transactions.id))"
        }
        _ => " AND instr(id, '.') = 0",
    }
}

fn select(columns: &str, filter: &TransactionFilter) -> String {
    let index = match filter {
        TransactionFilter {
            subject: Some(_), ..
        } => "INDEXED BY transactions_by_subject",
        TransactionFilter {
            status: Some(Status::Queued),
            ..
        } => "INDEXED BY transactions_queued",
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
    let is_by_node = index_node(filter).is_some();
    let needs_row = columns != "1" || filter.status.is_some() || filter.action.is_some();
    let (from, id) = match is_by_node {
        true if !needs_row => ("transaction_nodes n".to_owned(), "n.id"),
        // A cross join fixes the order of the tables.
        true => (
            "transaction_nodes n CROSS JOIN transactions USING (id)".to_owned(),
            "n.id",
        ),
        false => (format!("transactions {index}"), "id"),
    };
    let mut statement = format!("SELECT {columns} FROM {from} WHERE {id} < :before");
    statement.push_str(match &filter.hierarchy {
        None => "",
        Some(_) if is_by_node => " AND n.node = :node",
        Some((_, Scope::Node)) => " AND hierarchy = :place",
        Some((_, Scope::Subtree)) => {
            " AND (hierarchy = :place
                OR substr(hierarchy, 1, length(:place) + 1) = :place || '.')"
        }
    });
    if filter.subject.is_some() {
        statement.push_str(" AND subject_model = :model AND subject_pkid = :pkid");
    }
    // Written as a literal, since only then can SQLite use a partial index.
    statement.push_str(match filter.status {
        None => "",
        Some(Status::Queued) => " AND status = 'Queued'",
        Some(Status::Processing) => " AND status = 'Processing'",
        Some(Status::Success) => " AND status = 'Success'",
        Some(Status::SuccessWithAsyncFailures) => " AND status = 'Success With Async Failures'",
        Some(Status::Fail) => " AND status = 'Fail'",
    });
    if filter.action.is_some() {
        statement.push_str(" AND action = :action");
    }
    if !filter.prefix().is_empty() {
        statement.push_str(&format!(" AND {id} >= :prefix"));
    }
    if filter.parent.is_some() {
        statement.push_str(" AND instr(substr(id, length(:prefix) + 1), '.') = 0");
    }
    statement.push_str(exclude_parts(filter, is_by_node));
    statement.push_str(&format!(" ORDER BY {id} DESC LIMIT :want"));
    statement
}

//! Listings of transactions, the newest first.
//!
//! A statement walks one index from its newest entry, and filters the rows by the other conditions. PostgreSQL chooses
//! the index: each has the ids of its rows in order, and a condition that has an index is the most selective one.

use tokio_postgres::types::{ToSql, Type};

use super::error::{Result, from_sql_count};
use super::transactions::read;
use super::{Lane, PostgresStore};
use relation_types::Scope;
use relation_types::transactions::{Transaction, TransactionFilter};

const COLUMNS: &str = "t.id, t.action, t.subject_model, t.subject_pkid, t.subject_name, t.status,
    t.progress_done, t.progress_total, t.progress_message, t.message, t.submitted, t.started, t.completed,
    t.more_reveals, t.hierarchy, t.originator, t.request";

/// Returns the newest `want` matching transactions, after `before` when that is given.
pub(super) async fn list(
    store: &PostgresStore,
    filter: &TransactionFilter,
    before: Option<&str>,
    want: usize,
) -> Result<Vec<Transaction>> {
    if !can_match(filter) {
        return Ok(Vec::new());
    }
    let want = i64::try_from(want).unwrap_or(i64::MAX);
    let listing = Statement::new(Some(COLUMNS), filter, before, want);
    let rows = store
        .read(Lane::Slow, &listing.text, &listing.values())
        .await?;
    rows.iter().map(read).collect()
}

/// Counts the matching transactions up to `at_most`.
pub(super) async fn count(
    store: &PostgresStore,
    filter: &TransactionFilter,
    at_most: u64,
) -> Result<u64> {
    if !can_match(filter) {
        return Ok(0);
    }
    let want = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut counting = Statement::new(None, filter, None, want);
    counting.text = format!("SELECT count(*) FROM ({}) c", counting.text);
    let rows = store
        .read(Lane::Slow, &counting.text, &counting.values())
        .await?;
    let counted = rows.first().map(|row| row.try_get(0)).transpose()?;
    from_sql_count(counted.unwrap_or_default(), "a count")
}

/// Returns whether a stored transaction can match: no stored text has U+0000.
fn can_match(filter: &TransactionFilter) -> bool {
    let subject = filter.subject.as_ref().map(|subject| &subject.model);
    let texts = [subject, filter.action.as_ref(), filter.id_prefix.as_ref()];
    let parent = filter.parent.as_ref();
    let mut texts = texts.into_iter().chain([parent]).flatten();
    texts.all(|text| !text.contains('\0'))
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

/// A statement with the values of its parameters: `$1` is the number of wanted rows, the others are texts.
pub(super) struct Statement {
    pub(super) text: String,
    want: i64,
    texts: Vec<String>,
}

impl Statement {
    /// Builds the statement of a listing, or without columns of a count.
    pub(super) fn new(
        columns: Option<&str>,
        filter: &TransactionFilter,
        before: Option<&str>,
        want: i64,
    ) -> Self {
        let mut statement = Self {
            text: String::new(),
            want,
            texts: Vec::new(),
        };
        statement.text = match index_node(filter) {
            Some(node) => statement.walk_node(node, columns, filter, before),
            None => statement.walk_transactions(columns, filter, before),
        };
        statement
    }

    pub(super) fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let want: (&(dyn ToSql + Sync), Type) = (&self.want, Type::INT8);
        let texts = self.texts.iter().map(|text| (text as _, Type::TEXT));
        std::iter::once(want).chain(texts).collect()
    }

    /// Adds a value; returns its parameter.
    fn add(&mut self, text: impl Into<String>) -> String {
        self.texts.push(text.into());
        format!("${}", self.texts.len() + 1)
    }

    fn walk_transactions(
        &mut self,
        columns: Option<&str>,
        filter: &TransactionFilter,
        before: Option<&str>,
    ) -> String {
        let mut conditions = self.range("t.id", filter, before);
        if let Some((place, scope)) = &filter.hierarchy {
            let place = self.add(place.as_str());
            conditions.push_str(&match scope {
                Scope::Node => format!(" AND t.hierarchy = {place}"),
                Scope::Subtree => format!(
                    " AND (t.hierarchy = {place} OR starts_with(t.hierarchy, {place} || '.'))"
                ),
            });
        }
        if let Some(subject) = &filter.subject {
            let model = self.add(&subject.model);
            let pkid = self.add(subject.pkid.as_str());
            conditions.push_str(&format!(
                " AND t.subject_model = {model} AND t.subject_pkid = {pkid}"
            ));
        }
        conditions.push_str(&self.columns_of_row(filter));
        if let Some(parent) = &filter.parent {
            let parent = self.add(parent);
            conditions.push_str(&format!(
                " AND strpos(substr(t.id, length({parent}) + 2), '.') < 1"
            ));
        }
        conditions.push_str(&self.exclude_parts(filter));
        let columns = columns.unwrap_or_default();
        format!(
            "SELECT {columns} FROM relation.transactions t WHERE {conditions} ORDER BY t.id DESC LIMIT $1"
        )
    }

    fn walk_node(
        &mut self,
        node: String,
        columns: Option<&str>,
        filter: &TransactionFilter,
        before: Option<&str>,
    ) -> String {
        let node = self.add(node);
        let range = self.range("n.id", filter, before);
        let conditions = self.columns_of_row(filter);
        let row = match columns {
            None if conditions.is_empty() => String::new(),
            // The limit makes PostgreSQL keep the order of the walk.
            _ => format!(
                "CROSS JOIN LATERAL (SELECT t.* FROM relation.transactions t
                    WHERE t.id = n.id{conditions} LIMIT 1) t"
            ),
        };
        let columns = columns.unwrap_or_default();
        format!(
            "SELECT {columns} FROM relation.transaction_nodes n {row}
            WHERE n.node = {node} AND {range} ORDER BY n.id DESC LIMIT $1"
        )
    }

    /// Returns the condition for the range of ids.
    fn range(&mut self, id: &str, filter: &TransactionFilter, before: Option<&str>) -> String {
        let prefix = filter.prefix();
        // The last possible character is after every id, and after every id that begins with the prefix.
        let before = before.map_or_else(|| format!("{prefix}\u{10ffff}"), str::to_owned);
        let before = self.add(before);
        if prefix.is_empty() {
            return format!("{id} < {before}");
        }
        let prefix = self.add(prefix);
        format!("{id} < {before} AND {id} >= {prefix}")
    }

    fn columns_of_row(&mut self, filter: &TransactionFilter) -> String {
        // Written as a literal, since only then can PostgreSQL use a partial index.
        let status = filter
            .status
            .map(|status| format!(" AND t.status = '{}'", status.as_str()));
        let action = filter.action.as_ref().map(|action| self.add(action));
        let action = action.map(|action| format!(" AND t.action = {action}"));
        format!(
            "{}{}",
            status.unwrap_or_default(),
            action.unwrap_or_default()
        )
    }

    /// Returns the condition that leaves parts out, except the calls of bulks that the listing shows. It is written with
    /// `<`, since PostgreSQL assumes that `=` with the result of a function is rare, and would read the whole table.
    fn exclude_parts(&mut self, filter: &TransactionFilter) -> String {
        if !filter.excludes_parts() {
            return String::new();
        }
        if filter.subject.is_some() {
            return " AND (strpos(t.id, '.') < 1 OR t.request IS NOT NULL)".to_owned();
        }
        let Some(row) = row_node(filter) else {
            return " AND strpos(t.id, '.') < 1".to_owned();
        };
        let row = self.add(row);
        format!(
            " AND (strpos(t.id, '.') < 1 OR EXISTS (SELECT FROM relation.transaction_nodes n
                WHERE n.node = {row} AND n.id = t.id))"
        )
    }
}

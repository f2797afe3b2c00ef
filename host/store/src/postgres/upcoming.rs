//! Listings of wakeups by due time, everywhere or in a subtree.
//!
//! The wakeups of a subtree with a handful of documents are listed and sorted. Otherwise all wakeups are walked by due
//! time, and those of the subtree are kept. If the first step of the walk finds too few, the subtree is listed after
//! all, up to a bound.

use tokio_postgres::types::Type;

use super::error::Result;
use super::wakeups::{Position, read, read_all};
use super::{Lane, PostgresStore};
use crate::DueWakeup;
use relation_types::Hierarchy;

const BY_DUE: &str = "SELECT model, pkid, id, due, payload, revision, attempts, deadline
    FROM relation.wakeups WHERE (due, model, pkid, id) > ($1, $2, $3, $4)
    ORDER BY due, model, pkid, id LIMIT $5";
/// The last column shows whether the wakeup is in the subtree. The payload of others is not sent.
const IN_SUBTREE: &str = "SELECT w.model, w.pkid, w.id, w.due,
        CASE WHEN w.is_here THEN w.payload ELSE ''::bytea END,
        w.revision, w.attempts, w.deadline, coalesce(w.is_here, false)
    FROM (
        SELECT w.*, (
            SELECT d.hierarchy = $6 OR starts_with(d.hierarchy, $6 || '.') FROM relation.documents d
            WHERE d.model = w.model AND d.pkid = w.pkid) AS is_here
        FROM relation.wakeups w WHERE (w.due, w.model, w.pkid, w.id) > ($1, $2, $3, $4)
        ORDER BY w.due, w.model, w.pkid, w.id LIMIT $5) w
    ORDER BY w.due, w.model, w.pkid, w.id";
/// Lists the first wakeups after a position of the documents at and below a node, if these are at most `$7`. The last
/// column shows whether they are; without wakeups the others are NULL. A path below the node is after `node.` and
/// before `node/`.
const LISTED: &str = "WITH RECURSIVE models (model) AS (
        (SELECT d.model FROM relation.documents d ORDER BY d.model LIMIT 1)
        UNION ALL
        SELECT n.model FROM models m CROSS JOIN LATERAL (
            SELECT d.model FROM relation.documents d WHERE d.model > m.model ORDER BY d.model LIMIT 1) n
    ),
    subjects AS MATERIALIZED (
        SELECT s.model, s.pkid FROM models m CROSS JOIN LATERAL (
            (SELECT d.model, d.pkid FROM relation.documents d
                WHERE d.model = m.model AND d.hierarchy = $6 ORDER BY d.pkid LIMIT $7 + 1)
            UNION ALL
            (SELECT d.model, d.pkid FROM relation.documents d
                WHERE d.model = m.model AND d.hierarchy >= $6 || '.' AND d.hierarchy < $6 || '/'
                ORDER BY d.hierarchy, d.pkid LIMIT $7 + 1)) s
        LIMIT $7 + 1
    ),
    counted AS MATERIALIZED (SELECT count(*) <= $7 AS are_few FROM subjects)
    SELECT w.*, c.are_few FROM counted c LEFT JOIN LATERAL (
        SELECT w.* FROM subjects s CROSS JOIN LATERAL (
            SELECT w.model, w.pkid, w.id, w.due, w.payload, w.revision, w.attempts, w.deadline
            FROM relation.wakeups w
            WHERE w.model = s.model AND w.pkid = s.pkid AND (w.due, w.model, w.pkid, w.id) > ($1, $2, $3, $4)
            ORDER BY w.due, w.id LIMIT $5) w
        WHERE c.are_few
        ORDER BY w.due, w.model, w.pkid, w.id LIMIT $5) w ON true
    ORDER BY w.due, w.model, w.pkid, w.id";

/// The number of documents of a subtree whose wakeups are listed and sorted: at first, and after a walk by due time has
/// found too few.
const FEW: i64 = 64;
const LISTED_AT_MOST: i64 = 5_000;

/// The largest number of wakeups in one step of a walk.
const MOST_WALKED: usize = 8_192;

/// Returns the first `want` wakeups after `after`, optionally only of subjects at or below `node`.
pub(super) async fn find(
    store: &PostgresStore,
    node: Option<&Hierarchy>,
    after: Position,
    want: usize,
) -> Result<Vec<DueWakeup>> {
    let Some(node) = node else {
        let rows = to_rows(want);
        let values = [
            (&after.due as _, Type::INT8),
            (&after.model as _, Type::TEXT),
            (&after.pkid as _, Type::TEXT),
            (&after.id as _, Type::TEXT),
            (&rows as _, Type::INT8),
        ];
        let rows = store.read(Lane::Slow, BY_DUE, &values).await?;
        return read_all(&rows);
    };
    let mut found = Vec::new();
    if list(store, node, FEW, &after, want, &mut found).await? {
        return Ok(found);
    }
    let mut chunk = want.saturating_mul(4).saturating_add(64);
    let mut next = walk(store, node, &after, chunk, &mut found).await?;
    if let Some(after) = next.clone().filter(|_| found.len() < want) {
        let left = want - found.len();
        if list(store, node, LISTED_AT_MOST, &after, left, &mut found).await? {
            return Ok(found);
        }
    }
    while let Some(after) = next.filter(|_| found.len() < want) {
        chunk = chunk.saturating_mul(2).min(MOST_WALKED.max(want));
        next = walk(store, node, &after, chunk, &mut found).await?;
    }
    found.truncate(want);
    Ok(found)
}

/// Adds the first `want` wakeups of a subtree after `after`, unless it has more than `most` documents; returns whether
/// it did.
async fn list(
    store: &PostgresStore,
    node: &Hierarchy,
    most: i64,
    after: &Position,
    want: usize,
    found: &mut Vec<DueWakeup>,
) -> Result<bool> {
    let rows = to_rows(want);
    let node = node.as_str();
    let values = [
        (&after.due as _, Type::INT8),
        (&after.model as _, Type::TEXT),
        (&after.pkid as _, Type::TEXT),
        (&after.id as _, Type::TEXT),
        (&rows as _, Type::INT8),
        (&node as _, Type::TEXT),
        (&most as _, Type::INT8),
    ];
    let rows = store.read(Lane::Slow, LISTED, &values).await?;
    let mut are_few = false;
    for row in &rows {
        are_few = row.try_get(8)?;
        if row.try_get::<_, Option<&str>>(0)?.is_some() {
            found.push(read(row)?);
        }
    }
    Ok(are_few)
}

/// Adds those of the next `chunk` wakeups after `after` that are in a subtree. Returns the position of the last one,
/// unless there are no more.
async fn walk(
    store: &PostgresStore,
    node: &Hierarchy,
    after: &Position,
    chunk: usize,
    found: &mut Vec<DueWakeup>,
) -> Result<Option<Position>> {
    let rows = to_rows(chunk);
    let node = node.as_str();
    let values = [
        (&after.due as _, Type::INT8),
        (&after.model as _, Type::TEXT),
        (&after.pkid as _, Type::TEXT),
        (&after.id as _, Type::TEXT),
        (&rows as _, Type::INT8),
        (&node as _, Type::TEXT),
    ];
    let rows = store.read(Lane::Slow, IN_SUBTREE, &values).await?;
    let mut last = None;
    for row in &rows {
        let wakeup = read(row)?;
        last = Some(Position::from_wakeup(&wakeup));
        if row.try_get(8)? {
            found.push(wakeup);
        }
    }
    Ok(last.filter(|_| rows.len() == chunk))
}

fn to_rows(want: usize) -> i64 {
    i64::try_from(want).unwrap_or(i64::MAX)
}

//! Wakeups: what is due, and listings. Commits schedule and cancel them.

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{Result, corrupt, from_millis, from_sql_count, parse_reference, to_millis};
use super::{Lane, PostgresStore, due, upcoming};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::{DeadlineCounts, DueWakeup, HostShare, KindFilter, StoreError, WakeupStore};
use relation_types::{Hierarchy, Page, Reference, Timestamp, Wakeup};

const OF_SUBJECT: &str = "SELECT model, pkid, id, due, payload, revision, attempts, deadline
    FROM relation.wakeups WHERE model = $1 AND pkid = $2 ORDER BY due, id";
const COUNT_DUE: &str = "SELECT count(*) FROM
    (SELECT FROM relation.wakeups WHERE due <= $1 ORDER BY due LIMIT $2) w";
const NEXT_DUE: &str = "SELECT due FROM relation.wakeups WHERE due > $1 ORDER BY due LIMIT 1";

/// Counts deadlines in the index of wakeups by hour, which has the deadlines of each hour in order.
const DEADLINES: &str = "WITH RECURSIVE hours (hour, deadline) AS (
        (SELECT w.due / 3600000, w.deadline FROM relation.wakeups w WHERE w.kind = $1
            ORDER BY w.due / 3600000, w.deadline LIMIT 1)
        UNION ALL
        SELECT n.hour, n.deadline FROM hours h CROSS JOIN LATERAL (
            SELECT w.due / 3600000 AS hour, w.deadline FROM relation.wakeups w
            WHERE w.kind = $1 AND w.due / 3600000 > h.hour
            ORDER BY w.due / 3600000, w.deadline LIMIT 1) n
    ),
    found AS MATERIALIZED (
        SELECT f.deadline FROM hours h CROSS JOIN LATERAL (
            SELECT w.deadline FROM relation.wakeups w
            WHERE w.kind = $1 AND w.due / 3600000 = h.hour
                AND w.deadline <= (SELECT max(t) FROM unnest($2) t)
            ORDER BY w.deadline LIMIT $3) f
        ORDER BY f.deadline
    )
    SELECT (SELECT min(deadline) FROM hours),
        ARRAY(SELECT least($3, (SELECT count(*) FROM found WHERE found.deadline <= t.at))
            FROM unnest($2) WITH ORDINALITY t (at, position) ORDER BY t.position)";

#[async_trait]
impl WakeupStore for PostgresStore {
    fn share(&self) -> HostShare {
        self.connections.shared().share_of_dispatcher()
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        if subject.model.contains('\0') {
            return Ok(Vec::new());
        }
        let values = [
            (&subject.model as _, Type::TEXT),
            (&subject.pkid.as_str() as _, Type::TEXT),
        ];
        let rows = self.read(Lane::Read, OF_SUBJECT, &values).await?;
        Ok(read_all(&rows)?)
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_wakeups(&self.id, hierarchy);
        let after = match cursor {
            Some(cursor) => {
                let [due, model, pkid, id] = listing.position(cursor)?;
                let due = due.parse().unwrap_or_default();
                Position {
                    due,
                    model,
                    pkid,
                    id,
                }
            }
            None => Position::first(),
        };
        let mut found = upcoming::find(self, hierarchy, after, limit.saturating_add(1)).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(build_page((found, more), |last| {
            let Position {
                due,
                model,
                pkid,
                id,
            } = Position::from_wakeup(last);
            listing.cursor(&[&due.to_string(), &model, &pkid, &id])
        }))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        Ok(due::find(self, now, limit as usize, kinds).await?)
    }

    async fn count_due(&self, now: Timestamp, at_most: u64) -> Result<u64, StoreError> {
        let now = to_millis(now);
        let rows = i64::try_from(at_most).unwrap_or(i64::MAX);
        let values = [(&now as _, Type::INT8), (&rows as _, Type::INT8)];
        let rows = self.read(Lane::Slow, COUNT_DUE, &values).await?;
        let counted: i64 = read_first(&rows)?.unwrap_or_default();
        Ok(from_sql_count(counted, "a count")?)
    }

    async fn next_due(&self, after: Option<Timestamp>) -> Result<Option<Timestamp>, StoreError> {
        let after = after.map_or(-1, to_millis);
        let values = [(&after as _, Type::INT8)];
        let rows = self.read(Lane::Read, NEXT_DUE, &values).await?;
        Ok(read_first(&rows)?.map(from_millis))
    }

    async fn count_deadlines(
        &self,
        kind: &str,
        times: &[Timestamp],
        at_most: u64,
    ) -> Result<DeadlineCounts, StoreError> {
        // No deadline is stored as the largest number.
        let times = times.iter().map(|time| to_millis(*time).min(i64::MAX - 1));
        let times: Vec<i64> = times.collect();
        let rows = i64::try_from(at_most).unwrap_or(i64::MAX);
        let values = [
            (&kind as _, Type::TEXT),
            (&times as _, Type::INT8_ARRAY),
            (&rows as _, Type::INT8),
        ];
        let found = self.read(Lane::Slow, DEADLINES, &values).await?;
        Ok(read_counts(&found)?)
    }
}

/// Returns the first column of the first row.
fn read_first(rows: &[Row]) -> Result<Option<i64>> {
    let first = rows.first().map(|row| row.try_get(0));
    Ok(first.transpose()?)
}

fn read_counts(rows: &[Row]) -> Result<DeadlineCounts> {
    let Some(row) = rows.first() else {
        return Ok(DeadlineCounts::default());
    };
    let earliest: Option<i64> = row.try_get(0)?;
    let counts: Vec<i64> = row.try_get(1)?;
    let counts = counts
        .into_iter()
        .map(|count| from_sql_count(count, "a count"));
    Ok(DeadlineCounts {
        earliest: earliest.filter(|at| *at < i64::MAX).map(from_millis),
        counts: counts.collect::<Result<_>>()?,
    })
}

/// The position of a wakeup in the order of due times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) due: i64,
    pub(super) model: String,
    pub(super) pkid: String,
    pub(super) id: String,
}

impl Position {
    /// Returns a position before all wakeups.
    fn first() -> Self {
        Self {
            due: -1,
            model: String::new(),
            pkid: String::new(),
            id: String::new(),
        }
    }

    pub(super) fn from_wakeup(found: &DueWakeup) -> Self {
        Self {
            due: to_millis(found.wakeup.due),
            model: found.wakeup.subject.model.clone(),
            pkid: found.wakeup.subject.pkid.as_str().to_owned(),
            id: found.wakeup.id.clone(),
        }
    }
}

/// Converts a deadline for PostgreSQL; no deadline sorts last.
pub(super) fn to_sql_deadline(deadline: Option<Timestamp>) -> i64 {
    deadline.map_or(i64::MAX, to_millis)
}

pub(super) fn read_all(rows: &[Row]) -> Result<Vec<DueWakeup>> {
    rows.iter().map(read).collect()
}

/// Reads a row of model, pkid, id, due, payload, revision, attempts and deadline.
pub(super) fn read(row: &Row) -> Result<DueWakeup> {
    let subject = parse_reference(row.try_get(0)?, row.try_get(1)?)?;
    let payload = String::from_utf8(row.try_get(4)?)
        .map_err(|error| corrupt(format!("the payload of a wakeup of {subject}: {error}")))?;
    let attempts: i32 = row.try_get(6)?;
    let deadline: i64 = row.try_get(7)?;
    Ok(DueWakeup {
        wakeup: Wakeup {
            subject,
            id: row.try_get(2)?,
            due: from_millis(row.try_get(3)?),
            deadline: Some(deadline).filter(|at| *at < i64::MAX).map(from_millis),
            payload,
        },
        revision: from_sql_count(row.try_get(5)?, "a revision")?,
        attempts: u32::try_from(attempts)
            .map_err(|_| corrupt(format!("the attempts of a wakeup are {attempts}")))?,
    })
}

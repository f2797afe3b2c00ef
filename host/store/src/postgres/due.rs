//! Due wakeups by deadline, at a cost that follows the number requested: see `functions/due.sql`.

use std::collections::HashSet;

use tokio_postgres::types::Type;

use super::error::{Result, to_millis};
use super::wakeups::{Position, read_all, to_sql_deadline};
use super::{Lane, PostgresStore};
use crate::{DueWakeup, KindFilter};
use relation_types::Timestamp;

const DUE: &str = "SELECT model, pkid, id, due, payload, revision, attempts, deadline
    FROM relation.due_v1($1, $2, $3, $4, $5, $6, $7)";

/// The number of rows that are read beside one for each wanted subject. A subject can have several due wakeups.
const SPARE_ROWS: usize = 16;

/// Finds wakeups that are due at `now` and whose subject is not leased, by deadline, at most `limit` and one per
/// subject.
pub(super) async fn find(
    store: &PostgresStore,
    now: Timestamp,
    limit: usize,
    kinds: KindFilter<'_>,
) -> Result<Vec<DueWakeup>> {
    let Some(range) = KindRange::new(kinds).filter(|_| limit > 0) else {
        return Ok(Vec::new());
    };
    let from = store.earliest.bound(store, now).await?;
    let now = to_millis(now);
    let lease_time = store.lease_time(now);
    let mut rows = limit.saturating_add(SPARE_ROWS);
    loop {
        let most = i64::try_from(rows).unwrap_or(i64::MAX);
        let values = [
            (&now as _, Type::INT8),
            (&from as _, Type::INT8),
            (&most as _, Type::INT8),
            (&range.first as _, Type::TEXT),
            (&range.last as _, Type::TEXT),
            (&range.except as _, Type::TEXT_ARRAY),
            (&lease_time as _, Type::INT8),
        ];
        let found = store.read(Lane::Read, DUE, &values).await?;
        let is_all = found.len() < rows;
        let due = earliest(read_all(&found)?, limit);
        if is_all || due.len() == limit {
            return Ok(due);
        }
        rows = rows.saturating_mul(4);
    }
}

/// The kinds from the first to the last one, with exceptions.
struct KindRange<'a> {
    first: &'a str,
    last: &'a str,
    except: Vec<&'a str>,
}

impl<'a> KindRange<'a> {
    /// Creates the range of `kinds`; `None` if no stored wakeup can be of these kinds.
    fn new(kinds: KindFilter<'a>) -> Option<Self> {
        // The last possible character is after every kind.
        let (first, last, except) = match kinds {
            KindFilter::All => ("", "\u{10ffff}", Vec::new()),
            KindFilter::Only(kind) if kind.contains('\0') => return None,
            KindFilter::Only(kind) => (kind, kind, Vec::new()),
            KindFilter::Except(others) => {
                let others = others.iter().copied();
                let others = others.filter(|other| !other.contains('\0'));
                ("", "\u{10ffff}", others.collect())
            }
        };
        Some(Self {
            first,
            last,
            except,
        })
    }
}

/// Returns the first `limit` by deadline, one per subject.
fn earliest(mut due: Vec<DueWakeup>, limit: usize) -> Vec<DueWakeup> {
    due.sort_by_cached_key(|due| {
        (
            to_sql_deadline(due.wakeup.deadline),
            Position::from_wakeup(due),
        )
    });
    let mut subjects = HashSet::new();
    due.retain(|due| subjects.insert(due.wakeup.subject.clone()));
    due.truncate(limit);
    due
}

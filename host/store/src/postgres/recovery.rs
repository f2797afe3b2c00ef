//! Recovery from hosts that ended, and from clocks that were ahead: see `functions/recovery.sql`.

use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::error::{from_millis, from_sql_count, to_millis};
use super::updates::parse_result;
use crate::{CLOCK_TOLERANCE, Recovery, RedateReport, StoreError};
use relation_types::Timestamp;
use relation_types::transactions::TransactionOutcome;

/// The time without a heartbeat after which a host has lost the leases of its calls. It is longer than a lease.
const UNSEEN: Duration = Duration::from_secs(65);

/// The result of `recover_v1`.
#[derive(Debug, Deserialize)]
struct Recovered {
    leases: i64,
    transactions: i64,
}

/// The result of `redate_v1`.
#[derive(Debug, Deserialize)]
struct Redated {
    wakeups: i64,
    leases: i64,
    latest: Option<i64>,
}

impl PostgresStore {
    pub(super) async fn recover_at(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        if self.takeover_wait().is_some() {
            return Ok(Recovery::default());
        }
        let outcome = TransactionOutcome::interrupted(now);
        let written = self
            .write(
                "relation.recover_v1",
                &[
                    (&self.holder, Type::TEXT),
                    (&self.is_by_database(), Type::BOOL),
                    (&to_millis(now), Type::INT8),
                    (&millis(UNSEEN), Type::INT8),
                    (&outcome.status.as_str(), Type::TEXT),
                    (&outcome.message, Type::TEXT),
                ],
            )
            .await?;
        let recovered: Recovered = parse_result(&written)?;
        Ok(Recovery {
            leases: from_sql_count(recovered.leases, "a count of leases")?,
            transactions: from_sql_count(recovered.transactions, "a count of transactions")?,
        })
    }

    pub(super) async fn redate_at(&self, now: Timestamp) -> Result<RedateReport, StoreError> {
        let tolerance = millis(CLOCK_TOLERANCE);
        let now = to_millis(now).min(i64::MAX - tolerance);
        let written = self
            .write(
                "relation.redate_v1",
                &[
                    (&self.is_by_database(), Type::BOOL),
                    (&now, Type::INT8),
                    (&tolerance, Type::INT8),
                ],
            )
            .await?;
        let redated: Redated = parse_result(&written)?;
        if redated.wakeups > 0 {
            self.earliest.note(0);
        }
        Ok(RedateReport {
            wakeups: from_sql_count(redated.wakeups, "a count of wakeups")?,
            leases: from_sql_count(redated.leases, "a count of leases")?,
            latest: redated.latest.map(from_millis),
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

//! Judges the server of a store: its release, its settings, its clock, and what keeps dead rows.

use std::time::Duration;

use relation_host::store::postgres::Inspection;
use relation_host::text::{format_count, format_span};

use super::address::Address;
use crate::check::CheckFinding;

/// The oldest release of PostgreSQL that the store works with.
const OLDEST_MAJOR: u32 = 15;
/// The difference between two clocks that is worth a warning.
const MAX_SKEW: Duration = Duration::from_secs(1);
/// How long a transaction of any program may take. Until it ends, no dead row is removed.
const MAX_TRANSACTION: Duration = Duration::from_secs(5 * 60);
/// The number of dead rows of a table that is worth a warning, if they are more than the others.
const MAX_DEAD_ROWS: u64 = 10_000;

/// Judges what an inspection has found.
pub(super) fn judge(found: &Inspection, address: &Address) -> Vec<CheckFinding> {
    vec![
        judge_version(found),
        judge_schema(found),
        judge_settings(found),
        judge_replicas(found),
        judge_encryption(found, address),
        judge_clock(found),
        judge_transactions(found),
        judge_dead_rows(found),
    ]
}

//! The check of all connections of a node after its settings have changed, in runs of a bounded size.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use relation_host::store::{Change, Check};
use relation_host::types::{Document, Filter, Pkid, RECORD_MODEL, Scope};
use relation_host::{NextRun, WakeupResult};
use relation_types::reports::State;
use tokio::time::{Instant, timeout};

use super::history::KnownNotices;
use super::model::{read, to_timestamp};
use super::remind::needs_person;
use super::{NoticeRunner, Run, RunError};
use crate::NoticeKind;
use crate::routing::Event;
use crate::settings::{PendingRecord, StoredRecheck};

/// The maximum number of records in one run.
const MAX_RECORDS: usize = 50;
/// The number of records that failed, at which no further ones are listed.
const MAX_FAILED: usize = 500;
/// The real time after which a run checks no further record.
const RUN_TIME: Duration = Duration::from_secs(60);
/// The longest real time of one record.
const RECORD_TIME: Duration = Duration::from_secs(45);
/// The number of attempts at one record.
const MAX_FAILURES: u32 = 5;
/// The pause before records that failed are checked again.
const PAUSE: TimeDelta = TimeDelta::minutes(5);

impl NoticeRunner {
    /// Checks the next records. Those that fail are checked again after all others.
    pub(super) async fn recheck(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let mut stored: StoredRecheck = read(run.document)?;
        let node = &run.document.hierarchy;
        if !has_new(&stored.pending) && !stored.is_listed && stored.pending.len() < MAX_FAILED {
            list_records(run, &mut stored).await?;
        }
        let only_new = has_new(&stored.pending);
        let pending = std::mem::take(&mut stored.pending);
        let (ready, mut waiting): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|each| !only_new || each.failures == 0);
        let mut ready = ready.into_iter();
        let end = Instant::now() + RUN_TIME;
        let mut result: WakeupResult = NextRun::Never.into();
        for mut each in ready.by_ref().take(MAX_RECORDS) {
            if Instant::now() >= end {
                waiting.push(each);
                continue;
            }
            let check = self.check_record(run, &each.record);
            let failure = match timeout(RECORD_TIME, check).await {
                Ok(Ok((checks, changes))) => {
                    stored.checked = stored.checked.saturating_add(1);
                    result.checks.extend(checks);
                    result.changes.extend(changes);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it took longer than {} seconds", RECORD_TIME.as_secs()),
            };
            each.failures = each.failures.saturating_add(1);
            if each.failures < MAX_FAILURES {
                waiting.push(each);
                continue;
            }
            stored.left_out = stored.left_out.saturating_add(1);
            let (record, attempts) = (&each.record, each.failures);
            tracing::error!(%node, %record, attempts, failure, "a connection was not checked after its notice settings have changed; its own schedule checks it");
        }
        // Those of the present order come first in the next run.
        stored.pending = ready.chain(waiting).collect();
        let is_full = stored.pending.len() >= MAX_FAILED;
        let next = match (has_new(&stored.pending), stored.is_listed || is_full) {
            (false, true) if stored.pending.is_empty() => {
                let (checked, left_out) = (stored.checked, stored.left_out);
                tracing::info!(%node, checked, left_out, "all connections were checked, since notice settings have changed");
                result.next = NextRun::DeleteSubject;
                return Ok(result);
            }
            (false, true) => run.now() + PAUSE,
            _ => run.now(),
        };
        let body = serde_json::to_string(&stored);
        let body = body.map_err(|_| RunError::Unwritable(run.document.reference.clone()))?;
        result.changes.push(Change::Put(Document {
            body,
            ..run.document.clone()
        }));
        result.next = NextRun::At(to_timestamp(next));
        Ok(result)
    }

    /// Has the plugin check a record. A threshold of whose alert nobody was told is routed again, since the settings
    /// may report it now.
    async fn check_record(
        &self,
        run: &Run<'_>,
        record: &Pkid,
    ) -> Result<(Vec<Check>, Vec<Change>), RunError> {
        let checked = run.facts.recheck(record).await;
        checked.map_err(RunError::Recheck)?;
        let mut result: WakeupResult = NextRun::Never.into();
        let known = KnownNotices::load(run.store, record).await?;
        let routed = known.routings.iter().map(|each| &each.stored.notice);
        let routed = routed.filter(|notice| notice.kind == NoticeKind::Expiring);
        let grants: BTreeSet<&str> = routed.map(|notice| notice.grant.as_str()).collect();
        for grant in grants {
            let found = run.facts.find(record, grant).await;
            let Some(facts) = found.map_err(RunError::Facts)? else {
                continue;
            };
            let now = run.now();
            let is_ahead = facts.expires.is_some_and(|expires| expires > now);
            if is_ahead && facts.state != State::NotConnected && !needs_person(facts.state) {
                let (event, history) = (Event::expiring(&facts, now), known.to_history(&facts));
                self.add_event(run, &event, &facts, history, &mut result)
                    .await?;
            }
        }
        Ok((result.checks, result.changes))
    }
}

fn has_new(pending: &[PendingRecord]) -> bool {
    pending.iter().any(|each| each.failures == 0)
}

async fn list_records(run: &Run<'_>, stored: &mut StoredRecheck) -> Result<(), RunError> {
    let filter = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: Some((run.document.hierarchy.clone(), Scope::Subtree)),
        equals: Vec::new(),
    };
    let limit = u32::try_from(MAX_RECORDS).unwrap_or(u32::MAX);
    let page = run
        .store
        .find_pkids(&filter, stored.cursor.as_deref(), limit)
        .await?;
    stored
        .pending
        .extend(page.items.into_iter().map(|record| PendingRecord {
            record,
            failures: 0,
        }));
    stored.is_listed = page.next.is_none();
    stored.cursor = page.next;
    Ok(())
}

//! The sync workflow: its first call and the calls that continue it.

use super::call::{CallRequest, LEASE_POLL_INTERVAL};
use super::outcome::summarize_sync;
use super::{CallError, CallErrorKind, CallOutput, Host, WakeupOutcome};
use crate::component::convert;
use crate::reports::{SyncReport, SyncSelector, WakeReport};
use crate::store::DueWakeup;
use crate::types::{Pkid, Reference};
use crate::wakeup_kinds;

impl Host {
    /// Executes a data sync of the record, or the first part of it if it takes several calls. With
    /// `accept_removals`, removes vanished entries, even if most of the stored ones have vanished.
    pub async fn sync(
        &self,
        pkid: &Pkid,
        sync: SyncSelector,
        accept_removals: bool,
    ) -> Result<CallOutput<SyncReport>, CallError> {
        self.transact(
            CallRequest::for_record("sync", pkid.clone()),
            async |workflows, store| {
                workflows
                    .call_sync(store, pkid.as_str(), sync.as_str(), accept_removals)
                    .await
            },
            convert::sync_report,
            summarize_sync,
        )
        .await
    }

    /// Continues the import by the data sync with the primary key `sync` ([`SyncReport::sync_pkid`]), whose wakeup is
    /// stored, due or not. `None`: there is no such wakeup, so another host has continued or completed the import.
    pub async fn continue_sync(
        &self,
        pkid: &Pkid,
        sync: &Pkid,
    ) -> Result<Option<CallOutput<SyncReport>>, CallError> {
        let subject = Reference::record(pkid.clone());
        let timeout = self.parts.services.limits.time;
        let began = tokio::time::Instant::now();
        let call_error = |kind| CallError {
            transaction: None,
            kind,
        };
        let failed = |error| call_error(CallErrorKind::Store(error));
        loop {
            let Some(wakeup) = self.find_continuation(&subject, sync).await? else {
                return Ok(None);
            };
            match self.run_wakeup(wakeup).await.map_err(failed)? {
                WakeupOutcome::Gone | WakeupOutcome::Handled => {}
                WakeupOutcome::Busy(until) if began.elapsed() >= timeout => {
                    return Err(call_error(CallErrorKind::Busy { subject, until }));
                }
                WakeupOutcome::Busy(_) => tokio::time::sleep(LEASE_POLL_INTERVAL).await,
                WakeupOutcome::Finished(result) => {
                    let CallOutput { transaction, value } = (*result)?;
                    return Ok(match value {
                        WakeReport::Synced(value) => Some(CallOutput { transaction, value }),
                        _ => None,
                    });
                }
            }
        }
    }

    /// Finds the wakeup that continues an import. Its payload is the data sync's primary key.
    async fn find_continuation(
        &self,
        subject: &Reference,
        sync: &Pkid,
    ) -> Result<Option<DueWakeup>, CallError> {
        let wakeups = self.store().wakeups(subject).await;
        let wakeups = wakeups.map_err(|error| CallError {
            transaction: None,
            kind: CallErrorKind::Store(error),
        })?;
        Ok(wakeups.into_iter().find(|found| {
            found.wakeup.kind() == wakeup_kinds::SYNC && found.wakeup.payload == sync.as_str()
        }))
    }
}

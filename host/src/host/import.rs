//! Imports: the first call of one, and the calls that go on with it.

use super::call::{ASK_AGAIN, Ask};
use super::outcome::Ending;
use super::wake::Answer;
use super::{CallError, CallErrorKind, Called, Host};
use crate::component::convert;
use crate::reports::{SyncKind, SyncReport, WakeReport};
use crate::store::DueWakeup;
use crate::types::{Pkid, Reference};

/// The id of the wakeup that goes on with an import; `kind` is its payload.
const WAKEUP: &str = "sync";

impl Host {
    /// Imports from Webex, or does the first part of an import that takes more than one call.
    /// With `accept_removals` it removes what has vanished at Webex even where that is most of
    /// what is stored.
    pub async fn sync(
        &self,
        pkid: &Pkid,
        kind: SyncKind,
        accept_removals: bool,
    ) -> Result<Called<SyncReport>, CallError> {
        self.transact(
            Ask::of("sync", pkid.clone()),
            async |workflows, store| {
                workflows
                    .call_sync(store, pkid.as_str(), kind.as_str(), accept_removals)
                    .await
            },
            convert::synced,
            |report: &SyncReport| Ending::success(report.message.clone()),
        )
        .await
    }

    /// Goes on now with an import for which a wakeup waits, due or not. None: no wakeup waits, so
    /// another host has gone on with it or brought it to its end.
    pub async fn continue_sync(
        &self,
        pkid: &Pkid,
        kind: SyncKind,
    ) -> Result<Option<Called<SyncReport>>, CallError> {
        let subject = Reference::record(pkid.clone());
        let patience = self.parts.services.limits.time;
        let asked = tokio::time::Instant::now();
        let untold = |kind| CallError {
            transaction: None,
            kind,
        };
        let failed = |error| untold(CallErrorKind::Store(error));
        loop {
            let Some(wakeup) = self.waiting(&subject, &kind).await? else {
                return Ok(None);
            };
            match self.answer(wakeup).await.map_err(failed)? {
                Answer::Gone => {}
                Answer::Busy(until) if asked.elapsed() >= patience => {
                    return Err(untold(CallErrorKind::Busy { subject, until }));
                }
                Answer::Busy(_) => tokio::time::sleep(ASK_AGAIN).await,
                Answer::Given(transaction, result) => match *result {
                    Ok(WakeReport::Synced(value)) => {
                        return Ok(Some(Called { transaction, value }));
                    }
                    Ok(_) => return Ok(None),
                    Err(kind) => {
                        return Err(CallError {
                            transaction: Some(transaction),
                            kind,
                        });
                    }
                },
            }
        }
    }

    /// The wakeup that goes on with an import.
    async fn waiting(
        &self,
        subject: &Reference,
        kind: &SyncKind,
    ) -> Result<Option<DueWakeup>, CallError> {
        let wakeups = self.store().wakeups(subject).await;
        let wakeups = wakeups.map_err(|error| CallError {
            transaction: None,
            kind: CallErrorKind::Store(error),
        })?;
        Ok(wakeups
            .into_iter()
            .find(|found| found.wakeup.id == WAKEUP && found.wakeup.payload == kind.as_str()))
    }
}

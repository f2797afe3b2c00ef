//! Runs the workflow of a due wakeup.

use super::sync::{self, StoredSync};
use super::wholesale;
use super::{expiry::check_record, refresh::refresh_record, schedules::run_schedule};
use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{
    Change, Failure, Millis, Platform, RECORD_MODEL, Reference, UnixMillis, Wakeup,
};
use crate::record::Record;
use crate::reports::WakeReport;
use crate::sync_schedule;

/// Runs the workflow of `wakeup`. Cancels a wakeup without a purpose: its model or id is unknown, or its
/// record is deleted or has no tokens.
///
/// # Errors
/// Errors of the workflow; the host then tries the same wakeup again later.
pub fn wake(platform: &dyn Platform, wakeup: &Wakeup) -> Result<WakeReport, Failure> {
    let Wakeup { id, subject, .. } = wakeup;
    if subject.model == RECORD_MODEL
        && let Some(data_sync) = sync::from_wakeup(wakeup)
    {
        return run_import(platform, wakeup, data_sync);
    }
    if subject.model == RECORD_MODEL
        && let Some(data_sync) = sync_schedule::from_wakeup(wakeup)
    {
        return run_schedule(platform, wakeup, data_sync);
    }
    if subject.model == RECORD_MODEL
        && let Some(order) = wholesale::from_wakeup(wakeup)
    {
        return run_order(platform, wakeup, &order);
    }
    let (refreshes, checks) = (
        Grant::from_refresh_wakeup(id),
        Grant::from_expiry_wakeup(id),
    );
    let known = refreshes
        .or(checks)
        .filter(|_| subject.model == RECORD_MODEL);
    let Some(grant) = known else {
        let reason = format!("the wakeup `{id}` of {subject} does not belong to this plugin");
        return dismiss(platform, subject, id, reason);
    };
    let gone = |subject: &Reference| format!("{subject} does not exist any more");
    let record = match Record::load(platform, &subject.pkid) {
        Ok(record) => record,
        Err(Failure::NotFound(_)) => return dismiss(platform, subject, id, gone(subject)),
        Err(failure) => return Err(failure),
    };
    let attempted = record.grant_state(grant).attempted;
    let result = if checks.is_some() {
        check_record(platform, record, grant).map(WakeReport::Checked)
    } else if let Some(attempted) = attempted.filter(|at| at.0 >= wakeup.due)
        && !is_scheduled(platform, wakeup)?
    {
        // Every attempt moves the wakeup in its own commit, so this wakeup is older than the attempt.
        return Ok(WakeReport::Nothing(format!(
            "an attempt was made already at {}",
            derived::format_timestamp(attempted)
        )));
    } else {
        // An attempt dated in the future comes from a wrong clock and must not suppress the refresh.
        let after_attempts = attempted.map_or(UnixMillis::default(), |at| at + Millis(1));
        let requested_at = platform.now().max(after_attempts);
        refresh_record(platform, record, grant, requested_at).map(WakeReport::Refreshed)
    };
    match result {
        Err(Failure::NotFound(_)) => dismiss(platform, subject, id, gone(subject)),
        Err(Failure::Reauthorize(reason)) => dismiss(platform, subject, id, reason),
        result => result,
    }
}

/// Returns whether `wakeup` is still scheduled as delivered. If so, an attempt that seems later was made while
/// the clock was ahead.
fn is_scheduled(platform: &dyn Platform, wakeup: &Wakeup) -> Result<bool, Failure> {
    let scheduled = platform.wakeups(&wakeup.subject)?;
    let same = |each: &Wakeup| each.id == wakeup.id && each.due == wakeup.due;
    Ok(scheduled.iter().any(same))
}

/// Begins or resumes an import. It cancels the wakeup itself if a person must act. The next consent, or the next run of the
/// data sync, begins an import as well.
fn run_import(
    platform: &dyn Platform,
    wakeup: &Wakeup,
    data_sync: &str,
) -> Result<WakeReport, Failure> {
    let subject = &wakeup.subject;
    let result = Record::load(platform, &subject.pkid)
        .and_then(|record| StoredSync::exists(platform, &record, data_sync))
        .and_then(|exists| match exists {
            true => sync::sync(platform, &subject.pkid, data_sync, false).map(Some),
            false => Ok(None),
        });
    match result {
        Ok(Some(report)) => Ok(WakeReport::Synced(report)),
        Ok(None) => {
            let reason = format!("the data sync {data_sync} of {subject} does not exist any more");
            dismiss(platform, subject, &wakeup.id, reason)
        }
        Err(Failure::NotFound(_)) => {
            let reason = format!("{subject} does not exist any more");
            dismiss(platform, subject, &wakeup.id, reason)
        }
        Err(failure) => Err(failure),
    }
}

/// Continues an order of a wholesale customer.
fn run_order(
    platform: &dyn Platform,
    wakeup: &Wakeup,
    order: &Reference,
) -> Result<WakeReport, Failure> {
    let subject = &wakeup.subject;
    match wholesale::continue_order(platform, &subject.pkid, order) {
        Ok(Some(report)) => Ok(WakeReport::Synced(report)),
        Ok(None) => {
            let reason = format!("the order {order} has ended, or does not exist any more");
            dismiss(platform, subject, &wakeup.id, reason)
        }
        Err(Failure::NotFound(_)) => {
            let reason = format!("{subject} does not exist any more");
            dismiss(platform, subject, &wakeup.id, reason)
        }
        Err(failure) => Err(failure),
    }
}

/// Cancels the wakeup `id` of `subject`, which has no purpose any more.
pub(super) fn dismiss(
    platform: &dyn Platform,
    subject: &Reference,
    id: &str,
    reason: String,
) -> Result<WakeReport, Failure> {
    let cancel = Change::Cancel(subject.clone(), id.to_owned());
    platform.commit(Vec::new(), vec![cancel])?;
    Ok(WakeReport::Nothing(reason))
}

#[cfg(test)]
#[path = "wake_tests.rs"]
mod tests;

//! Puts schedules on data syncs, and runs them when they are due.

use schemars::JsonSchema;
use serde::Serialize;

use super::sync::{self, DataSync, StoredSync};
use super::wake::dismiss;
use crate::model::derived::format_timestamp;
use crate::platform::{Change, Failure, FieldError, Level, Millis, Platform, UnixMillis, Wakeup};
use crate::record::Record;
use crate::recurrence::{DEFAULT_ZONE, Interval, LocalTime, Recurrence, Zone};
use crate::reports::{SyncReport, WakeReport};
use crate::sync_schedule::{self, SyncSchedule};

/// The longest time by which a clock that was set back delays a schedule, so that no run is repeated.
const MAX_REPETITION: Millis = Millis::from_hours(24);

/// A schedule as an administrator asks for it. All times are local times of the time zone.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScheduleRequest<'a> {
    /// The time of the first run.
    pub start: &'a str,
    /// The name of the time zone; none: UTC.
    pub time_zone: Option<&'a str>,
    /// The time between two runs; none: there is one run.
    pub every: Option<&'a str>,
    /// The time of the last possible run.
    pub until: Option<&'a str>,
}

/// The result of putting a schedule on a data sync.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScheduleReport {
    /// The data sync's name.
    pub sync: String,
    /// The data sync's primary key.
    pub sync_pkid: String,
    /// The primary key of the schedule, a document of `data/Schedule`.
    pub schedule_pkid: String,
    /// The time zone, as the IANA database writes its name.
    pub time_zone: String,
    /// The next run as a local time of the time zone.
    pub next_local: String,
    /// The next run, RFC 3339 UTC.
    pub next: String,
    /// The result for the administrator.
    pub message: String,
}

/// The result of removing a schedule.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnscheduleReport {
    /// The data sync's name.
    pub sync: String,
    /// The data sync's primary key.
    pub sync_pkid: String,
    /// Whether the data sync had a schedule.
    pub removed: bool,
    /// The result for the administrator.
    pub message: String,
}

/// Puts a schedule on the data sync `selector` of the record `pkid`, in place of an earlier one.
///
/// # Errors
/// `invalid` with all errors, by the name of the argument: a data sync that is unknown or cannot be executed, an
/// unusable time, and a schedule without a future run. `not-found`, `conflict`, `unavailable`.
pub fn schedule_data_sync(
    platform: &dyn Platform,
    pkid: &str,
    selector: &str,
    request: ScheduleRequest<'_>,
) -> Result<ScheduleReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let now = platform.now();
    let mut errors = Vec::new();
    let found = StoredSync::find(platform, &record, selector).and_then(|sync| {
        DataSync::from_value(&record, sync.pkid.clone(), &sync.body)?;
        Ok(sync)
    });
    let sync = match found {
        Ok(sync) => Some(sync),
        Err(Failure::Invalid(found)) => {
            errors.extend(found);
            None
        }
        Err(failure) => return Err(failure),
    };
    let occurrences = parse_request(request, now, &mut errors);
    let (Some(sync), Some((recurrence, next)), true) = (sync, occurrences, errors.is_empty())
    else {
        return Err(Failure::Invalid(errors));
    };
    let earlier = SyncSchedule::read(platform, &record, &sync.pkid)?;
    let schedule = SyncSchedule::new(&record, &sync, &recurrence, next, earlier.as_ref());
    let (check, changes) = schedule.to_commit(&record);
    platform.commit(vec![record.version_check(), check], changes.into())?;
    let next_text = format_occurrence(&recurrence, next);
    let message = match recurrence.every {
        Some(every) => format!("{} runs every {every}, next at {next_text}", sync.name),
        None => format!("{} runs once, at {next_text}", sync.name),
    };
    platform.log(Level::Info, &message);
    let next_local = recurrence.zone.local_time(next);
    Ok(ScheduleReport {
        schedule_pkid: sync_schedule::reference(&record, &sync.pkid).pkid,
        sync: sync.name,
        sync_pkid: sync.pkid,
        time_zone: recurrence.zone.to_string(),
        next_local: next_local
            .map(|local| local.to_string())
            .unwrap_or_default(),
        next: format_timestamp(next),
        message,
    })
}

/// Removes the schedule of the data sync `selector` of the record `pkid`. An import that runs continues.
///
/// # Errors
/// `invalid` for an unknown data sync, field `sync`; `not-found`, `conflict`, `unavailable`.
pub fn unschedule_data_sync(
    platform: &dyn Platform,
    pkid: &str,
    selector: &str,
) -> Result<UnscheduleReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let sync = StoredSync::find(platform, &record, selector)?;
    let removed = SyncSchedule::read(platform, &record, &sync.pkid)?.is_some();
    let message = match removed {
        true => format!("{} runs by no schedule any more", sync.name),
        false => format!("{} has no schedule", sync.name),
    };
    if removed {
        let changes = sync_schedule::removal_changes(&record, &sync.pkid);
        platform.commit(vec![record.version_check()], changes.into())?;
    }
    platform.log(Level::Info, &message);
    Ok(UnscheduleReport {
        sync: sync.name,
        sync_pkid: sync.pkid,
        removed,
        message,
    })
}

/// Runs a due schedule: makes the import of its data sync due now, and moves the schedule to its next occurrence, in
/// one commit. Occurrences that were missed are made up by one run. An import that has not ended is left to end.
///
/// # Errors
/// Storage errors. A data sync, schedule or record that is gone is not an error: the wakeup is canceled.
pub(super) fn run_schedule(
    platform: &dyn Platform,
    wakeup: &Wakeup,
    sync_pkid: &str,
) -> Result<WakeReport, Failure> {
    let subject = &wakeup.subject;
    let dismiss = |reason: String| dismiss(platform, subject, &wakeup.id, reason);
    let record = match Record::load(platform, &subject.pkid) {
        Ok(record) => record,
        Err(Failure::NotFound(_)) => return dismiss(format!("{subject} does not exist any more")),
        Err(failure) => return Err(failure),
    };
    let Some(sync) = StoredSync::get(platform, &record, sync_pkid)? else {
        let changes = sync_schedule::removal_changes(&record, sync_pkid);
        platform.commit(vec![record.version_check()], changes.into())?;
        return Ok(WakeReport::Nothing(format!(
            "the data sync {sync_pkid} of {subject} does not exist any more"
        )));
    };
    let name = &sync.name;
    let Some(mut schedule) = SyncSchedule::read(platform, &record, sync_pkid)? else {
        return dismiss(format!("{name} has no schedule any more"));
    };
    let recurrence = match schedule.recurrence() {
        Ok(recurrence) => recurrence,
        Err(reason) => {
            let reason = format!(
                "the schedule of {name} cannot be used: its member {reason}; schedule the data sync again"
            );
            platform.log(Level::Warning, &reason);
            return dismiss(reason);
        }
    };
    let Some(due) = schedule.next() else {
        return dismiss(format!("the schedule of {name} is not active"));
    };
    let now = platform.now();
    let next = match now < due {
        true => correct_next(&recurrence, due, now),
        false => recurrence.next_after(now),
    };
    let outlook = match next {
        Some(next) => format!(
            "the next run is at {}",
            format_occurrence(&recurrence, next)
        ),
        None => "this was the last run".to_owned(),
    };
    schedule.set_next(next);
    if now < due {
        // The wakeup was scheduled while the clock was ahead.
        let (check, changes) = schedule.to_commit(&record);
        platform.commit(vec![record.version_check(), check], changes.into())?;
        return Ok(WakeReport::Nothing(format!(
            "the schedule of {name} is not due yet: {outlook}"
        )));
    }
    let import = sync::wakeup_id(&record, sync_pkid);
    let wakeups = platform.wakeups(subject)?;
    let is_running = wakeups.iter().any(|wakeup| wakeup.id == import);
    if !is_running {
        schedule.set_last_executed(now);
    }
    let (check, changes) = schedule.to_commit(&record);
    let mut changes: Vec<Change> = changes.into();
    if !is_running {
        changes.push(sync::schedule_import(&record, sync_pkid, now));
    }
    platform.commit(vec![record.version_check(), check], changes)?;
    if is_running {
        let message =
            format!("the import by {name} has not ended yet, so this run is left out; {outlook}");
        platform.log(Level::Warning, &message);
        return Ok(WakeReport::Nothing(message));
    }
    let is_missed = recurrence
        .next_after(due)
        .is_some_and(|second| second <= now);
    let missed = match is_missed {
        true => format!(
            ", also for the runs since {} that were missed",
            format_occurrence(&recurrence, due)
        ),
        false => String::new(),
    };
    let message = format!("{name} begins now{missed}; {outlook}");
    platform.log(Level::Info, &message);
    Ok(WakeReport::Synced(SyncReport {
        sync: sync.name.clone(),
        sync_pkid: sync.pkid.clone(),
        pkid: record.pkid,
        done: 0,
        total: 0,
        models: Vec::new(),
        continues: Some(now.0),
        message,
    }))
}

/// Returns the next run of a schedule whose next run `due` is after `now`. If the clock was ahead by at most a day or
/// an occurrence, that run stays, since the earlier ones have been done. If the clock was further ahead, the schedule
/// continues from `now`.
fn correct_next(recurrence: &Recurrence, due: UnixMillis, now: UnixMillis) -> Option<UnixMillis> {
    let Some(next) = recurrence.next_after(now) else {
        return Some(due);
    };
    let second = recurrence.next_after(next).unwrap_or(due);
    match due <= second.max(now + MAX_REPETITION) {
        true => Some(due),
        false => Some(next),
    }
}

/// Reads the occurrences of a request, and the next of them.
fn parse_request(
    request: ScheduleRequest<'_>,
    now: UnixMillis,
    errors: &mut Vec<FieldError>,
) -> Option<(Recurrence, UnixMillis)> {
    let mut note = |field: &str, error: String| errors.push(FieldError::new(field, error));
    let start = request
        .start
        .parse::<LocalTime>()
        .map_err(|error| note("start", error));
    let zone = Zone::find(request.time_zone.unwrap_or(DEFAULT_ZONE));
    let zone = zone.map_err(|error| note("time_zone", error));
    let every = request.every.map(str::parse::<Interval>).transpose();
    let every = every.map_err(|error| note("every", error));
    let until = request.until.map(str::parse::<LocalTime>).transpose();
    let until = until.map_err(|error| note("until", error));
    let (Ok(start), Ok(zone), Ok(every), Ok(until)) = (start, zone, every, until) else {
        return None;
    };
    let recurrence = Recurrence {
        start,
        zone,
        every,
        until,
    };
    if until.is_some() && every.is_none() {
        note("until", "is only possible together with every".to_owned());
        return None;
    }
    if until.is_some_and(|until| until < start) {
        note("until", format!("must not be before start, {start}"));
        return None;
    }
    if let Some(next) = recurrence.next_after(now) {
        return Some((recurrence, next));
    }
    let zone = &recurrence.zone;
    let now = zone.local_time(now).map(|now| now.to_string());
    let now = now.unwrap_or_default();
    match every {
        None => note("start", format!("is over: it is {now} in {zone}")),
        Some(_) => note(
            "until",
            format!("leaves no run: it is {now} in {zone} already"),
        ),
    }
    None
}

/// Formats an occurrence for an administrator, such as `2026-12-01T03:00 (Europe/Zurich)`.
fn format_occurrence(recurrence: &Recurrence, time: UnixMillis) -> String {
    match recurrence.zone.local_time(time) {
        Some(local) => format!("{local} ({})", recurrence.zone),
        None => format_timestamp(time),
    }
}

#[cfg(test)]
#[path = "schedules_tests.rs"]
mod tests;

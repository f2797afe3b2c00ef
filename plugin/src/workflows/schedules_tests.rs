//! Schedules of data syncs, and their runs.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::owned_documents::SCHEDULE;
use crate::platform::{Environment, Reference, Storage};
use crate::testing::{
    CommitFault, DATA_SYNCS, DAY, HOUR, MemoryPlatform, PKID, START, field_errors,
};
use crate::workflows::wake::wake;

const WAKEUP: &str = "schedule.all";

/// Schedules the sync of everything, and returns the report.
fn schedule(
    platform: &MemoryPlatform,
    start: &str,
    zone: Option<&str>,
    every: Option<&str>,
) -> ScheduleReport {
    let request = ScheduleRequest {
        start,
        time_zone: zone,
        every,
        until: None,
    };
    schedule_data_sync(platform, PKID, "all", request).unwrap()
}

/// Creates a platform with a run of everything at 03:00 UTC every day.
fn daily() -> MemoryPlatform {
    let platform = MemoryPlatform::connected().unwrap();
    schedule(&platform, "2026-01-01T03:00", None, Some("1d"));
    platform
}

fn stored(platform: &MemoryPlatform) -> Value {
    let [document] = platform.documents_of(SCHEDULE).try_into().unwrap();
    serde_json::from_str(&document.body).unwrap()
}

fn wakeup(platform: &MemoryPlatform) -> Option<Wakeup> {
    platform.wakeup(&Reference::record(PKID), WAKEUP)
}

fn import_wakeup(platform: &MemoryPlatform) -> Option<Wakeup> {
    platform.import_wakeup(&Reference::record(PKID))
}

/// Runs the schedule's wakeup at `now`, as a host does.
fn run_at(platform: &MemoryPlatform, now: UnixMillis) -> WakeReport {
    platform.set_now(now);
    wake(platform, &wakeup(platform).unwrap()).unwrap()
}

fn message(report: WakeReport) -> String {
    match report {
        WakeReport::Synced(report) => report.message,
        WakeReport::Nothing(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// Ends the import that is due.
fn end_import(platform: &MemoryPlatform) {
    let due = import_wakeup(platform).expect("an import is due");
    let cancel = Change::Cancel(due.subject, due.id);
    platform.commit(Vec::new(), vec![cancel]).unwrap();
}

#[test]
fn schedule_is_stored_with_its_wakeup() {
    let platform = MemoryPlatform::connected().unwrap();
    let report = schedule(
        &platform,
        "2026-07-01T03:00",
        Some("europe/zurich"),
        Some("1d"),
    );
    assert_eq!(report.time_zone, "Europe/Zurich");
    assert_eq!(report.next, "2026-07-01T01:00:00Z");
    assert_eq!(report.next_local, "2026-07-01T03:00");
    assert_eq!(
        stored(&platform),
        json!({
            "name": "Schedulesync-all of Acme",
            "owner": PKID,
            "description": "Executes the data sync",
            "schedule_type": "Multi Execution",
            "active": true,
            "last_executed": null,
            "time_zone": "Europe/Zurich",
            "scheduled_resources": [{
                "action": "execute", "resource_type": "data/DataSync", "resource_attribute": "pkid",
                "resource_instance": DATA_SYNCS[0], "perform_action": "execute",
            }],
            "single_execute": null,
            "multi_execute": {
                "start": "2026-07-01T03:00", "every": "1d", "until": null, "next": "2026-07-01T01:00:00Z",
            },
        })
    );
    let wakeup = wakeup(&platform).unwrap();
    assert_eq!(wakeup.payload, DATA_SYNCS[0]);
    assert_eq!(wakeup.due, 1_782_867_600_000);
    // Saving again replaces the schedule.
    schedule(&platform, "2026-07-01T03:00", None, None);
    let body = stored(&platform);
    assert_eq!(body["schedule_type"], "Single Execution");
    assert_eq!(body["multi_execute"], Value::Null);
    assert_eq!(body["single_execute"]["next"], "2026-07-01T03:00:00Z");
}

#[test]
fn all_errors_are_reported_by_argument() {
    let platform = MemoryPlatform::connected().unwrap();
    let request = ScheduleRequest {
        start: "soon",
        time_zone: Some("Europe/Zurych"),
        every: Some("often"),
        until: Some("never"),
    };
    let found = field_errors(schedule_data_sync(&platform, PKID, "alll", request));
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["sync", "start", "time_zone", "every", "until"]);
    assert!(
        found[2].1.contains("did you mean Europe/Zurich?"),
        "{found:?}"
    );

    let start = "2026-01-02T03:00";
    for (start, every, until, field, text) in [
        (
            "2025-12-31T03:00",
            None,
            None,
            "start",
            "it is 2026-01-01T00:00 in UTC",
        ),
        (
            start,
            None,
            Some("2026-02-01T00:00"),
            "until",
            "together with every",
        ),
        (
            start,
            Some("1d"),
            Some("2026-01-01T00:00"),
            "until",
            "before start",
        ),
        (
            "2025-12-01T03:00",
            Some("1d"),
            Some("2025-12-31T23:00"),
            "until",
            "leaves no run",
        ),
    ] {
        let request = ScheduleRequest {
            start,
            time_zone: None,
            every,
            until,
        };
        let found = field_errors(schedule_data_sync(&platform, PKID, "all", request));
        assert_eq!(found[0].0, field);
        assert!(found[0].1.contains(text), "{found:?}");
    }
    assert!(platform.documents_of(SCHEDULE).is_empty());
}

#[test]
fn start_in_the_past_begins_with_the_next_occurrence() {
    let platform = MemoryPlatform::connected().unwrap();
    let report = schedule(&platform, "2020-02-29T03:00", None, Some("1d"));
    assert_eq!(report.next, "2026-01-01T03:00:00Z");
}

#[test]
fn due_schedule_starts_the_import_and_moves_on() {
    let platform = daily();
    let commits = platform.commits();
    let report = message(run_at(&platform, START + 3 * HOUR));
    assert_eq!(platform.commits(), commits + 1);
    assert_eq!(
        report,
        "sync-all of Acme begins now; the next run is at 2026-01-02T03:00 (UTC)"
    );
    let import = import_wakeup(&platform).unwrap();
    assert_eq!(
        (import.due, import.payload.as_str()),
        (platform.now().0, DATA_SYNCS[0])
    );
    assert_eq!(wakeup(&platform).unwrap().due, (START + DAY + 3 * HOUR).0);
    assert_eq!(stored(&platform)["last_executed"], "2026-01-01T03:00:00Z");
    assert_eq!(
        stored(&platform)["multi_execute"]["next"],
        "2026-01-02T03:00:00Z"
    );
}

#[test]
fn single_execution_becomes_inactive() {
    let platform = MemoryPlatform::connected().unwrap();
    schedule(&platform, "2026-01-01T03:00", None, None);
    let report = message(run_at(&platform, START + 3 * HOUR));
    assert!(report.contains("this was the last run"), "{report}");
    assert_eq!(wakeup(&platform), None);
    assert_eq!(stored(&platform)["active"], false);
    assert_eq!(stored(&platform)["single_execute"]["next"], Value::Null);
    assert!(import_wakeup(&platform).is_some());
}

#[test]
fn missed_runs_are_made_up_by_one() {
    let platform = daily();
    let report = message(run_at(&platform, START + 5 * DAY));
    assert!(
        report.contains("also for the runs since 2026-01-01T03:00 (UTC)"),
        "{report}"
    );
    assert!(import_wakeup(&platform).is_some());
    assert_eq!(
        wakeup(&platform).unwrap().due,
        (START + 5 * DAY + 3 * HOUR).0
    );
}

#[test]
fn import_that_has_not_ended_is_not_doubled() {
    let platform = daily();
    run_at(&platform, START + 3 * HOUR);
    let import = import_wakeup(&platform);
    let report = run_at(&platform, START + DAY + 3 * HOUR);
    assert!(message(report).contains("has not ended yet"));
    assert!(platform.logged(Level::Warning, "this run is left out"));
    assert_eq!(import_wakeup(&platform), import);
    assert_eq!(stored(&platform)["last_executed"], "2026-01-01T03:00:00Z");
    assert_eq!(
        wakeup(&platform).unwrap().due,
        (START + 2 * DAY + 3 * HOUR).0
    );
}

#[test]
fn clock_that_was_set_back_repeats_no_run() {
    for (every, back) in [("1d", 2 * HOUR), ("15m", 2 * HOUR), ("1d", 20 * HOUR)] {
        let platform = MemoryPlatform::connected().unwrap();
        schedule(&platform, "2025-12-01T03:00", None, Some(every));
        run_at(&platform, START + 3 * HOUR);
        end_import(&platform);
        let next = wakeup(&platform).unwrap().due;
        // A host makes the wakeup due when it notices the clock.
        let report = run_at(&platform, START + 3 * HOUR - back);
        assert!(message(report).contains("is not due yet"));
        assert!(import_wakeup(&platform).is_none(), "{every}");
        assert_eq!(wakeup(&platform).unwrap().due, next, "{every}");
    }
}

#[test]
fn schedule_recovers_from_a_clock_that_was_far_ahead() {
    let platform = daily();
    run_at(&platform, START + 400 * DAY);
    end_import(&platform);
    run_at(&platform, START + 5 * DAY);
    assert!(import_wakeup(&platform).is_none());
    assert_eq!(
        wakeup(&platform).unwrap().due,
        (START + 5 * DAY + 3 * HOUR).0
    );
    run_at(&platform, START + 5 * DAY + 3 * HOUR);
    assert!(import_wakeup(&platform).is_some());
}

#[test]
fn wakeup_without_a_usable_schedule_is_dismissed() {
    let record = Reference::record(PKID);
    for (case, text) in [
        ("schedule", "has no schedule any more"),
        ("record", "does not exist any more"),
        ("unreadable", "schedule the data sync again"),
        ("inactive", "is not active"),
    ] {
        let platform = daily();
        let due = wakeup(&platform).unwrap();
        let [mut document] = <[_; 1]>::try_from(platform.documents_of(SCHEDULE)).unwrap();
        let change = match case {
            "schedule" => Change::Delete(document.reference),
            "record" => Change::Delete(record.clone()),
            "unreadable" => {
                document.body = "{}".to_owned();
                Change::Put(document)
            }
            _ => {
                document.body = document.body.replace("\"active\":true", "\"active\":false");
                Change::Put(document)
            }
        };
        platform.commit(Vec::new(), vec![change]).unwrap();
        platform.advance(3 * HOUR);
        let report = message(wake(&platform, &due).unwrap());
        assert!(report.contains(text), "{case}: {report}");
        assert_eq!(wakeup(&platform), None, "{case}");
        assert!(import_wakeup(&platform).is_none(), "{case}");
    }
}

#[test]
fn schedule_of_a_missing_data_sync_is_removed() {
    let platform = MemoryPlatform::connected().unwrap();
    let members = json!({"name": "Nightly", "model_type_list": ["device/spark/User"]});
    let saved = crate::workflows::data_syncs::save_data_sync(
        &platform,
        PKID,
        None,
        members.as_object().unwrap(),
    );
    let request = ScheduleRequest {
        start: "2026-01-02T03:00",
        ..ScheduleRequest::default()
    };
    schedule_data_sync(&platform, PKID, "Nightly", request).unwrap();
    let reference = Reference::new("data/DataSync", saved.unwrap().sync_pkid);
    let delete = vec![Change::Delete(reference)];
    platform.commit(Vec::new(), delete).unwrap();
    platform.advance(2 * DAY);
    let mut due = platform.all_wakeups().into_iter();
    let due = due
        .find(|wakeup| wakeup.id.starts_with("schedule."))
        .unwrap();
    assert!(matches!(wake(&platform, &due), Ok(WakeReport::Nothing(_))));
    assert!(platform.documents_of(SCHEDULE).is_empty());
    assert_eq!(platform.all_wakeups().len(), 1);
}

#[test]
fn unscheduled_data_sync_has_no_wakeup() {
    let platform = daily();
    let report = unschedule_data_sync(&platform, PKID, "all").unwrap();
    assert!(report.removed);
    assert!(platform.documents_of(SCHEDULE).is_empty());
    assert_eq!(wakeup(&platform), None);
    assert!(
        !unschedule_data_sync(&platform, PKID, "all")
            .unwrap()
            .removed
    );
}

#[test]
fn interrupted_run_is_repeated_once() {
    let platform = daily();
    let down = || Failure::Unavailable("the store is down".to_owned());
    platform.set_now(START + 3 * HOUR);
    let due = wakeup(&platform).unwrap();
    platform.inject_commit_fault(1, CommitFault::Fail(down()));
    assert!(wake(&platform, &due).is_err());
    assert!(import_wakeup(&platform).is_none());
    platform.inject_commit_fault(1, CommitFault::LoseResult(down()));
    assert!(wake(&platform, &due).is_err());
    end_import(&platform);
    // The host runs the stored wakeup again.
    let report = message(wake(&platform, &due).unwrap());
    assert!(report.contains("is not due yet"), "{report}");
    assert!(import_wakeup(&platform).is_none());
}

proptest! {
    #[test]
    fn any_stored_schedule_is_harmless(
        body in prop_oneof![
            Just(json!({})),
            (".{0,20}", ".{0,8}", any::<bool>(), ".{0,20}").prop_map(|(start, every, active, zone)| json!({
                "schedule_type": "Multi Execution", "active": active, "time_zone": zone,
                "multi_execute": {"start": start, "every": every, "next": "2026-01-01T03:00:00Z"},
            })),
            (0_u64..400_000_000_000).prop_map(|next| json!({
                "schedule_type": "Single Execution", "active": true,
                "single_execute": {
                    "start": "2026-01-01T03:00", "next": format_timestamp(UnixMillis(next * 1_000)),
                },
            })),
        ],
        now in any::<u64>(),
    ) {
        let platform = daily();
        let due = wakeup(&platform).unwrap();
        let mut document = platform.documents_of(SCHEDULE).remove(0);
        document.body = body.to_string();
        platform.commit(Vec::new(), vec![Change::Put(document)]).unwrap();
        platform.set_now(UnixMillis(now));
        prop_assert!(wake(&platform, &due).is_ok());
    }
}

//! States, thresholds and alerts over whole lifetimes of tokens, with a controlled clock.

use http::Method;
use serde_json::{Value, json};

use super::super::refresh::refresh;
use super::super::wake::wake;
use super::*;
use crate::alerts::{ALERT, AlertBody};
use crate::platform::{Environment, HttpRequest, Millis, Storage, UnixMillis};
use crate::reports::{RefreshOutcome, WakeReport};
use crate::testing::*;

fn connected() -> MemoryPlatform {
    let platform = MemoryPlatform::connected().unwrap();
    // The first check schedules the next one.
    check_expiry(&platform, PKID, Grant::Organization).unwrap();
    platform
}

fn check(platform: &MemoryPlatform) -> ExpiryReport {
    check_expiry(platform, PKID, Grant::Organization).unwrap()
}

fn state(platform: &MemoryPlatform) -> State {
    Record::load(platform, PKID).unwrap().body.connection.state
}

fn edit(platform: &MemoryPlatform, change: impl FnOnce(&mut Record)) {
    let mut record = Record::load(platform, PKID).unwrap();
    change(&mut record);
    let document = record.to_document().unwrap();
    platform
        .commit(vec![record.version_check()], vec![Change::Put(document)])
        .unwrap();
}

fn alerts(platform: &MemoryPlatform) -> Vec<AlertBody> {
    let mut alerts: Vec<AlertBody> = platform
        .documents_of(ALERT)
        .iter()
        .map(|document| serde_json::from_str(&document.body).unwrap())
        .collect();
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.threshold));
    alerts
}

/// Returns the threshold in days and the count of each alert.
fn alert_counts(platform: &MemoryPlatform) -> Vec<(u64, u32)> {
    alerts(platform)
        .iter()
        .map(|alert| (alert.threshold.0 / DAY.0, alert.count))
        .collect()
}

/// Runs every wakeup at its time until `end`; returns the time and report of each.
fn run_wakeups_until(platform: &MemoryPlatform, end: UnixMillis) -> Vec<(UnixMillis, WakeReport)> {
    let mut reports = Vec::new();
    while let Some(next) = platform.all_wakeups().into_iter().next() {
        if next.due > end.0 {
            break;
        }
        assert!(reports.len() < 10_000, "the wakeups never end");
        platform.set_now(UnixMillis(next.due).max(platform.now()));
        reports.push((platform.now(), wake(platform, &next).unwrap()));
    }
    platform.set_now(end);
    reports
}

fn refreshes(reports: &[(UnixMillis, WakeReport)]) -> usize {
    let refreshed = |report: &WakeReport| matches!(report, WakeReport::Refreshed(_));
    reports.iter().filter(|(_, each)| refreshed(each)).count()
}

/// Serves a refresh token whose lifetime in whole seconds counts down from `START`.
fn serve_fixed_expiry(platform: &MemoryPlatform, access: Millis, refresh: Millis) {
    platform.serve(move |platform: &MemoryPlatform, request: &HttpRequest| {
        assert_eq!(request.method(), Method::POST);
        let left = (START + refresh - platform.now()).0 / 1_000;
        if left == 0 {
            return json_response(400, json!({"error": "invalid_grant"}));
        }
        json_response(200, token_response(access, Some(left)))
    });
}

fn token_response(access: Millis, refresh_seconds: Option<u64>) -> Value {
    json!({
        "access_token": "another-access-token", "expires_in": access.0 / 1_000,
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": refresh_seconds,
    })
}

#[test]
fn no_alert_before_the_first_threshold() {
    let platform = connected();
    let report = check(&platform);
    assert_eq!(report.access_token_remaining_ms, Some((14 * DAY).0));
    assert_eq!(report.refresh_token_remaining_ms, Some((90 * DAY).0));
    assert_eq!((report.alert, report.cleared), (None, vec![]));
    assert_eq!(state(&platform), State::Connected);
    let due = platform
        .all_wakeups()
        .into_iter()
        .find(|each| each.id == "expiry");
    assert_eq!(UnixMillis(due.unwrap().due), START + 60 * DAY);
}

#[test]
fn fixed_expiry_alerts_at_each_threshold_and_the_end() {
    let platform = connected();
    serve_fixed_expiry(&platform, 14 * DAY, 90 * DAY);
    let reports = run_wakeups_until(&platform, START + 200 * DAY);

    // The refresh that Webex refuses raises the alert about the end.
    assert_eq!(
        alert_counts(&platform),
        [(30, 1), (14, 1), (7, 1), (2, 1), (0, 1)]
    );
    let moments: Vec<u64> = reports
        .iter()
        .filter_map(|(now, report)| match report {
            WakeReport::Checked(report) => report.alert.as_ref().map(|_| (*now - START).0 / DAY.0),
            _ => None,
        })
        .collect();
    assert_eq!(moments, [60, 76, 83, 88]);
    assert_eq!(state(&platform), State::Expired);
    assert!(platform.all_wakeups().is_empty());
    // Every 6.3 to 7 days, then a few just before the end, and the refused one.
    assert!(
        (13..=24).contains(&refreshes(&reports)),
        "{}",
        refreshes(&reports)
    );
    let outcomes: Vec<RefreshOutcome> = reports
        .iter()
        .filter_map(|(_, report)| match report {
            WakeReport::Refreshed(report) => Some(report.outcome),
            _ => None,
        })
        .collect();
    let (last, before) = outcomes.split_last().unwrap();
    assert_eq!(*last, RefreshOutcome::Expired);
    assert!(
        before
            .iter()
            .all(|outcome| *outcome == RefreshOutcome::Connected)
    );
    let generations: Vec<u64> = alerts(&platform)
        .iter()
        .map(|each| each.generation)
        .collect();
    assert_eq!(generations, [1; 5]);
}

#[test]
fn renewed_refresh_token_raises_no_alert() {
    let platform = connected();
    platform.serve(|_, _| json_response(200, token_response(14 * DAY, Some(7_776_000))));
    let reports = run_wakeups_until(&platform, START + 365 * DAY);
    assert!((52..=58).contains(&refreshes(&reports)));
    assert_eq!(state(&platform), State::Connected);
    assert!(alerts(&platform).is_empty());
}

#[test]
fn unreported_expiry_lasts_until_webex_refuses() {
    let platform = connected();
    platform.serve(|platform, _| {
        if platform.now() > START + 95 * DAY {
            return json_response(400, json!({"error": "invalid_grant"}));
        }
        json_response(
            200,
            json!({"access_token": "another", "expires_in": 1_209_600}),
        )
    });
    run_wakeups_until(&platform, START + 89 * DAY);
    assert_eq!(alert_counts(&platform), [(30, 1), (14, 1), (7, 1), (2, 1)]);
    let reports = run_wakeups_until(&platform, START + 93 * DAY);
    // The known expiry was only assumed: Webex is asked, and responds with tokens.
    assert!(refreshes(&reports) >= 1);
    assert_eq!(state(&platform), State::Connected);
    assert!(alerts(&platform).is_empty());
    run_wakeups_until(&platform, START + 200 * DAY);
    assert_eq!(state(&platform), State::Reauthorize);
}

#[test]
fn short_lived_tokens_alert_at_a_quarter_of_lifetime() {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(START);
    let expiry = |lifetime: Millis| {
        Some(Expiry {
            at: START + lifetime,
            lifetime,
            assumed: false,
        })
    };
    record.body.connection.access = expiry(20 * SECOND);
    record.body.connection.refresh = expiry(60 * SECOND);
    record.body.connection.next_refresh = Some(START + 10 * SECOND);
    platform.store_connected(record).unwrap();
    check(&platform);
    serve_fixed_expiry(&platform, 20 * SECOND, 60 * SECOND);
    let reports = run_wakeups_until(&platform, START + DAY);
    let thresholds: Vec<Millis> = alerts(&platform)
        .iter()
        .map(|each| each.threshold)
        .collect();
    assert_eq!(thresholds, [15 * SECOND, Millis::ZERO]);
    assert!(
        (5..=7).contains(&refreshes(&reports)),
        "{}",
        refreshes(&reports)
    );
    assert_eq!(state(&platform), State::Expired);
}

#[test]
fn repeated_alert_counts_up_and_keeps_first_time() {
    let platform = connected();
    platform.set_now(START + 61 * DAY);
    let first = check(&platform).alert.unwrap();
    platform.advance(HOUR);
    let second = check(&platform).alert.unwrap();
    assert_eq!((first.count, second.count), (1, 2));
    assert_eq!(first.reference, second.reference);
    let alerts = alerts(&platform);
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!(alert.code, code::EXPIRING);
    assert_eq!(alert.category, "webex");
    assert_eq!(alert.first, "2026-03-03T00:00:00Z");
    assert_eq!(alert.latest, "2026-03-03T01:00:00Z");
    assert_eq!(alert.subject, format!("data/SparkCustomer/{PKID}"));
    assert!(alert.message.contains("Acme"));
    assert!(alert.message.contains("2026-04-01T00:00:00Z"));
}

#[test]
fn after_downtime_only_smallest_threshold_alerts() {
    let platform = connected();
    platform.set_now(START + 84 * DAY);
    let alert = check(&platform).alert.unwrap();
    assert_eq!(alert.threshold_ms, (7 * DAY).0);
    assert_eq!(alert_counts(&platform), [(7, 1)]);
}

#[test]
fn connection_is_expiring_in_the_last_threshold() {
    let platform = connected();
    platform.set_now(START + 88 * DAY - Millis(1));
    check(&platform);
    assert_eq!(state(&platform), State::Connected);
    platform.advance(Millis(1));
    check(&platform);
    assert_eq!(state(&platform), State::Expiring);
}

#[test]
fn severity_rises_with_each_threshold() {
    let platform = connected();
    let mut severities = Vec::new();
    platform.serve(|_, _| json_response(400, json!({"error": "invalid_grant"})));
    for day in [60, 76, 83, 88, 90] {
        platform.set_now(START + day * DAY);
        check(&platform);
        if day == 90 {
            refresh(&platform, PKID, Grant::Organization, platform.now()).unwrap();
        }
        severities.push(alerts(&platform).last().unwrap().severity);
    }
    use Severity::{Critical, Info, Major, Minor};
    assert_eq!(severities, [Info, Info, Minor, Major, Critical]);
}

#[test]
fn disabled_notices_still_change_states() {
    let platform = connected();
    platform.set("expiry.notify", "false");
    platform.set_now(START + 89 * DAY);
    assert_eq!(check(&platform).alert, None);
    assert_eq!(state(&platform), State::Expiring);
    platform.set_now(START + 90 * DAY);
    assert_eq!(check(&platform).alert, None);
    assert_eq!(state(&platform), State::Expiring);
    platform.serve(|_, _| json_response(400, json!({"error": "invalid_grant"})));
    refresh(&platform, PKID, Grant::Organization, platform.now()).unwrap();
    assert_eq!(state(&platform), State::Expired);
    assert!(alerts(&platform).is_empty());
}

#[test]
fn clock_expiry_asks_webex_and_ends_on_refusal() {
    let platform = connected();
    platform.set_now(START + 90 * DAY);
    let report = check(&platform);
    assert_eq!(report.connection.state, State::Expiring);
    assert_eq!(
        report.connection.next_refresh,
        Some((platform.now() + SECOND).0)
    );
    assert_eq!(report.refresh_token_remaining_ms, Some(0));
    assert_eq!(report.access_token_remaining_ms, Some(0));
    let alert = report.alert.unwrap();
    assert_eq!(
        (alert.code.as_str(), alert.threshold_ms),
        (code::EXPIRING, (2 * DAY).0)
    );
    let message = alerts(&platform).pop().unwrap().message;
    assert!(message.contains("should have expired"), "{message}");
    // Another check changes neither the alert nor the time of the refresh.
    assert_eq!(check(&platform).alert.unwrap().count, 1);

    platform.serve(|_, _| json_response(400, json!({"error": "invalid_grant"})));
    let reports = run_wakeups_until(&platform, START + 91 * DAY);
    assert_eq!(refreshes(&reports), 1);
    assert_eq!(state(&platform), State::Expired);
    assert!(platform.all_wakeups().is_empty());
    let alert = check(&platform).alert.unwrap();
    assert_eq!(
        (alert.code.as_str(), alert.threshold_ms),
        (code::EXPIRED, 0)
    );
    assert_eq!(alert.count, 2);
}

#[test]
fn clock_jump_ahead_leaves_no_alert() {
    let platform = connected();
    platform.serve(|_, _| json_response(503, json!({})));
    platform.set_now(START + 365 * DAY);
    check(&platform);
    assert_eq!(alert_counts(&platform), [(2, 1)]);
    run_wakeups_until(&platform, START + 365 * DAY + HOUR);
    assert_eq!(state(&platform), State::Retrying);

    // The clock is right again, the tokens were never changed, and Webex extends nothing.
    platform.set_now(START + HOUR);
    serve_fixed_expiry(&platform, 14 * DAY, 90 * DAY);
    let report = check(&platform);
    assert_eq!(report.alert, None);
    assert!(alerts(&platform).is_empty());
    refresh(&platform, PKID, Grant::Organization, platform.now()).unwrap();
    assert_eq!(state(&platform), State::Connected);
    assert!(alerts(&platform).is_empty());
}

#[test]
fn record_with_future_times_is_refreshed_immediately() {
    let platform = connected();
    edit(&platform, |record| {
        let connection = &mut record.body.connection;
        connection.refreshed = Some(START + 365 * DAY);
        connection.attempted = Some(START + 365 * DAY);
        connection.next_refresh = Some(START + 372 * DAY);
    });
    let report = check(&platform);
    assert_eq!(report.connection.next_refresh, Some((START + SECOND).0));
    platform.serve(|_, _| json_response(200, token_response(14 * DAY, Some(7_776_000))));
    let reports = run_wakeups_until(&platform, START + HOUR);
    assert_eq!(refreshes(&reports), 1);
    let connection = Record::load(&platform, PKID).unwrap().body.connection;
    assert_eq!(connection.refreshed, Some(START + SECOND));
}

#[test]
fn outage_past_expiry_keeps_retrying_with_reason() {
    let platform = connected();
    platform
        .serve(|_, _| json_response(503, json!({"message": "maintenance", "trackingId": "T9"})));
    run_wakeups_until(&platform, START + 95 * DAY);
    assert_eq!(state(&platform), State::Retrying);
    let report = check(&platform);
    assert!(report.connection.notes.contains("maintenance"));
    assert!(report.connection.notes.contains("T9"));
    platform.serve(|_, _| json_response(200, token_response(14 * DAY, Some(7_776_000))));
    run_wakeups_until(&platform, START + 96 * DAY);
    assert_eq!(state(&platform), State::Connected);
    assert!(alerts(&platform).is_empty());
}

#[test]
fn retries_do_not_become_a_busy_loop() {
    let platform = connected();
    platform.serve(|_, _| json_response(503, json!({})));
    let reports = run_wakeups_until(&platform, START + 90 * DAY);
    // Six hours apart for 83 days, and a dozen shortly before the end.
    assert!(
        (300..450).contains(&refreshes(&reports)),
        "{}",
        refreshes(&reports)
    );
}

#[test]
fn a_recovery_ends_the_alerts_of_earlier_generations() {
    let platform = connected();
    platform.set_now(START + 89 * DAY);
    check(&platform);
    assert_eq!(alert_counts(&platform), [(2, 1)]);
    platform.serve(|_, _| json_response(200, token_response(14 * DAY, Some(7_776_000))));
    refresh(&platform, PKID, Grant::Organization, platform.now()).unwrap();
    assert!(alerts(&platform).is_empty());
    assert_eq!(state(&platform), State::Connected);
    platform.advance(61 * DAY);
    assert_eq!(check(&platform).alert.unwrap().count, 1);
}

#[test]
fn check_ends_alerts_of_earlier_generations() {
    let platform = connected();
    platform.set_now(START + 61 * DAY);
    let alert = check(&platform).alert.unwrap();
    edit(&platform, |record| {
        record.body.connection.generation = 2;
        record.body.connection.refresh.as_mut().unwrap().at = START + 150 * DAY;
    });
    let report = check(&platform);
    assert_eq!(report.cleared, [alert.reference]);
    assert_eq!(report.alert, None);
    assert!(alerts(&platform).is_empty());
}

#[test]
fn assumed_expiry_schedules_a_refresh() {
    let platform = connected();
    edit(&platform, |record| {
        record.body.connection.refresh.as_mut().unwrap().assumed = true;
        record.body.connection.next_refresh = Some(START + 95 * DAY);
    });
    platform.set_now(START + 90 * DAY);
    let report = check(&platform);
    assert_eq!(report.connection.state, State::Expiring);
    assert_eq!(report.alert.unwrap().threshold_ms, (2 * DAY).0);
    let wakeups = platform.all_wakeups();
    assert_eq!(wakeups.len(), 1);
    assert_eq!(wakeups[0].id, "refresh");
    assert_eq!(UnixMillis(wakeups[0].due), START + 90 * DAY + MIN_DELAY);
}

#[test]
fn refused_connection_alerts_once_then_expires() {
    let platform = connected();
    platform.serve(|_, _| json_response(400, json!({"error": "invalid_grant"})));
    run_wakeups_until(&platform, START + 89 * DAY);
    assert_eq!(state(&platform), State::Reauthorize);
    assert_eq!(alerts(&platform).len(), 1);
    assert_eq!(check(&platform).alert.unwrap().code, code::REAUTHORIZE);
    assert_eq!(
        alerts(&platform)[0].count,
        1,
        "a check is not a new refusal"
    );
    run_wakeups_until(&platform, START + 100 * DAY);
    assert_eq!(state(&platform), State::Expired);
    assert!(platform.all_wakeups().is_empty());
}

#[test]
fn check_without_tokens_reports_no_expiry() {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(START);
    record.body.connection = crate::record::GrantState::default();
    let put = Change::Put(record.to_document().unwrap());
    platform.commit(Vec::new(), vec![put]).unwrap();
    let report = check(&platform);
    assert_eq!(report.connection.state, State::NotConnected);
    assert_eq!(
        (
            report.access_token_remaining_ms,
            report.refresh_token_remaining_ms
        ),
        (None, None)
    );
    assert_eq!(report.alert, None);
    let missing = check_expiry(&platform, &"0".repeat(24), Grant::Organization);
    assert!(matches!(missing, Err(Failure::NotFound(_))));
}

#[test]
fn check_of_a_changed_record_is_a_conflict() {
    let platform = connected();
    platform.set_now(START + 61 * DAY);
    let meanwhile = CommitFault::RunFirst(Box::new(|platform| {
        edit(platform, |record| record.body.connection.generation = 5);
    }));
    platform.inject_commit_fault(1, meanwhile);
    assert!(matches!(
        check_expiry(&platform, PKID, Grant::Organization),
        Err(Failure::Conflict(_))
    ));
    assert!(alerts(&platform).is_empty());
}

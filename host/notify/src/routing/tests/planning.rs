//! The preview, and its agreement with routing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use relation_types::reports::State;
use serde_json::json;

use super::{facts, provider, utc};
use crate::NoticeKind;
use crate::routing::{
    AlertFacts, AlertTransition, ConnectionFacts, Event, History, PlannedNotice, event_from_alert,
    next_check, preview, route, thresholds_within,
};
use crate::settings::tests::strategies::levels;
use crate::settings::{Defaults, Resolved, resolve};

fn times(planned: &[PlannedNotice]) -> Vec<(String, NoticeKind)> {
    let planned = planned.iter();
    planned
        .map(|each| (each.at.to_rfc3339(), each.plan.notice.kind))
        .collect()
}

fn entry(time: &str, kind: NoticeKind) -> (String, NoticeKind) {
    (utc(time).to_rfc3339(), kind)
}

#[test]
fn preview_lists_thresholds_expiry_and_reminders() {
    let resolved = provider(json!({"recipients": ["noc@example.com"], "reminder": "7d"}));
    let planned = preview(
        &facts(),
        &resolved,
        &History::default(),
        utc("2026-12-20T00:00:00Z"),
    );
    assert_eq!(
        times(&planned),
        [
            entry("2026-12-20T00:00:00Z", NoticeKind::Expiring),
            entry("2026-12-25T12:00:00Z", NoticeKind::Expiring),
            entry("2026-12-30T12:00:00Z", NoticeKind::Expiring),
            entry("2027-01-01T12:00:00Z", NoticeKind::Expired),
            entry("2027-01-08T12:00:00Z", NoticeKind::Expired),
            entry("2027-01-15T12:00:00Z", NoticeKind::Expired),
        ]
    );
    let thresholds: Vec<u64> = planned
        .iter()
        .map(|each| each.plan.threshold_ms / 86_400_000)
        .collect();
    assert_eq!(thresholds, [14, 7, 2, 0, 0, 0]);
    assert!(planned.iter().all(|each| each.plan.deliveries.len() == 1));
    let mut ids: Vec<&str> = planned
        .iter()
        .map(|each| each.plan.notice.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), planned.len());
}

#[test]
fn ended_connection_has_only_reminders() {
    let resolved = provider(json!({"recipients": ["noc@example.com"], "reminder": "10d"}));
    let mut facts = facts();
    facts.state = State::Reauthorize;
    let history = History {
        problem_told: Some(utc("2026-12-15T00:00:00Z")),
        reminders: 4,
        ..History::default()
    };
    let planned = preview(&facts, &resolved, &history, utc("2026-12-20T00:00:00Z"));
    assert_eq!(
        times(&planned),
        [
            entry("2026-12-25T00:00:00Z", NoticeKind::Reauthorize),
            entry("2027-01-04T00:00:00Z", NoticeKind::Reauthorize),
        ]
    );
    assert_eq!(planned[0].event.reminder, 5);
    facts.state = State::NotConnected;
    assert_eq!(
        preview(&facts, &resolved, &history, utc("2026-12-20T00:00:00Z")),
        []
    );
}

#[test]
fn failed_refreshes_are_in_the_preview() {
    let resolved = provider(json!({"recipients": ["noc@example.com"], "retrying_after": "2h"}));
    let mut facts = facts();
    facts.state = State::Retrying;
    facts.failing_since = Some(utc("2026-11-01T00:00:00Z"));
    let now = utc("2026-11-01T01:00:00Z");
    let planned = preview(&facts, &resolved, &History::default(), now);
    assert_eq!(
        times(&planned)[0],
        entry("2026-11-01T02:00:00Z", NoticeKind::Retrying)
    );
    let check = next_check(&facts, &resolved, &History::default(), now);
    assert_eq!(check, Some(utc("2026-11-01T02:00:00Z")));
}

#[test]
fn check_is_due_at_the_next_told_threshold() {
    let now = utc("2026-12-20T00:00:00Z");
    let history = History {
        told_threshold: Some(Duration::from_secs(14 * 86_400)),
        ..History::default()
    };
    let check = |json| next_check(&facts(), &provider(json), &history, now);
    let told = check(json!({"recipients": ["noc@example.com"]}));
    assert_eq!(told, Some(utc("2026-12-25T12:00:00Z")));
    assert_eq!(check(json!({"recipients": []})), None);
}

/// Creates the event of the plugin's alert for a planned notice.
fn alert_event(planned: &PlannedNotice, facts: &ConnectionFacts) -> Option<Event> {
    let code = match planned.plan.notice.kind {
        NoticeKind::Expiring => "WEBEX_REFRESH_TOKEN_EXPIRING",
        NoticeKind::Expired if planned.event.reminder == 0 => "WEBEX_REFRESH_TOKEN_EXPIRED",
        _ => return None,
    };
    let alert = json!({
        "id": "00000000000000000000000a", "code": code, "severity": planned.plan.notice.severity,
        "count": 1, "first": planned.at, "threshold": planned.plan.threshold_ms, "generation": facts.generation,
    });
    let alert = AlertFacts::parse(&alert.to_string()).expect("an alert");
    event_from_alert(&alert, facts, AlertTransition::Raised, planned.at)
}

/// Finds the times at which a threshold is reported, by routing at every crossing and just before.
fn told_by_routing(
    facts: &ConnectionFacts,
    resolved: &Resolved,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, u64)> {
    let expires = facts.expires.expect("an expiry");
    let thresholds = resolved.fields.thresholds.values.iter();
    let thresholds: Vec<Duration> = thresholds.map(|each| each.value.as_duration()).collect();
    let mut times = vec![now];
    for threshold in thresholds_within(&thresholds, facts.lifetime) {
        let crossing = expires - TimeDelta::from_std(threshold).expect("a threshold");
        times.extend([
            crossing - TimeDelta::seconds(1),
            crossing,
            crossing + TimeDelta::seconds(1),
        ]);
    }
    times.retain(|time| *time >= now && *time < expires);
    times.sort_unstable();
    let mut history = History::default();
    let mut told = Vec::new();
    for time in times {
        let plan = route(&Event::expiring(facts, time), resolved, time, &history);
        if !plan.deliveries.is_empty() {
            told.push((time, plan.threshold_ms));
            history.told_threshold = Some(Duration::from_millis(plan.threshold_ms));
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn preview_equals_routing(
        levels in levels(),
        lifetime in prop::option::of(60..120 * 86_400_u64),
        remaining in -86_400..100 * 86_400_i64,
        is_retrying in any::<bool>(),
        account in prop::option::of(Just("it@customer.example".to_owned())),
    ) {
        let now = utc("2026-12-01T08:30:00Z");
        let mut facts = facts();
        facts.expires = Some(now + TimeDelta::seconds(remaining));
        facts.lifetime = lifetime.map(Duration::from_secs);
        facts.account_email = account;
        if is_retrying {
            facts.state = State::Retrying;
            facts.failing_since = Some(now - TimeDelta::minutes(7));
        }
        let resolved = resolve(&levels, &Defaults::default());
        let planned = preview(&facts, &resolved, &History::default(), now);
        prop_assert!(planned.is_sorted_by_key(|each| each.at));

        // The notices at each time are those that routing decides for the alert that the plugin raises then.
        let mut history = History::default();
        for each in &planned {
            if let Some(event) = alert_event(each, &facts) {
                let plan = route(&event, &resolved, each.at, &history);
                let told = |plan: &crate::routing::RoutePlan| {
                    let deliveries = plan.deliveries.iter();
                    let deliveries = deliveries.map(|each| {
                        (each.recipient_key.clone(), each.earliest, each.deadline, each.language, each.holds.clone())
                    });
                    (plan.threshold_ms, plan.notice.severity, deliveries.collect::<Vec<_>>(), plan.not_made.clone())
                };
                prop_assert_eq!(told(&plan), told(&each.plan));
                if event.notice.kind == NoticeKind::Expiring {
                    prop_assert_eq!(&plan.notice.id, &each.plan.notice.id);
                }
            }
            prop_assert_eq!(&route(&each.event, &resolved, each.at, &history), &each.plan);
            if !each.plan.deliveries.is_empty() {
                history.problem_told = Some(each.at);
                if each.plan.notice.kind == NoticeKind::Expiring {
                    history.told_threshold = Some(Duration::from_millis(each.plan.threshold_ms));
                }
            }
        }

        // Routing reports no threshold that the preview does not have.
        let expected: Vec<_> = planned
            .iter()
            .filter(|each| each.plan.notice.kind == NoticeKind::Expiring && !each.plan.deliveries.is_empty())
            .map(|each| (each.at, each.plan.threshold_ms))
            .collect();
        prop_assert_eq!(told_by_routing(&facts, &resolved, now), expected);
    }
}

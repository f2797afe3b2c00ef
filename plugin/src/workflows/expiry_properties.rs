//! Properties of alerts for any thresholds and lifetimes: each threshold once per generation, then the end.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::super::refresh::refresh;
use super::super::wake::wake;
use super::*;
use crate::alerts::{ALERT, AlertBody};
use crate::platform::{Environment, Millis, UnixMillis};
use crate::testing::*;

/// Creates a connection whose refresh token expires `lifetime` milliseconds after `START`.
fn connected(lifetime: Millis, thresholds: &[u64]) -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    let words: Vec<String> = thresholds.iter().map(|each| format!("{each}s")).collect();
    platform.set("expiry.thresholds", &words.join(","));
    let mut record = connected_record(START);
    let connection = &mut record.body.connection;
    let expiry = |lifetime: Millis| {
        Some(Expiry {
            at: START + lifetime,
            lifetime,
            assumed: false,
        })
    };
    connection.access = expiry(lifetime / 4);
    connection.refresh = expiry(lifetime);
    connection.next_refresh = Some(START + lifetime / 8);
    platform.store_connected(record).unwrap();
    check_expiry(&platform, PKID, Grant::Organization).unwrap();
    platform
}

fn alerts(platform: &MemoryPlatform) -> Vec<AlertBody> {
    platform
        .documents_of(ALERT)
        .iter()
        .map(|document| serde_json::from_str(&document.body).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_threshold_alerts_once_with_fixed_expiry(
        lifetime in 120..10_000_000_u64, thresholds in prop::collection::vec(1..20_000_000_u64, 1..6),
        restarts in prop::collection::vec(0..1_000_u64, 0..4),
    ) {
        let lifetime = lifetime * SECOND;
        let platform = connected(lifetime, &thresholds);
        platform.serve(move |platform, _| {
            let left = (START + lifetime - platform.now()).0 / 1_000;
            if left == 0 {
                return json_response(400, json!({"error": "invalid_grant"}));
            }
            json_response(200, json!({
                "access_token": "A", "expires_in": lifetime.0 / 4 / 1_000,
                "refresh_token_expires_in": left,
            }))
        });
        // Any number of manual refreshes come in between.
        let mut manual: Vec<UnixMillis> = restarts.iter().map(|part| START + *part * lifetime / 1_000).collect();
        manual.sort_unstable();
        let mut steps = 0;
        while let Some(next) = platform.all_wakeups().into_iter().next() {
            steps += 1;
            prop_assert!(steps < 1_000, "the wakeups never end");
            if let Some(at) = manual.first().copied().filter(|at| at.0 < next.due) {
                manual.remove(0);
                platform.set_now(at.max(platform.now()));
                refresh(&platform, PKID, Grant::Organization, platform.now()).unwrap();
                continue;
            }
            platform.set_now(UnixMillis(next.due).max(platform.now()));
            wake(&platform, &next).unwrap();
        }
        let state = Record::load(&platform, PKID).unwrap().body.connection.state;
        prop_assert_eq!(state, State::Expired);
        let mut alerted: Vec<Millis> = alerts(&platform).iter().map(|alert| alert.threshold).collect();
        alerted.sort_unstable_by(|a, b| b.cmp(a));
        let in_milliseconds: Vec<Millis> = thresholds.iter().map(|each| *each * SECOND).collect();
        let mut expected = timing::thresholds_within(&in_milliseconds, lifetime);
        expected.push(Millis::ZERO);
        prop_assert_eq!(alerted, expected);
        for alert in alerts(&platform) {
            prop_assert_eq!((alert.count, alert.generation), (1, 1));
        }
    }

    #[test]
    fn repeated_checks_create_one_alert_per_threshold(
        moments in prop::collection::vec(0..1_200_u64, 1..40),
        thresholds in prop::collection::vec(1..2_000_u64, 1..6),
    ) {
        let lifetime = 1_000 * SECOND;
        let platform = connected(lifetime, &thresholds);
        let mut moments = moments;
        moments.sort_unstable();
        let mut found: BTreeMap<Millis, u32> = BTreeMap::new();
        for moment in moments {
            platform.set_now(START + moment * SECOND);
            let alert = check_expiry(&platform, PKID, Grant::Organization).unwrap().alert;
            if let Some(alert) = alert {
                // After the expiry, the earlier alert is only reported again.
                let count = found.entry(Millis(alert.threshold_ms)).or_default();
                if moment * SECOND < lifetime || *count == 0 {
                    *count += 1;
                }
            }
        }
        let stored: BTreeMap<Millis, u32> = alerts(&platform)
            .iter()
            .map(|alert| (alert.threshold, alert.count))
            .collect();
        prop_assert_eq!(stored.len(), alerts(&platform).len(), "one row for each");
        prop_assert_eq!(stored, found);
    }
}

//! The reasons against deliveries, and their times.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NODE, facts, provider, route_first, utc};
use crate::routing::{Event, History, Hold, MAX_DELIVERIES, Reason, RoutePlan, route};
use crate::settings::tests::strategies::{PATH, levels};
use crate::settings::tests::{level, node};
use crate::settings::{Defaults, Language, resolve};
use crate::{NoticeKind, Severity};

fn reasons(plan: &RoutePlan) -> Vec<Reason> {
    plan.not_made
        .iter()
        .map(|each| each.reason.clone())
        .collect()
}

fn addresses(plan: &RoutePlan) -> Vec<String> {
    let deliveries = plan.deliveries.iter();
    deliveries.map(|each| each.recipient.key()).collect()
}

/// Routes the notice "expires in 2 days" with settings and one recipient.
fn route_two_days(mut json: Value) -> RoutePlan {
    if json.get("recipients").is_none() {
        json["recipients"] = json!(["noc@example.com"]);
    }
    let now = "2026-12-30T12:00:00Z";
    route_first(&Event::expiring(&facts(), utc(now)), &provider(json), now)
}

#[test]
fn crossed_thresholds_are_one_notice_of_the_tightest() {
    let plan = route_two_days(json!({}));
    assert_eq!(plan.threshold_ms, 2 * 86_400_000);
    assert_eq!(plan.notice.severity, Severity::Major);
    assert_eq!(addresses(&plan), ["noc@example.com"]);
    let delivery = &plan.deliveries[0];
    assert_eq!(delivery.earliest, utc("2026-12-30T12:00:00Z"));
    assert_eq!(delivery.deadline, utc("2027-01-01T12:00:00Z"));
    assert_eq!(delivery.origin, node("sys.Provider"));
}

#[test]
fn notice_has_no_point_after_the_next_threshold() {
    let now = "2026-12-19T00:00:00Z";
    let event = Event::expiring(&facts(), utc(now));
    let resolved = provider(json!({"recipients": ["noc@example.com"]}));
    let plan = route_first(&event, &resolved, now);
    assert_eq!(plan.threshold_ms, 14 * 86_400_000);
    assert_eq!(plan.notice.severity, Severity::Info);
    assert_eq!(plan.deliveries[0].deadline, utc("2026-12-25T12:00:00Z"));
}

#[test]
fn switched_off_notices_have_their_reason() {
    assert_eq!(
        reasons(&route_two_days(json!({"notify": false}))),
        [Reason::NotifyOff]
    );
    assert_eq!(
        reasons(&route_two_days(json!({"kinds": ["expired"]}))),
        [Reason::KindOff]
    );
    assert_eq!(
        reasons(&route_two_days(json!({"channels": {"mail": false}}))),
        [Reason::ChannelOff]
    );
    assert_eq!(
        reasons(&route_two_days(json!({"recipients": []}))),
        [Reason::NoRecipients]
    );
    assert_eq!(
        reasons(&route_two_days(json!({"thresholds": []}))),
        [Reason::NoThreshold]
    );
    let at = utc("2026-12-31T12:00:00Z");
    assert_eq!(
        reasons(&route_two_days(json!({"thresholds": ["1d"]}))),
        [Reason::NotYet { at }]
    );
}

#[test]
fn told_threshold_is_not_told_again() {
    let now = utc("2026-12-30T12:00:00Z");
    let event = Event::expiring(&facts(), now);
    let resolved = provider(json!({"recipients": ["noc@example.com"]}));
    for (told, is_told) in [(1, true), (2, true), (7, false)] {
        let history = History {
            told_threshold: Some(Duration::from_secs(told * 86_400)),
            ..History::default()
        };
        let plan = route(&event, &resolved, now, &history);
        assert_eq!(plan.deliveries.is_empty(), is_told);
        assert_eq!(plan.not_made.len(), usize::from(is_told));
    }
}

#[test]
fn short_lived_token_is_told_at_a_quarter() {
    let mut facts = facts();
    facts.lifetime = Some(Duration::from_secs(12 * 3_600));
    let resolved = provider(json!({"recipients": ["noc@example.com"]}));
    let early = "2027-01-01T08:59:59Z";
    let plan = route_first(&Event::expiring(&facts, utc(early)), &resolved, early);
    assert_eq!(
        reasons(&plan),
        [Reason::NotYet {
            at: utc("2027-01-01T09:00:00Z")
        }]
    );
    let late = "2027-01-01T09:00:00Z";
    let plan = route_first(&Event::expiring(&facts, utc(late)), &resolved, late);
    assert_eq!(
        (plan.deliveries.len(), plan.threshold_ms),
        (1, 3 * 3_600_000)
    );
}

#[test]
fn address_of_two_levels_is_told_by_each() {
    let resolved = resolve(
        &[
            level(
                "sys",
                json!({"recipients": ["NOC@Bücher.example", "boss@example.com"], "language": "de"}),
            ),
            level(
                NODE,
                json!({"language": "en", "recipients": {"mode": "add-to-inherited", "values": ["noc@xn--bcher-kva.example"]}}),
            ),
        ],
        &Defaults::default(),
    );
    let now = "2026-12-30T12:00:00Z";
    let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
    assert_eq!(
        addresses(&plan),
        [
            "noc@xn--bcher-kva.example",
            "noc@xn--bcher-kva.example",
            "boss@example.com"
        ]
    );
    let [own, above, _] = plan.deliveries.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!((&own.origin, own.language), (&node(NODE), Language::En));
    assert_eq!(
        (&above.origin, above.language),
        (&node("sys"), Language::De)
    );
    assert_ne!(own.id, above.id);
    assert_eq!(reasons(&plan), []);
    let visible = plan.visible_from(&node(NODE));
    assert!(visible.not_made.is_empty() && visible.told_above);
    assert_eq!(visible.deliveries.len(), 1);
}

#[test]
fn account_email_is_told_if_the_settings_say_so() {
    let now = utc("2026-12-30T12:00:00Z");
    let plan = |account: &str, json| {
        let mut facts = facts();
        facts.account_email = Some(account.to_owned());
        route(
            &Event::expiring(&facts, now),
            &provider(json),
            now,
            &History::default(),
        )
    };
    assert_eq!(
        reasons(&plan("admin@contoso.example", json!({}))),
        [Reason::NoRecipients]
    );
    let told = plan(" admin@contoso.example ", json!({"account_email": true}));
    assert_eq!(addresses(&told), ["admin@contoso.example"]);
    assert_eq!(told.deliveries[0].origin, node(NODE));
    assert_eq!(
        reasons(&plan("no address", json!({"account_email": true}))),
        [Reason::InvalidAddress]
    );
    assert_eq!(
        reasons(&plan("  ", json!({"account_email": true}))),
        [Reason::NoRecipients]
    );
    // The account e-mail belongs to the record's own level. An address above does not show in what that level sees.
    let both = plan(
        "noc@example.com",
        json!({"account_email": true, "recipients": ["noc@example.com"]}),
    );
    let visible = both.visible_from(&node(NODE));
    assert_eq!(
        (
            visible.deliveries.len(),
            visible.not_made.len(),
            visible.told_above
        ),
        (1, 0, true)
    );
    let own = resolve(
        &[level(
            NODE,
            json!({"account_email": true, "recipients": ["noc@example.com"]}),
        )],
        &Defaults::default(),
    );
    let mut facts = facts();
    facts.account_email = Some("noc@example.com".to_owned());
    let event = Event::expiring(&facts, now);
    let plan = route(&event, &own, now, &History::default());
    assert_eq!(addresses(&plan), ["noc@example.com"]);
    assert_eq!(reasons(&plan), [Reason::DuplicateAddress]);
}

#[test]
fn quiet_hours_hold_all_but_critical_and_snmp() {
    let resolved = provider(json!({
        "quiet_hours": {"from": "22:00", "to": "06:00", "zone": "UTC"},
        "recipients": ["noc@example.com", {"type": "webhook", "name": "w", "url": "https://example.com"},
            {"type": "snmp", "name": "s", "address": "noc.example.com", "version": "v2c"}],
    }));
    let now = "2026-12-30T23:00:00Z";
    let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
    let times: Vec<_> = plan
        .deliveries
        .iter()
        .map(|each| (each.earliest, each.holds.clone()))
        .collect();
    let held = (utc("2026-12-31T06:00:00Z"), vec![Hold::QuietHours]);
    assert_eq!(times, [held.clone(), held, (utc(now), vec![])]);
    let mut event = Event::expiring(&facts(), utc(now));
    event.notice.kind = NoticeKind::Expired;
    event.notice.severity = Severity::Critical;
    let plan = route_first(&event, &resolved, now);
    assert!(plan.deliveries.iter().all(|each| each.earliest == utc(now)));
}

#[test]
fn digest_holds_mail_only_and_not_beyond_the_expiry() {
    let resolved = provider(json!({
        "digest": {"hour": 7, "zone": "Europe/Zurich"}, "thresholds": ["2d", "4h"],
        "recipients": ["noc@example.com", {"type": "webhook", "name": "w", "url": "https://example.com"}],
    }));
    let now = "2026-12-30T12:00:00Z";
    let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
    assert_eq!(plan.deliveries[0].earliest, utc("2026-12-31T06:00:00Z"));
    assert_eq!(plan.deliveries[0].holds, [Hold::Digest]);
    assert_eq!(plan.deliveries[1].earliest, utc(now));
    // The digest of the next day would come after the expiry.
    let now = "2027-01-01T08:00:00Z";
    let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
    assert_eq!(
        (plan.deliveries[0].earliest, plan.deliveries[0].holds.len()),
        (utc(now), 0)
    );
}

#[test]
fn digest_after_the_next_threshold_still_has_a_point() {
    let resolved = provider(json!({
        "digest": {"hour": 7, "zone": "UTC"}, "thresholds": ["2d", "40h", "1h"], "recipients": ["noc@example.com"],
    }));
    let now = "2026-12-30T12:00:00Z";
    let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
    assert_eq!(plan.deliveries[0].earliest, utc("2026-12-31T07:00:00Z"));
    assert_eq!(plan.deliveries[0].deadline, utc("2027-01-01T11:00:00Z"));
}

#[test]
fn spent_budget_holds_until_the_hour_is_over() {
    let resolved =
        provider(json!({"recipients": ["noc@example.com", "it@example.com"], "budget": 2}));
    let now = utc("2026-12-30T12:00:00Z");
    let event = Event::expiring(&facts(), now);
    let free = route(&event, &resolved, now, &History::default());
    let key = free.deliveries[0].recipient_key.clone();
    let minutes = |minutes| now - TimeDelta::minutes(minutes);
    let history = |sent| History {
        sent: BTreeMap::from([(key.clone(), sent)]),
        ..History::default()
    };
    let spent = route(
        &event,
        &resolved,
        now,
        &history(vec![minutes(50), minutes(90), minutes(20)]),
    );
    assert_eq!(spent.deliveries[0].earliest, now + TimeDelta::minutes(10));
    assert_eq!(spent.deliveries[0].holds, [Hold::Budget]);
    assert_eq!(spent.deliveries[1].earliest, now);
    let enough = route(
        &event,
        &resolved,
        now,
        &history(vec![minutes(60), minutes(20)]),
    );
    assert_eq!(enough.deliveries, free.deliveries);
}

#[test]
fn failure_after_a_recovery_is_held_for_an_hour() {
    let resolved = provider(json!({"recipients": ["noc@example.com"], "retrying_after": "1m"}));
    let now = utc("2026-12-30T12:00:00Z");
    let history = |minutes| History {
        problem_told: Some(now - TimeDelta::hours(3)),
        recovered: Some(now - TimeDelta::minutes(minutes)),
        ..History::default()
    };
    let event = Event::retrying(&facts(), now - TimeDelta::minutes(5), now);
    let held = route(&event, &resolved, now, &history(40));
    assert_eq!(held.deliveries[0].earliest, now + TimeDelta::minutes(20));
    assert_eq!(held.deliveries[0].holds, [Hold::Flapping]);
    assert_eq!(
        route(&event, &resolved, now, &history(60)).deliveries[0].holds,
        []
    );
    let expiring = Event::expiring(&facts(), now);
    assert_eq!(
        route(&expiring, &resolved, now, &history(40)).deliveries[0].holds,
        []
    );
}

#[test]
fn recovery_is_told_once_after_a_problem() {
    let resolved = provider(json!({"recipients": ["noc@example.com"]}));
    let now = utc("2026-12-30T12:00:00Z");
    let hours = |hours| Some(now - TimeDelta::hours(hours));
    for (problem_told, recovery_told, is_told) in [
        (None, None, false),
        (None, hours(1), false),
        (hours(2), None, true),
        (hours(2), hours(3), true),
        (hours(2), hours(1), false),
    ] {
        let history = History {
            problem_told,
            recovery_told,
            ..History::default()
        };
        let plan = route(&Event::recovered(&facts(), now), &resolved, now, &history);
        assert_eq!(plan.deliveries.len(), usize::from(is_told), "{history:?}");
    }
}

#[test]
fn failed_refreshes_are_told_after_the_set_time() {
    let resolved = provider(json!({"recipients": ["noc@example.com"], "retrying_after": "2h"}));
    let now = utc("2026-12-30T12:00:00Z");
    let plan = |minutes| {
        let event = Event::retrying(&facts(), now - TimeDelta::minutes(minutes), now);
        route(&event, &resolved, now, &History::default())
    };
    assert_eq!(
        reasons(&plan(119)),
        [Reason::NotYet {
            at: now + TimeDelta::minutes(1)
        }]
    );
    assert_eq!(plan(120).deliveries.len(), 1);
}

#[test]
fn test_passes_all_but_a_channel_that_is_off() {
    let json = json!({"notify": false, "kinds": [], "digest": {"hour": 1, "zone": "UTC"},
        "quiet_hours": {"from": "00:00", "to": "23:59", "zone": "UTC"}, "recipients": ["noc@example.com"]});
    let now = "2026-12-30T12:00:00Z";
    let event = Event::test(&facts(), "1", utc(now));
    let plan = route_first(&event, &provider(json.clone()), now);
    assert_eq!(
        (plan.deliveries[0].earliest, plan.not_made.len()),
        (utc(now), 0)
    );
    let mut off = json;
    off["channels"] = json!({"mail": false});
    assert_eq!(
        reasons(&route_first(&event, &provider(off), now)),
        [Reason::ChannelOff]
    );
}

#[test]
fn deliveries_of_one_notice_are_bounded() {
    let mut levels = Vec::new();
    let mut path = "sys".to_owned();
    for depth in 0..6 {
        let values: Vec<String> = (0..50)
            .map(|each| format!("r{each}@l{depth}.example"))
            .collect();
        levels.push(level(
            &path,
            json!({"recipients": {"mode": "add-to-inherited", "values": values}}),
        ));
        path.push_str(".x");
    }
    let now = "2026-12-30T12:00:00Z";
    let plan = route_first(
        &Event::expiring(&facts(), utc(now)),
        &resolve(&levels, &Defaults::default()),
        now,
    );
    assert_eq!(plan.deliveries.len(), MAX_DELIVERIES);
    assert_eq!(plan.deliveries[0].origin, levels[5].node);
    assert_eq!(reasons(&plan), vec![Reason::TooManyRecipients; 100]);
}

#[test]
fn extreme_times_do_not_overflow() {
    let json = json!({"recipients": ["noc@example.com"], "reminder": "365d", "digest": {"hour": 1, "zone": "Asia/Kolkata"},
        "quiet_hours": {"from": "00:00", "to": "23:59", "zone": "Asia/Kolkata"}});
    let extremes = [
        chrono::DateTime::<Utc>::MIN_UTC,
        utc("2026-12-30T12:00:00Z"),
        chrono::DateTime::<Utc>::MAX_UTC,
    ];
    for now in extremes {
        for expires in extremes {
            let mut facts = facts();
            facts.expires = Some(expires);
            facts.failing_since = Some(expires);
            facts.lifetime = Some(Duration::MAX);
            let history = History {
                problem_told: Some(expires),
                problem_routed: Some(expires),
                recovery_told: Some(expires),
                recovered: Some(expires),
                told_threshold: Some(Duration::MAX),
                reminders: u32::MAX,
                sent: BTreeMap::new(),
            };
            for event in [
                Event::expiring(&facts, now),
                Event::retrying(&facts, expires, now),
                Event::recovered(&facts, now),
                Event::reminder(&facts, 1, now),
            ] {
                let plan = route(&event, &provider(json.clone()), now, &history);
                assert_eq!(plan.deliveries.len() + plan.not_made.len(), 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn plans_are_complete_and_isolated(
        levels in levels(),
        hours in 0..2_400_i64,
        reader in 0..PATH.len(),
        account in prop::option::of(prop::sample::select(vec!["shared@example.com", "it@customer.example", "nonsense"])),
    ) {
        let mut facts = facts();
        facts.account_email = account.map(str::to_owned);
        let now = utc("2026-10-01T12:00:00Z") + TimeDelta::hours(hours);
        let resolved = resolve(&levels, &Defaults::default());
        let plan = route(&Event::expiring(&facts, now), &resolved, now, &History::default());
        prop_assert_eq!(&plan, &route(&Event::expiring(&facts, now), &resolved, now, &History::default()));

        // Each recipient has a delivery or a reason, unless all have the same reason.
        let per_recipient = plan.deliveries.len()
            + plan.not_made.iter().filter(|each| each.origin.is_some()).count();
        let account_told = resolved.fields.account_email.value && account.is_some();
        match plan.not_made.first() {
            Some(first) if first.origin.is_none() => prop_assert_eq!((plan.not_made.len(), per_recipient), (1, 0)),
            _ => prop_assert_eq!(per_recipient, resolved.recipients.len() + usize::from(account_told)),
        }
        for delivery in &plan.deliveries {
            prop_assert!(delivery.earliest >= now && delivery.deadline > delivery.earliest);
            // A digest may be due now.
            prop_assert!(!delivery.holds.is_empty() || delivery.earliest == now, "{:?}", delivery);
        }
        let mut ids: Vec<_> = plan.deliveries.iter().map(|each| each.id.clone()).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), plan.deliveries.len());

        let visible = plan.visible_from(&node(PATH[reader]));
        let text = serde_json::to_string(&visible).expect("JSON") + &format!("{visible:?}");
        for above in 0..reader {
            prop_assert!(!text.contains(&format!("canary{above}")), "{}", text);
        }
    }
}

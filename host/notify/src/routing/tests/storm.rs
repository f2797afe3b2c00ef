//! 5 000 connections that expire on one day are few messages, and none is lost.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{facts, provider, utc};
use crate::routing::{Due, Event, FoldContext, History, fold, route};
use crate::settings::tests::node;

const COUNT: usize = 5_000;

/// Routes the crossing of the last threshold of each connection, at its time. Folds due messages every five minutes
/// until none is left, and returns the number of messages. Each delivery must be in exactly one message.
fn run(json: Value, gap: TimeDelta) -> usize {
    let resolved = provider(json);
    let node = node("sys.Provider");
    let start = utc("2026-12-30T00:00:00Z");
    let mut arrivals: Vec<(DateTime<Utc>, usize)> = Vec::new();
    let mut time = start;
    for record in 0..COUNT {
        arrivals.push((time, record));
        time += gap;
    }
    arrivals.reverse();
    let mut pending: Vec<Due> = Vec::new();
    let mut history = History::default();
    let mut told = BTreeSet::new();
    let mut messages = 0;
    let mut now = start;
    while !arrivals.is_empty() || !pending.is_empty() {
        while let Some((at, record)) = arrivals.pop_if(|(at, _)| *at <= now) {
            let mut facts = facts();
            facts.record = format!("record {record}");
            facts.expires = Some(at + TimeDelta::days(2));
            let plan = route(&Event::expiring(&facts, at), &resolved, now, &history);
            pending.extend(plan.deliveries.into_iter().map(|delivery| Due {
                delivery,
                notice: plan.notice.clone(),
            }));
        }
        let key = pending
            .first()
            .map(|each| each.delivery.recipient_key.clone());
        let sent = history.sent.entry(key.unwrap_or_default()).or_default();
        sent.retain(|sent| now - *sent < TimeDelta::hours(1));
        let context = FoldContext {
            node: &node,
            now,
            budget: pending.first().map_or(1, |each| each.delivery.budget),
            sent,
            link: None,
        };
        let folded = fold(&pending, &context);
        assert!(folded.late.is_empty() && folded.superseded.is_empty());
        for message in folded.messages {
            messages += 1;
            sent.push(now);
            for id in message.deliveries {
                assert!(told.insert(id));
            }
        }
        pending.retain(|each| !told.contains(&each.delivery.id));
        now += TimeDelta::minutes(5);
        assert!(
            now < start + TimeDelta::days(3),
            "{} are left",
            pending.len()
        );
    }
    assert_eq!(told.len(), COUNT);
    messages
}

#[test]
fn simultaneous_events_are_one_message() {
    assert_eq!(
        run(
            json!({"recipients": ["noc@example.com"]}),
            TimeDelta::zero()
        ),
        1
    );
}

#[test]
fn events_of_a_day_are_within_the_budget() {
    let gap = TimeDelta::days(1) / 5_000;
    let messages = run(json!({"recipients": ["noc@example.com"], "budget": 4}), gap);
    assert!(messages <= 4 * 25, "{messages}");
}

#[test]
fn events_of_a_day_are_two_daily_digests() {
    let gap = TimeDelta::days(1) / 5_000;
    let json = json!({"recipients": ["noc@example.com"], "digest": {"hour": 7, "zone": "UTC"}});
    assert_eq!(run(json, gap), 2);
}

//! Folding of the deliveries to one recipient.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use relation_types::Hierarchy;
use serde_json::json;

use super::{facts, provider, utc};
use crate::routing::{
    DerivedId, Due, Event, FoldContext, Folded, History, Hold, MAX_DIGEST_NOTICES, fold, route,
};
use crate::settings::tests::node;
use crate::{Message, NoticeKind, Severity};

fn now() -> DateTime<Utc> {
    utc("2026-12-30T12:00:00Z")
}

/// Creates a delivery that is due, about record number `record`.
fn due(record: usize, kind: NoticeKind, severity: Severity) -> Due {
    let resolved = provider(json!({"recipients": ["noc@example.com"]}));
    let mut facts = facts();
    facts.record = format!("record {record}");
    facts.customer = format!("Customer {record}");
    let mut event = Event::test(&facts, "", now());
    event.notice.kind = kind;
    event.key.kind = kind;
    event.notice.severity = severity;
    let history = History {
        problem_told: Some(now() - TimeDelta::days(1)),
        ..History::default()
    };
    let plan = route(&event, &resolved, now(), &history);
    Due {
        delivery: plan.deliveries[0].clone(),
        notice: plan.notice,
    }
}

fn fold_with(due: &[Due], budget: u32, sent: &[DateTime<Utc>]) -> Folded {
    let node: Hierarchy = node("sys.Provider");
    let context = FoldContext {
        node: &node,
        now: now(),
        budget,
        sent,
        link: None,
    };
    fold(due, &context)
}

fn failed(count: usize) -> Vec<Due> {
    let each = |record| due(record, NoticeKind::ImportFailed, Severity::Minor);
    (0..count).map(each).collect()
}

#[test]
fn few_deliveries_are_single_messages() {
    let folded = fold_with(&failed(3), 3, &[]);
    let singles = folded
        .messages
        .iter()
        .filter(|each| matches!(each.message, Message::Single(_)));
    assert_eq!((singles.count(), folded.messages.len()), (3, 3));
}

#[test]
fn deliveries_over_the_budget_are_one_digest() {
    let mut many = failed(70);
    many.push(due(99, NoticeKind::Expired, Severity::Critical));
    let folded = fold_with(&many, 10, &[]);
    let [message] = &folded.messages[..] else {
        panic!("{} messages", folded.messages.len());
    };
    let Message::Digest(digest) = &message.message else {
        panic!("not a digest");
    };
    assert_eq!(digest.notices.len(), MAX_DIGEST_NOTICES);
    assert_eq!((digest.more, message.deliveries.len()), (21, 71));
    assert_eq!(digest.notices[0].kind, NoticeKind::Expired);
    assert_eq!(digest.node, "sys.Provider");
}

#[test]
fn spent_budget_lets_all_wait() {
    let sent = [
        now() - TimeDelta::minutes(10),
        now() - TimeDelta::minutes(70),
        now() - TimeDelta::minutes(20),
    ];
    let folded = fold_with(&failed(2), 2, &sent);
    assert_eq!((folded.messages.len(), folded.waiting.len()), (0, 2));
    assert_eq!(folded.next, Some(now() + TimeDelta::minutes(40)));
    let folded = fold_with(&failed(2), 3, &sent);
    assert_eq!((folded.messages.len(), folded.waiting.len()), (1, 0));
}

#[test]
fn digest_of_the_day_is_one_message() {
    let mut many = failed(5);
    for each in many.iter_mut().take(3) {
        each.delivery.holds = vec![Hold::Digest];
    }
    let folded = fold_with(&many, 10, &[]);
    assert_eq!(folded.messages.len(), 3);
    let mut counts: Vec<usize> = folded
        .messages
        .iter()
        .map(|each| each.deliveries.len())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 3]);
}

#[test]
fn later_notice_of_a_connection_replaces_earlier_ones() {
    let at = |kind, severity, minutes| {
        let mut due = due(1, kind, severity);
        due.notice.occurred += TimeDelta::minutes(minutes);
        due
    };
    use NoticeKind::{Expired, Expiring, ImportFailed, Recovered, Retrying};
    for (kinds, left) in [
        (vec![Expiring, Expired], vec![Expired]),
        (vec![Retrying, Expiring], vec![Expiring, Retrying]),
        (vec![Expired, Recovered], vec![Recovered]),
        (vec![Recovered, Expired], vec![Expired]),
        (vec![Recovered, Expiring], vec![Expiring, Recovered]),
        (
            vec![ImportFailed, Recovered, Recovered],
            vec![ImportFailed, Recovered],
        ),
    ] {
        let due: Vec<Due> = (0..)
            .zip(&kinds)
            .map(|(minutes, kind)| at(*kind, Severity::Major, minutes))
            .collect();
        let folded = fold_with(&due, 10, &[]);
        let mut found: Vec<NoticeKind> = folded
            .messages
            .iter()
            .map(|each| each.message.notices()[0].kind)
            .collect();
        found.sort_unstable();
        assert_eq!(found, left, "{kinds:?}");
        assert_eq!(folded.superseded.len(), kinds.len() - left.len());
    }
    // The clock was set back by a day after the recovery.
    let before = at(Recovered, Severity::Info, 1_440);
    let folded = fold_with(
        &[at(Expired, Severity::Critical, 0), before.clone()],
        10,
        &[],
    );
    assert_eq!(folded.superseded, [before.delivery.id]);
    // Other connections are not concerned.
    let others = [
        at(Expired, Severity::Critical, 0),
        due(2, Recovered, Severity::Info),
    ];
    assert_eq!(fold_with(&others, 10, &[]).messages.len(), 2);
}

#[test]
fn late_and_early_deliveries_are_left_out() {
    let mut all = failed(3);
    all[0].delivery.deadline = now() - TimeDelta::seconds(1);
    all[1].delivery.earliest = now() + TimeDelta::seconds(1);
    let folded = fold_with(&all, 10, &[]);
    assert_eq!(folded.late, [all[0].delivery.id.clone()]);
    assert_eq!(folded.waiting, [all[1].delivery.id.clone()]);
    assert_eq!(folded.messages.len(), 1);
}

#[test]
fn test_is_sent_without_budget() {
    let sent = [now(); 5];
    let folded = fold_with(&[due(1, NoticeKind::Test, Severity::Info)], 1, &sent);
    assert_eq!(folded.messages.len(), 1);
}

fn any_due() -> impl Strategy<Value = Due> {
    let kinds = prop::sample::select(crate::settings::KINDS.map(|(_, kind)| kind).to_vec());
    let severities = prop::sample::select(vec![
        Severity::Info,
        Severity::Minor,
        Severity::Major,
        Severity::Critical,
    ]);
    (0..40_usize, kinds, severities, 0..60_i64, 0..20_u8).prop_map(
        |(record, kind, severity, minutes, variant)| {
            let mut due = due(record, kind, severity);
            due.notice.occurred -= TimeDelta::minutes(minutes);
            match variant {
                0 => due.delivery.deadline = now() - TimeDelta::seconds(1),
                1 => due.delivery.earliest = now() + TimeDelta::seconds(1),
                2..6 => due.delivery.holds = vec![Hold::Digest],
                _ => {}
            }
            due
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_delivery_is_folded_once_within_the_budget(
        mut due in prop::collection::vec(any_due(), 0..120),
        budget in 1..12_u32,
        sent in prop::collection::vec(0..120_i64, 0..12),
    ) {
        due.sort_by(|a, b| a.delivery.id.cmp(&b.delivery.id));
        due.dedup_by(|a, b| a.delivery.id == b.delivery.id);
        let sent: Vec<_> = sent.into_iter().map(|minutes| now() - TimeDelta::minutes(minutes)).collect();
        let folded = fold_with(&due, budget, &sent);

        let told = folded.messages.iter().flat_map(|each| &each.deliveries);
        let others = folded.waiting.iter().chain(&folded.superseded).chain(&folded.late);
        let mut found: Vec<&DerivedId> = told.chain(others).collect();
        found.sort();
        let all: Vec<&DerivedId> = due.iter().map(|each| &each.delivery.id).collect();
        prop_assert_eq!(found, all);

        let recent = sent.iter().filter(|sent| now() - **sent < TimeDelta::hours(1)).count();
        let budget = usize::try_from(budget).expect("a number");
        prop_assert!(folded.messages.is_empty() || folded.messages.len() + recent <= budget);
        for message in &folded.messages {
            let notices = message.message.notices();
            prop_assert!(notices.len() <= MAX_DIGEST_NOTICES);
            prop_assert!(notices.is_sorted_by(|a, b| a.severity >= b.severity));
            if let Message::Digest(digest) = &message.message {
                let more = usize::try_from(digest.more).expect("a number");
                prop_assert_eq!(notices.len() + more, message.deliveries.len());
                prop_assert!(notices.len() > 1);
            }
        }

        // The same deliveries in another order are the same messages with the same ids.
        due.reverse();
        let again = fold_with(&due, u32::try_from(budget).expect("a number"), &sent);
        let ids = |folded: &Folded| {
            let ids = folded.messages.iter().map(|each| each.message.id().to_owned());
            ids.collect::<std::collections::BTreeSet<_>>()
        };
        prop_assert_eq!(ids(&again), ids(&folded));
    }
}

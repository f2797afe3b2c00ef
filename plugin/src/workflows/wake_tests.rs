//! Which workflow a wakeup runs, and that one nobody can serve goes away.

use http::Method;
use serde_json::json;

use super::*;
use crate::platform::{Environment, Storage};
use crate::record::State;
use crate::reports::RefreshOutcome;
use crate::testing::*;

fn wakeup(id: &str, due: u64) -> Wakeup {
    Wakeup {
        id: id.to_owned(),
        subject: Reference::record(PKID),
        due,
        deadline: None,
        payload: String::new(),
    }
}

fn with(wakeup: &Wakeup) -> MemoryPlatform {
    let platform = MemoryPlatform::connected().unwrap();
    let scheduled = vec![Change::Schedule(wakeup.clone())];
    platform.commit(Vec::new(), scheduled).unwrap();
    platform.set_now(wakeup.due);
    platform
}

fn answer() -> serde_json::Value {
    json!({"access_token": "A", "expires_in": 60, "refresh_token_expires_in": 7_776_000})
}

#[test]
fn a_refresh_wakeup_refreshes() {
    let due = wakeup("refresh", START + 7 * DAY);
    let platform = with(&due);
    platform.expect(Method::POST, "/access_token", reply(200, answer()));
    match wake(&platform, &due) {
        Ok(WakeReport::Refreshed(report)) => {
            assert_eq!(report.outcome, RefreshOutcome::Connected);
            assert!(!report.joined);
        }
        other => panic!("{other:?}"),
    }
    let next = &platform.all_wakeups()[0];
    assert!(next.due > platform.now(), "it has moved into the future");
}

#[test]
fn an_expiry_wakeup_looks_at_the_expiries() {
    let due = wakeup("expiry", START + 60 * DAY);
    let platform = with(&due);
    match wake(&platform, &due) {
        Ok(WakeReport::Checked(report)) => assert!(report.alert.is_some()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wakeup_from_before_the_last_attempt_asks_nothing() {
    let due = wakeup("refresh", START + 7 * DAY);
    let platform = with(&due);
    platform.expect(Method::POST, "/access_token", reply(200, answer()));
    wake(&platform, &due).unwrap();
    let scheduled = platform.all_wakeups();
    platform.advance(SECOND);
    assert!(matches!(wake(&platform, &due), Ok(WakeReport::Nothing(_))));
    assert_eq!(platform.sent().len(), 1);
    assert_eq!(platform.all_wakeups(), scheduled);
}

#[test]
fn attempt_of_a_clock_ahead_keeps_no_wakeup_from_its_refresh() {
    const MINUTE: u64 = 60 * SECOND;
    for after in [
        0,
        MINUTE,
        9 * MINUTE + 30 * SECOND,
        10 * MINUTE,
        11 * MINUTE,
    ] {
        let due = wakeup("refresh", START);
        let platform = with(&due);
        let mut record = Record::load(&platform, PKID).unwrap();
        record.body.connection.attempted = Some(START + 10 * MINUTE);
        let put = Change::Put(record.to_document().unwrap());
        platform
            .commit(vec![record.unchanged()], vec![put])
            .unwrap();
        platform.set_now(START + after);
        platform.expect(Method::POST, "/access_token", reply(200, answer()));
        match wake(&platform, &due) {
            Ok(WakeReport::Refreshed(report)) => assert!(!report.joined, "{after}"),
            other => panic!("{after}: {other:?}"),
        }
        assert!(platform.all_wakeups()[0].due > platform.now(), "{after}");
    }
}

#[test]
fn a_wakeup_that_nobody_can_serve_goes_away() {
    let mut other_model = wakeup("refresh", START);
    other_model.subject.model = "data/Other".to_owned();
    for stray in [wakeup("refrehs", START), wakeup("", START), other_model] {
        let platform = MemoryPlatform::connected().unwrap();
        assert!(matches!(
            wake(&platform, &stray),
            Ok(WakeReport::Nothing(_))
        ));
        assert!(platform.sent().is_empty());
        assert_eq!(platform.all_wakeups().len(), 1, "the record's own stays");
    }
}

#[test]
fn a_wakeup_of_a_record_that_is_gone_goes_away() {
    for id in ["refresh", "expiry"] {
        let stray = wakeup(id, START);
        let platform = MemoryPlatform::new();
        let scheduled = vec![Change::Schedule(stray.clone())];
        platform.commit(Vec::new(), scheduled).unwrap();
        assert!(matches!(
            wake(&platform, &stray),
            Ok(WakeReport::Nothing(_))
        ));
        assert!(platform.all_wakeups().is_empty());
    }
}

#[test]
fn a_wakeup_of_a_record_without_tokens_goes_away() {
    let stray = wakeup("refresh", START);
    let platform = MemoryPlatform::new();
    let mut record = connected_record(START);
    record.body.connection = crate::record::Connection::default();
    let put = Change::Put(record.to_document().unwrap());
    let scheduled = Change::Schedule(stray.clone());
    platform.commit(Vec::new(), vec![put, scheduled]).unwrap();
    assert!(matches!(
        wake(&platform, &stray),
        Ok(WakeReport::Nothing(_))
    ));
    assert!(platform.all_wakeups().is_empty());
    assert_eq!(
        Record::load(&platform, PKID).unwrap().body.connection.state,
        State::NotConnected
    );
}

#[test]
fn a_refresh_interrupted_anywhere_and_woken_again_ends_the_same() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    for failures in 0..=3 {
        let due = wakeup("refresh", START + 7 * DAY);
        let platform = with(&due);
        platform.serve(|_, _| reply(200, answer()));
        for nth in 1..=failures {
            platform.interrupt_commit(nth, Interruption::Fail(down()));
        }
        let mut tries = 0;
        while wake(&platform, &due).is_err() {
            tries += 1;
            assert!(tries < 3);
        }
        let connection = Record::load(&platform, PKID).unwrap().body.connection;
        assert_eq!(connection.state, State::Connected);
        assert_eq!(connection.generation, 2);
    }
}

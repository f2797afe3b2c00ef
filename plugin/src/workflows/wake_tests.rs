//! The workflow of each wakeup, and the removal of unknown wakeups.

use http::Method;
use serde_json::json;

use super::*;
use crate::platform::{Environment, Millis, Storage, UnixMillis};
use crate::record::State;
use crate::reports::RefreshOutcome;
use crate::testing::*;

fn wakeup(id: &str, due: UnixMillis) -> Wakeup {
    Wakeup {
        id: id.to_owned(),
        subject: Reference::record(PKID),
        due: due.0,
        deadline: None,
        payload: String::new(),
    }
}

fn platform_with_wakeup(wakeup: &Wakeup) -> MemoryPlatform {
    let platform = MemoryPlatform::connected().unwrap();
    let scheduled = vec![Change::Schedule(wakeup.clone())];
    platform.commit(Vec::new(), scheduled).unwrap();
    platform.set_now(UnixMillis(wakeup.due));
    platform
}

fn token_response() -> serde_json::Value {
    json!({"access_token": "A", "expires_in": 60, "refresh_token_expires_in": 7_776_000})
}

#[test]
fn a_refresh_wakeup_refreshes() {
    let due = wakeup("refresh", START + 7 * DAY);
    let platform = platform_with_wakeup(&due);
    platform.expect(
        Method::POST,
        "/access_token",
        json_response(200, token_response()),
    );
    match wake(&platform, &due) {
        Ok(WakeReport::Refreshed(report)) => {
            assert_eq!(report.outcome, RefreshOutcome::Connected);
            assert!(!report.joined);
        }
        other => panic!("{other:?}"),
    }
    let next = &platform.all_wakeups()[0];
    assert!(next.due > platform.now().0, "it has moved into the future");
}

#[test]
fn expiry_wakeup_checks_expiry() {
    let due = wakeup("expiry", START + 60 * DAY);
    let platform = platform_with_wakeup(&due);
    match wake(&platform, &due) {
        Ok(WakeReport::Checked(report)) => assert!(report.alert.is_some()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wakeup_before_the_last_attempt_sends_nothing() {
    let due = wakeup("refresh", START + 7 * DAY);
    let platform = platform_with_wakeup(&due);
    platform.expect(
        Method::POST,
        "/access_token",
        json_response(200, token_response()),
    );
    wake(&platform, &due).unwrap();
    let scheduled = platform.all_wakeups();
    platform.advance(SECOND);
    assert!(matches!(wake(&platform, &due), Ok(WakeReport::Nothing(_))));
    assert_eq!(platform.sent().len(), 1);
    assert_eq!(platform.all_wakeups(), scheduled);
}

#[test]
fn attempt_dated_ahead_does_not_block_a_wakeup() {
    const MINUTE: Millis = Millis::from_seconds(60);
    for after in [
        Millis::ZERO,
        MINUTE,
        9 * MINUTE + 30 * SECOND,
        10 * MINUTE,
        11 * MINUTE,
    ] {
        let due = wakeup("refresh", START);
        let platform = platform_with_wakeup(&due);
        let mut record = Record::load(&platform, PKID).unwrap();
        record.body.connection.attempted = Some(START + 10 * MINUTE);
        let put = Change::Put(record.to_document().unwrap());
        platform
            .commit(vec![record.version_check()], vec![put])
            .unwrap();
        platform.set_now(START + after);
        platform.expect(
            Method::POST,
            "/access_token",
            json_response(200, token_response()),
        );
        match wake(&platform, &due) {
            Ok(WakeReport::Refreshed(report)) => assert!(!report.joined, "{after:?}"),
            other => panic!("{after:?}: {other:?}"),
        }
        assert!(
            platform.all_wakeups()[0].due > platform.now().0,
            "{after:?}"
        );
    }
}

#[test]
fn unknown_wakeup_is_removed() {
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
fn wakeup_of_deleted_record_is_removed() {
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
fn wakeup_of_record_without_tokens_is_removed() {
    let stray = wakeup("refresh", START);
    let platform = MemoryPlatform::new();
    let mut record = connected_record(START);
    record.body.connection = crate::record::GrantState::default();
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
fn interrupted_refresh_ends_the_same_when_repeated() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    for failures in 0..=3 {
        let due = wakeup("refresh", START + 7 * DAY);
        let platform = platform_with_wakeup(&due);
        platform.serve(|_, _| json_response(200, token_response()));
        for nth in 1..=failures {
            platform.inject_commit_fault(nth, CommitFault::Fail(down()));
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

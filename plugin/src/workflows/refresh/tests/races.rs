//! Concurrent changes during the request, and concurrent callers.

use crate::platform::Millis;
use std::cell::Cell;
use std::rc::Rc;

use super::*;

fn delete(platform: &MemoryPlatform) {
    let gone = vec![Change::Delete(Reference::record(PKID))];
    platform.commit(Vec::new(), gone).unwrap();
}

#[test]
fn tokens_for_a_deleted_record_are_revoked() {
    let platform = platform();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        delete(platform);
        json_response(200, token_response())
    });
    platform.expect(
        Method::DELETE,
        "/v1/authorizations?clientId=C0ffee",
        raw_response(204, &[], ""),
    );
    let result = run(&platform);
    assert_eq!(result, Err(Failure::NotFound(Reference::record(PKID))));
    platform.assert_script_done();
    let revocation = &platform.sent()[1];
    assert_eq!(
        revocation.header("authorization"),
        "Bearer new-access-token"
    );
    assert!(platform.get(&Reference::record(PKID)).unwrap().is_none());
    assert!(platform.secrets().is_empty());
    assert!(platform.all_wakeups().is_empty());
    assert!(platform.logged(Level::Warning, "were revoked"));
}

#[test]
fn grant_used_by_another_record_is_not_revoked() {
    let platform = platform();
    let granted = Some(platform.now());
    edit(&platform, |record| record.body.connection.granted = granted);
    let mut other = connected_record(platform.now());
    other.body.connection.granted = granted;
    other.pkid = "f".repeat(24);
    other.hierarchy = "sys.Other".to_owned();
    platform.store_connected(other).unwrap();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        delete(platform);
        json_response(200, token_response())
    });
    assert!(matches!(run(&platform), Err(Failure::NotFound(_))));
    platform.assert_script_done();
    assert!(platform.logged(Level::Warning, "another connection uses the same grant"));
}

#[test]
fn response_is_stored_despite_concurrent_change() {
    let platform = platform();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        edit(platform, |record| {
            record
                .body
                .fields
                .insert("name".to_owned(), "Renamed".into());
        });
        json_response(200, token_response())
    });
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    assert_eq!(report.connection.name, "Renamed");
    let record = record(&platform);
    assert_eq!(record.name(), "Renamed");
    assert_eq!(record.body.connection.generation, 2);
    assert_eq!(tokens(&platform).0.as_deref(), Some("new-access-token"));
    assert_eq!(platform.sent().len(), 1);
}

#[test]
fn concurrently_stored_tokens_are_not_overwritten() {
    let platform = platform();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        let mut fresh = record(platform);
        fresh.body.connection.generation = 7;
        let seal = Change::PutSecret {
            owner: fresh.reference(),
            name: secret::REFRESH_TOKEN.to_owned(),
            value: Secret::new("the-winners"),
        };
        let put = Change::Put(fresh.to_document().unwrap());
        platform.commit(Vec::new(), vec![put, seal]).unwrap();
        json_response(200, token_response())
    });
    assert!(matches!(run(&platform), Err(Failure::Conflict(_))));
    let held = (
        Some(ACCESS_TOKEN.to_owned()),
        Some("the-winners".to_owned()),
    );
    assert_eq!(tokens(&platform), held);
    assert_eq!(record(&platform).body.connection.generation, 7);
    platform.assert_script_done();
}

#[test]
fn constantly_changing_record_is_a_conflict() {
    let platform = platform();
    platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
    for nth in 1..=3 {
        let meanwhile = CommitFault::RunFirst(Box::new(|platform| {
            edit(platform, |record| {
                record.body.connection.scopes.push("x".to_owned())
            });
        }));
        platform.inject_commit_fault(nth, meanwhile);
    }
    assert!(matches!(run(&platform), Err(Failure::Conflict(_))));
    assert_nothing_lost(&platform);
}

#[test]
fn lost_lease_is_a_conflict_without_retry() {
    let platform = platform();
    platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
    let commits = platform.commits();
    let lost = Failure::Conflict("the lease was lost".to_owned());
    platform.inject_commit_fault(1, CommitFault::Fail(lost.clone()));
    assert_eq!(run(&platform), Err(lost));
    assert_eq!(platform.commits(), commits + 1);
    assert_nothing_lost(&platform);
}

#[test]
fn response_survives_one_store_error() {
    let down = || Failure::Unavailable("the store is down".to_owned());
    for interruption in [CommitFault::Fail(down()), CommitFault::LoseResult(down())] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
        platform.inject_commit_fault(1, interruption);
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Connected);
        assert_eq!(tokens(&platform).0.as_deref(), Some("new-access-token"));
        assert_eq!(record(&platform).body.connection.generation, 2);
        assert_eq!(platform.sent().len(), 1);
    }
}

#[test]
fn callers_before_an_attempt_share_its_outcome() {
    let platform = platform();
    let requests = Rc::new(Cell::new(0));
    let counter = Rc::clone(&requests);
    platform.serve(move |_, _| {
        counter.set(counter.get() + 1);
        json_response(200, token_response())
    });
    let asked = platform.now();
    let joined: Vec<bool> = (0..64)
        .map(|_| {
            let report = refresh(&platform, PKID, Grant::Organization, asked).unwrap();
            platform.advance(Millis(1));
            assert_eq!(report.outcome, RefreshOutcome::Connected);
            report.joined
        })
        .collect();
    assert_eq!(requests.get(), 1);
    assert_eq!(joined.iter().filter(|joined| !**joined).count(), 1);

    let report = refresh(&platform, PKID, Grant::Organization, platform.now()).unwrap();
    assert!(!report.joined, "a later caller gets its own request");
    assert_eq!(requests.get(), 2);
}

#[test]
fn joined_caller_gets_the_outcome_of_the_attempt() {
    for (response, outcome) in [
        (
            json_response(503, json!({"trackingId": "T3"})),
            RefreshOutcome::Retrying,
        ),
        (refused(), RefreshOutcome::Reauthorize),
    ] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, response);
        let first = run(&platform).unwrap();
        let second = run(&platform).unwrap();
        assert!(second.joined);
        assert_eq!((first.outcome, second.outcome), (outcome, outcome));
        assert_eq!(second.tracking_id, first.tracking_id);
        assert_eq!(second.connection, first.connection);
        platform.assert_script_done();
    }
}

#[test]
fn attempt_dated_in_the_future_is_not_joined() {
    let platform = platform_with_response(200, token_response());
    edit(&platform, |record| {
        record.body.connection.attempted = Some(START + 30 * DAY);
    });
    assert!(!run(&platform).unwrap().joined);
    platform.assert_script_done();
}

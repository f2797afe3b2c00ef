//! Imports over several calls, and interrupted ones.

use super::data_syncs::{store_sync, sync_all};
use super::*;
use crate::platform::{Change, Level, Storage, Wakeup};
use crate::reports::WakeReport;
use crate::testing::{CommitFault, HOUR, SECOND};
use crate::workflows::wake::wake;

fn store_error() -> Failure {
    Failure::Unavailable("the store is gone".to_owned())
}

/// Returns all imported documents, without versions and times.
fn outcome(world: &World) -> Vec<(Reference, String)> {
    let documents = world.platform.documents();
    documents
        .into_iter()
        .filter(|document| document.reference.model.starts_with("device/"))
        .map(|document| (document.reference, document.body))
        .collect()
}

#[test]
fn import_too_long_for_a_call_continues_by_wakeup() {
    let world = World::with_licenses(100, 2);
    let now = world.platform.now();
    let report = world.sync().unwrap();
    assert_eq!(report.continues, Some(now.0));
    assert!(report.done < report.total);
    assert_eq!(report.models[1].found, 46);
    let wakeup = world.wakeup().unwrap();
    assert_eq!(
        (wakeup.due, wakeup.payload.as_str()),
        (now.0, DATA_SYNCS[1])
    );
    let WakeReport::Synced(report) = wake(&world.platform, &wakeup).unwrap() else {
        panic!("no import");
    };
    assert_eq!(report.continues.is_some(), world.wakeup().is_some());
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 100, 100, 0, 0));
    assert_eq!(world.wakeup(), None);
    assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
}

#[test]
fn call_ends_before_its_time_limit() {
    let world = World::with_licenses(12, 2);
    world.platform.serve({
        let webex = world.webex.clone();
        move |platform, request| {
            platform.advance(9 * SECOND);
            webex.borrow().respond(request)
        }
    });
    let begun = world.platform.now();
    assert!(world.sync().unwrap().continues.is_some());
    assert_eq!(world.platform.now() - begun, 18 * SECOND);
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 12, 12, 0, 0));
}

#[test]
fn host_limit_ends_the_call_but_not_the_import() {
    let world = World::with_licenses(10, 2);
    world.platform.serve({
        let webex = world.webex.clone();
        let asked = std::cell::Cell::new(0_u32);
        move |_, request| {
            asked.set(asked.get() + 1);
            match asked.get() % 3 {
                0 => Err(HttpError::Limit("limits.requests".to_owned())),
                _ => webex.borrow().respond(request),
            }
        }
    });
    let (calls, report) = world.sync_to_end();
    assert_eq!(calls, 3);
    assert_eq!(report.models[1], import_count(LICENSE, 10, 10, 0, 0));
}

#[test]
fn host_limit_on_first_request_is_reported() {
    let world = World::new();
    let limit = Err(HttpError::Limit("larger than limits.response".to_owned()));
    world.platform.expect(Method::GET, "/roles", limit);
    match world.sync().unwrap_err() {
        Failure::LimitExceeded(text) => assert!(text.contains("limits.response"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn commit_limit_makes_smaller_commits() {
    let world = World::with_licenses(100, 100);
    // Commits: the wakeup, the roles, then 100, 50 and 25 licenses.
    for nth in [3, 4, 5] {
        let limit = Failure::LimitExceeded("limits.changes".to_owned());
        world
            .platform
            .inject_commit_fault(nth, CommitFault::Fail(limit));
    }
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 100, 100, 0, 0));
    assert_eq!(world.stored(LICENSE).len(), 100);
}

#[test]
fn interrupted_import_ends_like_an_uninterrupted_one() {
    let whole = World::with_licenses(600, 300);
    whole.sync().unwrap();
    whole.webex.borrow_mut().licenses.drain(100..350);
    whole.webex.borrow_mut().licenses.push(license(999, 999));
    let commits = whole.platform.commits();
    let report = whole.sync().unwrap();
    let commits = whole.platform.commits() - commits;
    assert!(commits >= 4, "{commits}");
    for nth in 1..=commits {
        for reply_lost in [false, true] {
            let world = World::with_licenses(600, 300);
            world.sync().unwrap();
            world.webex.borrow_mut().licenses = whole.webex.borrow().licenses.clone();
            let interruption = match reply_lost {
                true => CommitFault::LoseResult(store_error()),
                false => CommitFault::Fail(store_error()),
            };
            let nth = usize::try_from(nth).unwrap();
            world.platform.inject_commit_fault(nth, interruption);
            assert_eq!(world.sync().unwrap_err(), store_error());
            let (_, again) = world.sync_to_end();
            assert_eq!(outcome(&world), outcome(&whole), "commit {nth}");
            assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
            // Unless the last result was lost, each change is counted exactly once.
            let ended = reply_lost && nth == usize::try_from(commits).unwrap();
            if !ended {
                assert_eq!(again.models, report.models, "commit {nth}");
            }
        }
    }
}

#[test]
fn import_interrupted_in_its_first_call_has_a_wakeup() {
    for page in [2, 100] {
        let world = World::with_licenses(100, page);
        world
            .platform
            .inject_commit_fault(2, CommitFault::Fail(store_error()));
        assert_eq!(world.sync().unwrap_err(), store_error());
        let wakeup = world.wakeup().unwrap();
        assert!(wakeup.due > world.platform.now().0);
        let mut next = Some(wakeup);
        while let Some(wakeup) = next {
            wake(&world.platform, &wakeup).unwrap();
            next = world.wakeup();
        }
        assert_eq!(world.stored(LICENSE).len(), 100);
    }
}

#[test]
fn import_has_a_wakeup_before_its_first_request() {
    let world = World::new();
    world
        .platform
        .expect_with(Method::GET, "/roles", |platform, _| {
            let wakeup = platform.wakeup(&Reference::record(PKID), "sync.roles-licenses");
            assert!(wakeup.unwrap().due > platform.now().0);
            json_response(200, json!({"items": []}))
        });
    world.sync().unwrap();
    world.platform.assert_script_done();
    assert_eq!(world.wakeup(), None);
}

#[test]
fn failed_import_waits_for_webex_or_for_a_person() {
    let world = World::new();
    let later = raw_response(429, &[("Retry-After", "194")], "{}");
    world.platform.expect(Method::GET, "/roles", later);
    let until = world.platform.now() + 194 * SECOND;
    assert_eq!(world.sync(), Err(Failure::RateLimited(Some(until))));
    assert_eq!(world.wakeup().unwrap().due, until.0);
    let refuse = || {
        let refusal = json_response(401, json!({"message": "no"}));
        world.platform.expect(Method::GET, "/roles", refusal);
    };
    refuse();
    let tokens = json_response(200, json!({"access_token": "new"}));
    world.platform.expect(Method::POST, "/access_token", tokens);
    refuse();
    assert!(matches!(world.sync(), Err(Failure::Reauthorize(_))));
    assert_eq!(world.wakeup(), None);
}

#[test]
fn import_by_wakeup_leaves_the_wakeup_to_the_host() {
    let world = World::new();
    let wakeup = sync_wakeup(DATA_SYNCS[1]);
    let schedule = Change::Schedule(wakeup.clone());
    world.platform.commit(Vec::new(), vec![schedule]).unwrap();
    world
        .platform
        .inject_commit_fault(2, CommitFault::Fail(store_error()));
    assert_eq!(wake(&world.platform, &wakeup).unwrap_err(), store_error());
    assert_eq!(world.wakeup(), Some(wakeup));
}

/// Creates a world with 40 imported licenses on 20 pages. Since then, the 30th license has changed and the last one has
/// vanished.
fn with_unchanged_pages() -> World {
    let world = World::with_licenses(40, 2);
    world.sync_to_end();
    {
        let mut webex = world.webex.borrow_mut();
        webex.licenses[29]["name"] = json!("renamed");
        webex.licenses.truncate(39);
    }
    world
}

#[test]
fn unchanged_pages_share_a_commit() {
    let world = with_unchanged_pages();
    let commits = world.platform.commits();
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 39, 0, 1, 1));
    // 21 pages, a removal and the end of the import.
    assert_eq!(world.platform.commits() - commits, 7);
    assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
}

#[test]
fn interrupted_import_reads_unstored_pages_again() {
    let whole = with_unchanged_pages();
    let commits = whole.platform.commits();
    let report = whole.sync().unwrap();
    for nth in 1..=whole.platform.commits() - commits {
        for reply_lost in [false, true] {
            let world = with_unchanged_pages();
            let interruption = match reply_lost {
                true => CommitFault::LoseResult(store_error()),
                false => CommitFault::Fail(store_error()),
            };
            let nth = usize::try_from(nth).unwrap();
            world.platform.inject_commit_fault(nth, interruption);
            assert_eq!(world.sync().unwrap_err(), store_error());
            let (_, again) = world.sync_to_end();
            assert_eq!(outcome(&world), outcome(&whole), "commit {nth}");
            assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
            if again.models[1].found == 39 && again.models[1].removed == 1 {
                assert_eq!(again.models, report.models, "commit {nth}");
            }
        }
    }
}

#[test]
fn interrupted_import_resumes_where_it_stopped() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let before = world.requests().len();
    world.platform.advance(23 * HOUR);
    world.sync().unwrap();
    assert!(world.requests()[before].contains("cursor=46"));
}

#[test]
fn import_idle_for_a_day_restarts() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let before = world.requests().len();
    world.platform.advance(25 * HOUR);
    let report = world.sync().unwrap();
    assert!(world.requests()[before].ends_with("/roles"));
    assert_eq!(report.models[1].added, 0);
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 100, 54, 0, 0));
    assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
}

#[test]
fn expired_page_address_restarts_the_list() {
    for status in [400, 404, 410] {
        let world = World::with_licenses(100, 2);
        world.sync().unwrap();
        world.platform.expect(
            Method::GET,
            "cursor=46",
            json_response(status, json!({"message": "what?"})),
        );
        world.sync().unwrap();
        assert!(
            world
                .platform
                .logged(Level::Warning, "from the first page again")
        );
        let (_, report) = world.sync_to_end();
        assert_eq!(report.models[1], import_count(LICENSE, 100, 100, 0, 0));
        assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
    }
}

#[test]
fn lost_page_document_restarts_the_list() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let gone = world.platform.documents_of(SEEN_MODEL).remove(3).reference;
    world
        .platform
        .commit(Vec::new(), vec![Change::Delete(gone)])
        .unwrap();
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 100, 100, 0, 0));
    assert_eq!(world.stored(LICENSE).len(), 100);
}

#[test]
fn list_that_a_sync_loses_leaves_no_page_documents() {
    // More page documents than one commit deletes.
    let world = World::with_licenses(500, 2);
    let seen = || world.platform.documents_of(SEEN_MODEL).len();
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    while seen() <= 100 {
        assert!(sync_all(&world).unwrap().continues.is_some());
    }
    store_sync(&world, &json!({"model_type_list": [ROLE]}));
    // An interruption after the first commit forgets none.
    let fault = CommitFault::Fail(store_error());
    world.platform.inject_commit_fault(2, fault);
    sync_all(&world).unwrap_err();
    assert!(seen() > 0);
    assert_eq!(sync_all(&world).unwrap().continues, None);
    assert_eq!(seen(), 0);
}

#[test]
fn import_of_other_organization_is_not_resumed() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let mut record = Record::load(&world.platform, PKID).unwrap();
    let other = "00000000-0000-4000-8000-000000000000";
    record
        .body
        .fields
        .insert("account_number_external".to_owned(), other.into());
    let put = Change::Put(record.to_document().unwrap());
    world.platform.commit(Vec::new(), vec![put]).unwrap();
    let before = world.requests().len();
    world.sync().unwrap();
    assert!(world.requests()[before].ends_with("/roles"));
}

#[test]
fn unreadable_import_state_restarts_the_import() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let mut import = world.platform.documents_of(IMPORT_MODEL).remove(0);
    import.body = r#"{"of": "the future"}"#.to_owned();
    world
        .platform
        .commit(Vec::new(), vec![Change::Put(import)])
        .unwrap();
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1].found, 100);
}

#[test]
fn large_import_uses_bounded_commits_and_calls() {
    let world = World::with_licenses(5_000, 100);
    let (calls, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 5_000, 5_000, 0, 0));
    assert_eq!(calls, 3);
    world.webex.borrow_mut().licenses.truncate(2_500);
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 2_500, 0, 0, 2_500));
}

#[test]
fn import_stores_nothing_for_a_deleted_record() {
    let world = World::new();
    let meanwhile = |platform: &MemoryPlatform| {
        let delete = Change::Delete(Reference::record(PKID));
        platform.commit(Vec::new(), vec![delete]).unwrap();
    };
    world
        .platform
        .inject_commit_fault(2, CommitFault::RunFirst(Box::new(meanwhile)));
    assert!(matches!(world.sync(), Err(Failure::Conflict(_))));
    assert!(outcome(&world).is_empty());
}

fn sync_wakeup(payload: &str) -> Wakeup {
    Wakeup {
        id: "sync.roles-licenses".to_owned(),
        subject: Reference::record(PKID),
        due: 0,
        deadline: None,
        payload: payload.to_owned(),
    }
}

#[test]
fn wakeup_after_a_consent_starts_an_import() {
    let world = World::new();
    match wake(&world.platform, &sync_wakeup(DATA_SYNCS[1])).unwrap() {
        WakeReport::Synced(report) => assert_eq!(report.models[0].added, 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wakeup_needing_a_person_fails_and_is_removed() {
    let world = World::new();
    let wakeup = sync_wakeup(DATA_SYNCS[1]);
    let schedule = Change::Schedule(wakeup.clone());
    world.platform.commit(Vec::new(), vec![schedule]).unwrap();
    for list in ["/roles", "/licenses"] {
        let response = json_response(403, json!({"message": "no"}));
        world.platform.expect(Method::GET, list, response);
    }
    assert!(matches!(
        wake(&world.platform, &wakeup),
        Err(Failure::Reauthorize(_))
    ));
    assert_eq!(world.wakeup(), None);
}

#[test]
fn wakeup_of_deleted_record_or_unknown_kind_ends() {
    let world = World::new();
    let other = Wakeup {
        id: "sync".to_owned(),
        ..sync_wakeup("everything")
    };
    let unknown = wake(&world.platform, &other).unwrap();
    assert!(matches!(unknown, WakeReport::Nothing(_)));
    let deleted_sync = sync_wakeup("0123456789abcdef01234568");
    let schedule = Change::Schedule(deleted_sync.clone());
    world.platform.commit(Vec::new(), vec![schedule]).unwrap();
    let dismissed = wake(&world.platform, &deleted_sync).unwrap();
    assert!(matches!(dismissed, WakeReport::Nothing(_)));
    assert_eq!(world.platform.import_wakeup(&deleted_sync.subject), None);
    let delete = Change::Delete(Reference::record(PKID));
    world.platform.commit(Vec::new(), vec![delete]).unwrap();
    let gone = wake(&world.platform, &sync_wakeup(DATA_SYNCS[1])).unwrap();
    assert!(matches!(gone, WakeReport::Nothing(_)));
}

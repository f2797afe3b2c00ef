//! Imports in several parts: calls that do not take it all, and calls that are cut off.

use super::*;
use crate::platform::{Change, Level, Storage, Wakeup};
use crate::reports::WakeReport;
use crate::testing::{HOUR, Interruption, SECOND};
use crate::workflows::wake::wake;

fn lost() -> Failure {
    Failure::Unavailable("the store is gone".to_owned())
}

/// Everything that an import makes, without versions and moments.
fn outcome(world: &World) -> Vec<(Reference, String)> {
    let documents = world.platform.documents();
    documents
        .into_iter()
        .filter(|document| document.reference.model.starts_with("device/"))
        .map(|document| (document.reference, document.body))
        .collect()
}

#[test]
fn what_does_not_fit_into_a_call_goes_on_by_a_wakeup() {
    let world = World::with_licenses(100, 2);
    let now = world.platform.now();
    let report = world.sync().unwrap();
    assert_eq!(report.continues, Some(now));
    assert!(report.done < report.total);
    assert_eq!(report.models[1].found, 46);
    let wakeup = world.wakeup().unwrap();
    assert_eq!(
        (wakeup.due, wakeup.payload.as_str()),
        (now, "roles-licenses")
    );
    let WakeReport::Synced(report) = wake(&world.platform, &wakeup).unwrap() else {
        panic!("no import");
    };
    assert_eq!(report.continues.is_some(), world.wakeup().is_some());
    let (_, report) = world.sync_to_the_end();
    assert_eq!(report.models[1], imported(LICENSE, 100, 100, 0, 0));
    assert_eq!(world.wakeup(), None);
    assert!(world.platform.documents_of(SEEN).is_empty());
}

#[test]
fn a_call_ends_before_its_time_is_over() {
    let world = World::with_licenses(12, 2);
    world.platform.serve({
        let webex = world.webex.clone();
        move |platform, request| {
            platform.advance(9 * SECOND);
            webex.borrow().answer(request)
        }
    });
    let begun = world.platform.now();
    assert!(world.sync().unwrap().continues.is_some());
    assert_eq!(world.platform.now() - begun, 27 * SECOND);
    let (_, report) = world.sync_to_the_end();
    assert_eq!(report.models[1], imported(LICENSE, 12, 12, 0, 0));
}

#[test]
fn a_limit_of_the_host_after_some_steps_ends_the_call_and_not_the_import() {
    let world = World::with_licenses(10, 2);
    world.platform.serve({
        let webex = world.webex.clone();
        let asked = std::cell::Cell::new(0_u32);
        move |_, request| {
            asked.set(asked.get() + 1);
            match asked.get() % 3 {
                0 => Err(HttpError::Limit("limits.requests".to_owned())),
                _ => webex.borrow().answer(request),
            }
        }
    });
    let (calls, report) = world.sync_to_the_end();
    assert_eq!(calls, 3);
    assert_eq!(report.models[1], imported(LICENSE, 10, 10, 0, 0));
}

#[test]
fn a_limit_that_the_first_request_hits_is_told_to_the_operator() {
    let world = World::new();
    let limit = Err(HttpError::Limit("larger than limits.response".to_owned()));
    world.platform.expect(Method::GET, "/roles", limit);
    match world.sync().unwrap_err() {
        Failure::LimitExceeded(text) => assert!(text.contains("limits.response"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_host_that_allows_little_in_one_commit_gets_smaller_ones() {
    let world = World::with_licenses(100, 100);
    // Roles first, then 100 licences at once, 50, and 25.
    for nth in [2, 3, 4] {
        let limit = Failure::LimitExceeded("limits.changes".to_owned());
        world
            .platform
            .interrupt_commit(nth, Interruption::Fail(limit));
    }
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], imported(LICENSE, 100, 100, 0, 0));
    assert_eq!(world.stored(LICENSE).len(), 100);
}

#[test]
fn an_import_cut_off_at_any_commit_ends_as_one_that_was_not() {
    let whole = World::with_licenses(600, 300);
    whole.sync().unwrap();
    whole.webex.borrow_mut().licenses.drain(100..350);
    whole.webex.borrow_mut().licenses.push(license(999, 999));
    let commits = whole.platform.commits();
    let report = whole.sync().unwrap();
    let commits = whole.platform.commits() - commits;
    assert!(commits >= 4, "{commits}");
    for nth in 1..=commits {
        for answer_lost in [false, true] {
            let world = World::with_licenses(600, 300);
            world.sync().unwrap();
            world.webex.borrow_mut().licenses = whole.webex.borrow().licenses.clone();
            let interruption = match answer_lost {
                true => Interruption::LoseAnswer(lost()),
                false => Interruption::Fail(lost()),
            };
            let nth = usize::try_from(nth).unwrap();
            world.platform.interrupt_commit(nth, interruption);
            assert_eq!(world.sync().unwrap_err(), lost());
            let (_, again) = world.sync_to_the_end();
            assert_eq!(outcome(&world), outcome(&whole), "commit {nth}");
            assert!(world.platform.documents_of(SEEN).is_empty());
            // Unless the very end was lost, nothing is counted twice or forgotten.
            let ended = answer_lost && nth == usize::try_from(commits).unwrap();
            if !ended {
                assert_eq!(again.models, report.models, "commit {nth}");
            }
        }
    }
}

#[test]
fn an_interrupted_import_goes_on_where_it_stopped() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let before = world.requests().len();
    world.platform.advance(23 * HOUR);
    world.sync().unwrap();
    assert!(world.requests()[before].contains("cursor=46"));
}

#[test]
fn an_import_that_stood_still_for_a_day_begins_anew() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let before = world.requests().len();
    world.platform.advance(25 * HOUR);
    let report = world.sync().unwrap();
    assert!(world.requests()[before].ends_with("/roles"));
    assert_eq!(report.models[1].added, 0);
    let (_, report) = world.sync_to_the_end();
    assert_eq!(report.models[1], imported(LICENSE, 100, 54, 0, 0));
    assert!(world.platform.documents_of(SEEN).is_empty());
}

#[test]
fn an_address_that_webex_has_forgotten_has_the_list_read_anew() {
    for status in [400, 404, 410] {
        let world = World::with_licenses(100, 2);
        world.sync().unwrap();
        world.platform.expect(
            Method::GET,
            "cursor=46",
            reply(status, json!({"message": "what?"})),
        );
        world.sync().unwrap();
        assert!(
            world
                .platform
                .logged(Level::Warning, "from the first page again")
        );
        let (_, report) = world.sync_to_the_end();
        assert_eq!(report.models[1], imported(LICENSE, 100, 100, 0, 0));
        assert!(world.platform.documents_of(SEEN).is_empty());
    }
}

#[test]
fn what_was_seen_and_got_lost_has_the_list_read_anew_rather_than_documents_removed() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let gone = world.platform.documents_of(SEEN).remove(3).reference;
    world
        .platform
        .commit(Vec::new(), vec![Change::Delete(gone)])
        .unwrap();
    let (_, report) = world.sync_to_the_end();
    assert_eq!(report.models[1], imported(LICENSE, 100, 100, 0, 0));
    assert_eq!(world.stored(LICENSE).len(), 100);
}

#[test]
fn another_organisation_is_not_gone_on_with() {
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
fn a_state_of_another_release_is_begun_anew() {
    let world = World::with_licenses(100, 2);
    world.sync().unwrap();
    let mut import = world.platform.documents_of(IMPORT).remove(0);
    import.body = r#"{"of": "the future"}"#.to_owned();
    world
        .platform
        .commit(Vec::new(), vec![Change::Put(import)])
        .unwrap();
    let (_, report) = world.sync_to_the_end();
    assert_eq!(report.models[1].found, 100);
}

#[test]
fn thousands_of_entries_are_imported_in_bounded_commits_and_calls() {
    let world = World::with_licenses(5_000, 100);
    let (calls, report) = world.sync_to_the_end();
    assert_eq!(report.models[1], imported(LICENSE, 5_000, 5_000, 0, 0));
    assert_eq!(calls, 3);
    world.webex.borrow_mut().licenses.truncate(2_500);
    let (_, report) = world.sync_to_the_end();
    assert_eq!(report.models[1], imported(LICENSE, 2_500, 0, 0, 2_500));
}

#[test]
fn a_record_that_is_deleted_meanwhile_gets_nothing_back() {
    let world = World::new();
    let meanwhile = |platform: &MemoryPlatform| {
        let delete = Change::Delete(Reference::record(PKID));
        platform.commit(Vec::new(), vec![delete]).unwrap();
    };
    world
        .platform
        .interrupt_commit(1, Interruption::Meanwhile(Box::new(meanwhile)));
    assert!(matches!(world.sync(), Err(Failure::Conflict(_))));
    assert!(outcome(&world).is_empty());
}

fn sync_wakeup(payload: &str) -> Wakeup {
    Wakeup {
        id: "sync".to_owned(),
        subject: Reference::record(PKID),
        due: 0,
        deadline: None,
        payload: payload.to_owned(),
    }
}

#[test]
fn the_wakeup_that_a_consent_leaves_begins_an_import() {
    let world = World::new();
    match wake(&world.platform, &sync_wakeup("roles-licenses")).unwrap() {
        WakeReport::Synced(report) => assert_eq!(report.models[0].added, 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wakeup_that_only_a_person_can_serve_fails_and_is_gone() {
    let world = World::new();
    let wakeup = sync_wakeup("roles-licenses");
    let schedule = Change::Schedule(wakeup.clone());
    world.platform.commit(Vec::new(), vec![schedule]).unwrap();
    world
        .platform
        .expect(Method::GET, "/roles", reply(403, json!({"message": "no"})));
    assert!(matches!(
        wake(&world.platform, &wakeup),
        Err(Failure::Reauthorize(_))
    ));
    assert_eq!(world.wakeup(), None);
}

#[test]
fn a_wakeup_of_a_deleted_record_or_of_an_unknown_kind_is_taken_away() {
    let world = World::new();
    let unknown = wake(&world.platform, &sync_wakeup("everything")).unwrap();
    assert!(matches!(unknown, WakeReport::Nothing(_)));
    let delete = Change::Delete(Reference::record(PKID));
    world.platform.commit(Vec::new(), vec![delete]).unwrap();
    let gone = wake(&world.platform, &sync_wakeup("roles-licenses")).unwrap();
    assert!(matches!(gone, WakeReport::Nothing(_)));
}

//! Lists that are empty or suddenly short: their removals and alerts.

use super::*;
use crate::alerts::{ALERT, ActiveAlerts, AlertBody, Severity, code};
use crate::grant::Grant;
use crate::platform::{Level, Storage};
use crate::testing::HOUR;
use crate::workflows::delete::delete;

/// Creates a world in which 30 licenses and two roles were imported.
fn world_with_30_licenses() -> World {
    let world = World::with_licenses(30, 10);
    world.sync_to_end();
    world
}

fn alerts(world: &World) -> Vec<AlertBody> {
    let documents = world.platform.documents_of(ALERT);
    let bodies = documents.iter().map(|document| &document.body);
    bodies
        .map(|body| serde_json::from_str(body).unwrap())
        .collect()
}

fn shorten(world: &World, count: usize) {
    world.webex.borrow_mut().licenses.truncate(count);
}

#[test]
fn empty_list_removes_nothing_until_accepted() {
    let world = World::new();
    world.sync().unwrap();
    shorten(&world, 0);
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 0, 0, 0, 0));
    assert_eq!(world.stored(LICENSE).len(), 3);
    let expected = "none of the licenses was removed: Webex's list has 0 licenses and lacks 3 of the \
                3 that are stored";
    assert!(report.message.contains(expected), "{}", report.message);
    let [alert] = alerts(&world).try_into().unwrap();
    assert_eq!(
        (alert.code.as_str(), alert.severity, alert.count),
        (code::REMOVALS_HELD, Severity::Major, 1)
    );
    assert!(
        alert.message.contains("lacks 3 of the 3"),
        "{}",
        alert.message
    );

    let report = world.sync_accepting_removals().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 0, 0, 0, 3));
    assert!(!report.message.contains("none of"));
    assert!(alerts(&world).is_empty());
}

#[test]
fn short_list_adds_and_updates_but_removes_nothing() {
    let world = world_with_30_licenses();
    shorten(&world, 14);
    world.webex.borrow_mut().licenses[0] = license(1, 99);
    world.webex.borrow_mut().licenses.push(license(40, 40));
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 15, 1, 1, 0));
    assert!(
        report
            .message
            .contains("lacks 16 of the 30 that are stored")
    );
    assert_eq!(world.stored(LICENSE).len(), 31);
    // New documents do not make the next removal more plausible.
    world.sync().unwrap();
    assert_eq!(alerts(&world)[0].count, 2);
    assert_eq!(world.stored(LICENSE).len(), 31);
}

#[test]
fn list_with_other_ids_removes_nothing() {
    let world = world_with_30_licenses();
    let licenses = (101..=130).map(|n| license(n, n)).collect();
    world.webex.borrow_mut().licenses = licenses;
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 30, 30, 0, 0));
    assert_eq!(alerts(&world).len(), 1);
}

#[test]
fn only_a_plausible_list_ends_the_alert() {
    let world = world_with_30_licenses();
    let all = world.webex.borrow().licenses.clone();
    shorten(&world, 3);
    world.sync().unwrap();
    let unreadable = raw_response(200, &[("Link", "nonsense")], r#"{"items":[]}"#);
    world.platform.expect(Method::GET, "/licenses", unreadable);
    world.sync().unwrap();
    assert_eq!(alerts(&world).len(), 1);
    world.webex.borrow_mut().licenses = all;
    shorten(&world, 15);
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 15, 0, 0, 15));
    assert!(alerts(&world).is_empty());
}

#[test]
fn removals_are_held_per_model() {
    let world = world_with_30_licenses();
    shorten(&world, 0);
    world.webex.borrow_mut().roles.remove(0);
    let report = world.sync().unwrap();
    assert_eq!(report.models[0], import_count(ROLE, 1, 0, 0, 1));
    assert_eq!(report.models[1], import_count(LICENSE, 0, 0, 0, 0));
    world.webex.borrow_mut().roles.clear();
    world.sync().unwrap();
    assert_eq!(alerts(&world).len(), 2);
    world.webex.borrow_mut().roles.push(role(2));
    world.sync().unwrap();
    assert_eq!(alerts(&world).len(), 1);
    assert_eq!(world.stored(LICENSE).len(), 30);
}

#[test]
fn acceptance_lasts_for_all_calls_of_an_import() {
    let world = World::with_licenses(200, 2);
    world.sync_to_end();
    shorten(&world, 60);
    let report = world.sync_accepting_removals().unwrap();
    assert!(report.continues.is_some());
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 60, 0, 0, 140));
    assert!(alerts(&world).is_empty());
    // The acceptance does not apply to the next import.
    shorten(&world, 1);
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1], import_count(LICENSE, 1, 0, 0, 0));
}

#[test]
fn acceptance_during_import_applies_to_held_list() {
    let world = World::with_licenses(200, 2);
    world.sync_to_end();
    world.webex.borrow_mut().roles.clear();
    let report = world.sync().unwrap();
    assert!(report.continues.is_some());
    assert_eq!(report.models[0].removed, 0);
    world.sync_accepting_removals().unwrap();
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[0], import_count(ROLE, 0, 0, 0, 2));
    assert_eq!(report.models[1], import_count(LICENSE, 200, 0, 0, 0));
    assert!(alerts(&world).is_empty());
}

#[test]
fn list_shrinking_between_calls_removes_nothing() {
    let world = World::with_licenses(200, 2);
    world.sync_to_end();
    assert!(world.sync().unwrap().continues.is_some());
    shorten(&world, 48);
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1].removed, 0);
    assert_eq!(world.stored(LICENSE).len(), 200);
    assert!(report.message.contains("of the 200 that are stored"));
    assert!(
        world
            .platform
            .logged(Level::Warning, "none of the licenses is removed")
    );
}

#[test]
fn first_import_of_empty_organization_has_no_alert() {
    let world = World::with_licenses(0, 10);
    world.webex.borrow_mut().roles.clear();
    for _ in 0..2 {
        let report = world.sync().unwrap();
        assert_eq!(report.models[1], import_count(LICENSE, 0, 0, 0, 0));
        assert!(alerts(&world).is_empty());
    }
}

#[test]
fn import_alert_does_not_affect_the_connection() {
    let world = world_with_30_licenses();
    shorten(&world, 0);
    world.sync().unwrap();
    let mut record = Record::load(&world.platform, PKID).unwrap();
    record.body.connection.generation += 1;
    let active = ActiveAlerts::load(&world.platform, &record).unwrap();
    let now = crate::platform::Environment::now(&world.platform);
    assert!(active.find_resolved(&record, now).is_empty());
    assert_eq!(active.most_urgent(&record, Grant::Organization), None);
}

#[test]
fn delete_removes_held_documents_and_alert() {
    let world = world_with_30_licenses();
    shorten(&world, 0);
    world.sync().unwrap();
    world.platform.advance(HOUR);
    world
        .platform
        .expect(Method::DELETE, "", json_response(204, json!({})));
    delete(&world.platform, PKID, false).unwrap();
    assert!(world.platform.documents().is_empty());
    let gone = world.platform.get(&Reference::record(PKID)).unwrap();
    assert_eq!(gone, None);
}

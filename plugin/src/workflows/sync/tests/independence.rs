//! Lists and imports that do not depend on each other.

use super::data_syncs::{PLACE, serve_lists, store_sync, sync_all};
use super::*;
use crate::alerts::{AlertBody, code};
use crate::platform::{Key, Storage, Wakeup};
use crate::reports::WakeReport;
use crate::testing::{HIERARCHY, HOUR, SECOND};
use crate::workflows::wake::wake;

fn alert_codes(world: &World) -> Vec<String> {
    let alerts = world.platform.documents_of("data/Alert");
    let bodies = alerts.iter().map(|alert| {
        let body: AlertBody = serde_json::from_str(&alert.body).unwrap();
        body.code
    });
    bodies.collect()
}

#[test]
fn list_that_is_too_large_or_denied_does_not_stop_the_others() {
    for error in [
        HttpError::TooLarge("limits.response".to_owned()),
        HttpError::Denied("egress.allow".to_owned()),
    ] {
        let world = World::new();
        let fail = || {
            world
                .platform
                .expect(Method::GET, "/roles", Err(error.clone()));
            world.sync()
        };
        for _ in 0..4 {
            assert!(matches!(
                fail(),
                Err(Failure::LimitExceeded(_) | Failure::Unavailable(_))
            ));
        }
        let report = fail().unwrap();
        assert!(report.models[0].failed.is_some(), "{error:?}");
        assert_eq!((report.models[1].found, report.continues), (3, None));
        assert_eq!(alert_codes(&world), [code::LIST_FAILED]);
        world.sync().unwrap();
        assert!(alert_codes(&world).is_empty());
    }
}

#[test]
fn wrong_root_of_the_api_is_one_error() {
    let world = World::new();
    world
        .platform
        .serve(|_, _| json_response(404, json!({"message": "nothing here"})));
    store_sync(
        &world,
        &json!({"model_type_list": ["device/spark/WorkspaceLocation", ROLE, PLACE]}),
    );
    let error = sync_all(&world).unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    assert!(alert_codes(&world).is_empty());
}

#[test]
fn list_that_is_forbidden_lets_another_error_be_permanent() {
    let world = World::new();
    let forbidden = json!({"message": "no"});
    world
        .platform
        .expect(Method::GET, "/roles", json_response(403, forbidden));
    store_sync(&world, &json!({"model_type_list": [ROLE, PLACE]}));
    assert!(matches!(sync_all(&world), Err(Failure::Reauthorize(_))));
    assert_eq!(alert_codes(&world).len(), 2);
}

#[test]
fn rejected_request_is_a_failure_of_webex() {
    let world = World::new();
    let rejection = json!({"message": "what?"});
    world
        .platform
        .expect(Method::GET, "/roles", json_response(400, rejection));
    store_sync(&world, &json!({"model_type_list": [ROLE]}));
    let Err(Failure::Unavailable(text)) = sync_all(&world) else {
        panic!("a rejection is not an error of the plugin's own");
    };
    assert!(text.contains("what?") && text.contains("400"), "{text}");
}

#[test]
fn page_that_is_always_refused_ends_the_list() {
    let world = World::with_licenses(100, 2);
    world.platform.serve({
        let webex = world.webex.clone();
        move |_, request| match request.uri().query() {
            // The first page of the second call.
            Some(query) if query.contains("cursor=46") => {
                json_response(400, json!({"message": "what?"}))
            }
            _ => webex.borrow().respond(request),
        }
    });
    let (calls, report) = world.sync_to_end();
    assert!(calls < 20, "{calls}");
    assert!(report.models[1].failed.is_some());
    assert_eq!(world.stored(LICENSE).len(), 46);
}

#[test]
fn resumed_import_keeps_what_another_one_added() {
    let world = World::with_licenses(100, 2);
    assert!(world.sync().unwrap().continues.is_some());
    let wakeup = world.wakeup().unwrap();
    let cancel = Change::Cancel(wakeup.subject.clone(), wakeup.id.clone());
    world.platform.commit(Vec::new(), vec![cancel]).unwrap();
    // Another import adds an entry on a page that the first import has read.
    world.webex.borrow_mut().licenses.insert(0, license(999, 0));
    world.webex.borrow_mut().page = 1_000;
    world.platform.advance(SECOND);
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    assert_eq!(sync_all(&world).unwrap().models[0].found, 101);
    world.webex.borrow_mut().page = 2;
    let (_, report) = world.sync_to_end();
    assert_eq!(report.models[1].removed, 0);
    assert_eq!(world.stored(LICENSE).len(), 101);
}

#[test]
fn edit_to_a_purge_begins_another_import() {
    let world = World::with_licenses(100, 2);
    store_sync(&world, &json!({"model_type_list": [ROLE, LICENSE]}));
    assert!(sync_all(&world).unwrap().continues.is_some());
    assert_eq!(world.stored(ROLE).len(), 2);
    store_sync(
        &world,
        &json!({"model_type_list": [ROLE, LICENSE], "sync_type": "purge_local"}),
    );
    let report = sync_all(&world).unwrap();
    assert_eq!(
        (report.models[0].removed, report.models[1].removed),
        (2, 46)
    );
    // A purge accepts no removals for an import after it.
    store_sync(&world, &json!({"model_type_list": [ROLE, LICENSE]}));
    while sync_all(&world).unwrap().continues.is_some() {}
    world.webex.borrow_mut().licenses.clear();
    assert_eq!(sync_all(&world).unwrap().models[1].removed, 0);
    assert_eq!(world.stored(LICENSE).len(), 100);
}

#[test]
fn acceptance_is_kept_while_an_import_waits() {
    let world = World::with_licenses(100, 2);
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    while sync_all(&world).unwrap().continues.is_some() {}
    assert!(world.sync().unwrap().continues.is_some());
    let waiting = sync(&world.platform, PKID, "all", true).unwrap();
    assert!(waiting.message.contains("waits"), "{}", waiting.message);
    world.sync_to_end();
    world.webex.borrow_mut().licenses.truncate(1);
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models[0].removed, 99);
}

#[test]
fn import_that_is_stuck_lets_others_go_on() {
    let world = World::with_licenses(100, 2);
    assert!(world.sync().unwrap().continues.is_some());
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    assert!(sync_all(&world).unwrap().message.contains("waits"));
    world.platform.advance(HOUR + HOUR + SECOND);
    let report = sync_all(&world).unwrap();
    assert!(!report.message.contains("waits"), "{}", report.message);
}

#[test]
fn partly_read_list_that_fails_raises_an_alert() {
    let world = World::with_licenses(10, 5);
    world
        .webex
        .borrow_mut()
        .licenses
        .insert(0, json!({"name": "no id"}));
    let forbidden = json!({"message": "no"});
    world
        .platform
        .expect(Method::GET, "cursor=5", json_response(403, forbidden));
    world.sync().unwrap();
    assert_eq!(alert_codes(&world), [code::LIST_FAILED]);
    // The list is read again, although one entry stays unreadable.
    world.sync().unwrap();
    assert!(alert_codes(&world).is_empty());
}

#[test]
fn sync_without_removals_keeps_the_alert_of_held_removals() {
    let world = World::with_licenses(30, 100);
    world.sync().unwrap();
    world.webex.borrow_mut().licenses.clear();
    world.sync().unwrap();
    assert_eq!(alert_codes(&world), [code::REMOVALS_HELD]);
    store_sync(
        &world,
        &json!({"model_type_list": [LICENSE], "disabled_operations": ["remove"]}),
    );
    sync_all(&world).unwrap();
    assert_eq!(alert_codes(&world), [code::REMOVALS_HELD]);
}

#[test]
fn data_sync_of_another_owner_is_dismissed() {
    let world = World::new();
    let pkid = "eeeeeeeeeeeeeeeeeeeeeeee";
    let document = Document {
        reference: Reference::new("data/DataSync", pkid),
        hierarchy: HIERARCHY.to_owned(),
        version: 0,
        body: json!({"name": "Other", "model_type_list": [ROLE]}).to_string(),
        keys: vec![Key::new(key::OWNER, "ffffffffffffffffffffffff")],
    };
    let put = vec![Change::Put(document)];
    world.platform.commit(Vec::new(), put).unwrap();
    let wakeup = Wakeup {
        id: format!("sync.{pkid}"),
        subject: Reference::record(PKID),
        due: world.platform.now().0,
        deadline: None,
        payload: pkid.to_owned(),
    };
    let report = wake(&world.platform, &wakeup).unwrap();
    assert!(matches!(report, WakeReport::Nothing(_)), "{report:?}");
}

#[test]
fn sorted_list_that_changes_in_the_middle_removes_nothing() {
    let world = World::new();
    serve_lists(&world, 6, 0);
    store_sync(&world, &json!({"model_type_list": [PLACE]}));
    sync_all(&world).unwrap();
    let expect = |ids: &[&str]| {
        let items: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        world.platform.expect(
            Method::GET,
            "/workspaces",
            json_response(200, json!({ "items": items })),
        );
    };
    // The last entry moves to the second place after the first page.
    expect(&["N0", "N1", "N2"]);
    expect(&["N1", "N2", "N3"]);
    expect(&["N3", "N4"]);
    expect(&["N4"]);
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models[0].removed, 0, "{}", report.message);
}

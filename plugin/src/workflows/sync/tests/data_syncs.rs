//! Data syncs of several models, and what they permit.

use super::*;
use crate::owned_documents::DATA_SYNC;
use crate::platform::{Change, Key, Storage};
use crate::testing::{DAY, HIERARCHY, SECOND};

const USER: &str = "device/spark/User";
pub(super) const PLACE: &str = "device/spark/Place";
const GROUP: &str = "device/spark/Group";

/// Stores a data sync with these members as the record's sync of all data.
pub(super) fn store_sync(world: &World, members: &Value) {
    let mut body = json!({"name": "SyncSparkAcme", "owner": PKID});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    let document = Document {
        reference: Reference::new(DATA_SYNC, DATA_SYNCS[0]),
        hierarchy: HIERARCHY.to_owned(),
        version: 0,
        body: body.to_string(),
        keys: vec![Key::new(key::OWNER, PKID)],
    };
    let put = vec![Change::Put(document)];
    world.platform.commit(Vec::new(), put).unwrap();
}

pub(super) fn sync_all(world: &World) -> Result<SyncReport, Failure> {
    sync(&world.platform, PKID, "all", false)
}

/// Serves users by links, workspaces by position, groups by counters, and nothing else.
pub(super) fn serve_lists(world: &World, places: usize, groups: usize) {
    world.platform.serve(move |_, request| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let value = |name: &str| -> Option<usize> {
            let prefix = format!("{name}=");
            query
                .split('&')
                .find_map(|each| each.strip_prefix(&prefix)?.parse().ok())
        };
        let page = |first: usize, size: usize, count: usize| -> Vec<Value> {
            let last = count.min(first + size.min(2));
            (first..last)
                .map(|n| json!({"id": format!("N{n}"), "displayName": "N"}))
                .collect()
        };
        match request.uri().path() {
            "/v1/people" => json_response(
                200,
                json!({"items": [{"id": "P1", "emails": ["ann@example.com"], "locationId": "L1"}]}),
            ),
            "/v1/workspaces" => {
                let items = page(value("start").unwrap(), value("max").unwrap(), places);
                json_response(200, json!({"items": items}))
            }
            "/v1/groups" => {
                let first = value("startIndex").unwrap() - 1;
                let found = page(first, value("count").unwrap(), groups);
                json_response(200, json!({"totalResults": groups, "groups": found}))
            }
            "/v1/workspaceLocations" => json_response(410, json!({"message": "gone"})),
            _ => json_response(404, json!({"message": "nothing here"})),
        }
    });
}

#[test]
fn lists_are_read_by_link_position_and_counter() {
    let world = World::new();
    serve_lists(&world, 5, 3);
    store_sync(&world, &json!({"model_type_list": [USER, PLACE, GROUP]}));
    let report = sync_all(&world).unwrap();
    assert_eq!(
        report.models,
        [
            import_count(USER, 1, 1, 0, 0),
            import_count(PLACE, 5, 5, 0, 0),
            import_count(GROUP, 3, 3, 0, 0),
        ]
    );
    assert_eq!(report.sync, "SyncSparkAcme");
    let users = world.platform.documents_of(USER);
    for key in [
        Key::new("email", "ann@example.com"),
        Key::new("location", "L1"),
    ] {
        assert!(users[0].keys.contains(&key), "{key:?}");
    }
}

#[test]
fn list_shorter_than_its_counter_removes_nothing() {
    let world = World::new();
    serve_lists(&world, 0, 3);
    store_sync(&world, &json!({"model_type_list": [GROUP]}));
    sync_all(&world).unwrap();
    let groups = json!({"totalResults": 3, "groups": [{"id": "N0"}]});
    world
        .platform
        .expect(Method::GET, "/groups", json_response(200, groups));
    let none = json!({"totalResults": 3, "groups": []});
    world
        .platform
        .expect(Method::GET, "/groups", json_response(200, none));
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models[0].removed, 0);
    assert!(
        report.message.contains("Webex counts 3 of them and sent 1"),
        "{}",
        report.message
    );
    assert_eq!(world.platform.documents_of(GROUP).len(), 3);
}

#[test]
fn entry_that_moves_between_two_pages_is_not_removed() {
    let world = World::new();
    serve_lists(&world, 5, 0);
    store_sync(&world, &json!({"model_type_list": [PLACE]}));
    sync_all(&world).unwrap();
    let expect = |ids: &[&str]| {
        let items: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        world.platform.expect(
            Method::GET,
            "/workspaces",
            json_response(200, json!({ "items": items })),
        );
    };
    // N0 is deleted at Webex after the first page, so that N3 moves to the place of N2.
    expect(&["N0", "N1", "N2"]);
    expect(&["N3", "N4"]);
    expect(&["N4"]);
    let report = sync_all(&world).unwrap();
    assert_eq!((report.models[0].found, report.models[0].removed), (5, 0));
    assert!(
        report.message.contains("changed at Webex while"),
        "{}",
        report.message
    );
    expect(&["N1", "N2", "N3"]);
    expect(&["N3", "N4"]);
    expect(&["N4"]);
    let report = sync_all(&world).unwrap();
    assert_eq!((report.models[0].found, report.models[0].removed), (4, 1));
}

#[test]
fn list_whose_end_is_announced_may_be_gone() {
    let world = World::new();
    serve_lists(&world, 1, 0);
    let models = ["device/spark/WorkspaceLocation", PLACE];
    store_sync(&world, &json!({"model_type_list": models}));
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models[0].failed, None);
    assert_eq!(report.models[1].added, 1);
    assert!(world.platform.documents_of("data/Alert").is_empty());
}

#[test]
fn only_permitted_changes_are_made() {
    let world = World::new();
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    sync_all(&world).unwrap();
    {
        let mut webex = world.webex.borrow_mut();
        webex.licenses = vec![license(1, 11), license(2, 20), license(4, 40)];
    }
    for (operation, added, updated, removed) in [
        (json!(["add", "update", "remove"]), 0, 0, 0),
        (json!(["update", "remove"]), 1, 0, 0),
        (json!(["remove"]), 0, 1, 0),
        (json!([]), 0, 0, 1),
    ] {
        let members = json!({"model_type_list": [LICENSE], "disabled_operations": operation});
        store_sync(&world, &members);
        let report = sync_all(&world).unwrap();
        let expected = import_count(LICENSE, 3, added, updated, removed);
        assert_eq!(report.models, [expected], "{operation}");
    }
}

#[test]
fn filtered_entries_are_left_as_they_are() {
    let world = World::new();
    world.sync().unwrap();
    world.webex.borrow_mut().licenses = vec![license(1, 11), license(2, 21), license(3, 31)];
    let filter = json!({"model": LICENSE, "attribute": "name", "value": "License 2"});
    store_sync(
        &world,
        &json!({"model_type_list": [LICENSE], "model_instance_filter": [filter]}),
    );
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models, [import_count(LICENSE, 3, 0, 1, 0)]);
    let units: Vec<Value> = world
        .stored(LICENSE)
        .into_iter()
        .map(|l| l["totalUnits"].clone())
        .collect();
    assert_eq!(units, [10, 21, 30]);
}

#[test]
fn purge_removes_what_is_stored_without_a_request() {
    let world = World::with_licenses(300, 1_000);
    world.sync().unwrap();
    let sent = world.platform.sent().len();
    store_sync(
        &world,
        &json!({"model_type_list": [LICENSE], "sync_type": "purge_local"}),
    );
    let report = sync_all(&world).unwrap();
    assert_eq!(report.models, [import_count(LICENSE, 0, 0, 0, 300)]);
    assert!(world.stored(LICENSE).is_empty());
    assert_eq!(world.stored(ROLE).len(), 2);
    assert_eq!(world.platform.sent().len(), sent);
}

#[test]
fn organization_of_another_customer_is_not_imported() {
    let world = World::new();
    let own = OrgId::parse(ORGANIZATION).unwrap().internal();
    let other = OrgId::parse("11111111-2222-3333-4444-555555555555")
        .unwrap()
        .internal();
    let items = json!({"items": [{"id": other}, {"id": own, "displayName": "Acme"}]});
    world
        .platform
        .expect(Method::GET, "/organizations", json_response(200, items));
    store_sync(
        &world,
        &json!({"model_type_list": ["device/spark/Organization"]}),
    );
    sync_all(&world).unwrap();
    let [stored] = world
        .platform
        .documents_of("device/spark/Organization")
        .try_into()
        .unwrap();
    assert_eq!(body(&stored)["id"], own);
}

#[test]
fn import_waits_for_another_one_with_a_list_in_common() {
    let world = World::with_licenses(100, 2);
    assert!(world.sync().unwrap().continues.is_some());
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    let report = sync_all(&world).unwrap();
    assert_eq!(
        report.continues,
        Some((world.platform.now() + 30 * SECOND).0)
    );
    assert!(report.message.contains("waits until"), "{}", report.message);
    store_sync(&world, &json!({"model_type_list": [ROLE, PLACE]}));
    assert!(sync_all(&world).unwrap().message.contains("waits"));
    world.sync_to_end();
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    let ended = sync_all(&world).unwrap();
    assert_eq!(ended.models[0].added, 0);
}

#[test]
fn two_interrupted_imports_do_not_wait_for_each_other() {
    let world = World::with_licenses(100, 2);
    let wakeup = |world: &World| world.wakeup().unwrap();
    assert!(world.sync().unwrap().continues.is_some());
    let first = wakeup(&world);
    let cancel = Change::Cancel(first.subject.clone(), first.id.clone());
    world.platform.commit(Vec::new(), vec![cancel]).unwrap();
    world.platform.advance(SECOND);
    store_sync(&world, &json!({"model_type_list": [LICENSE]}));
    assert_eq!(sync_all(&world).unwrap().models[0].found, 48);
    let resumed = world.sync().unwrap();
    assert!(resumed.message.contains("so far"), "{}", resumed.message);
    assert!(sync_all(&world).unwrap().message.contains("waits until"));
    world.sync_to_end();
    assert!(sync_all(&world).unwrap().message.contains("so far"));
}

#[test]
fn due_refresh_goes_before_the_import() {
    for (status, response) in [(200, json!({"access_token": "new"})), (503, json!({}))] {
        let world = World::with_licenses(20, 2);
        world.platform.advance(7 * DAY);
        let response = json_response(status, response);
        world
            .platform
            .expect(Method::POST, "/access_token", response);
        let report = world.sync().unwrap();
        world.platform.assert_script_done();
        assert_eq!(world.platform.sent()[0].method, Method::POST);
        assert_eq!((report.continues, report.models[1].found), (None, 20));
    }
}

#[test]
fn refresh_that_gets_due_goes_before_the_next_step() {
    let world = World::with_licenses(20, 2);
    let webex = world.webex.clone();
    world.platform.serve(move |platform, request| {
        platform.advance(4 * SECOND);
        webex.borrow().respond(request)
    });
    world.platform.advance(7 * DAY - 5 * SECOND);
    let report = world.sync().unwrap();
    assert_eq!(report.continues, Some(world.platform.now().0));
    assert_eq!(world.platform.sent().len(), 2);
}

#[test]
fn sites_come_from_the_api_of_the_records_region() {
    for (region, host) in [
        ("US", "us1"),
        ("ANZ", "anz1"),
        ("UK", "eu1"),
        ("EU", "eu2"),
        ("Japan", "jp1"),
        ("Canada", "ca1"),
        ("Singapore", "sg1"),
    ] {
        let world = world_with_contact_center(region);
        let page = json!({"meta": {"totalPages": 1}, "data": [{"id": "S1", "name": "Oslo"}]});
        world
            .platform
            .expect(Method::GET, "/v2/site", json_response(200, page));
        let report = sync_all(&world).unwrap();
        assert_eq!(report.models[0].added, 1);
        let path = format!("organization/{ORGANIZATION}/v2/site?page=0&pageSize=100");
        let expected = format!("https://api.wxcc-{host}.cisco.com/{path}");
        assert_eq!(world.requests(), [expected]);
    }
}

/// Creates a record with Contact Center in `region`, whose sync of all data imports only its sites.
pub(super) fn world_with_contact_center(region: &str) -> World {
    let world = World::new();
    let mut record = Record::load(&world.platform, PKID).unwrap();
    for (field, value) in [
        ("webex_contact_center", json!(true)),
        ("base_url_setting", json!(region)),
    ] {
        record.body.fields.insert(field.to_owned(), value);
    }
    let put = vec![Change::Put(record.to_document().unwrap())];
    world.platform.commit(Vec::new(), put).unwrap();
    store_sync(&world, &json!({"model_type_list": ["device/spark/CXSite"]}));
    world
}

#[test]
fn refusal_of_contact_center_is_told_with_the_scope() {
    let world = world_with_contact_center("EU");
    let refusal = json!({"trackingId": "ccconfig_1", "error": {"key": "403", "reason": "no", "message": [
        {"description": "Insufficient scope"},
    ]}});
    world
        .platform
        .expect(Method::GET, "/v2/site", json_response(403, refusal));
    let failed = sync_all(&world).unwrap_err().to_string();
    for part in ["Insufficient scope", "ccconfig_1", "cjp:config_read"] {
        assert!(failed.contains(part), "{failed}");
    }
}

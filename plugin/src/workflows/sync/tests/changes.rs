//! New, changed, unchanged and vanished entries.

use super::*;
use crate::platform::{Change, Key, Storage};
use crate::testing::{ACCESS_TOKEN, HIERARCHY, REFRESH_TOKEN};

#[test]
fn first_import_stores_documents_at_the_records_node() {
    let world = World::new();
    let report = world.sync().unwrap();
    assert_eq!(
        report.models,
        [
            import_count(ROLE, 2, 2, 0, 0),
            import_count(LICENSE, 3, 3, 0, 0)
        ]
    );
    assert_eq!((report.continues, report.done, report.total), (None, 4, 4));
    assert_eq!(
        report.message,
        "imported 2 roles (2 added) and 3 licenses (3 added)"
    );
    assert_eq!(world.stored(LICENSE), world.webex.borrow().licenses);
    for document in world.platform.documents_of(LICENSE) {
        assert_eq!(document.hierarchy, HIERARCHY);
        assert!(document.keys.contains(&Key::new(key::OWNER, PKID)));
        let body = body(&document);
        for name in ["id", "name"] {
            let value = body[name].as_str().unwrap();
            assert!(document.keys.contains(&Key::new(name, value)));
        }
    }
    let organization = OrgId::parse(ORGANIZATION).unwrap().internal();
    assert_eq!(
        world.requests(),
        [
            "https://webexapis.com/v1/roles".to_owned(),
            format!("https://webexapis.com/v1/licenses?orgId={organization}"),
        ]
    );
    for sent in world.platform.sent() {
        assert_eq!(
            sent.header("authorization"),
            format!("Bearer {ACCESS_TOKEN}")
        );
    }
}

#[test]
fn unchanged_import_writes_no_documents() {
    let world = World::new();
    world.sync().unwrap();
    let commits = world.platform.commits();
    // The order of members is irrelevant.
    world.webex.borrow_mut().roles[0] =
        serde_json::from_str(r#"{"name": "Role 1", "id": "R1"}"#).unwrap();
    let report = world.sync().unwrap();
    assert_eq!(
        report.models,
        [
            import_count(ROLE, 2, 0, 0, 0),
            import_count(LICENSE, 3, 0, 0, 0)
        ]
    );
    for model in [ROLE, LICENSE] {
        let documents = world.platform.documents_of(model);
        assert!(documents.iter().all(|document| document.version == 1));
    }
    // One commit schedules the continuation, one records that the import is finished.
    assert_eq!(world.platform.commits() - commits, 2);
}

#[test]
fn import_adds_updates_and_removes_documents() {
    let world = World::new();
    world.sync().unwrap();
    world.webex.borrow_mut().licenses = vec![license(1, 10), license(2, 25), license(4, 40)];
    let report = world.sync().unwrap();
    assert_eq!(
        report.models,
        [
            import_count(ROLE, 2, 0, 0, 0),
            import_count(LICENSE, 3, 1, 1, 1)
        ]
    );
    assert_eq!(world.stored(LICENSE), world.webex.borrow().licenses);
    assert!(report.message.contains("1 added, 1 updated, 1 removed"));
}

#[test]
fn import_keeps_documents_of_other_owners() {
    let world = World::new();
    let foreign = |pkid: &str, owner: Option<&str>| {
        Change::Put(Document {
            reference: Reference::new(ROLE, pkid),
            hierarchy: HIERARCHY.to_owned(),
            version: 0,
            body: "{}".to_owned(),
            keys: owner
                .map(|owner| Key::new(key::OWNER, owner))
                .into_iter()
                .collect(),
        })
    };
    let other = foreign(&"a".repeat(24), Some("ffffffffffffffffffffffff"));
    let nobody = foreign(&"b".repeat(24), None);
    let stray = foreign(&"c".repeat(24), Some(PKID));
    world
        .platform
        .commit(Vec::new(), vec![other, nobody, stray])
        .unwrap();
    let report = world.sync().unwrap();
    assert_eq!(report.models[0], import_count(ROLE, 2, 2, 0, 1));
    assert_eq!(world.platform.documents_of(ROLE).len(), 4);
}

#[test]
fn two_records_at_one_node_do_not_share_documents() {
    let world = World::new();
    world.sync().unwrap();
    let other = "ffffffffffffffffffffffff";
    let mut record = crate::testing::connected_record(world.platform.now());
    record.pkid = other.to_owned();
    world.platform.store_connected(record).unwrap();
    let report = sync(&world.platform, other, "roles-licenses", false).unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 3, 3, 0, 0));
    assert_eq!(world.platform.documents_of(LICENSE).len(), 6);
}

#[test]
fn damaged_document_is_repaired() {
    let world = World::new();
    world.sync().unwrap();
    let mut document = world.platform.documents_of(ROLE).remove(0);
    document.keys.truncate(1);
    world
        .platform
        .commit(Vec::new(), vec![Change::Put(document)])
        .unwrap();
    assert_eq!(
        world.sync().unwrap().models[0],
        import_count(ROLE, 2, 0, 1, 0)
    );
    assert_eq!(
        world.sync().unwrap().models[0],
        import_count(ROLE, 2, 0, 0, 0)
    );
}

#[test]
fn import_exposes_no_secret() {
    let world = World::with_licenses(5, 2);
    world.sync().unwrap();
    let visible = world.platform.visible_output();
    assert!(!visible.contains(ACCESS_TOKEN) && !visible.contains(REFRESH_TOKEN));
}

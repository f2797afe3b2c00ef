//! The parts of a record as its workflows create, move and rename them.

use super::*;
use crate::testing::{DAY, HIERARCHY, MemoryPlatform, PKID, START, connected_record};

fn platform_with_parts(shadow: Option<&str>) -> (MemoryPlatform, Record) {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(START);
    if let Some(name) = shadow {
        set_shadow(&mut record, Some(name));
    }
    plan(&mut record, &platform);
    let next = |at| Times {
        last: None,
        next: Some(at),
    };
    let mut changes = creation(&record, next(START + 7 * DAY), next(START + 60 * DAY));
    changes.push(Change::Put(record.to_document().unwrap()));
    platform.commit(Vec::new(), changes).unwrap();
    (platform, record)
}

fn set_shadow(record: &mut Record, name: Option<&str>) {
    let fields = &mut record.body.fields;
    match name {
        Some(name) => fields.insert(SHADOW.to_owned(), json!([{ "name": name }])),
        None => fields.remove(SHADOW),
    };
}

fn body_of(platform: &MemoryPlatform, record: &Record, role: &str) -> Value {
    let document = platform.get(&record.part(role).unwrap().reference());
    serde_json::from_str(&document.unwrap().unwrap().body).unwrap()
}

fn names(platform: &MemoryPlatform, model: &str) -> Vec<String> {
    let mut names: Vec<String> = platform
        .documents_of(model)
        .iter()
        .map(|document| {
            let body: Value = serde_json::from_str(&document.body).unwrap();
            assert!(
                document
                    .keys
                    .contains(&Key::new("name", body["name"].as_str().unwrap()))
            );
            body["name"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_record_has_three_syncs_two_schedules_and_the_shadow_it_asks_for() {
    let (platform, _) = platform_with_parts(Some("Umbra"));
    assert_eq!(
        names(&platform, DATA_SYNC),
        [
            "SyncSparkAcme",
            "SyncSparkRolesLicensesAcme",
            "SyncSparkUsersAcme"
        ]
    );
    assert_eq!(
        names(&platform, SCHEDULE),
        ["CheckExpirySparkAcme", "RefreshSparkAcme"]
    );
    assert_eq!(names(&platform, SHADOW_MODEL), ["Umbra"]);
    let owner = Key::new(key::OWNER, PKID);
    for document in platform.documents() {
        let part = document.reference.model != crate::platform::RECORD_MODEL;
        assert_eq!(
            document.keys.contains(&owner),
            part,
            "{}",
            document.reference
        );
        assert_eq!(document.hierarchy, HIERARCHY);
    }
}

#[test]
fn a_schedule_names_what_it_runs_and_when() {
    let (platform, record) = platform_with_parts(None);
    let body = body_of(&platform, &record, REFRESH_SCHEDULE);
    assert_eq!(body["schedule_type"], "Multi Execution");
    assert_eq!(body["active"], true);
    assert_eq!(body["last_executed"], Value::Null);
    assert_eq!(body["multi_execute"]["next"], "2026-01-08T00:00:00Z");
    let resource = &body["scheduled_resources"][0];
    assert_eq!(resource["perform_action"], "RefreshAccessToken");
    assert_eq!(resource["resource_instance"], PKID);
}

#[test]
fn a_run_moves_the_schedule_and_keeps_the_rest() {
    let (platform, record) = platform_with_parts(None);
    let change = reschedule(
        &platform,
        &record,
        REFRESH_SCHEDULE,
        Some(START + DAY),
        Some(START + 2 * DAY),
    );
    platform
        .commit(Vec::new(), vec![change.unwrap().unwrap()])
        .unwrap();
    let body = body_of(&platform, &record, REFRESH_SCHEDULE);
    assert_eq!(body["last_executed"], "2026-01-02T00:00:00Z");
    assert_eq!(body["multi_execute"]["next"], "2026-01-03T00:00:00Z");

    let change = reschedule(&platform, &record, REFRESH_SCHEDULE, None, None);
    platform
        .commit(Vec::new(), vec![change.unwrap().unwrap()])
        .unwrap();
    let body = body_of(&platform, &record, REFRESH_SCHEDULE);
    assert_eq!(body["last_executed"], "2026-01-02T00:00:00Z");
    assert_eq!(body["active"], false);
    assert_eq!(body["multi_execute"], Value::Null);

    let again = reschedule(&platform, &record, REFRESH_SCHEDULE, None, None);
    assert_eq!(again, Ok(None));
}

#[test]
fn a_schedule_that_somebody_took_away_comes_back() {
    let (platform, record) = platform_with_parts(None);
    let reference = record.part(REFRESH_SCHEDULE).unwrap().reference();
    platform
        .commit(Vec::new(), vec![Change::Delete(reference)])
        .unwrap();
    let change = reschedule(&platform, &record, REFRESH_SCHEDULE, None, Some(START));
    platform
        .commit(Vec::new(), vec![change.unwrap().unwrap()])
        .unwrap();
    assert_eq!(
        body_of(&platform, &record, REFRESH_SCHEDULE)["active"],
        true
    );
}

#[test]
fn a_rename_renames_what_carries_the_name_and_keeps_what_was_changed_by_hand() {
    let (platform, mut record) = platform_with_parts(Some("Umbra"));
    let part = record.part(SYNC_USERS).unwrap().clone();
    let mut body = stored_body(&platform, &part).unwrap().unwrap();
    body.insert("description".to_owned(), "weekly".into());
    let by_hand = Change::Put(document(&record, &part, &body));
    platform.commit(Vec::new(), vec![by_hand]).unwrap();

    record.body.fields.insert("name".to_owned(), "Apex".into());
    let changes = follow(&mut record, &platform).unwrap();
    assert_eq!(changes.len(), 5);
    platform.commit(Vec::new(), changes).unwrap();
    assert_eq!(
        names(&platform, DATA_SYNC),
        [
            "SyncSparkApex",
            "SyncSparkRolesLicensesApex",
            "SyncSparkUsersApex"
        ]
    );
    assert_eq!(names(&platform, SHADOW_MODEL), ["Umbra"]);
    assert_eq!(
        body_of(&platform, &record, SYNC_USERS)["description"],
        "weekly"
    );
    assert_eq!(
        body_of(&platform, &record, REFRESH_SCHEDULE)["active"],
        true
    );
    assert_eq!(follow(&mut record, &platform), Ok(Vec::new()));
}

#[test]
fn the_shadow_appears_changes_its_name_and_disappears_with_the_field() {
    let (platform, mut record) = platform_with_parts(None);
    for (shadow, expected) in [
        (Some("Umbra"), &["Umbra"][..]),
        (Some("Penumbra"), &["Penumbra"]),
        (None, &[]),
    ] {
        set_shadow(&mut record, shadow);
        let changes = follow(&mut record, &platform).unwrap();
        platform.commit(Vec::new(), changes).unwrap();
        assert_eq!(names(&platform, SHADOW_MODEL), expected);
        assert_eq!(record.part(SHADOW_ROLE).is_some(), shadow.is_some());
    }
}

#[test]
fn every_part_has_a_key_of_its_own() {
    let (_, record) = platform_with_parts(Some("Umbra"));
    let mut pkids: Vec<&str> = record
        .body
        .parts
        .iter()
        .map(|part| part.pkid.as_str())
        .collect();
    pkids.sort_unstable();
    pkids.dedup();
    assert_eq!(pkids.len(), 6);
    assert!(pkids.iter().all(|pkid| pkid.len() == 24));
}

#[test]
fn what_names_no_document_is_no_part() {
    let (platform, record) = platform_with_parts(None);
    let whole = record.body.parts.len();
    let mut broken = record.clone();
    for pkid in ["", "0123", &"F".repeat(24), &"é".repeat(12)] {
        let mut part = record.body.parts[0].clone();
        part.pkid = pkid.to_owned();
        broken.body.parts.push(part);
    }
    for model in [String::new(), "m".repeat(129)] {
        let mut part = record.body.parts[0].clone();
        part.model = model;
        broken.body.parts.push(part);
    }
    let change = Change::Put(broken.to_document().unwrap());
    platform.commit(Vec::new(), vec![change]).unwrap();
    let read = Record::load(&platform, PKID).unwrap();
    assert_eq!(read.body.parts.len(), whole);
}

#[test]
fn a_name_that_no_key_can_hold_is_left_out_of_the_keys() {
    // The longest name that the form takes, in the longest characters: with a prefix it is too long for a key.
    let mut record = connected_record(START);
    record
        .body
        .fields
        .insert("name".to_owned(), "😀".repeat(1_024).into());
    let platform = MemoryPlatform::new();
    plan(&mut record, &platform);
    let mut documents: Vec<Document> = creation(&record, Times::default(), Times::default())
        .into_iter()
        .filter_map(|change| match change {
            Change::Put(document) => Some(document),
            _ => None,
        })
        .collect();
    documents.push(record.to_document().unwrap());
    record
        .body
        .fields
        .insert("name".to_owned(), "x".repeat(4_097).into());
    documents.push(record.to_document().unwrap());
    for document in documents {
        let keys = document.keys;
        assert!(
            keys.iter().all(|key| key.value.len() <= 4_096),
            "{:?}",
            document.reference
        );
        assert!(
            keys.iter()
                .any(|key| key.name == "owner" || key.name == "state")
        );
    }
}

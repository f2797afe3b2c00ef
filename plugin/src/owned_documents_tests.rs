//! Tests of creating, rescheduling and renaming the documents that a record owns.

use super::*;
use crate::testing::{DAY, HIERARCHY, MemoryPlatform, PKID, START, connected_record};

fn platform_with_owned_documents(shadow: Option<&str>) -> (MemoryPlatform, Record) {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(START);
    if let Some(name) = shadow {
        set_shadow(&mut record, Some(name));
    }
    plan(&mut record, &platform);
    let next = |at| RunTimes {
        last: None,
        next: Some(at),
    };
    let mut changes = creation_changes(&record, next(START + 7 * DAY), next(START + 60 * DAY));
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
    let document = platform.get(&record.owned_document(role).unwrap().reference());
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
fn new_record_gets_syncs_schedules_and_shadow() {
    let (platform, _) = platform_with_owned_documents(Some("Umbra"));
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
        let is_owned = document.reference.model != crate::platform::RECORD_MODEL;
        assert_eq!(
            document.keys.contains(&owner),
            is_owned,
            "{}",
            document.reference
        );
        assert_eq!(document.hierarchy, HIERARCHY);
    }
}

#[test]
fn schedule_names_its_action_and_next_run() {
    let (platform, record) = platform_with_owned_documents(None);
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
fn reschedule_updates_run_times_only() {
    let (platform, record) = platform_with_owned_documents(None);
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
fn reschedule_recreates_a_deleted_schedule() {
    let (platform, record) = platform_with_owned_documents(None);
    let reference = record.owned_document(REFRESH_SCHEDULE).unwrap().reference();
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
fn rename_updates_names_and_keeps_manual_edits() {
    let (platform, mut record) = platform_with_owned_documents(Some("Umbra"));
    let sync = record.owned_document(SYNC_USERS).unwrap().clone();
    let mut body = stored_body(&platform, &sync).unwrap().unwrap();
    body.insert("description".to_owned(), "weekly".into());
    let by_hand = Change::Put(document(&record, &sync, &body));
    platform.commit(Vec::new(), vec![by_hand]).unwrap();

    record.body.fields.insert("name".to_owned(), "Apex".into());
    let changes = sync_names(&mut record, &platform).unwrap();
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
    assert_eq!(sync_names(&mut record, &platform), Ok(Vec::new()));
}

#[test]
fn shadow_follows_its_field() {
    let (platform, mut record) = platform_with_owned_documents(None);
    for (shadow, expected) in [
        (Some("Umbra"), &["Umbra"][..]),
        (Some("Penumbra"), &["Penumbra"]),
        (None, &[]),
    ] {
        set_shadow(&mut record, shadow);
        let changes = sync_names(&mut record, &platform).unwrap();
        platform.commit(Vec::new(), changes).unwrap();
        assert_eq!(names(&platform, SHADOW_MODEL), expected);
        assert_eq!(
            record.owned_document(SHADOW_ROLE).is_some(),
            shadow.is_some()
        );
    }
}

#[test]
fn owned_documents_have_distinct_pkids() {
    let (_, record) = platform_with_owned_documents(Some("Umbra"));
    let mut pkids: Vec<&str> = record
        .body
        .owned_documents
        .iter()
        .map(|owned| owned.pkid.as_str())
        .collect();
    pkids.sort_unstable();
    pkids.dedup();
    assert_eq!(pkids.len(), 6);
    assert!(pkids.iter().all(|pkid| pkid.len() == 24));
}

#[test]
fn invalid_references_are_dropped_on_load() {
    let (platform, record) = platform_with_owned_documents(None);
    let whole = record.body.owned_documents.len();
    let mut broken = record.clone();
    for pkid in ["", "0123", &"F".repeat(24), &"é".repeat(12)] {
        let mut owned = record.body.owned_documents[0].clone();
        owned.pkid = pkid.to_owned();
        broken.body.owned_documents.push(owned);
    }
    for model in [String::new(), "m".repeat(129)] {
        let mut owned = record.body.owned_documents[0].clone();
        owned.model = model;
        broken.body.owned_documents.push(owned);
    }
    let change = Change::Put(broken.to_document().unwrap());
    platform.commit(Vec::new(), vec![change]).unwrap();
    let read = Record::load(&platform, PKID).unwrap();
    assert_eq!(read.body.owned_documents.len(), whole);
}

#[test]
fn name_longer_than_a_key_is_not_a_key() {
    // The longest name that the form accepts, in four-byte characters: with a prefix it is too long
    // for a key.
    let mut record = connected_record(START);
    record
        .body
        .fields
        .insert("name".to_owned(), "😀".repeat(1_024).into());
    let platform = MemoryPlatform::new();
    plan(&mut record, &platform);
    let mut documents: Vec<Document> =
        creation_changes(&record, RunTimes::default(), RunTimes::default())
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
                .any(|key| key.name == "owner" || key.name == "urgency")
        );
    }
}

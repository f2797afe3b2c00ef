//! Adding, changing and deleting data syncs.

use serde_json::json;

use super::*;
use crate::owned_documents::SCHEDULE;
use crate::platform::{Environment, Storage};
use crate::testing::{CommitFault, DATA_SYNCS, MemoryPlatform, PKID, field_errors};
use crate::workflows::schedules::{ScheduleRequest, schedule_data_sync};
use crate::workflows::sync::{IMPORT_MODEL, SEEN_MODEL, schedule_import, sync};

fn save(
    platform: &MemoryPlatform,
    selector: Option<&str>,
    members: Value,
) -> Result<SaveReport, Failure> {
    save_data_sync(platform, PKID, selector, members.as_object().unwrap())
}

fn fields(result: Result<SaveReport, Failure>) -> Vec<String> {
    field_errors(result)
        .into_iter()
        .map(|(field, _)| field)
        .collect()
}

fn nightly() -> Value {
    json!({"name": "Nightly", "model_type_list": ["device/spark/User"]})
}

fn schedule(platform: &MemoryPlatform, sync: &str) {
    let request = ScheduleRequest {
        start: "2026-01-02T03:00",
        every: Some("1d"),
        ..ScheduleRequest::default()
    };
    schedule_data_sync(platform, PKID, sync, request).unwrap();
}

#[test]
fn added_data_sync_has_the_defaults() {
    let platform = MemoryPlatform::connected().unwrap();
    let report = save(&platform, None, nightly()).unwrap();
    assert_eq!(report.outcome, SaveOutcome::Added);
    let [document] = platform.documents_of(DATA_SYNC).try_into().unwrap();
    assert_eq!(document.reference.pkid, report.sync_pkid);
    let body: Value = serde_json::from_str(&document.body).unwrap();
    assert_eq!(
        body,
        json!({
            "name": "Nightly", "owner": PKID, "description": "", "device_type": "Spark", "sync_type": "pull",
            "refresh_existing_data": true, "model_type_list": ["device/spark/User"], "model_instance_filter": null,
            "disabled_operations": [],
        })
    );
    let record = Record::load(&platform, PKID).unwrap();
    let found = DataSync::find(&platform, &record, "Nightly").unwrap();
    assert_eq!(found.pkid, report.sync_pkid);
}

#[test]
fn members_that_are_not_given_stay() {
    let platform = MemoryPlatform::connected().unwrap();
    let added = save(&platform, None, nightly()).unwrap();
    let condition = json!({"model": "device/spark/User", "attribute": "title", "value": "Dr"});
    for (members, outcome) in [
        (
            json!({"disabled_operations": ["remove", "remove"]}),
            SaveOutcome::Changed,
        ),
        (
            json!({"model_instance_filter": [condition]}),
            SaveOutcome::Changed,
        ),
        (
            json!({"description": " Only doctors "}),
            SaveOutcome::Changed,
        ),
        (
            json!({"description": "Only doctors"}),
            SaveOutcome::Unchanged,
        ),
        (json!({"name": "Doctors"}), SaveOutcome::Changed),
    ] {
        let report = save(&platform, Some(&added.sync_pkid), members).unwrap();
        assert_eq!(report.outcome, outcome);
    }
    let cleared = json!({"model_instance_filter": []});
    let report = save(&platform, Some("Doctors"), cleared).unwrap();
    assert_eq!(report.sync_pkid, added.sync_pkid);
    for (name, value) in [
        ("name", json!("Doctors")),
        ("description", json!("Only doctors")),
        ("disabled_operations", json!(["remove"])),
        ("model_instance_filter", Value::Null),
        ("model_type_list", json!(["device/spark/User"])),
    ] {
        assert_eq!(report.data_sync[name], value, "{name}");
    }
}

#[test]
fn own_data_sync_changes_but_keeps_its_name() {
    let platform = MemoryPlatform::connected().unwrap();
    let members = json!({"refresh_existing_data": false});
    let report = save(&platform, Some("users"), members).unwrap();
    assert_eq!(report.sync_pkid, DATA_SYNCS[2]);
    assert_eq!(
        report.data_sync["model_type_list"],
        json!(["device/spark/User"])
    );
    let renamed = save(&platform, Some("users"), json!({"name": "Mine"}));
    assert_eq!(fields(renamed), ["name"]);
    let same = json!({"name": "sync-users of Acme"});
    assert!(save(&platform, Some("users"), same).is_ok());
}

#[test]
fn all_errors_are_reported_by_member() {
    let platform = MemoryPlatform::connected().unwrap();
    let result = save(
        &platform,
        None,
        json!({
            "name": "Night\u{200b}ly",
            "description": "x".repeat(1025),
            "sync_type": "push",
            "refresh_existing_data": "yes",
            "model_type_list": ["device/spark/Usr", "device/spark/Role"],
            "model_instance_filter": [{"model": "device/spark/User"}, {"model": "x", "attribute": "y", "value": "z"}],
            "disabled_operations": ["delete"],
        }),
    );
    let mut found = fields(result);
    found.sort();
    found.dedup();
    let mut all = member::ALL.map(str::to_owned);
    all.sort();
    assert_eq!(found, all);
    for (members, field, text) in [
        (json!({}), "name", "is required"),
        (json!({"name": "A"}), "model_type_list", "names no model"),
        (json!({"name": "roles-licenses"}), "name", "is not possible"),
        (json!({"name": DATA_SYNCS[0]}), "name", "is not possible"),
    ] {
        let errors = field_errors(save(&platform, None, members));
        let is_told = errors
            .iter()
            .any(|(name, error)| name == field && error.contains(text));
        assert!(is_told, "{field} {text}: {errors:?}");
    }
    assert!(platform.documents_of(DATA_SYNC).is_empty());
}

#[test]
fn names_are_unique_in_every_spelling() {
    let platform = MemoryPlatform::connected().unwrap();
    let models = json!(["device/spark/Role"]);
    save(
        &platform,
        None,
        json!({"name": "Café", "model_type_list": models}),
    )
    .unwrap();
    for name in ["Café", "Cafe\u{301}", "sync-all of Acme"] {
        let again = json!({"name": name, "model_type_list": models, "description": "other"});
        let errors = field_errors(save(&platform, None, again));
        assert_eq!(errors[0].0, "name", "{name}");
        assert!(errors[0].1.contains("is taken"), "{errors:?}");
    }
    save(&platform, None, nightly()).unwrap();
    let taken = save(&platform, Some("Nightly"), json!({"name": "Café"}));
    assert_eq!(fields(taken), ["name"]);
}

#[test]
fn repeated_call_adds_nothing_twice() {
    let platform = MemoryPlatform::connected().unwrap();
    let lost = Failure::Unavailable("the result is lost".to_owned());
    platform.inject_commit_fault(1, CommitFault::LoseResult(lost));
    assert!(save(&platform, None, nightly()).is_err());
    let report = save(&platform, None, nightly()).unwrap();
    assert_eq!(report.outcome, SaveOutcome::Unchanged);
    assert_eq!(platform.documents_of(DATA_SYNC).len(), 1);
}

#[test]
fn number_of_data_syncs_is_limited() {
    let platform = MemoryPlatform::connected().unwrap();
    for number in 0..MAX_ADDED {
        let mut members = nightly();
        members["name"] = format!("Nightly {number}").into();
        save(&platform, None, members).unwrap();
    }
    let errors = field_errors(save(&platform, None, nightly()));
    assert!(errors[0].1.contains("has 50 added"), "{errors:?}");
    let changed = save(
        &platform,
        Some("Nightly 1"),
        json!({"description": "still possible"}),
    );
    assert!(changed.is_ok());
}

#[test]
fn rename_renames_the_schedule() {
    let platform = MemoryPlatform::connected().unwrap();
    save(&platform, None, nightly()).unwrap();
    schedule(&platform, "Nightly");
    save(&platform, Some("Nightly"), json!({"name": "Daily"})).unwrap();
    let [document] = platform.documents_of(SCHEDULE).try_into().unwrap();
    let body: Value = serde_json::from_str(&document.body).unwrap();
    assert_eq!(body["name"], "ScheduleDaily");
    assert_eq!(body["active"], true);
}

#[test]
fn delete_removes_schedule_wakeups_and_import() {
    let platform = MemoryPlatform::connected().unwrap();
    let members = json!({"name": "Nightly", "model_type_list": ["device/spark/License"]});
    let added = save(&platform, None, members).unwrap();
    schedule(&platform, "Nightly");
    // More pages than one call reads.
    platform.serve(|_, request| {
        let page: u32 = request
            .uri()
            .query()
            .and_then(|query| {
                query
                    .split('&')
                    .find_map(|each| each.strip_prefix("cursor="))
            })
            .map_or(0, |cursor| cursor.parse().unwrap());
        let body = json!({"items": [{"id": format!("L{page}"), "name": "L"}]}).to_string();
        let link = format!(
            "<https://webexapis.com/v1/licenses?cursor={}>; rel=\"next\"",
            page + 1
        );
        crate::testing::raw_response(200, &[("Link", &link)], body)
    });
    let report = sync(&platform, PKID, "Nightly", false).unwrap();
    assert!(report.continues.is_some(), "{}", report.message);
    assert!(!platform.documents_of(SEEN_MODEL).is_empty());

    let deleted = delete_data_sync(&platform, PKID, "Nightly").unwrap();
    assert_eq!(deleted.sync_pkid, added.sync_pkid);
    assert!(deleted.had_schedule && deleted.cancelled_import);
    for model in [DATA_SYNC, SCHEDULE, SEEN_MODEL, IMPORT_MODEL] {
        assert!(platform.documents_of(model).is_empty(), "{model}");
    }
    assert!(!platform.documents_of("device/spark/License").is_empty());
    let wakeups: Vec<String> = platform
        .all_wakeups()
        .into_iter()
        .map(|each| each.id)
        .collect();
    assert_eq!(wakeups, ["refresh"]);
}

#[test]
fn own_data_sync_cannot_be_deleted() {
    let platform = MemoryPlatform::connected().unwrap();
    for selector in ["all", "sync-users", DATA_SYNCS[1]] {
        let error = delete_data_sync(&platform, PKID, selector).unwrap_err();
        assert!(error.to_string().contains("every customer has"), "{error}");
    }
    let unknown = delete_data_sync(&platform, PKID, "Nightly").unwrap_err();
    assert!(unknown.to_string().contains("there are all, "), "{unknown}");
}

#[test]
fn wakeup_of_a_deleted_data_sync_is_dismissed() {
    let platform = MemoryPlatform::connected().unwrap();
    let added = save(&platform, None, nightly()).unwrap();
    let record = Record::load(&platform, PKID).unwrap();
    let due = schedule_import(&record, &added.sync_pkid, platform.now());
    delete_data_sync(&platform, PKID, "Nightly").unwrap();
    platform.commit(Vec::new(), vec![due]).unwrap();
    let stray = platform.import_wakeup(&record.reference()).unwrap();
    crate::workflows::wake::wake(&platform, &stray).unwrap();
    assert!(platform.import_wakeup(&record.reference()).is_none());
}

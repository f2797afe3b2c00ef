//! Stored data syncs: which one a caller names, and what it reads.

use serde_json::json;

use super::*;
use crate::grant::Grant;
use crate::owned_documents::DATA_SYNC;
use crate::platform::{Document, Key, Reference};
use crate::record::key;
use crate::testing::{DATA_SYNCS, HIERARCHY, MemoryPlatform, PKID, START, connected_record};

const OWN: &str = "d000000000000000000000ff";

/// Stores a data sync that an administrator has made.
fn with_sync(body: &Value) -> (MemoryPlatform, Record) {
    let platform = MemoryPlatform::connected().unwrap();
    let document = Document {
        reference: Reference::new(DATA_SYNC, OWN),
        hierarchy: HIERARCHY.to_owned(),
        version: 0,
        body: body.to_string(),
        keys: vec![Key::new(key::OWNER, PKID), Key::new(key::NAME, "Mine")],
    };
    platform
        .commit(Vec::new(), vec![Change::Put(document)])
        .unwrap();
    let record = Record::load(&platform, PKID).unwrap();
    (platform, record)
}

fn models(sync: &DataSync) -> Vec<&str> {
    sync.lists.iter().map(|list| list.model).collect()
}

fn field_errors(found: Result<DataSync, Failure>) -> Vec<String> {
    match found {
        Err(Failure::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_sync_is_found_by_role_name_and_pkid() {
    let models_of = json!({"name": "Mine", "model_type_list": ["device/spark/User"]});
    let (platform, record) = with_sync(&models_of);
    for (selector, pkid) in [
        ("roles-licenses", DATA_SYNCS[1]),
        ("sync-roles-licenses", DATA_SYNCS[1]),
        ("users", DATA_SYNCS[2]),
        ("sync-users of Acme", DATA_SYNCS[2]),
        (DATA_SYNCS[0], DATA_SYNCS[0]),
        ("Mine", OWN),
        (OWN, OWN),
    ] {
        let found = DataSync::find(&platform, &record, selector).unwrap();
        assert_eq!(found.pkid, pkid, "{selector}");
    }
    let unknown = DataSync::find(&platform, &record, "Min").unwrap_err();
    assert!(
        unknown.to_string().contains("did you mean Mine?"),
        "{unknown}"
    );
}

#[test]
fn models_keep_their_order_without_those_that_do_not_apply() {
    let listed = ["User", "Role", "CXSite", "User", "WholesaleCustomer"];
    let listed = listed.map(|model| format!("device/spark/{model}"));
    let (platform, mut record) = with_sync(&json!({"name": "Mine", "model_type_list": listed}));
    let find = |record: &Record| DataSync::find(&platform, record, OWN).unwrap();
    assert_eq!(
        models(&find(&record)),
        ["device/spark/User", "device/spark/Role"]
    );
    for flag in ["webex_contact_center", "wholesale_status"] {
        record.body.fields.insert(flag.to_owned(), true.into());
    }
    record.complete_grants();
    assert!(record.grants().contains(&Grant::WholesaleCustomers));
    assert_eq!(models(&find(&record)).len(), 4);
}

#[test]
fn every_unusable_member_is_named() {
    let (platform, record) = with_sync(&json!({
        "name": "Mine",
        "model_type_list": ["device/spark/Rolle"],
        "sync_type": "push",
        "disabled_operations": ["add", "delete"],
        "model_instance_filter": [
            {"model": "device/spark/Nothing", "attribute": "name", "value": "x"},
        ],
    }));
    assert_eq!(
        field_errors(DataSync::find(&platform, &record, OWN)),
        [
            "model_type_list",
            "sync_type",
            "disabled_operations",
            "model_instance_filter"
        ]
    );
    for body in [
        json!({"name": "Mine"}),
        json!({"name": "Mine", "model_type_list": []}),
    ] {
        let (platform, record) = with_sync(&body);
        let found = DataSync::find(&platform, &record, OWN);
        assert_eq!(field_errors(found), ["model_type_list"]);
    }
    let (platform, record) = with_sync(&json!({"name": "Mine", "model_type_list": 5}));
    assert_eq!(
        field_errors(DataSync::find(&platform, &record, OWN)),
        ["model_type_list"]
    );
}

#[test]
fn settings_say_which_changes_are_permitted() {
    for (member, value, allowed) in [
        ("name", json!("Mine"), [true, true, true]),
        ("disabled_operations", json!(["add"]), [false, true, true]),
        (
            "disabled_operations",
            json!(["update", "remove"]),
            [true, false, false],
        ),
        ("refresh_existing_data", json!(false), [true, false, true]),
    ] {
        let mut body = json!({"name": "Mine", "model_type_list": ["device/spark/Role"]});
        body[member] = value;
        let (platform, record) = with_sync(&body);
        let found = DataSync::find(&platform, &record, OWN)
            .unwrap()
            .allowed_changes;
        assert_eq!([found.add, found.update, found.remove], allowed, "{member}");
    }
}

#[test]
fn filter_is_about_its_own_model() {
    let entry = |fields: Value| {
        let mut fields = fields;
        fields["id"] = json!("1");
        Entry::parse(fields.to_string().as_bytes()).unwrap()
    };
    let filter = |condition: &str, attribute: &str, value: &str| {
        let (platform, record) = with_sync(&json!({
            "name": "Mine",
            "model_type_list": ["device/spark/User", "device/spark/Role"],
            "model_instance_filter": [{
                "model": "device/spark/User", "attribute": attribute,
                "condition": condition, "value": value,
            }],
        }));
        DataSync::find(&platform, &record, OWN).unwrap()
    };
    let user = "device/spark/User";
    let emails = json!({"emails": ["ann@example.com", "ann@example.org"]});
    assert!(filter("contains", "emails", "@example.org").includes(user, &entry(emails.clone())));
    assert!(!filter("equals", "emails", "@example.org").includes(user, &entry(emails)));
    assert!(filter("starts-with", "title", "Dr").includes(user, &entry(json!({"title": "Dr."}))));
    assert!(filter("equals", "active", "true").includes(user, &entry(json!({"active": true}))));
    let absent = filter("equals", "active", "true");
    assert!(!absent.includes(user, &entry(json!({}))));
    assert!(absent.includes("device/spark/Role", &entry(json!({}))));
}

#[test]
fn wakeup_names_its_data_sync() {
    let record = connected_record(START);
    let Some(Change::Schedule(wakeup)) = schedule_roles_licenses(&record, START) else {
        panic!("nothing is scheduled");
    };
    assert_eq!(from_wakeup(&wakeup), Some(DATA_SYNCS[1]));
    assert_eq!(wakeup.id, "sync.roles-licenses");
    assert_eq!(wakeup_id(&record, OWN), format!("sync.{OWN}"));
    for (id, payload) in [
        ("sync", ""),
        ("sync.x", "x"),
        ("synchronize.x", OWN),
        ("refresh", OWN),
    ] {
        let other = Wakeup {
            id: id.to_owned(),
            payload: payload.to_owned(),
            ..wakeup.clone()
        };
        assert_eq!(from_wakeup(&other), None, "{id}");
    }
}

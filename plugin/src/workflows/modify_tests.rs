//! Changing a record: fields, names, proxies, tokens.

use serde_json::{Value, json};

use super::*;
use crate::alerts;
use crate::owned_documents::{DATA_SYNC, REFRESH_SCHEDULE, SCHEDULE, SHADOW_MODEL};
use crate::platform::{Document, FieldError, Millis, Storage, UnixMillis};
use crate::record::{Retry, State};
use crate::testing::{
    ACCESS_TOKEN, CommitFault, DAY, HIERARCHY, MemoryPlatform, ORGANIZATION, PKID, REFRESH_TOKEN,
    SECOND, START, json_response,
};
use crate::workflows::add::{self, add};

const OTHER_PKID: &str = "ffffffffffffffffffffffff";

fn added(pkid: &str, fields: Value, tokens: bool) -> add::Request {
    let response = json!({
        "access_token": ACCESS_TOKEN, "expires_in": 1_209_600,
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
    });
    add::Request {
        pkid: pkid.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: tokens.then(|| Secret::new(response.to_string())),
        idempotency_key: None,
    }
}

fn connected(fields: Value) -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.serve_organization(ORGANIZATION);
    add(&platform, added(PKID, fields, true)).unwrap();
    platform
}

fn change(platform: &MemoryPlatform, fields: Value) -> Result<ConnectionReport, Failure> {
    modify(platform, PKID, &Secret::new(fields.to_string()), None)
}

fn field_errors(result: Result<ConnectionReport, Failure>) -> Vec<FieldError> {
    match result {
        Err(Failure::Invalid(errors)) => errors,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

fn new_token_response() -> Secret {
    Secret::new(
        json!({
            "access_token": "new-access", "expires_in": 43_199,
            "refresh_token": "new-refresh", "refresh_token_expires_in": 5_000_000,
        })
        .to_string(),
    )
}

fn name_of(document: &Document) -> String {
    let body: Value = serde_json::from_str(&document.body).unwrap();
    body["name"].as_str().unwrap().to_owned()
}

#[test]
fn modify_changes_only_the_given_fields() {
    let platform = connected(json!({"email_domain": "acme.example", "dirsync_enabled": true}));
    let before = Record::load(&platform, PKID).unwrap();
    change(&platform, json!({"dirsync_enabled": false})).unwrap();
    let after = Record::load(&platform, PKID).unwrap();
    assert_eq!(after.text("email_domain"), Some("acme.example"));
    assert!(!after.flag("dirsync_enabled"));
    assert_eq!(after.body.connection, before.body.connection);
    assert_eq!(after.body.owned_documents, before.body.owned_documents);
    assert_eq!(after.version, before.version + 1);
}

#[test]
fn import_follows_new_tokens_only() {
    let platform = connected(json!({}));
    let owner = Reference::record(PKID);
    let waiting = platform.import_wakeup(&owner).unwrap();
    let cancel = Change::Cancel(owner.clone(), waiting.id);
    platform.commit(Vec::new(), vec![cancel]).unwrap();
    change(&platform, json!({"email_domain": "acme.example"})).unwrap();
    assert_eq!(platform.import_wakeup(&owner), None);
    platform.advance(DAY);
    modify(
        &platform,
        PKID,
        &Secret::new("{}"),
        Some(&new_token_response()),
    )
    .unwrap();
    let wakeup = platform.import_wakeup(&owner).unwrap();
    assert_eq!(UnixMillis(wakeup.due), START + DAY + SECOND);
}

fn set_retry(platform: &MemoryPlatform, before_webex: bool) -> UnixMillis {
    let mut record = Record::load(platform, PKID).unwrap();
    let next = START + DAY;
    let connection = &mut record.body.connection;
    connection.state = State::Retrying;
    connection.next_refresh = Some(next);
    connection.retry = Some(Retry {
        attempts: 3,
        before_webex,
        ..Retry::default()
    });
    let put = Change::Put(record.to_document().unwrap());
    platform.commit(Vec::new(), vec![put]).unwrap();
    next
}

#[test]
fn changed_proxy_ends_the_wait_for_a_refresh() {
    let proxy = json!({"https_proxy": "http://proxy.example:3128"});
    for change_of_proxy in [
        proxy.clone(),
        json!({"https_proxy": null}),
        json!({"http_proxy": "http://proxy.example:3128"}),
    ] {
        let platform = connected(proxy.clone());
        set_retry(&platform, true);
        let report = change(&platform, change_of_proxy).unwrap();
        let due = START + SECOND;
        assert_eq!(report.next_refresh, Some(due.0));
        let wakeup = platform
            .wakeup(&Reference::record(PKID), "refresh")
            .unwrap();
        assert_eq!(UnixMillis(wakeup.due), due);
        let schedules = platform.documents_of(SCHEDULE);
        let next = r#""next":"2026-01-01T00:00:01Z""#;
        assert!(
            schedules
                .iter()
                .any(|schedule| schedule.body.contains(next))
        );
        assert!(platform.logged(Level::Info, "because a proxy was changed"));
    }
}

#[test]
fn other_changes_keep_the_wait_for_a_refresh() {
    let proxy = "http://proxy.example:3128";
    for (before_webex, fields) in [
        (true, json!({"email_domain": "acme.example"})),
        (true, json!({"https_proxy": format!("{proxy}/")})),
        (false, json!({"https_proxy": null})),
    ] {
        let platform = connected(json!({"https_proxy": proxy}));
        let next = set_retry(&platform, before_webex);
        let report = change(&platform, fields).unwrap();
        assert_eq!(report.next_refresh, Some(next.0));
    }
}

#[test]
fn identical_fields_change_nothing() {
    let platform = connected(json!({"email_domain": "acme.example"}));
    let before = platform.documents();
    change(
        &platform,
        json!({"email_domain": "acme.example", "name": "Acme"}),
    )
    .unwrap();
    assert_eq!(platform.documents(), before);
}

#[test]
fn rename_renames_owned_documents() {
    let platform = connected(json!({"shadow": [{"name": "Umbra"}]}));
    let connection = change(&platform, json!({"name": "Apex"})).unwrap();
    assert_eq!(connection.name, "Apex");
    let mut names: Vec<String> = [DATA_SYNC, SCHEDULE, SHADOW_MODEL]
        .iter()
        .flat_map(|model| platform.documents_of(model))
        .map(|document| name_of(&document))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "CheckExpirySparkApex",
            "RefreshSparkApex",
            "SyncSparkApex",
            "SyncSparkRolesLicensesApex",
            "SyncSparkUsersApex",
            "Umbra",
        ]
    );
    let record = Record::load(&platform, PKID).unwrap();
    let owned = record.owned_document(REFRESH_SCHEDULE).unwrap();
    assert_eq!(owned.name, "RefreshSparkApex");
    let schedule = platform.get(&owned.reference()).unwrap().unwrap();
    assert!(schedule.body.contains("\"active\":true"));
    add(&platform, added(OTHER_PKID, json!({"name": "Acme"}), false)).unwrap();
}

#[test]
fn duplicate_name_is_refused() {
    let platform = connected(json!({}));
    add(&platform, added(OTHER_PKID, json!({"name": "Apex"}), false)).unwrap();
    let error = &field_errors(change(&platform, json!({"name": "Apex"})))[0];
    assert_eq!(error.field, "name");
    assert!(error.message.contains(OTHER_PKID));
}

#[test]
fn name_taken_concurrently_is_refused() {
    let platform = connected(json!({}));
    let meanwhile = |platform: &MemoryPlatform| {
        add(platform, added(OTHER_PKID, json!({"name": "Apex"}), false)).unwrap();
    };
    platform.inject_commit_fault(1, CommitFault::RunFirst(Box::new(meanwhile)));
    assert_eq!(
        field_errors(change(&platform, json!({"name": "Apex"})))[0].field,
        "name"
    );
    assert_eq!(Record::load(&platform, PKID).unwrap().name(), "Acme");
}

#[test]
fn concurrent_change_is_a_conflict() {
    let platform = connected(json!({}));
    let meanwhile = |platform: &MemoryPlatform| {
        change(platform, json!({"email_domain": "acme.example"})).unwrap();
    };
    platform.inject_commit_fault(1, CommitFault::RunFirst(Box::new(meanwhile)));
    let result = change(&platform, json!({"dirsync_enabled": true}));
    assert!(matches!(result, Err(Failure::Conflict(_))), "{result:?}");
    let record = Record::load(&platform, PKID).unwrap();
    assert_eq!(record.text("email_domain"), Some("acme.example"));
}

#[test]
fn new_tokens_replace_old_ones_and_reschedule() {
    let platform = connected(json!({}));
    let mut record = Record::load(&platform, PKID).unwrap();
    record.body.connection.state = State::Reauthorize;
    record.body.connection.next_refresh = None;
    record.body.connection.refusal = Some(Retry {
        attempts: 1,
        reason: "invalid_grant".to_owned(),
        tracking_id: None,
        ..Retry::default()
    });
    let put = Change::Put(record.to_document().unwrap());
    let cancel = Change::Cancel(record.reference(), "refresh".to_owned());
    platform.commit(Vec::new(), vec![put, cancel]).unwrap();
    platform.advance(DAY);

    let connection = modify(
        &platform,
        PKID,
        &Secret::new("{}"),
        Some(&new_token_response()),
    )
    .unwrap();
    let now = START + DAY;
    assert_eq!(connection.state, State::Connected);
    assert_eq!(connection.notes, "");
    assert_eq!(
        connection.refresh_token_expires.unwrap().at,
        now.0 + 5_000_000_000
    );
    let owner = Reference::record(PKID);
    let sealed = |name: &str| platform.secret(&owner, name).unwrap();
    assert_eq!(sealed(secret::ACCESS_TOKEN).expose(), "new-access");
    assert_eq!(sealed(secret::REFRESH_TOKEN).expose(), "new-refresh");
    let due = platform.wakeup(&owner, "refresh").unwrap().due;
    assert_eq!(Some(due), connection.next_refresh);
    assert!(due > now.0 && due <= now.0 + 43_199_000 / 2);
    let record = Record::load(&platform, PKID).unwrap();
    assert_eq!(record.body.connection.generation, 2);
    let schedule = record.owned_document(REFRESH_SCHEDULE).unwrap().reference();
    let schedule = platform.get(&schedule).unwrap().unwrap();
    assert!(
        schedule
            .body
            .contains(&crate::model::derived::format_timestamp(UnixMillis(due)))
    );
}

#[test]
fn rename_and_new_tokens_are_both_applied() {
    let platform = connected(json!({}));
    let fields = Secret::new(json!({"name": "Apex"}).to_string());
    platform.advance(DAY);
    modify(&platform, PKID, &fields, Some(&new_token_response())).unwrap();
    let record = Record::load(&platform, PKID).unwrap();
    let schedule = record.owned_document(REFRESH_SCHEDULE).unwrap().reference();
    let schedule = platform.get(&schedule).unwrap().unwrap();
    assert_eq!(name_of(&schedule), "RefreshSparkApex");
    let next = record.body.connection.next_refresh.unwrap();
    assert!(
        schedule
            .body
            .contains(&crate::model::derived::format_timestamp(next))
    );
}

#[test]
fn new_tokens_end_alerts_about_old_tokens() {
    let platform = connected(json!({}));
    let record = Record::load(&platform, PKID).unwrap();
    let notice = alerts::Notice {
        code: alerts::code::REAUTHORIZE,
        severity: alerts::Severity::Major,
        message: "connect again".to_owned(),
        threshold: Millis::ZERO,
    };
    let active = alerts::ActiveAlerts::default();
    let (_, raise) = active
        .raise(&record, Grant::Organization, &notice, START, &platform)
        .unwrap();
    platform.commit(Vec::new(), vec![raise]).unwrap();
    modify(
        &platform,
        PKID,
        &Secret::new("{}"),
        Some(&new_token_response()),
    )
    .unwrap();
    assert_eq!(platform.documents_of(alerts::ALERT), []);
}

#[test]
fn modify_rejects_tokens_of_other_organization() {
    let platform = connected(json!({}));
    platform.serve_organization("00000000-0000-4000-8000-000000000000");
    let before = platform.documents();
    let result = modify(
        &platform,
        PKID,
        &Secret::new("{}"),
        Some(&new_token_response()),
    );
    assert_eq!(field_errors(result)[0].field, "account_number_external");
    assert_eq!(platform.documents(), before);
    let token = platform.secret(&Reference::record(PKID), secret::ACCESS_TOKEN);
    assert_eq!(token.unwrap().expose(), ACCESS_TOKEN);
}

#[test]
fn organization_changes_together_with_tokens() {
    let other = "00000000-0000-4000-8000-000000000000";
    let platform = connected(json!({}));
    platform.serve_organization(other);
    let fields = Secret::new(json!({"account_number_external": other}).to_string());
    modify(&platform, PKID, &fields, Some(&new_token_response())).unwrap();
    let record = Record::load(&platform, PKID).unwrap();
    assert_eq!(record.organization(), Some(other));
}

#[test]
fn temporary_webex_error_changes_nothing() {
    let platform = connected(json!({}));
    platform.serve(|_, _| json_response(502, Value::Null));
    let before = platform.documents();
    let result = modify(
        &platform,
        PKID,
        &Secret::new("{}"),
        Some(&new_token_response()),
    );
    assert!(matches!(result, Err(Failure::Unavailable(_))), "{result:?}");
    assert_eq!(platform.documents(), before);
}

#[test]
fn proxies_are_sealed_kept_and_removed() {
    let platform = connected(json!({}));
    let owner = Reference::record(PKID);
    let sealed = || platform.secret(&owner, secret::HTTPS_PROXY);
    change(
        &platform,
        json!({"https_proxy": "http://bob:hunter2@proxy.example:3128"}),
    )
    .unwrap();
    assert_eq!(
        sealed().unwrap().expose(),
        "http://bob:hunter2@proxy.example:3128/"
    );
    change(
        &platform,
        json!({"https_proxy": "http://bob@proxy.example:3128/"}),
    )
    .unwrap();
    assert_eq!(
        sealed().unwrap().expose(),
        "http://bob:hunter2@proxy.example:3128/"
    );

    modify(
        &platform,
        PKID,
        &Secret::new("{}"),
        Some(&new_token_response()),
    )
    .unwrap();
    let through = platform.sent().pop().unwrap().proxies.1.unwrap();
    assert_eq!(through.expose(), "http://bob:hunter2@proxy.example:3128/");

    change(&platform, json!({"https_proxy": null})).unwrap();
    assert_eq!(sealed(), None);
    assert!(!platform.visible_output().contains("hunter2"));
}

#[test]
fn the_same_proxy_with_another_password_is_a_change() {
    let platform = connected(json!({"https_proxy": "http://bob:hunter2@proxy.example:3128"}));
    change(
        &platform,
        json!({"https_proxy": "http://bob:hunter3@proxy.example:3128"}),
    )
    .unwrap();
    let sealed = platform.secret(&Reference::record(PKID), secret::HTTPS_PROXY);
    assert_eq!(
        sealed.unwrap().expose(),
        "http://bob:hunter3@proxy.example:3128/"
    );
}

#[test]
fn add_only_fields_do_not_change() {
    let platform = connected(json!({}));
    let result = change(&platform, json!({"wholesale_status": true}));
    assert_eq!(field_errors(result)[0].field, "wholesale_status");
}

#[test]
fn modify_of_missing_record_is_not_found() {
    let platform = MemoryPlatform::new();
    let result = change(&platform, json!({}));
    assert_eq!(result, Err(Failure::NotFound(Reference::record(PKID))));
}

#[test]
fn stored_name_too_long_for_a_key_is_not_a_duplicate() {
    let platform = connected(json!({"name": "Acme", "account_number": ORGANIZATION}));
    let mut record = Record::load(&platform, PKID).unwrap();
    for field in ["name", "account_number_external"] {
        let text = "x".repeat(4_097).into();
        record.body.fields.insert(field.to_owned(), text);
    }
    let broken = Change::Put(record.to_document().unwrap());
    platform.commit(Vec::new(), vec![broken]).unwrap();
    for fields in [
        json!({"email_domain": "acme.example"}),
        json!({"name": "Acme"}),
    ] {
        if let Err(failure) = change(&platform, fields) {
            let Failure::Invalid(errors) = failure else {
                panic!("{failure:?}");
            };
            assert!(
                errors.iter().all(|error| error.field != "keys"),
                "{errors:?}"
            );
        }
    }
}

#[test]
fn forbidden_proxy_is_reported_at_its_field() {
    let platform = connected(json!({}));
    platform.refuse_proxies(Failure::LimitExceeded("not in egress.proxies".to_owned()));
    let fields = json!({"http_proxy": "http://bob:hunter2@proxy.example:3128"});
    let error = &field_errors(change(&platform, fields))[0];
    assert_eq!(error.field, "http_proxy");
    assert_eq!(error.message, "not in egress.proxies");
    // Unrelated changes are still possible.
    change(&platform, json!({"email_domain": "acme.example"})).unwrap();
}

#[test]
fn stored_hidden_character_is_kept_until_changed() {
    let platform = connected(json!({"name": "Acme"}));
    let mut record = Record::load(&platform, PKID).unwrap();
    let old: Value = "Ac\u{200b}me".into();
    record.body.fields.insert("name".to_owned(), old.clone());
    let put = Change::Put(record.to_document().unwrap());
    platform.commit(Vec::new(), vec![put]).unwrap();
    change(
        &platform,
        json!({"name": old, "email_domain": "acme.example"}),
    )
    .unwrap();
    let error = &field_errors(change(&platform, json!({"name": "Ap\u{200b}ex"})))[0];
    assert_eq!(error.field, "name");
}

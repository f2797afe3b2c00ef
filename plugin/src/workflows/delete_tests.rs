//! Deleting a record: the deleted documents, their order, and the revocation.

#[path = "delete_tests/imported.rs"]
mod imported;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::alerts::{self, ActiveAlerts, Notice, Severity};
use crate::platform::{Environment, RECORD_MODEL};
use crate::testing::{
    ACCESS_TOKEN, CommitFault, DAY, HIERARCHY, MemoryPlatform, ORGANIZATION, PKID, REFRESH_TOKEN,
    json_response, raw_response,
};
use crate::workflows::add::{self, add};

const OTHER_PKID: &str = "ffffffffffffffffffffffff";

fn add_customer(platform: &MemoryPlatform, pkid: &str, hierarchy: &str, tokens: bool) {
    let response = json!({
        "access_token": ACCESS_TOKEN, "expires_in": 1_209_600,
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
    });
    let request = add::Request {
        pkid: pkid.to_owned(),
        hierarchy: hierarchy.to_owned(),
        fields: Secret::new(
            json!({
                "account_number": ORGANIZATION,
                "shadow": [{"name": "Umbra"}],
                "https_proxy": "http://bob:hunter2@proxy.example:3128",
            })
            .to_string(),
        ),
        token_response: tokens.then(|| Secret::new(response.to_string())),
        idempotency_key: None,
    };
    add(platform, request).unwrap();
}

fn connected() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.serve_organization(ORGANIZATION);
    add_customer(&platform, PKID, HIERARCHY, true);
    platform
}

fn raise_alert(platform: &MemoryPlatform) {
    let record = Record::load(platform, PKID).unwrap();
    let notice = Notice {
        code: alerts::code::EXPIRING,
        severity: Severity::Major,
        message: "soon".to_owned(),
        threshold: DAY,
    };
    let raised = ActiveAlerts::default().raise(
        &record,
        Grant::Organization,
        &notice,
        platform.now(),
        platform,
    );
    platform
        .commit(Vec::new(), vec![raised.unwrap().1])
        .unwrap();
}

fn put_elsewhere(platform: &MemoryPlatform, model: &str) {
    let document = Document {
        reference: Reference::new(model, OTHER_PKID),
        hierarchy: HIERARCHY.to_owned(),
        version: 0,
        body: json!({"name": "kept"}).to_string(),
        keys: vec![Key::new("name", "kept")],
    };
    platform
        .commit(Vec::new(), vec![Change::Put(document)])
        .unwrap();
}

#[test]
fn delete_removes_everything_in_one_ordered_commit() {
    let platform = connected();
    raise_alert(&platform);
    let commits = platform.commits();
    let deletion = delete(&platform, PKID, false).unwrap();
    let models: Vec<&str> = deletion
        .documents
        .iter()
        .map(|document| document.reference.model.as_str())
        .collect();
    let expected = [
        SCHEDULE,
        SCHEDULE,
        DATA_SYNC,
        DATA_SYNC,
        DATA_SYNC,
        SHADOW_MODEL,
        ALERT,
        RECORD_MODEL,
    ];
    assert_eq!(models, expected);
    let names: Vec<&str> = deletion
        .documents
        .iter()
        .map(|document| document.name.as_str())
        .collect();
    for name in [
        "RefreshSparkAcme",
        "SyncSparkAcme",
        "Umbra",
        alerts::code::EXPIRING,
        "Acme",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let mut wakeups = deletion.wakeups;
    wakeups.sort();
    let kinds: Vec<_> = wakeups.iter().map(|id| id.split('.').next()).collect();
    assert_eq!(kinds, ["expiry", "refresh", "sync"].map(Some));
    assert_eq!(platform.commits(), commits + 1);
    assert_eq!(platform.documents(), []);
    assert_eq!(platform.secrets(), []);
    assert_eq!(platform.all_wakeups(), []);
}

#[test]
fn delete_keeps_documents_of_other_services() {
    let platform = connected();
    for model in ["data/NetworkDeviceList", "sys/Site", "sys/User", DATA_SYNC] {
        put_elsewhere(&platform, model);
    }
    delete(&platform, PKID, false).unwrap();
    assert_eq!(platform.documents().len(), 4);
}

#[test]
fn tokens_are_revoked_after_delete_through_the_proxy() {
    let platform = connected();
    platform.expect_with(Method::DELETE, "/v1/authorizations?", |platform, _| {
        assert_eq!(platform.documents(), [], "revoked before it was deleted");
        json_response(204, Value::Null)
    });
    let deletion = delete(&platform, PKID, false).unwrap();
    assert_eq!(deletion.revocation, Revocation::Revoked);
    let sent = platform.sent().pop().unwrap();
    let query = sent.uri.query().unwrap();
    assert!(
        query.contains("clientId=C0ffee") && query.contains("orgId="),
        "{query}"
    );
    assert_eq!(
        sent.header("authorization"),
        format!("Bearer {ACCESS_TOKEN}")
    );
    let proxy = sent.proxies.1.unwrap();
    assert_eq!(proxy.expose(), "http://bob:hunter2@proxy.example:3128/");
    platform.assert_script_done();
}

#[test]
fn dry_run_reports_the_same_and_changes_nothing() {
    let platform = connected();
    raise_alert(&platform);
    let (stored, asked) = (platform.documents(), platform.sent().len());
    let dry = delete(&platform, PKID, true).unwrap();
    assert_eq!(platform.documents(), stored);
    assert_eq!(platform.all_wakeups().len(), 3);
    assert_eq!(platform.sent().len(), asked);
    assert!(matches!(dry.revocation, Revocation::Skipped(_)));
    let real = delete(&platform, PKID, false).unwrap();
    assert_eq!((dry.documents, dry.wakeups), (real.documents, real.wakeups));
}

#[test]
fn a_grant_that_another_record_uses_is_not_revoked() {
    let platform = connected();
    add_customer(&platform, OTHER_PKID, "sys.Provider.Elsewhere", true);
    let asked = platform.sent().len();
    let deletion = delete(&platform, PKID, false).unwrap();
    assert!(matches!(deletion.revocation, Revocation::Skipped(_)));
    assert_eq!(platform.sent().len(), asked);
    let last = delete(&platform, OTHER_PKID, false).unwrap();
    assert_eq!(last.revocation, Revocation::Revoked);
}

#[test]
fn delete_without_valid_tokens_skips_revocation() {
    let platform = MemoryPlatform::new();
    add_customer(&platform, PKID, HIERARCHY, false);
    let deletion = delete(&platform, PKID, false).unwrap();
    assert!(matches!(deletion.revocation, Revocation::Skipped(_)));
    assert!(platform.sent().is_empty());

    let platform = connected();
    platform.advance(15 * DAY);
    let asked = platform.sent().len();
    let deletion = delete(&platform, PKID, false).unwrap();
    assert_eq!(
        deletion.revocation,
        Revocation::Skipped("the access token has expired".to_owned())
    );
    assert_eq!(platform.sent().len(), asked);
}

#[test]
fn failed_revocation_keeps_the_record_deleted() {
    for response in [
        json_response(503, json!({})),
        json_response(401, json!({})),
        json_response(429, json!({})),
        Err(crate::platform::HttpError::Network("no route".to_owned())),
    ] {
        let platform = connected();
        platform.expect(Method::DELETE, "/authorizations", response);
        let deletion = delete(&platform, PKID, false).unwrap();
        assert!(matches!(deletion.revocation, Revocation::Failed(_)));
        assert_eq!(platform.documents(), []);
        assert!(!format!("{deletion:?}").contains(ACCESS_TOKEN));
    }
}

#[test]
fn a_delete_that_was_not_committed_revokes_nothing() {
    for (interruption, failure) in [
        (
            CommitFault::Fail(Failure::Unavailable("down".to_owned())),
            Failure::Unavailable("down".to_owned()),
        ),
        (
            CommitFault::Fail(Failure::Conflict("lease lost".to_owned())),
            Failure::Conflict("lease lost".to_owned()),
        ),
    ] {
        let platform = connected();
        let (stored, asked) = (platform.documents(), platform.sent().len());
        platform.inject_commit_fault(1, interruption);
        assert_eq!(delete(&platform, PKID, false), Err(failure));
        assert_eq!(platform.documents(), stored);
        assert_eq!(platform.sent().len(), asked);
        delete(&platform, PKID, false).unwrap();
    }
}

#[test]
fn delete_tolerates_a_missing_document() {
    let platform = connected();
    let record = Record::load(&platform, PKID).unwrap();
    let sync = record
        .owned_document(crate::owned_documents::SYNC_USERS)
        .unwrap()
        .reference();
    platform
        .commit(Vec::new(), vec![Change::Delete(sync.clone())])
        .unwrap();
    let deletion = delete(&platform, PKID, false).unwrap();
    assert!(
        deletion
            .documents
            .iter()
            .all(|document| document.reference != sync)
    );
    assert_eq!(platform.documents(), []);
}

#[test]
fn second_delete_is_not_found() {
    let platform = connected();
    delete(&platform, PKID, false).unwrap();
    let again = delete(&platform, PKID, false);
    assert_eq!(again, Err(Failure::NotFound(Reference::record(PKID))));
}

#[test]
fn record_with_invalid_organization_can_be_deleted() {
    let platform = connected();
    let mut record = Record::load(&platform, PKID).unwrap();
    let organization = "x".repeat(4_097).into();
    let field = "account_number_external".to_owned();
    record.body.fields.insert(field, organization);
    let broken = Change::Put(record.to_document().unwrap());
    platform.commit(Vec::new(), vec![broken]).unwrap();
    delete(&platform, PKID, false).unwrap();
    let gone = Record::load(&platform, PKID);
    assert!(matches!(gone, Err(Failure::NotFound(_))));
}

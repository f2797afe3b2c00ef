//! Every outcome of a callback. Each one but a new connection leaves the old connection unchanged.

mod races;
mod refusals;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::alerts::{Notice, Severity, code};
use crate::owned_documents::{RunTimes, SCHEDULE, SYNC_ROLES_LICENSES};
use crate::platform::{
    Environment, HttpError, HttpResponse, Millis, OnUnavailable, Reference, Secrets, Storage,
    UnixMillis,
};
use crate::record::{Expiry, Retry, State};
use crate::reports::Authorization;
use crate::testing::*;
use crate::workflows::connect::connect;

const TOKENS: &str = "/v1/access_token";
const REDIRECT: &str = "http://127.0.0.1:8085/callback";
const GRANT: Grant = Grant::Organization;
const NEW_ACCESS: &str = "TmV3_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
const OTHER: &str = "00000000-0000-4000-8000-000000000000";

/// Creates a record that never had tokens, with all its owned documents.
fn fresh() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(platform.now());
    record.body.connection = crate::record::GrantState::default();
    record.body.fields.remove("account_number_external");
    owned_documents::plan(&mut record, &platform);
    let mut changes = vec![Change::Put(record.to_document().unwrap())];
    changes.extend(owned_documents::creation_changes(
        &record,
        RunTimes::default(),
        RunTimes::default(),
    ));
    platform.commit(Vec::new(), changes).unwrap();
    platform
}

/// Creates a connected record.
fn connected() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(platform.now());
    owned_documents::plan(&mut record, &platform);
    let record = platform.store_connected(record).unwrap();
    let changes =
        owned_documents::creation_changes(&record, RunTimes::default(), RunTimes::default());
    platform.commit(Vec::new(), changes).unwrap();
    platform
}

fn edit(platform: &MemoryPlatform, change: impl FnOnce(&mut Record)) {
    let mut record = Record::load(platform, PKID).unwrap();
    change(&mut record);
    let put = Change::Put(record.to_document().unwrap());
    platform
        .commit(vec![record.version_check()], vec![put])
        .unwrap();
}

fn begin(platform: &MemoryPlatform) -> Authorization {
    connect(platform, PKID, GRANT, REDIRECT).unwrap()
}

fn callback(begun: &Authorization) -> String {
    format!("{REDIRECT}?code=THECODE&state={}", begun.state)
}

fn run(platform: &MemoryPlatform, callback: &str) -> Result<ConnectReport, Failure> {
    complete_connect(platform, PKID, callback)
}

fn record(platform: &MemoryPlatform) -> Record {
    Record::load(platform, PKID).unwrap()
}

fn tokens(platform: &MemoryPlatform) -> [Option<String>; 2] {
    [GRANT.access_token(), GRANT.refresh_token()].map(|name| {
        let token = platform.reveal(&Reference::record(PKID), name).unwrap();
        token.map(|token| token.expose().to_owned())
    })
}

fn token_response() -> Value {
    json!({
        "access_token": NEW_ACCESS, "expires_in": 1_209_600, "token_type": "Bearer",
        "refresh_token": "NEWREFRESH", "refresh_token_expires_in": 7_776_000,
        "scope": "spark-admin:people_read",
    })
}

fn serve_webex(
    platform: &MemoryPlatform,
    organization: &str,
    response: Result<HttpResponse, HttpError>,
) {
    platform.serve_organization(organization);
    platform.expect(Method::POST, TOKENS, response);
}

/// Lets Webex accept the consent of the record's own organization.
fn serve_tokens(platform: &MemoryPlatform) {
    serve_webex(platform, ORGANIZATION, json_response(200, token_response()));
}

/// Returns the data that a failed consent must not change.
fn snapshot(platform: &MemoryPlatform) -> impl PartialEq + std::fmt::Debug + use<> {
    let record = record(platform);
    (
        record.body.connection,
        record.body.fields,
        record.body.owned_documents,
        tokens(platform),
        platform.all_wakeups(),
        platform.documents_of(crate::alerts::ALERT),
    )
}

#[test]
fn consent_connects_record_and_sets_organization() {
    let platform = fresh();
    let begun = begin(&platform);
    let verifier = platform
        .secret(&Reference::record(PKID), consent::verifier_name(GRANT))
        .unwrap();
    platform.advance(5 * SECOND);
    let now = platform.now();
    serve_tokens(&platform);
    let report = run(&platform, &callback(&begun)).unwrap();

    assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Keep));
    assert_eq!(report.grant, GRANT);
    assert_eq!(report.organization, ORGANIZATION);
    assert_eq!(report.connection.state, State::Connected);
    assert_eq!(report.connection.notes, "");
    assert_eq!(report.sync_due, Some((now + MIN_DELAY).0));
    let at = |expiry: Option<crate::reports::Expiry>| expiry.map(|expiry| expiry.at);
    assert_eq!(
        at(report.connection.access_token_expires),
        Some((now + 14 * DAY).0)
    );
    assert_eq!(
        at(report.connection.refresh_token_expires),
        Some((now + 90 * DAY).0)
    );
    assert!(report.message.contains(ORGANIZATION), "{}", report.message);

    let sent = &platform.sent()[0];
    for (field, value) in [
        ("grant_type", "authorization_code"),
        ("client_id", "C0ffee"),
        ("client_secret", "the-client-secret"),
        ("code", "THECODE"),
        ("redirect_uri", REDIRECT),
        ("code_verifier", verifier.expose()),
    ] {
        assert_eq!(sent.form(field).as_deref(), Some(value), "{field}");
    }

    let record = record(&platform);
    assert_eq!(record.organization(), Some(ORGANIZATION));
    assert!(record.text("account_number").is_some());
    assert_eq!(record.body.connection.scopes, ["spark-admin:people_read"]);
    assert_eq!(
        tokens(&platform),
        [NEW_ACCESS, "NEWREFRESH"].map(|each| Some(each.to_owned()))
    );
    let owner = Reference::record(PKID);
    let sync = platform.import_wakeup(&owner).unwrap();
    let roles_licenses = record.owned_document(SYNC_ROLES_LICENSES).unwrap();
    let roles_licenses = roles_licenses.pkid.as_str();
    assert_eq!(
        (sync.due, sync.payload.as_str()),
        ((now + MIN_DELAY).0, roles_licenses)
    );
    let refresh = platform.wakeup(&owner, "refresh").unwrap();
    assert_eq!(refresh.deadline, Some((now + 90 * DAY).0));
    assert!(platform.wakeup(&owner, "expiry").is_some());
    let active = platform
        .documents_of(SCHEDULE)
        .iter()
        .filter(|document| document.body.contains("\"active\":true"))
        .count();
    assert_eq!(active, 2);
    assert_eq!(platform.secret(&owner, consent::verifier_name(GRANT)), None);
    let visible = platform.visible_output();
    for secret in [
        "THECODE",
        verifier.expose(),
        NEW_ACCESS,
        "NEWREFRESH",
        begun.state.as_str(),
    ] {
        assert!(!visible.contains(secret), "{secret} is visible");
    }
}

#[test]
fn consent_reconnects_from_any_state() {
    let retry = Retry {
        attempts: 1,
        reason: "no".to_owned(),
        tracking_id: None,
        ..Retry::default()
    };
    for state in [
        State::Connected,
        State::Expiring,
        State::Expired,
        State::Reauthorize,
        State::MissingScope,
        State::Retrying,
    ] {
        let platform = connected();
        let before = record(&platform);
        let alerts = ActiveAlerts::default();
        edit(&platform, |record| {
            let connection = &mut record.body.connection;
            connection.state = state;
            connection.refusal = Some(retry.clone());
            connection.retry = Some(retry.clone());
            connection.next_refresh = None;
            let notice = Notice {
                code: code::REAUTHORIZE,
                severity: Severity::Critical,
                message: "connect again".to_owned(),
                threshold: Millis::ZERO,
            };
            let (_, change) = alerts
                .raise(record, Grant::Organization, &notice, START, &platform)
                .unwrap();
            platform.commit(Vec::new(), vec![change]).unwrap();
        });
        platform.set_now(START + 91 * DAY);
        let begun = begin(&platform);
        serve_tokens(&platform);
        let report = run(&platform, &callback(&begun)).unwrap();
        assert_eq!(report.connection.state, State::Connected, "{state:?}");
        assert_eq!(report.cleared.len(), 1, "{state:?}");
        assert!(platform.documents_of(crate::alerts::ALERT).is_empty());
        let record = record(&platform);
        assert_eq!(record.body.owned_documents, before.body.owned_documents);
        let connection = &record.body.connection;
        assert_eq!((&connection.retry, &connection.refusal), (&None, &None));
        assert_eq!(connection.generation, 2);
        let due = connection.next_refresh.unwrap();
        assert!(due > platform.now());
        let owner = Reference::record(PKID);
        assert_eq!(
            UnixMillis(platform.wakeup(&owner, "refresh").unwrap().due),
            due
        );
    }
}

fn classify(failure: &Failure) -> (&'static str, String) {
    let case = match failure {
        Failure::Reauthorize(_) => "reauthorize",
        Failure::LimitExceeded(_) => "limit",
        Failure::Unavailable(_) => "unavailable",
        Failure::RateLimited(_) => "rate-limited",
        Failure::Invalid(errors) if errors[0].field == "callback" => "callback",
        _ => "other",
    };
    (case, failure.to_string())
}

#[test]
fn missing_scope_is_reported_immediately() {
    let platform = fresh();
    platform.set(
        "webex.scopes",
        "spark-admin:people_read spark-admin:roles_read",
    );
    let begun = begin(&platform);
    serve_tokens(&platform);
    let report = run(&platform, &callback(&begun)).unwrap();
    assert_eq!(report.connection.state, State::MissingScope);
    let granted = &report.connection.grants[0];
    assert_eq!(granted.missing_scopes, ["spark-admin:roles_read"]);
    assert!(
        report.message.contains("spark-admin:roles_read"),
        "{}",
        report.message
    );
}

#[test]
fn unknown_expiry_is_assumed() {
    let platform = fresh();
    let begun = begin(&platform);
    let bare = json!({"access_token": NEW_ACCESS, "refresh_token": "NEWREFRESH"});
    serve_webex(&platform, ORGANIZATION, json_response(200, bare));
    let report = run(&platform, &callback(&begun)).unwrap();
    assert_eq!(report.connection.state, State::Connected);
    let assumed = |lifetime: Millis| {
        Some(Expiry {
            at: START + lifetime,
            lifetime,
            assumed: true,
        })
    };
    let connection = record(&platform).body.connection;
    assert_eq!(connection.access, assumed(14 * DAY));
    assert_eq!(connection.refresh, assumed(90 * DAY));
    assert!(connection.scopes.is_empty() && connection.missing_scopes.is_empty());
}

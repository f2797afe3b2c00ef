//! A wholesale customer's three grants, each with its own tokens, expiries, alerts and consent.

use http::Method;
use serde_json::{Value, json};

use super::complete::complete_connect;
use super::connect::connect;
use super::delete::delete;
use super::expiry::check_expiry;
use super::refresh::refresh;
use super::sync::sync;
use super::wake::wake;
use super::{add, modify};
use crate::alerts::{ALERT, code, has_code};
use crate::consent;
use crate::grant::Grant;
use crate::owned_documents::SCHEDULE;
use crate::platform::{Environment, Failure, Reference, Secret, Storage, UnixMillis};
use crate::record::{Record, State};
use crate::reports::{ConnectReport, RefreshOutcome, Revocation, WakeReport};
use crate::testing::*;

const TOKENS: &str = "/v1/access_token";
const REDIRECT: &str = "http://127.0.0.1:8085/callback";

fn request(wholesale: bool) -> add::Request {
    let fields = json!({
        "name": "Acme", "account_number_external": ORGANIZATION, "wholesale_status": wholesale,
    });
    add::Request {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: None,
        idempotency_key: None,
    }
}

fn platform(wholesale: bool) -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    add::add(&platform, request(wholesale)).unwrap();
    platform.serve_organization(ORGANIZATION);
    platform
}

fn token_response(grant: Grant, round: u32) -> Value {
    let scopes = match grant {
        Grant::Organization => "spark-admin:people_read",
        Grant::WholesaleCustomers => {
            "spark-admin:wholesale_customers_read spark-admin:wholesale_customers_write \
             identity:organizations_read"
        }
        Grant::WholesaleUsers => "spark-admin:wholesale_subscribers_read",
    };
    json!({
        "access_token": format!("{grant}{round}_P0A1_{ORGANIZATION}"), "expires_in": 1_209_600,
        "refresh_token": format!("refresh-{grant}{round}"),
        "refresh_token_expires_in": 7_776_000, "scope": scopes,
    })
}

fn consent(platform: &MemoryPlatform, grant: Grant) -> ConnectReport {
    let begun = connect(platform, PKID, grant, REDIRECT).unwrap();
    platform.expect(
        Method::POST,
        TOKENS,
        json_response(200, token_response(grant, 1)),
    );
    let callback = format!("{REDIRECT}?code=C&state={}", begun.state);
    complete_connect(platform, PKID, &callback).unwrap()
}

fn record(platform: &MemoryPlatform) -> Record {
    Record::load(platform, PKID).unwrap()
}

fn refresh_token(platform: &MemoryPlatform, grant: Grant) -> Option<String> {
    let token = platform.secret(&Reference::record(PKID), grant.refresh_token());
    token.map(|token| token.expose().to_owned())
}

fn due(platform: &MemoryPlatform, id: &str) -> Option<u64> {
    let wakeup = platform.wakeup(&Reference::record(PKID), id);
    wakeup.map(|wakeup| wakeup.due)
}

#[test]
fn only_wholesale_customers_have_further_grants() {
    let report = add::add(&MemoryPlatform::new(), request(false)).unwrap();
    assert_eq!(report.connection.grants.len(), 1);
    let platform = platform(false);
    for grant in [Grant::WholesaleCustomers, Grant::WholesaleUsers] {
        for failure in [
            connect(&platform, PKID, grant, REDIRECT).unwrap_err(),
            refresh(&platform, PKID, grant, platform.now()).unwrap_err(),
            check_expiry(&platform, PKID, grant).unwrap_err(),
        ] {
            match failure {
                Failure::Invalid(errors) => assert_eq!(errors[0].field, "grant"),
                other => panic!("{other:?}"),
            }
        }
    }

    let report = add::add(&MemoryPlatform::new(), request(true)).unwrap();
    let grants: Vec<_> = report
        .connection
        .grants
        .iter()
        .map(|each| each.grant)
        .collect();
    assert_eq!(grants, Grant::ALL);
    for grant in &report.connection.grants {
        assert_eq!(grant.state, State::NotConnected);
    }
    for name in ["wholesale-customers", "wholesale-users"] {
        assert!(
            report.connection.notes.contains(name),
            "{}",
            report.connection.notes
        );
    }
}

#[test]
fn each_grant_is_connected_by_its_own_consent() {
    let platform = platform(true);
    let first = consent(&platform, Grant::Organization);
    assert!(first.sync_due.is_some());
    assert!(
        first.message.contains("wholesale-users"),
        "{}",
        first.message
    );
    platform.advance(HOUR);
    let customers = consent(&platform, Grant::WholesaleCustomers);
    assert_eq!(customers.sync_due, None);
    platform.advance(HOUR);
    let users = consent(&platform, Grant::WholesaleUsers);

    let states: Vec<State> = users
        .connection
        .grants
        .iter()
        .map(|each| each.state)
        .collect();
    assert_eq!(
        states,
        [State::Connected, State::Connected, State::MissingScope]
    );
    assert_eq!(users.connection.state, State::Connected);
    let missing = "spark-admin:wholesale_subscribers_write";
    assert_eq!(users.connection.grants[2].missing_scopes, [missing]);
    let notes = &users.connection.notes;
    assert!(
        notes.contains("wholesale-users") && notes.contains(missing),
        "{notes}"
    );

    let expiries: Vec<u64> = users
        .connection
        .grants
        .iter()
        .map(|each| each.refresh_token_expires.unwrap().at)
        .collect();
    assert_eq!(
        expiries,
        [0, 1, 2].map(|hours| (START + 90 * DAY + hours * HOUR).0)
    );
    for grant in Grant::ALL {
        let token = refresh_token(&platform, grant);
        assert_eq!(token, Some(format!("refresh-{grant}1")));
        assert!(due(&platform, grant.refresh_wakeup()).is_some(), "{grant}");
        assert!(due(&platform, grant.expiry_wakeup()).is_some(), "{grant}");
        let verifier = consent::verifier_name(grant);
        assert_eq!(platform.secret(&Reference::record(PKID), verifier), None);
        for role in [grant.refresh_schedule(), grant.expiry_schedule()] {
            let owned = record(&platform).owned_document(role).cloned().unwrap();
            let schedule = platform.get(&owned.reference()).unwrap().unwrap();
            assert!(schedule.body.contains("\"active\":true"), "{role}");
        }
    }
    assert_eq!(platform.documents_of(SCHEDULE).len(), 6);
}

#[test]
fn refresh_of_one_grant_leaves_the_others_unchanged() {
    let platform = platform(true);
    for grant in Grant::ALL {
        consent(&platform, grant);
    }
    let grant = Grant::WholesaleUsers;
    platform.advance(DAY);
    let before = record(&platform);
    let others = |platform: &MemoryPlatform| {
        let record = record(platform);
        [Grant::Organization, Grant::WholesaleCustomers].map(|grant| {
            (
                record.grant_state(grant).clone(),
                refresh_token(platform, grant),
                due(platform, grant.refresh_wakeup()),
                due(platform, grant.expiry_wakeup()),
            )
        })
    };
    let untouched = others(&platform);

    platform.expect(
        Method::POST,
        TOKENS,
        json_response(200, token_response(grant, 2)),
    );
    let report = refresh(&platform, PKID, grant, platform.now()).unwrap();
    assert_eq!(
        (report.grant, report.outcome),
        (grant, RefreshOutcome::Connected)
    );
    let sent = platform.sent().pop().unwrap();
    assert_eq!(
        sent.form("refresh_token").as_deref(),
        Some("refresh-wholesale-users1")
    );
    assert_eq!(
        refresh_token(&platform, grant).as_deref(),
        Some("refresh-wholesale-users2")
    );
    assert!(record(&platform).grant_state(grant).generation > before.grant_state(grant).generation);
    assert_eq!(others(&platform), untouched);

    platform.advance(SECOND);
    platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
    let report = refresh(&platform, PKID, grant, platform.now()).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    assert_eq!(report.connection.state, State::Connected);
    assert_eq!(report.connection.grants[2].state, State::Retrying);

    platform.advance(SECOND);
    let refused = json_response(400, json!({"error": "invalid_grant"}));
    platform.expect(Method::POST, TOKENS, refused);
    let report = refresh(&platform, PKID, grant, platform.now()).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
    assert_eq!(report.connection.grants[2].state, State::Reauthorize);
    assert!(
        report
            .connection
            .notes
            .contains("wholesale-users: Webex refused")
    );
    assert_eq!(others(&platform), untouched);
    let alerts = platform.documents_of(ALERT);
    assert_eq!(alerts.len(), 1);
    assert!(
        alerts[0].body.contains("\"grant\":\"wholesale-users\""),
        "{}",
        alerts[0].body
    );

    // The recovery of another grant keeps this alert; a consent for this grant ends it.
    platform.advance(SECOND);
    let organization = Grant::Organization;
    platform.expect(
        Method::POST,
        TOKENS,
        json_response(200, token_response(organization, 2)),
    );
    refresh(&platform, PKID, organization, platform.now()).unwrap();
    assert_eq!(platform.documents_of(ALERT).len(), 1);
    assert_eq!(consent(&platform, grant).cleared.len(), 1);
    // It also lacks a scope, as this consent shows again.
    let alerts = platform.documents_of(ALERT);
    assert_eq!(alerts.len(), 1);
    assert!(has_code(&alerts[0], code::MISSING_SCOPE));
}

#[test]
fn wakeups_and_expiry_checks_are_per_grant() {
    let platform = platform(true);
    for grant in Grant::ALL {
        consent(&platform, grant);
        platform.advance(HOUR);
    }
    let grant = Grant::WholesaleCustomers;
    platform.set_now(START + 60 * DAY + 30 * 60 * SECOND);
    let owner = Reference::record(PKID);
    let look = platform.wakeup(&owner, grant.expiry_wakeup()).unwrap();
    platform.set_now(UnixMillis(look.due));
    let WakeReport::Checked(report) = wake(&platform, &look).unwrap() else {
        panic!("a look at the expiries");
    };
    assert_eq!(report.grant, grant);
    assert_eq!(report.alert.unwrap().grant, grant);
    assert_eq!(
        check_expiry(&platform, PKID, Grant::WholesaleUsers)
            .unwrap()
            .alert,
        None
    );

    let refreshing = platform.wakeup(&owner, grant.refresh_wakeup()).unwrap();
    let expiry = record(&platform).grant_state(grant).refresh.unwrap().at;
    assert_eq!((refreshing.deadline, look.deadline), (Some(expiry.0), None));
    platform.expect(
        Method::POST,
        TOKENS,
        json_response(200, token_response(grant, 2)),
    );
    match wake(&platform, &refreshing).unwrap() {
        WakeReport::Refreshed(report) => assert_eq!(report.grant, grant),
        other => panic!("{other:?}"),
    }
}

#[test]
fn delete_removes_every_grant_and_revokes() {
    let platform = platform(true);
    consent(&platform, Grant::WholesaleUsers);
    let deletion = delete(&platform, PKID, false).unwrap();
    assert_eq!(deletion.revocation, Revocation::Revoked);
    let revoked = platform.sent().pop().unwrap();
    assert!(revoked.header("authorization").contains("wholesale-users1"));
    assert!(platform.documents().is_empty());
    assert!(platform.secrets().is_empty() && platform.all_wakeups().is_empty());
}

#[test]
fn further_grant_blocks_change_of_organization() {
    let platform = platform(true);
    consent(&platform, Grant::WholesaleUsers);
    let other = json!({"account_number_external": "00000000-0000-4000-8000-000000000000"});
    let fields = Secret::new(other.to_string());
    let failure = modify::modify(&platform, PKID, &fields, None).unwrap_err();
    assert!(matches!(failure, Failure::Invalid(_)), "{failure:?}");
}

#[test]
fn refused_grant_fails_only_its_own_list() {
    let platform = platform(true);
    let grants = [
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ];
    for grant in grants {
        consent(&platform, grant);
    }
    platform.serve(|_, request| match request.uri().path() {
        TOKENS => json_response(400, json!({"error": "invalid_grant"})),
        "/v1/wholesale/subscribers" => json_response(401, json!({"message": "expired"})),
        "/v1/organizations" => json_response(200, json!({"items": [{"id": ORGANIZATION}]})),
        _ => json_response(200, json!({"items": [], "groups": []})),
    });
    for refreshes in [1, 0] {
        let before = platform.sent().len();
        let report = sync(&platform, PKID, "all", false).unwrap();
        let failed: Vec<&str> = report
            .models
            .iter()
            .filter(|model| model.failed.is_some())
            .map(|model| model.model.as_str())
            .collect();
        assert_eq!(failed, ["device/spark/WholesaleSubscriber"]);
        // A refused token is not sent again.
        let sent = platform.sent();
        let tokens = sent[before..]
            .iter()
            .filter(|sent| sent.uri.path() == TOKENS);
        assert_eq!(tokens.count(), refreshes);
        let state = record(&platform).grant_state(Grant::WholesaleUsers).state;
        assert_eq!(state, State::Reauthorize);
    }
}

//! Adding a record, also with repeated calls.

#[path = "add_tests/text.rs"]
mod text;

use serde_json::{Value, json};

use super::*;
use crate::owned_documents::{DATA_SYNC, SCHEDULE, SHADOW_MODEL};
use crate::platform::{FieldError, OnUnavailable, RECORD_MODEL, Storage, UnixMillis};
use crate::record::State;
use crate::testing::{
    ACCESS_TOKEN, CommitFault, DAY, HIERARCHY, HOUR, MemoryPlatform, ORGANIZATION, PKID,
    REFRESH_TOKEN, SECOND, START, json_response, raw_response,
};

const OTHER_PKID: &str = "ffffffffffffffffffffffff";
const OTHER_ORGANIZATION: &str = "00000000-0000-4000-8000-000000000000";

fn request(fields: Value) -> Request {
    Request {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: None,
        idempotency_key: None,
    }
}

fn with_token_response(fields: Value) -> Request {
    let response = json!({
        "access_token": ACCESS_TOKEN, "expires_in": 1_209_600, "token_type": "Bearer",
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
        "scope": "spark-admin:organizations_read spark-admin:people_read",
    });
    Request {
        token_response: Some(Secret::new(response.to_string())),
        ..request(fields)
    }
}

fn other(request: Request) -> Request {
    Request {
        pkid: OTHER_PKID.to_owned(),
        ..request
    }
}

fn field_errors(result: Result<AddReport, Failure>) -> Vec<FieldError> {
    match result {
        Err(Failure::Invalid(errors)) => errors,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

fn webex() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.serve_organization(ORGANIZATION);
    platform
}

#[test]
fn record_added_without_tokens_is_not_connected() {
    let platform = MemoryPlatform::new();
    let added = add(&platform, request(json!({"shadow": [{"name": "Umbra"}]}))).unwrap();
    assert_eq!(added.connection.state, State::NotConnected);
    assert_eq!(added.connection.name, "Acme");
    assert_eq!(added.connection.next_refresh, None);
    assert!(added.connection.notes.contains("not connected"));
    assert_eq!(platform.all_wakeups(), []);
    assert_eq!(platform.secrets(), []);
    assert_eq!(platform.documents_of(DATA_SYNC).len(), 3);
    assert_eq!(platform.documents_of(SHADOW_MODEL).len(), 1);
    for schedule in platform.documents_of(SCHEDULE) {
        assert!(
            schedule.body.contains("\"active\":false"),
            "{}",
            schedule.body
        );
    }
    assert!(platform.sent().is_empty());
}

#[test]
fn add_with_tokens_creates_everything_in_one_commit() {
    let platform = webex();
    let added = add(&platform, with_token_response(json!({"name": "Acme"}))).unwrap();
    let connection = &added.connection;
    assert_eq!(connection.state, State::Connected);
    assert_eq!(
        connection.access_token_expires.unwrap().at,
        (START + 14 * DAY).0
    );
    assert_eq!(
        connection.refresh_token_expires.unwrap().at,
        (START + 90 * DAY).0
    );
    // The time of the response is unknown.
    assert!(connection.refresh_token_expires.unwrap().assumed);
    assert_eq!(platform.commits(), 1);
    // The caller still has the tokens.
    assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Fail));

    let references: Vec<Reference> = platform
        .documents()
        .into_iter()
        .map(|document| document.reference)
        .collect();
    assert_eq!(added.created[0], Reference::record(PKID));
    let mut created = added.created.clone();
    created.sort();
    assert_eq!(created, references);

    let owner = Reference::record(PKID);
    let sealed = |name: &str| platform.secret(&owner, name).unwrap();
    assert_eq!(sealed(secret::ACCESS_TOKEN).expose(), ACCESS_TOKEN);
    assert_eq!(sealed(secret::REFRESH_TOKEN).expose(), REFRESH_TOKEN);
    let refresh = platform.wakeup(&owner, "refresh").unwrap();
    assert_eq!(Some(refresh.due), connection.next_refresh);
    assert_eq!(UnixMillis(refresh.due), START + SECOND);
    let expiry = platform.wakeup(&owner, "expiry").unwrap();
    assert_eq!(UnixMillis(expiry.due), START + 60 * DAY);
}

#[test]
fn tokens_start_an_import_unless_scopes_are_missing() {
    for (scope, imports) in [
        (None, true),
        (
            Some("spark-admin:roles_read spark-admin:licenses_read"),
            true,
        ),
        (Some("spark-admin:roles_read"), false),
    ] {
        let platform = webex();
        let response = json!({
            "access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "scope": scope,
        });
        let request = Request {
            token_response: Some(Secret::new(response.to_string())),
            ..request(json!({}))
        };
        add(&platform, request).unwrap();
        assert_eq!(platform.commits(), 1);
        let wakeup = platform.import_wakeup(&Reference::record(PKID));
        let due = wakeup.map(|wakeup| UnixMillis(wakeup.due));
        assert_eq!(due, imports.then_some(START + SECOND), "{scope:?}");
    }
}

#[test]
fn the_account_number_is_filled_in_from_webex() {
    let platform = webex();
    add(&platform, with_token_response(json!({}))).unwrap();
    let record = Record::load(&platform, PKID).unwrap();
    assert_eq!(record.organization(), Some(ORGANIZATION));
    assert!(record.text("account_number").is_some());
    assert_eq!(record.body.connection.scopes.len(), 2);
}

#[test]
fn unknown_expiries_are_assumed_and_refreshed_soon() {
    let platform = webex();
    let fields = json!({
        "token": ACCESS_TOKEN, "token_repeat": ACCESS_TOKEN,
        "refresh_token": REFRESH_TOKEN, "refresh_token_repeat": REFRESH_TOKEN,
    });
    let added = add(&platform, request(fields)).unwrap();
    assert!(added.connection.access_token_expires.unwrap().assumed);
    assert!(added.connection.refresh_token_expires.unwrap().assumed);
    assert!(added.connection.next_refresh.unwrap() <= (START + HOUR).0);
}

#[test]
fn add_exposes_no_secret() {
    let platform = webex();
    let fields = json!({"https_proxy": "http://bob:hunter2@proxy.example:3128"});
    let request = with_token_response(fields);
    assert!(!format!("{request:?}").contains("hunter2"));
    let added = add(&platform, request).unwrap();
    let visible = format!("{} {added:?}", platform.visible_output());
    for secret in [ACCESS_TOKEN, REFRESH_TOKEN, "hunter2"] {
        assert!(!visible.contains(secret), "{secret}");
    }
}

#[test]
fn the_check_at_webex_goes_through_the_new_proxies() {
    let platform = webex();
    let fields = json!({"https_proxy": "http://bob:hunter2@proxy.example:3128"});
    add(&platform, with_token_response(fields)).unwrap();
    for sent in platform.sent() {
        let (http, https) = sent.proxies;
        assert_eq!(http, None);
        assert_eq!(
            https.unwrap().expose(),
            "http://bob:hunter2@proxy.example:3128/"
        );
    }
}

#[test]
fn tokens_of_other_organization_name_both() {
    let platform = webex();
    let fields = json!({"account_number_external": OTHER_ORGANIZATION});
    let errors = field_errors(add(&platform, with_token_response(fields)));
    assert_eq!(errors[0].field, "account_number_external");
    assert!(errors[0].message.contains(OTHER_ORGANIZATION), "{errors:?}");
    assert!(errors[0].message.contains(ORGANIZATION), "{errors:?}");
    assert_eq!(platform.documents(), []);
}

#[test]
fn tokens_refused_by_webex_are_field_errors() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, request| match *request.method() {
        http::Method::POST => {
            json_response(400, json!({"error": "invalid_grant", "trackingId": "T2"}))
        }
        _ => json_response(401, json!({"message": "invalid", "trackingId": "ROUTER_1"})),
    });
    let errors = field_errors(add(&platform, with_token_response(json!({}))));
    assert_eq!(errors[0].field, "token");
    assert!(errors[0].message.contains("ROUTER_1"));
    assert_eq!(errors[1].field, "refresh_token");
    assert!(errors[1].message.contains("T2"));
    assert_eq!(platform.documents(), []);
}

#[test]
fn temporary_webex_error_adds_nothing() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, _| json_response(503, json!({})));
    let result = add(&platform, with_token_response(json!({})));
    assert!(matches!(result, Err(Failure::Unavailable(_))), "{result:?}");

    platform.serve(|_, _| raw_response(429, &[("retry-after", "30")], ""));
    let result = add(&platform, with_token_response(json!({})));
    assert_eq!(result, Err(Failure::RateLimited(Some(START + 30 * SECOND))));
    assert_eq!(platform.documents(), []);
}

#[test]
fn response_without_refresh_token_is_refused() {
    let platform = webex();
    let mut request = request(json!({}));
    request.token_response = Some(Secret::new(json!({"access_token": "a"}).to_string()));
    assert_eq!(
        field_errors(add(&platform, request.clone()))[0].field,
        "token_response"
    );
    request.token_response = Some(Secret::new("nonsense"));
    assert_eq!(
        field_errors(add(&platform, request))[0].field,
        "token_response"
    );
    assert!(platform.sent().is_empty());
}

#[test]
fn request_and_field_errors_are_reported_together() {
    let platform = MemoryPlatform::new();
    add(&platform, request(json!({"name": "Acme"}))).unwrap();
    let request = Request {
        idempotency_key: Some("k".repeat(257)),
        ..other(request(json!({"name": "Acme", "account_email": "x"})))
    };
    let mut fields: Vec<String> = field_errors(add(&platform, request))
        .into_iter()
        .map(|error| error.field)
        .collect();
    fields.sort();
    assert_eq!(fields, ["account_email", "idempotency_key", "name"]);
    for hierarchy in ["", "sys..Acme", "sys. "] {
        let request = Request {
            hierarchy: hierarchy.to_owned(),
            ..other(self::request(json!({"name": "Apex"})))
        };
        assert_eq!(field_errors(add(&platform, request))[0].field, "hierarchy");
    }
}

#[test]
fn name_and_organization_are_unique_per_node() {
    let platform = MemoryPlatform::new();
    let fields = json!({"name": "Acme", "account_number": ORGANIZATION});
    add(&platform, request(fields.clone())).unwrap();

    let same_name = other(request(json!({"name": "Acme"})));
    let error = &field_errors(add(&platform, same_name))[0];
    assert_eq!(error.field, "name");
    assert!(error.message.contains(PKID), "{error:?}");
    let same_organization = json!({"name": "Apex", "account_number": ORGANIZATION});
    let error = &field_errors(add(&platform, other(request(same_organization))))[0];
    assert_eq!(error.field, "account_number");

    let elsewhere = Request {
        hierarchy: format!("{HIERARCHY}.Site"),
        ..other(request(fields))
    };
    add(&platform, elsewhere).unwrap();
}

#[test]
fn organization_reported_by_webex_is_unique_too() {
    let platform = webex();
    let fields = json!({"name": "Apex", "account_number": ORGANIZATION});
    add(&platform, request(fields)).unwrap();
    let errors = field_errors(add(&platform, other(with_token_response(json!({})))));
    assert_eq!(errors[0].field, "account_number_external");
}

#[test]
fn concurrent_adds_do_not_share_a_name() {
    let platform = MemoryPlatform::new();
    let meanwhile = |platform: &MemoryPlatform| {
        add(platform, other(request(json!({"name": "Acme"})))).unwrap();
    };
    platform.inject_commit_fault(1, CommitFault::RunFirst(Box::new(meanwhile)));
    let errors = field_errors(add(&platform, request(json!({"name": "Acme"}))));
    assert_eq!(errors[0].field, "name");
    assert_eq!(platform.documents_of(RECORD_MODEL).len(), 1);
}

#[test]
fn repeated_add_creates_nothing_twice() {
    let platform = webex();
    let keyed = Request {
        idempotency_key: Some("order 7".to_owned()),
        ..with_token_response(json!({}))
    };
    let first = add(&platform, keyed.clone()).unwrap();
    let stored = platform.documents();
    let again = add(&platform, other(keyed.clone())).unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(again.connection, first.connection);
    assert_eq!(again.created, first.created);
    assert_eq!(platform.documents(), stored);

    let elsewhere = Request {
        hierarchy: "sys.Provider.Reseller.Apex".to_owned(),
        ..other(keyed)
    };
    assert!(!add(&platform, elsewhere).unwrap().replayed);
}

#[test]
fn concurrent_adds_with_one_idempotency_key_are_one() {
    let platform = MemoryPlatform::new();
    let keyed = Request {
        idempotency_key: Some("order 7".to_owned()),
        ..request(json!({}))
    };
    let twin = other(keyed.clone());
    platform.inject_commit_fault(
        1,
        CommitFault::RunFirst(Box::new(move |platform| {
            add(platform, twin).unwrap();
        })),
    );
    let added = add(&platform, keyed).unwrap();
    assert!(added.replayed);
    assert_eq!(added.connection.pkid, OTHER_PKID);
}

#[test]
fn add_after_lost_commit_reply_creates_nothing_twice() {
    let platform = webex();
    let lost = Failure::Unavailable("the store went away".to_owned());
    platform.inject_commit_fault(1, CommitFault::LoseResult(lost.clone()));
    assert_eq!(add(&platform, with_token_response(json!({}))), Err(lost));
    let stored = platform.documents();
    let again = add(&platform, with_token_response(json!({}))).unwrap();
    assert!(again.replayed);
    assert_eq!(platform.documents(), stored);
}

#[test]
fn failed_add_leaves_nothing_and_can_be_repeated() {
    let platform = webex();
    let failure = Failure::Unavailable("the store went away".to_owned());
    platform.inject_commit_fault(1, CommitFault::Fail(failure.clone()));
    assert_eq!(add(&platform, with_token_response(json!({}))), Err(failure));
    assert_eq!(platform.documents(), []);
    assert!(
        !add(&platform, with_token_response(json!({})))
            .unwrap()
            .replayed
    );
}

#[test]
fn token_and_proxy_secrets_are_not_stored_in_clear() {
    let platform = webex();
    let fields = json!({
        "token": ACCESS_TOKEN, "token_repeat": ACCESS_TOKEN,
        "refresh_token": REFRESH_TOKEN, "refresh_token_repeat": REFRESH_TOKEN,
        "http_proxy": "http://bob:hunter2@proxy.example:3128",
    });
    add(&platform, request(fields)).unwrap();
    let document = platform.get(&Reference::record(PKID)).unwrap().unwrap();
    let body: Value = serde_json::from_str(&document.body).unwrap();
    for field in [
        "token",
        "token_repeat",
        "refresh_token",
        "refresh_token_repeat",
    ] {
        assert_eq!(body.get(field), None, "{field}");
    }
    assert_eq!(body["http_proxy"], "http://bob@proxy.example:3128/");
    assert_eq!(body["access_token_expires"], "2026-01-15T00:00:00Z");
}

#[test]
fn forbidden_target_is_limit_exceeded() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, _| Err(crate::platform::HttpError::Denied("not allowed".to_owned())));
    let result = add(&platform, with_token_response(json!({})));
    assert!(
        matches!(result, Err(Failure::LimitExceeded(_))),
        "{result:?}"
    );
}

#[test]
fn forbidden_proxy_is_reported_at_its_field() {
    for tokens in [false, true] {
        for field in ["http_proxy", "https_proxy"] {
            let platform = webex();
            let reason = "egress.proxies does not list http://proxy.example:3128";
            platform.refuse_proxies(Failure::LimitExceeded(reason.to_owned()));
            let fields =
                json!({ field: "http://bob:hunter2@proxy.example:3128", "account_email": "x" });
            let request = match tokens {
                true => with_token_response(fields),
                false => request(fields),
            };
            let errors = field_errors(add(&platform, request));
            let [email, proxy] = errors.as_slice() else {
                panic!("{errors:?}");
            };
            assert_eq!(email.field, "account_email");
            assert_eq!(
                (proxy.field.as_str(), proxy.message.as_str()),
                (field, reason)
            );
            assert!(platform.sent().is_empty());
            assert_eq!(platform.documents(), []);
        }
    }
}

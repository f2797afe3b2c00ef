//! Rejected tokens and errors of Webex: their reports, and the data that stays stored.

use super::*;
use crate::alerts::ALERT;
use crate::platform::{Change, Secret, Storage};
use crate::record::{State, secret};
use crate::testing::{ACCESS_TOKEN, DAY, REFRESH_TOKEN, SECOND};

const NEW_TOKEN: &str = "bmV3X3Rva2Vu_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";

fn expect_refresh(world: &World) {
    let response = json!({
        "access_token": NEW_TOKEN, "expires_in": 1_209_600,
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
    });
    world
        .platform
        .expect(Method::POST, "/access_token", json_response(200, response));
}

fn expect_error(world: &World, list: &str, status: u16, headers: &[(&str, &str)]) {
    let body = json!({"message": "so it is", "trackingId": "ROUTER_1"}).to_string();
    let response = raw_response(status, headers, body);
    world.platform.expect(Method::GET, list, response);
}

fn tokens_used(world: &World) -> Vec<String> {
    let sent = world.platform.sent();
    sent.iter()
        .filter(|sent| sent.method == Method::GET)
        .map(|sent| sent.header("authorization").replace("Bearer ", ""))
        .collect()
}

#[test]
fn import_without_access_token_needs_reauthorization() {
    let world = World::new();
    let owner = Reference::record(PKID);
    let removal = Change::RemoveSecret(owner, secret::ACCESS_TOKEN.to_owned());
    world.platform.commit(Vec::new(), vec![removal]).unwrap();
    match world.sync().unwrap_err() {
        Failure::Reauthorize(text) => assert!(text.contains("connect this customer"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(world.platform.sent().is_empty());
}

#[test]
fn import_of_missing_record_is_not_found() {
    let world = World::new();
    let gone = sync(&world.platform, &"f".repeat(24), "roles-licenses", false);
    assert!(matches!(gone, Err(Failure::NotFound(_))));
}

#[test]
fn expired_access_token_is_refreshed_first() {
    let world = World::new();
    world.platform.advance(15 * DAY);
    expect_refresh(&world);
    let report = world.sync().unwrap();
    assert_eq!(report.models[0].added, 2);
    assert_eq!(tokens_used(&world), [NEW_TOKEN, NEW_TOKEN]);
}

#[test]
fn rejected_access_token_is_refreshed_once() {
    let world = World::new();
    expect_error(&world, "/roles", 401, &[]);
    expect_refresh(&world);
    let report = world.sync().unwrap();
    assert_eq!(report.models[1].added, 3);
    assert_eq!(tokens_used(&world), [ACCESS_TOKEN, NEW_TOKEN, NEW_TOKEN]);
}

#[test]
fn rejected_new_token_needs_reauthorization() {
    let world = World::new();
    expect_error(&world, "/roles", 401, &[]);
    expect_refresh(&world);
    expect_error(&world, "/roles", 401, &[]);
    match world.sync().unwrap_err() {
        Failure::Reauthorize(text) => {
            assert!(text.contains("a refresh did not help"), "{text}");
            assert!(text.contains("ROUTER_1"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    world.platform.assert_script_done();
}

#[test]
fn refused_refresh_ends_the_import() {
    let world = World::new();
    expect_error(&world, "/roles", 401, &[]);
    let refusal = json_response(400, json!({"error": "invalid_grant"}));
    world
        .platform
        .expect(Method::POST, "/access_token", refusal);
    assert!(matches!(world.sync(), Err(Failure::Reauthorize(_))));
    let record = Record::load(&world.platform, PKID).unwrap();
    assert_eq!(record.body.connection.state, State::Reauthorize);
}

#[test]
fn failed_refresh_makes_the_import_unavailable() {
    let world = World::new();
    expect_error(&world, "/roles", 401, &[]);
    world
        .platform
        .expect(Method::POST, "/access_token", json_response(503, json!({})));
    assert!(matches!(world.sync(), Err(Failure::Unavailable(_))));
}

#[test]
fn refresh_that_needs_a_change_makes_the_import_fail_so() {
    let world = World::new();
    expect_error(&world, "/roles", 401, &[]);
    let refusal = json_response(401, json!({"error": "invalid_client"}));
    world
        .platform
        .expect(Method::POST, "/access_token", refusal);
    assert!(matches!(world.sync(), Err(Failure::LimitExceeded(_))));
}

#[test]
fn a_missing_scope_is_named_with_webexs_tracking_id() {
    let world = World::new();
    expect_error(&world, "/licenses", 403, &[]);
    let report = world.sync().unwrap();
    // The other list is imported.
    assert_eq!(report.models[0].added, 2);
    let reason = report.models[1].failed.as_ref().unwrap();
    for part in ["spark-admin:licenses_read", "ROUTER_1", "403"] {
        assert!(reason.contains(part), "{reason}");
    }
    let message = &report.message;
    assert!(
        message.contains("the licenses could not be read"),
        "{message}"
    );
    assert_eq!(report.continues, None);
    let [alert] = world.platform.documents_of(ALERT).try_into().unwrap();
    assert_eq!(body(&alert)["code"], "WEBEX_IMPORT_LIST_FAILED");
    let report = world.sync().unwrap();
    assert_eq!(report.models[1].failed, None);
    assert!(world.platform.documents_of(ALERT).is_empty());
}

#[test]
fn list_that_webex_does_not_have_fails_alone() {
    let world = World::new();
    expect_error(&world, "/roles", 404, &[]);
    let report = world.sync().unwrap();
    assert!(report.models[0].failed.as_ref().unwrap().contains("404"));
    assert_eq!((report.models[1].found, report.continues), (3, None));
    // Without any list, it is rather the base address.
    for _ in 0..6 {
        for list in ["/roles", "/licenses"] {
            expect_error(&world, list, 404, &[]);
        }
        assert!(matches!(world.sync(), Err(Failure::LimitExceeded(_))));
    }
    assert_eq!(world.sync().unwrap().models[0].added, 2);
}

#[test]
fn import_without_a_readable_list_fails() {
    let world = World::new();
    for list in ["/roles", "/licenses"] {
        expect_error(&world, list, 403, &[]);
    }
    match world.sync().unwrap_err() {
        Failure::Reauthorize(text) => assert!(text.contains("spark-admin:roles_read"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn temporary_error_of_one_list_does_not_stop_the_others() {
    let world = World::new();
    for _ in 0..4 {
        expect_error(&world, "/roles", 503, &[]);
        assert!(matches!(world.sync(), Err(Failure::Unavailable(_))));
    }
    assert_eq!(world.stored(LICENSE).len(), 3);
    expect_error(&world, "/roles", 503, &[]);
    let report = world.sync().unwrap();
    let reason = report.models[0].failed.as_ref().unwrap();
    assert!(reason.contains("503"), "{reason}");
    assert_eq!((report.models[1].found, report.continues), (3, None));
    let parts = world.platform.recorded_parts();
    assert_eq!(
        parts[0],
        (
            format!("Import {}", report.models[0].model),
            Err(reason.clone())
        )
    );
    assert_eq!(
        parts[1..],
        [(
            format!("Import {LICENSE}"),
            Ok("3 licenses (3 added)".to_owned())
        )]
    );
    assert_eq!(world.sync().unwrap().models[0].added, 2);
}

#[test]
fn rate_limit_is_reported_with_its_time() {
    let world = World::new();
    expect_error(&world, "/licenses", 429, &[("Retry-After", "194")]);
    let until = world.platform.now() + 194 * SECOND;
    assert_eq!(world.sync().unwrap_err(), Failure::RateLimited(Some(until)));
    assert!(
        world
            .platform
            .logged(crate::platform::Level::Warning, "ROUTER_1")
    );
    let world = World::new();
    expect_error(
        &world,
        "/roles",
        429,
        &[("Retry-After", "rand(30),add(30)")],
    );
    assert_eq!(world.sync().unwrap_err(), Failure::RateLimited(None));
}

#[test]
fn error_within_a_list_keeps_stored_documents() {
    for status in [500, 502, 503, 504] {
        let world = World::with_licenses(6, 2);
        world.sync().unwrap();
        world.webex.borrow_mut().licenses.truncate(4);
        expect_error(&world, "cursor=2", status, &[]);
        assert!(matches!(world.sync(), Err(Failure::Unavailable(_))));
        assert_eq!(world.stored(LICENSE).len(), 6, "{status}");
        // The list is resumed, and now the vanished entries are known.
        let report = world.sync().unwrap();
        assert_eq!(report.models[1], import_count(LICENSE, 4, 0, 0, 2));
    }
}

#[test]
fn broken_response_keeps_stored_documents() {
    let network = || Err(HttpError::Network("connection refused".to_owned()));
    let truncated = || raw_response(200, &[], r#"{"items":[{"id":"L1"},"#);
    for response in [network(), truncated()] {
        let world = World::new();
        world.sync().unwrap();
        world.platform.expect(Method::GET, "/licenses", response);
        assert!(matches!(world.sync(), Err(Failure::Unavailable(_))));
        assert_eq!(world.stored(LICENSE).len(), 3);
    }
}

#[test]
fn policy_that_forbids_webex_is_limit_exceeded() {
    let world = World::new();
    for list in ["/roles", "/licenses"] {
        let denied = Err(HttpError::Denied(
            "egress.allow has no such entry".to_owned(),
        ));
        world.platform.expect(Method::GET, list, denied);
    }
    match world.sync().unwrap_err() {
        Failure::LimitExceeded(text) => assert!(text.contains("egress.allow"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_customers_proxies_are_used() {
    let world = World::new();
    let mut record = Record::load(&world.platform, PKID).unwrap();
    record
        .body
        .fields
        .insert("https_proxy".to_owned(), "http://proxy.example:3128".into());
    let proxy = "http://bob:hunter2@proxy.example:3128";
    let seal = Change::PutSecret {
        owner: record.reference(),
        name: secret::HTTPS_PROXY.to_owned(),
        value: Secret::new(proxy),
    };
    let put = Change::Put(record.to_document().unwrap());
    world.platform.commit(Vec::new(), vec![put, seal]).unwrap();
    world.sync().unwrap();
    for sent in world.platform.sent() {
        assert_eq!(sent.proxies, (None, Some(Secret::new(proxy))));
    }
    assert!(!world.platform.visible_output().contains("hunter2"));
}

#[test]
fn unusable_proxy_is_limit_exceeded() {
    let world = World::new();
    let seal = Change::PutSecret {
        owner: Reference::record(PKID),
        name: secret::HTTPS_PROXY.to_owned(),
        value: Secret::new("proxy.example"),
    };
    let mut record = Record::load(&world.platform, PKID).unwrap();
    record
        .body
        .fields
        .insert("https_proxy".to_owned(), "proxy.example".into());
    let put = Change::Put(record.to_document().unwrap());
    world.platform.commit(Vec::new(), vec![put, seal]).unwrap();
    let error = crate::platform::FieldError::new("https", "a proxy must begin with http://");
    world.platform.refuse_proxies(Failure::Invalid(vec![error]));
    match world.sync().unwrap_err() {
        Failure::LimitExceeded(text) => assert!(text.contains("the proxy of Acme"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(world.platform.sent().is_empty());
}

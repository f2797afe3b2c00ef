//! Responses with tokens.

use super::*;
use crate::platform::{Millis, OnUnavailable, UnixMillis};

#[test]
fn refresh_stores_everything_in_one_commit() {
    let platform = platform_with_response(200, token_response());
    let commits = platform.commits();
    let now = platform.now();
    let report = run(&platform).unwrap();

    assert_eq!(platform.commits(), commits + 1);
    assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Keep));
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    assert!(!report.joined);
    let connection = record(&platform).body.connection;
    let expiry = |lifetime: Millis| {
        Some(Expiry {
            at: now + lifetime,
            lifetime,
            assumed: false,
        })
    };
    assert_eq!(connection.state, State::Connected);
    assert_eq!(connection.access, expiry(14 * DAY));
    assert_eq!(connection.refresh, expiry(90 * DAY));
    assert_eq!(connection.generation, 2);
    assert_eq!(connection.attempted, Some(now));
    assert_eq!(connection.refreshed, Some(now));
    assert_eq!(connection.scopes, ["spark-admin:people_read"]);
    let next = connection.next_refresh.unwrap();
    assert!((now + 6 * DAY..=now + 7 * DAY).contains(&next));
    assert_eq!(UnixMillis(wakeup(&platform, "refresh").unwrap().due), next);
    assert_eq!(
        UnixMillis(wakeup(&platform, "expiry").unwrap().due),
        now + 60 * DAY
    );
    let token = tokens(&platform).0;
    assert_eq!(token.as_deref(), Some("new-access-token"));
    let schedule = load_schedule(&platform, REFRESH_SCHEDULE);
    assert_eq!(schedule["last_executed"], derived::format_timestamp(now));
    assert_eq!(schedule["active"], true);
    assert_eq!(load_schedule(&platform, EXPIRY_SCHEDULE)["active"], true);
}

#[test]
fn lifetimes_count_from_before_the_request() {
    let platform = platform();
    let begun = platform.now();
    platform.expect_with(Method::POST, TOKENS, |platform, _| {
        platform.advance(30 * SECOND);
        json_response(200, token_response())
    });
    run(&platform).unwrap();
    let connection = record(&platform).body.connection;
    assert_eq!(connection.access.unwrap().at, begun + 14 * DAY);
    assert_eq!(connection.attempted, Some(begun));
    assert_eq!(connection.refreshed, Some(begun + 30 * SECOND));
}

#[test]
fn omitted_response_fields_keep_their_values() {
    for omitted in [
        json!({"access_token": "new-access-token"}),
        json!({"access_token": "new-access-token", "refresh_token": ""}),
        json!({"access_token": "new-access-token", "refresh_token": null, "expires_in": null}),
    ] {
        let platform = platform_with_response(200, omitted);
        edit(&platform, |record| {
            record.body.connection.scopes = vec!["spark:kms".to_owned()];
        });
        let now = platform.now();
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Connected);
        assert_eq!(tokens(&platform).1.as_deref(), Some(REFRESH_TOKEN));
        let connection = record(&platform).body.connection;
        let refresh = connection.refresh.unwrap();
        assert_eq!((refresh.at, refresh.assumed), (START + 90 * DAY, true));
        let access = connection.access.unwrap();
        assert_eq!((access.at, access.assumed), (now + 14 * DAY, true));
        assert_eq!(connection.generation, 1);
        assert_eq!(connection.scopes, ["spark:kms"]);
        // After a refresh, an assumed lifetime follows the last known one, not the hour of pasted tokens.
        assert!(connection.next_refresh.unwrap() > now + 6 * DAY);
    }
}

#[test]
fn refresh_with_unchanged_tokens_succeeds() {
    let platform = platform_with_response(
        200,
        json!({"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN}),
    );
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    let connection = record(&platform).body.connection;
    let access = connection.access.unwrap();
    assert_eq!((access.at, access.assumed), (START + 14 * DAY, false));
}

#[test]
fn rotated_refresh_token_starts_a_new_generation() {
    let mut rotated = token_response();
    rotated["refresh_token"] = "rotated".into();
    rotated["refresh_token_expires_in"] = (83 * 86_400).into();
    let platform = platform_with_response(200, rotated);
    run(&platform).unwrap();
    assert_eq!(tokens(&platform).1.as_deref(), Some("rotated"));
    assert_eq!(record(&platform).body.connection.generation, 2);
}

#[test]
fn unchanged_expiry_keeps_the_generation() {
    for (seconds, latency) in [
        (83 * 86_400 - 1, 0),
        (83 * 86_400, 0),
        (83 * 86_400 - 2, 900),
    ] {
        let mut frozen = token_response();
        frozen["refresh_token_expires_in"] = seconds.into();
        let platform = platform();
        platform.expect_with(Method::POST, TOKENS, move |platform, _| {
            platform.advance(Millis(latency));
            json_response(200, frozen)
        });
        run(&platform).unwrap();
        let connection = record(&platform).body.connection;
        assert_eq!(connection.refresh.unwrap().at, START + 90 * DAY);
        assert_eq!(connection.generation, 1);
    }
}

#[test]
fn invalid_lifetimes_are_ignored_and_logged() {
    for absurd in [
        json!(-1),
        json!(0),
        json!(1e300),
        json!(u64::MAX),
        json!("soon"),
        json!([]),
    ] {
        let mut body = token_response();
        body["expires_in"] = absurd.clone();
        body["refresh_token_expires_in"] = absurd.clone();
        let platform = platform_with_response(200, body);
        let now = platform.now();
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Connected, "{absurd}");
        assert!(platform.logged(Level::Warning, "expires_in"), "{absurd}");
        let connection = record(&platform).body.connection;
        let next = connection.next_refresh.unwrap();
        assert!((now + 6 * DAY..=now + 7 * DAY).contains(&next), "{absurd}");
        assert!(connection.access.unwrap().at >= now + 14 * DAY, "{absurd}");
        assert!(
            connection.refresh.unwrap().at >= START + 90 * DAY,
            "{absurd}"
        );
    }
}

#[test]
fn refresh_without_tokens_needs_reauthorization() {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(platform.now());
    record.body.connection = crate::record::GrantState::default();
    let put = Change::Put(record.to_document().unwrap());
    platform.commit(Vec::new(), vec![put]).unwrap();
    assert!(matches!(run(&platform), Err(Failure::Reauthorize(_))));
    let missing = refresh(
        &platform,
        &"0".repeat(24),
        Grant::Organization,
        UnixMillis(0),
    );
    assert!(matches!(missing, Err(Failure::NotFound(_))));
}

const PROXY: &str = "http://me:p%40ss-word@proxy.example:3128/";

fn platform_with_proxy() -> MemoryPlatform {
    let platform = platform();
    let mut changed = record(&platform);
    let shown = "http://me@proxy.example:3128/";
    changed
        .body
        .fields
        .insert("https_proxy".to_owned(), shown.into());
    let seal = Change::PutSecret {
        owner: changed.reference(),
        name: secret::HTTPS_PROXY.to_owned(),
        value: Secret::new(PROXY),
    };
    let put = Change::Put(changed.to_document().unwrap());
    platform.commit(Vec::new(), vec![put, seal]).unwrap();
    platform
}

#[test]
fn the_customers_proxies_are_used() {
    let platform = platform_with_proxy();
    platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
    run(&platform).unwrap();
    let sent = platform.sent();
    let (http, https) = &sent[0].proxies;
    assert_eq!(http, &None);
    assert_eq!(https.as_ref().map(Secret::expose), Some(PROXY));
}

#[test]
fn forbidden_proxy_is_reported_and_retried() {
    let platform = platform_with_proxy();
    platform.refuse_proxies(Failure::LimitExceeded(
        "egress.proxies forbids it".to_owned(),
    ));
    let report = run(&platform).unwrap();
    assert_eq!(report.outcome, RefreshOutcome::Retrying);
    assert!(report.message.contains("egress.proxies forbids it"));
    assert!(platform.sent().is_empty());
    assert_nothing_lost(&platform);
}

#[test]
fn secret_echoed_by_webex_is_redacted() {
    let echo = format!("bad {REFRESH_TOKEN} of the-client-secret");
    for response in [
        json_response(
            400,
            json!({"error": "invalid_grant", "error_description": echo}),
        ),
        json_response(
            401,
            json!({"error": "invalid_client", "error_description": echo}),
        ),
        json_response(
            503,
            json!({"message": echo, "errors": [{"description": echo}]}),
        ),
        Err(HttpError::Network(echo.clone())),
        json_response(200, token_response()),
    ] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, response);
        let report = run(&platform).unwrap();
        let shown = format!("{report:?} {}", platform.visible_output());
        for secret in [
            ACCESS_TOKEN,
            REFRESH_TOKEN,
            "the-client-secret",
            "new-access-token",
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

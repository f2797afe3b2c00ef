//! Temporary errors: no token is lost, and the next attempt is scheduled.

use super::*;
use crate::platform::{OnUnavailable, UnixMillis};

#[test]
fn temporary_error_keeps_the_tokens() {
    let html = || raw_response(200, &[("content-type", "text/html")], "<html>");
    let truncated = || {
        let json = [("content-type", "application/json")];
        raw_response(200, &json, r#"{"access_token":"LEAK","#)
    };
    let errors: Vec<(&str, Result<HttpResponse, HttpError>)> = vec![
        (
            "server error",
            json_response(500, json!({"message": "boom"})),
        ),
        ("bad gateway", raw_response(502, &[], "")),
        (
            "unavailable",
            json_response(503, json!({"error": "invalid_grant"})),
        ),
        (
            "rate limit",
            json_response(429, json!({"message": "slow down"})),
        ),
        ("not found", json_response(404, json!({"message": "gone"}))),
        ("forbidden", json_response(403, json!({"message": "no"}))),
        (
            "no client secret",
            json_response(400, json!({"message": "client_secret cannot be null"})),
        ),
        ("not json", html()),
        ("truncated", truncated()),
        (
            "a success without tokens",
            json_response(200, json!({"expires_in": 5})),
        ),
        ("time-out", Err(HttpError::Network("timed out".to_owned()))),
        ("policy", Err(HttpError::Denied("not allowed".to_owned()))),
        ("limit", Err(HttpError::Limit("too large".to_owned()))),
    ];
    for (name, error) in errors {
        let platform = platform();
        let now = platform.now();
        platform.expect(Method::POST, TOKENS, error);
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Retrying, "{name}");
        assert_eq!(report.connection.state, State::Retrying, "{name}");
        assert_nothing_lost(&platform);
        assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Fail));
        let connection = record(&platform).body.connection;
        let next = connection.next_refresh.unwrap();
        assert!(
            (now + 50 * SECOND..=now + 60 * SECOND).contains(&next),
            "{name}"
        );
        assert_eq!(
            UnixMillis(wakeup(&platform, "refresh").unwrap().due),
            next,
            "{name}"
        );
        assert_eq!(connection.retry.unwrap().attempts, 1, "{name}");
        assert_eq!(connection.attempted, Some(now), "{name}");
        assert!(!platform.visible_output().contains("LEAK"), "{name}");
        platform.assert_script_done();
    }
}

#[test]
fn error_that_needs_a_change_promises_no_recovery() {
    let webex = |status, body| json_response(status, body);
    let proxy = || HttpError::ProxyCredentials("the proxy refused the password".to_owned());
    for (error, needs_change, before_webex) in [
        (webex(401, json!({"error": "invalid_client"})), true, false),
        (
            webex(400, json!({"error": "unauthorized_client"})),
            true,
            false,
        ),
        (
            Err(HttpError::Denied("add it to allow".to_owned())),
            true,
            true,
        ),
        (Err(proxy()), true, true),
        (raw_response(407, &[], "<html>"), true, true),
        (raw_response(503, &[], ""), false, false),
        (webex(404, json!({"message": "gone"})), true, false),
        (raw_response(404, &[], "<html>"), true, false),
        (raw_response(405, &[], ""), true, false),
        (raw_response(410, &[], ""), true, false),
        (webex(429, json!({})), false, false),
        (Err(HttpError::Network("refused".to_owned())), false, true),
        (Err(HttpError::Lost("timed out".to_owned())), false, true),
        (Err(HttpError::Limit("requests".to_owned())), true, false),
        (Err(HttpError::TooLarge("8 MiB".to_owned())), false, false),
    ] {
        let platform = platform();
        platform.expect(Method::POST, TOKENS, error);
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Retrying);
        let (message, notes) = (&report.message, &report.connection.notes);
        assert_eq!(
            message.contains("fails too until the cause is corrected"),
            needs_change,
            "{message}"
        );
        assert_eq!(
            notes.contains("will be tried again"),
            !needs_change,
            "{notes}"
        );
        assert!(
            !needs_change || !message.contains("try again later"),
            "{message}"
        );
        let retry = record(&platform).body.connection.retry.unwrap();
        assert_eq!(
            (retry.needs_change, retry.before_webex),
            (needs_change, before_webex),
            "{message}"
        );
    }
}

#[test]
fn missing_client_secret_promises_no_recovery() {
    let platform = platform();
    platform.unset_secret("webex.client-secret");
    let report = run(&platform).unwrap();
    let notes = report.connection.notes;
    assert!(notes.contains("until the cause is corrected"), "{notes}");
}

#[test]
fn backoff_grows_and_resets_on_success() {
    let platform = platform();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
        let report = run(&platform).unwrap();
        let next = UnixMillis(report.connection.next_refresh.unwrap());
        pauses.push(next - platform.now());
        platform.set_now(next);
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[3] > 7 * 60 * SECOND, "{pauses:?}");
    assert_eq!(record(&platform).body.connection.retry.unwrap().attempts, 4);
    platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
    run(&platform).unwrap();
    let connection = record(&platform).body.connection;
    assert_eq!(
        (connection.state, connection.retry),
        (State::Connected, None)
    );
}

#[test]
fn attempt_before_its_time_keeps_the_backoff() {
    let platform = platform();
    let mut next = None;
    for _ in 0..3 {
        platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
        let report = run(&platform).unwrap();
        let scheduled = report.connection.next_refresh.map(UnixMillis);
        assert_eq!(*next.get_or_insert(scheduled), scheduled);
        platform.advance(SECOND);
    }
    assert_eq!(record(&platform).body.connection.retry.unwrap().attempts, 1);
    let busy = raw_response(429, &[("retry-after", "300")], "");
    platform.expect(Method::POST, TOKENS, busy);
    let report = run(&platform).unwrap();
    let until = platform.now() + 300 * SECOND;
    assert_eq!(report.connection.next_refresh, Some(until.0));
    platform.advance(SECOND);
    // A refusal of the integration has a longer backoff, which begins with the first one.
    let refused = json_response(401, json!({"error": "invalid_client"}));
    platform.expect(Method::POST, TOKENS, refused);
    let report = run(&platform).unwrap();
    assert!(report.connection.next_refresh.unwrap() > (platform.now() + 3_000 * SECOND).0);
}

#[test]
fn retry_comes_within_half_of_remaining_lifetime() {
    let platform = platform();
    platform.set_now(START + 90 * DAY - 20 * SECOND);
    platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
    let report = run(&platform).unwrap();
    let next = UnixMillis(report.connection.next_refresh.unwrap());
    assert!(next <= platform.now() + 10 * SECOND);
}

#[test]
fn valid_retry_after_is_obeyed() {
    for (header, at_least, at_most) in [
        ("194", 194, 194),
        ("3", 50, 60),
        ("rand(30),add(30)", 50, 60),
        ("999999999", 86_400, 86_400),
    ] {
        let platform = platform();
        let now = platform.now();
        let headers = [("retry-after", header), ("trackingid", "ROUTER_1")];
        platform.expect(Method::POST, TOKENS, raw_response(429, &headers, ""));
        let report = run(&platform).unwrap();
        let pause = (report.connection.next_refresh.unwrap() - now.0).div_ceil(SECOND.0);
        assert!((at_least..=at_most).contains(&pause), "{header}: {pause}");
        assert_eq!(report.tracking_id.as_deref(), Some("ROUTER_1"));
    }
}

#[test]
fn unknown_client_names_the_credentials() {
    let platform = platform_with_response(
        401,
        json!({"error": "invalid_client", "error_description": "unknown", "trackingId": "T1"}),
    );
    let report = run(&platform).unwrap();
    assert!(
        report.message.contains("client id and the client secret"),
        "{}",
        report.message
    );
    assert!(
        report.message.contains("invalid_client: unknown"),
        "{}",
        report.message
    );
    assert_eq!(report.tracking_id.as_deref(), Some("T1"));
    assert!(
        report.connection.notes.contains("client id"),
        "{}",
        report.connection.notes
    );
}

#[test]
fn disabled_integration_raises_one_alert() {
    let platform = platform();
    let disabled = || json_response(400, json!({"error": "unauthorized_client"}));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        platform.expect(Method::POST, TOKENS, disabled());
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Retrying);
        let next = UnixMillis(report.connection.next_refresh.unwrap());
        pauses.push((next - platform.now()).0 / 60_000);
        platform.set_now(next);
    }
    assert!((54..=60).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses.is_sorted() && pauses[3] > 300, "{pauses:?}");
    assert_nothing_lost(&platform);
    let alerts = platform.documents_of("data/Alert");
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].hierarchy, HIERARCHY.split('.').next().unwrap());
    let body: Value = serde_json::from_str(&alerts[0].body).unwrap();
    assert_eq!(body["code"], code::CLIENT);
    assert_eq!(body["count"], 4);
    assert_eq!(body["subject"], "installation");

    // Another error in between does not end the alert; a success does.
    platform.expect(Method::POST, TOKENS, json_response(503, json!({})));
    run(&platform).unwrap();
    assert_eq!(platform.documents_of("data/Alert").len(), 1);
    platform.advance(SECOND);
    platform.expect(Method::POST, TOKENS, json_response(200, token_response()));
    run(&platform).unwrap();
    assert!(platform.documents_of("data/Alert").is_empty());
}

#[test]
fn token_refusal_ends_the_integration_alert() {
    let platform = platform_with_response(401, json!({"error": "invalid_client"}));
    run(&platform).unwrap();
    assert_eq!(platform.documents_of("data/Alert").len(), 1);
    platform.advance(SECOND);
    platform.expect(Method::POST, TOKENS, refused());
    run(&platform).unwrap();
    let alerts = platform.documents_of("data/Alert");
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].body.contains(code::REAUTHORIZE));
}

#[test]
fn missing_client_setting_is_named_without_request() {
    for (has_id, has_secret, missing) in [
        (false, true, "the client id is not configured"),
        (true, false, "the client secret is not configured"),
        (false, false, "client id and client secret are not"),
    ] {
        let platform = platform();
        if !has_id {
            platform.unset("webex.client-id");
        }
        if !has_secret {
            platform.unset_secret("webex.client-secret");
        }
        let report = run(&platform).unwrap();
        assert_eq!(report.outcome, RefreshOutcome::Retrying);
        let message = &report.message;
        assert!(message.contains(missing), "{message}");
        assert!(!message.contains("enabled at Webex"), "{message}");
        assert_nothing_lost(&platform);
        assert!(platform.sent().is_empty());
    }
}

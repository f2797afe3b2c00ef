//! Tests of requests to the token endpoint and of the handling of its responses.

use http::Method;
use serde_json::Value;

use super::*;
use crate::platform::{Failure, HttpError, HttpResponse, Millis, UnixMillis};
use crate::settings::Settings;
use crate::testing::{MemoryPlatform, json_response, raw_response};
use crate::webex::client::Proxies;
use crate::webex::token_response::{Lifetime, MAX_TOKEN_RESPONSE_BYTES};
use serde_json::json;

const REFRESH_TOKEN: &str = "the-refresh-token";
const ACCESS_TOKEN: &str = "the-access-token";
const CLIENT_SECRET: &str = "the-client-secret";

fn ask(platform: &MemoryPlatform) -> Result<TokenResponse, WebexError> {
    let settings = Settings::load(platform).unwrap();
    let proxies = Proxies {
        http: None,
        https: Some(Secret::new("http://me:proxy-password@proxy:3128/")),
    };
    let webex = Webex::new(platform, &settings, &proxies).unwrap();
    let client = ClientCredentials::reveal(&settings, platform)
        .unwrap()
        .unwrap();
    refresh(&webex, &client, &Secret::new(REFRESH_TOKEN), || {
        Some(Secret::new(ACCESS_TOKEN))
    })
}

#[test]
fn access_token_is_revealed_only_for_an_error() {
    for (status, opened) in [(200, 0), (400, 1)] {
        let platform = MemoryPlatform::new();
        let body = json!({"access_token": "A", "error": "invalid_grant"});
        platform.expect(
            Method::POST,
            "/v1/access_token",
            json_response(status, body),
        );
        let settings = Settings::load(&platform).unwrap();
        let webex = Webex::new(&platform, &settings, &Proxies::default()).unwrap();
        let client = ClientCredentials::reveal(&settings, &platform)
            .unwrap()
            .unwrap();
        let count = std::cell::Cell::new(0);
        let _ = refresh(&webex, &client, &Secret::new(REFRESH_TOKEN), || {
            count.set(count.get() + 1);
            None
        });
        assert_eq!(count.get(), opened, "status {status}");
    }
}

fn result_of(response: Result<HttpResponse, HttpError>) -> Result<TokenResponse, WebexError> {
    let platform = MemoryPlatform::new();
    platform.expect(Method::POST, "/v1/access_token", response);
    let result = ask(&platform);
    platform.assert_script_done();
    result
}

fn error_for(status: u16, body: Value) -> WebexError {
    result_of(json_response(status, body)).unwrap_err()
}

#[test]
fn refresh_request_follows_rfc_6749() {
    let platform = MemoryPlatform::new();
    platform.expect(
        Method::POST,
        "https://webexapis.com/v1/access_token",
        json_response(200, json!({"access_token": "A", "expires_in": "60"})),
    );
    let response = ask(&platform).unwrap();
    assert_eq!(response.access_token.expose(), "A");
    assert_eq!(response.expires_in, Lifetime::Reported(Millis(60_000)));

    let sent = platform.sent();
    let [request] = sent.as_slice() else {
        panic!("{} requests", sent.len());
    };
    for (field, value) in [
        ("grant_type", "refresh_token"),
        ("client_id", "C0ffee"),
        ("client_secret", CLIENT_SECRET),
        ("refresh_token", REFRESH_TOKEN),
    ] {
        assert_eq!(request.form(field).as_deref(), Some(value), "{field}");
    }
    assert_eq!(
        request.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(request.header("accept"), "application/json");
    assert_eq!(request.header("authorization"), "");
    assert!(request.header("user-agent").starts_with("spark-customer/"));
    let https = request.proxies.1.as_ref().map(Secret::expose);
    assert_eq!(https, Some("http://me:proxy-password@proxy:3128/"));
}

#[test]
fn each_error_response_maps_to_its_kind() {
    let oauth = |code: &str| json!({"error": code, "error_description": "because"});
    let webex = |message: &str| json!({"message": message, "errors": [{"description": message}], "trackingId": "T"});
    let expired = "The refresh token provided is expired, revoked, malformed, or invalid.";
    for (status, body, kind) in [
        (400, oauth("invalid_grant"), ErrorKind::Refused),
        (401, oauth("invalid_grant"), ErrorKind::Refused),
        (403, oauth("invalid_grant"), ErrorKind::Refused),
        (400, oauth("unauthorized_client"), ErrorKind::Client),
        (400, webex(expired), ErrorKind::Refused),
        (401, webex("refresh_token is not valid"), ErrorKind::Refused),
        (
            400,
            json!({"error": "invalid_request", "error_description": expired}),
            ErrorKind::Refused,
        ),
        (401, oauth("invalid_client"), ErrorKind::Client),
        (400, oauth("invalid_client"), ErrorKind::Client),
        (
            400,
            webex("client_secret cannot be null or empty"),
            ErrorKind::Client,
        ),
        (
            400,
            webex("refresh_token cannot be null or empty"),
            ErrorKind::Client,
        ),
        (401, webex("Unauthorized"), ErrorKind::Client),
        (400, oauth("invalid_request"), ErrorKind::Rejected),
        (400, oauth("invalid_scope"), ErrorKind::Rejected),
        (400, oauth("unsupported_grant_type"), ErrorKind::Rejected),
        (403, webex(expired), ErrorKind::Unavailable),
        (404, webex("Not Found"), ErrorKind::NotFound),
        (405, webex("Method Not Allowed"), ErrorKind::NotFound),
        (429, webex("Too Many Requests"), ErrorKind::RateLimited),
        (500, oauth("invalid_grant"), ErrorKind::Unavailable),
        (502, webex("Bad Gateway"), ErrorKind::Unavailable),
        (
            503,
            oauth("temporarily_unavailable"),
            ErrorKind::Unavailable,
        ),
        (302, json!({}), ErrorKind::Unavailable),
        (204, json!({}), ErrorKind::Unavailable),
        (400, json!({}), ErrorKind::Client),
        (200, oauth("invalid_grant"), ErrorKind::Refused),
        (203, oauth("invalid_client"), ErrorKind::Client),
        (200, oauth("invalid_request"), ErrorKind::Rejected),
        (
            200,
            oauth("temporarily_unavailable"),
            ErrorKind::Unavailable,
        ),
        (
            200,
            json!({"error": {"key": "401"}}),
            ErrorKind::Unavailable,
        ),
        (
            400,
            oauth("temporarily_unavailable"),
            ErrorKind::Unavailable,
        ),
        (400, oauth("server_error"), ErrorKind::Unavailable),
        (
            403,
            oauth("temporarily_unavailable"),
            ErrorKind::Unavailable,
        ),
        (400, oauth("slow_down"), ErrorKind::RateLimited),
        (200, webex(expired), ErrorKind::Refused),
        (200, webex("Maintenance"), ErrorKind::Unavailable),
    ] {
        let error = error_for(status, body.clone());
        assert_eq!(error.kind, kind, "{status} {body}");
        assert_eq!(error.status, Some(status));
    }
}

#[test]
fn invalid_responses_are_unavailable_and_not_shown() {
    let json = [("content-type", "application/json")];
    let html = [("content-type", "text/html")];
    let token = br#"{"access_token":"LEAK","expires_in":"#.as_slice();
    let huge = vec![b' '; MAX_TOKEN_RESPONSE_BYTES + 1];
    for (status, headers, body) in [
        (200, &json, token.to_vec()),
        (200, &json, Vec::new()),
        (200, &json, b"null".to_vec()),
        (200, &json, br#"{"access_token":null,"LEAK":1}"#.to_vec()),
        (200, &json, b"\xff\xfeLEAK".to_vec()),
        (200, &json, huge.clone()),
        (200, &html, b"<html>LEAK</html>".to_vec()),
        (204, &json, Vec::new()),
        (400, &html, b"<html>invalid_grant LEAK</html>".to_vec()),
        (401, &html, b"<html>LEAK</html>".to_vec()),
        (403, &html, Vec::new()),
        (400, &json, huge),
        (400, &json, b"[\"LEAK\"]".to_vec()),
        (503, &html, b"<html>LEAK</html>".to_vec()),
    ] {
        let error = result_of(raw_response(status, headers, body)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("LEAK"), "{shown}");
    }
}

#[test]
fn byte_order_mark_before_a_response_is_dropped() {
    let response = result_of(raw_response(200, &[], "\u{feff}{\"access_token\":\"A\"}"));
    assert_eq!(response.unwrap().access_token, Secret::new("A"));
    let body = "\u{feff}{\"error\":\"invalid_grant\"}";
    for status in [200, 400] {
        let error = result_of(raw_response(status, &[], body)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{status}");
    }
}

#[test]
fn transient_error_code_advises_to_wait() {
    for code in ["temporarily_unavailable", "slow_down", "server_error"] {
        let error = error_for(400, json!({ "error": code }));
        assert!(error.to_string().contains(code), "{error}");
        assert!(error.to_string().contains("try again"), "{error}");
        assert!(!error.to_string().contains("authors"), "{error}");
    }
}

#[test]
fn tokens_with_other_content_type_are_accepted() {
    for (status, content_type) in [(200, "text/html"), (203, "application/json"), (201, "")] {
        let headers = [("content-type", content_type)];
        let response = result_of(raw_response(status, &headers, r#"{"access_token":"A"}"#));
        let response = response.unwrap_or_else(|error| panic!("{status} {content_type}: {error}"));
        assert_eq!(response.access_token, Secret::new("A"));
    }
}

#[test]
fn error_without_response_has_the_hosts_text() {
    for (error, kind) in [
        (
            HttpError::Network("timed out after 10 s".to_owned()),
            ErrorKind::Unavailable,
        ),
        (
            HttpError::Denied("not in egress.allow".to_owned()),
            ErrorKind::Denied,
        ),
        (
            HttpError::Limit("more than limits.requests".to_owned()),
            ErrorKind::Limit,
        ),
    ] {
        let message = error.to_string();
        let error = result_of(Err(error)).unwrap_err();
        assert_eq!((error.kind, error.status), (kind, None));
        assert!(error.to_string().contains(&message), "{error}");
    }
}

#[test]
fn error_keeps_code_description_and_retry_after() {
    let body = json!({
        "error": "invalid_grant", "error_description": "expired.\nReally.", "trackingId": "BODY_1",
    })
    .to_string();
    let headers = [
        ("content-type", "application/json;charset=UTF-8"),
        ("TrackingID", "HEADER_1"),
        ("Retry-After", "194"),
    ];
    let error = result_of(raw_response(400, &headers, body)).unwrap_err();
    assert_eq!(error.error.as_deref(), Some("invalid_grant"));
    assert_eq!(error.description.as_deref(), Some("expired. Really."));
    assert_eq!(error.tracking_id.as_deref(), Some("BODY_1"));
    assert_eq!(error.retry_after, Some(Millis(194_000)));
    assert_eq!(
        error.to_string(),
        "POST https://webexapis.com/v1/access_token failed with status 400 Bad Request: \
         invalid_grant: expired. Really (tracking id BODY_1); connect this customer to Webex again"
    );

    let headers = [
        ("trackingid", "HEADER_2"),
        ("retry-after", "rand(30),add(30)"),
    ];
    let error = result_of(raw_response(429, &headers, "slow down")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.tracking_id.as_deref(), Some("HEADER_2"));
    assert_eq!(error.retry_after, None);
}

#[test]
fn secrets_in_error_bodies_are_redacted() {
    let error = error_for(
        400,
        json!({
            "error": format!("bad {REFRESH_TOKEN}"),
            "error_description": format!("{CLIENT_SECRET} and {REFRESH_TOKEN} and proxy-password"),
            "trackingId": CLIENT_SECRET,
        }),
    );
    let shown = format!(
        "{error} {error:?} {:?}",
        error.clone().into_failure(UnixMillis(0))
    );
    for secret in [REFRESH_TOKEN, CLIENT_SECRET, "proxy-password"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // `C0ffee:the-client-secret`, as a proxy's trace would show it.
    let basic = "QzBmZmVlOnRoZS1jbGllbnQtc2VjcmV0";
    let error = error_for(
        500,
        json!({"message": format!("{ACCESS_TOKEN}, authorization: Basic {basic}")}),
    );
    let shown = format!("{error} {error:?}");
    for secret in [ACCESS_TOKEN, basic] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let error = result_of(Err(HttpError::Network(format!(
        "proxy http://me:proxy-password@proxy:3128/ {CLIENT_SECRET}"
    ))))
    .unwrap_err();
    assert!(!error.to_string().contains("proxy-password"), "{error}");
}

#[test]
fn each_error_kind_maps_to_its_failure() {
    let failure = |kind| WebexError::new(kind, "GET /", None).into_failure(UnixMillis(1_000));
    assert!(matches!(
        failure(ErrorKind::Refused),
        Failure::Reauthorize(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Unauthorized),
        Failure::Reauthorize(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Forbidden),
        Failure::Reauthorize(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Unavailable),
        Failure::Unavailable(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Denied),
        Failure::LimitExceeded(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Limit),
        Failure::LimitExceeded(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Client),
        Failure::LimitExceeded(_)
    ));
    assert!(matches!(
        failure(ErrorKind::ProxyCredentials),
        Failure::LimitExceeded(_)
    ));
    assert!(matches!(
        failure(ErrorKind::Rejected),
        Failure::Unavailable(_)
    ));
    assert_eq!(failure(ErrorKind::RateLimited), Failure::RateLimited(None));
    let limited = WebexError {
        retry_after: Some(Millis(5_000)),
        ..WebexError::new(ErrorKind::RateLimited, "GET /", None)
    };
    assert_eq!(
        limited.into_failure(UnixMillis(1_000)),
        Failure::RateLimited(Some(UnixMillis(6_000)))
    );
}

#[test]
fn revocation_of_a_missing_grant_succeeds() {
    for (status, succeeds) in [
        (204, true),
        (200, true),
        (404, true),
        (401, false),
        (503, false),
    ] {
        let platform = MemoryPlatform::new();
        platform.expect(
            Method::DELETE,
            "/v1/authorizations?clientId=C%261&orgId=Y2lz",
            raw_response(status, &[], ""),
        );
        let settings = Settings::default();
        let webex = Webex::new(&platform, &settings, &Proxies::default()).unwrap();
        let result = revoke(&webex, "C&1", "Y2lz", &Secret::new("A"));
        assert_eq!(result.is_ok(), succeeds, "{status}");
        platform.assert_script_done();
        assert_eq!(platform.sent()[0].header("authorization"), "Bearer A");
        if let Err(error) = result {
            assert!(!error.to_string().contains("C%261"), "{error}");
        }
    }
}

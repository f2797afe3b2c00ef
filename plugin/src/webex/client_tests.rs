//! Tests of requests to the REST API and of the classification of responses.

use serde_json::json;

use super::*;
use crate::platform::Environment;
use crate::testing::{MemoryPlatform, SECOND, json_response, raw_response};

const TOKEN: &str = "the-access-token";

fn ask(platform: &MemoryPlatform) -> Result<Value, WebexError> {
    let settings = Settings::default();
    let webex = Webex::new(platform, &settings, &Proxies::default()).unwrap();
    webex.get_json("/organizations?max=1", &Secret::new(TOKEN))
}

fn result_of(response: Result<HttpResponse, HttpError>) -> Result<Value, WebexError> {
    let platform = MemoryPlatform::new();
    platform.expect(Method::GET, "/v1/organizations", response);
    ask(&platform)
}

#[test]
fn request_has_token_accept_and_user_agent() {
    let platform = MemoryPlatform::new();
    platform.expect(
        Method::GET,
        "https://webexapis.com/v1/organizations?max=1",
        json_response(200, json!({"items": []})),
    );
    assert_eq!(ask(&platform), Ok(json!({"items": []})));
    let sent = platform.sent();
    assert_eq!(sent[0].header("authorization"), "Bearer the-access-token");
    assert_eq!(sent[0].header("accept"), "application/json");
    assert_eq!(sent[0].header("user-agent"), USER_AGENT_VALUE);
    assert!(sent[0].body.is_empty());
    assert!(!format!("{:?}", sent[0].headers).contains(TOKEN));
}

#[test]
fn each_status_maps_to_its_error_kind() {
    for (status, kind) in [
        (400, ErrorKind::Rejected),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Rejected),
        (407, ErrorKind::ProxyCredentials),
        (408, ErrorKind::Unavailable),
        (409, ErrorKind::Unavailable),
        (410, ErrorKind::NotFound),
        (415, ErrorKind::Rejected),
        (423, ErrorKind::Unavailable),
        (428, ErrorKind::Unavailable),
        (429, ErrorKind::RateLimited),
        (451, ErrorKind::Rejected),
        (500, ErrorKind::Unavailable),
        (502, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
        (504, ErrorKind::Unavailable),
        (302, ErrorKind::Unavailable),
        (204, ErrorKind::Unavailable),
    ] {
        let error = result_of(raw_response(status, &[], "")).unwrap_err();
        assert_eq!(error.kind, kind, "{status}");
        assert_eq!(error.status, Some(status));
    }
}

#[test]
fn error_text_has_request_cause_and_advice() {
    let message =
        "The request requires a valid access token set in the Authorization request header.";
    let body = json!({
        "message": message, "errors": [{"description": message}], "trackingId": "ROUTER_1",
    });
    let error = result_of(json_response(401, body)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET https://webexapis.com/v1/organizations failed with status 401 Unauthorized: The \
         request requires a valid access token set in the Authorization request header (tracking \
         id ROUTER_1); use an access token that is valid"
    );
}

#[test]
fn different_descriptions_are_all_reported() {
    let body = json!({
        "message": "bad", "errors": [{"description": "first"}, {"code": 5}, {"description": "second"}],
    });
    let error = result_of(json_response(400, body)).unwrap_err();
    assert_eq!(error.description.as_deref(), Some("bad; first; second"));
}

#[test]
fn error_bodies_of_any_shape_are_accepted() {
    for body in [
        "null",
        "[]",
        "7",
        r#"{"errors": "none"}"#,
        r#"{"errors": [null, 1, [], {"description": {}}]}"#,
        r#"{"message": {"deep": 1}, "error": {"key": "401"}, "trackingId": 7}"#,
        "{",
        "\u{0}",
    ] {
        let error = result_of(raw_response(500, &[], body)).unwrap_err();
        assert_eq!(
            (error.description, error.tracking_id),
            (None, None),
            "{body}"
        );
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(result_of(raw_response(500, &[], nested.clone())).is_err());
    assert!(result_of(raw_response(200, &[], nested)).is_err());
}

#[test]
fn invalid_response_is_unavailable_without_its_body() {
    let huge = vec![b' '; MAX_JSON_BYTES + 1];
    for body in [
        b"<html>LEAK</html>".to_vec(),
        b"{\"LEAK\":".to_vec(),
        Vec::new(),
        huge,
    ] {
        let error = result_of(raw_response(200, &[("trackingid", "T1")], body)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.tracking_id.as_deref(), Some("T1"));
        assert!(!format!("{error} {error:?}").contains("LEAK"), "{error}");
    }
}

#[test]
fn byte_order_mark_before_a_response_is_dropped() {
    let response = result_of(raw_response(200, &[], "\u{feff}{\"items\": []}"));
    assert_eq!(response, Ok(json!({"items": []})));
    let body = "\u{feff}{\"message\": \"down\", \"trackingId\": \"T1\"}";
    let error = result_of(raw_response(503, &[], body)).unwrap_err();
    assert_eq!(error.description.as_deref(), Some("down"));
}

#[test]
fn error_with_success_status_is_an_error() {
    for (code, kind) in [
        ("temporarily_unavailable", ErrorKind::Unavailable),
        ("slow_down", ErrorKind::RateLimited),
        ("invalid_token", ErrorKind::Unauthorized),
        ("insufficient_scope", ErrorKind::Forbidden),
        ("surprise", ErrorKind::Unavailable),
    ] {
        let body = json!({"error": code, "error_description": "because", "trackingId": "T1"});
        let error = result_of(json_response(200, body)).unwrap_err();
        assert_eq!(error.kind, kind, "{code}");
        assert_eq!(error.error.as_deref(), Some(code));
        assert_eq!(error.description.as_deref(), Some("because"));
        assert_eq!(error.tracking_id.as_deref(), Some("T1"));
    }
    let body = json!({"message": "Maintenance", "trackingId": "T1"});
    let error = result_of(json_response(200, body)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(error.description.as_deref(), Some("Maintenance"));
    let content = json!({"items": [], "error": "none"});
    assert_eq!(result_of(json_response(200, content.clone())), Ok(content));
}

#[test]
fn token_in_error_body_is_redacted() {
    let body = json!({"message": format!("bad token {TOKEN}"), "trackingId": TOKEN});
    let error = result_of(json_response(401, body)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error}");
}

#[test]
fn token_with_invalid_characters_is_not_sent() {
    let platform = MemoryPlatform::new();
    let settings = Settings::default();
    let webex = Webex::new(&platform, &settings, &Proxies::default()).unwrap();
    let error = webex
        .get_json("/organizations", &Secret::new("a\r\nhost: evil"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(platform.sent().is_empty());
    assert!(!error.to_string().contains("evil"));
}

#[test]
fn retry_after_date_uses_the_platform_clock() {
    let platform = MemoryPlatform::new();
    let date = httpdate::fmt_http_date(
        std::time::UNIX_EPOCH + std::time::Duration::from_millis((platform.now() + 30 * SECOND).0),
    );
    let response = raw_response(429, &[("Retry-After", &date)], "");
    platform.expect(Method::GET, "/organizations", response);
    assert_eq!(ask(&platform).unwrap_err().retry_after, Some(30 * SECOND));
}

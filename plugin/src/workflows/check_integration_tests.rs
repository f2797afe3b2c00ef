//! Tests of the check of the integration.

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::platform::{Environment, HttpError};
use crate::testing::{MemoryPlatform, json_response, raw_response};

/// Returns the level and the message of a check.
fn found(platform: &MemoryPlatform, check: &str) -> (FindingLevel, String) {
    let findings = check_integration(platform).unwrap();
    let finding = findings.into_iter().find(|finding| finding.check == check);
    let finding = finding.unwrap_or_else(|| panic!("{check} was not checked"));
    assert_eq!(finding.level == FindingLevel::Ok, finding.hint.is_empty());
    (finding.level, finding.message)
}

fn responding(status: u16, body: Value) -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.serve(move |_, request| match *request.method() {
        Method::POST => json_response(status, body.clone()),
        _ => json_response(401, json!({})),
    });
    platform
}

#[test]
fn refused_token_proves_the_client() {
    let platform = responding(400, json!({ "error": "invalid_grant" }));
    let (level, message) = found(&platform, "client");
    assert_eq!(level, FindingLevel::Ok, "{message}");
    assert_eq!(platform.sent().len(), 2);
}

#[test]
fn wrong_secret_is_an_error_without_the_secret() {
    let platform = responding(401, json!({ "error": "invalid_client" }));
    let (level, message) = found(&platform, "client");
    assert_eq!(level, FindingLevel::Error);
    assert!(message.contains("invalid_client"), "{message}");
    assert!(!platform.visible_output().contains("client-secret"));
}

#[test]
fn missing_client_id_needs_no_request() {
    let platform = MemoryPlatform::new();
    platform.set("webex.client-id", "");
    let (level, message) = found(&platform, "client");
    assert_eq!(level, FindingLevel::Error);
    assert!(message.contains("the client id is not"), "{message}");
    assert!(platform.sent().is_empty());
}

#[test]
fn unreachable_or_foreign_server_is_an_error() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, _| Err(HttpError::Network("no route".to_owned())));
    assert_eq!(found(&platform, "webex").0, FindingLevel::Error);
    platform.serve(|_, _| Err(HttpError::Denied("egress.allow".to_owned())));
    let (level, message) = found(&platform, "egress");
    assert_eq!(level, FindingLevel::Error);
    assert!(message.contains("egress.allow"), "{message}");
    platform.serve(|_, _| raw_response(404, &[("content-type", "text/html")], "<html>"));
    assert_eq!(found(&platform, "webex").0, FindingLevel::Error);
    let tokens = json!({ "access_token": "a", "expires_in": 1, "refresh_token": "r" });
    let platform = responding(200, tokens);
    assert_eq!(found(&platform, "client").0, FindingLevel::Error);
}

#[test]
fn client_that_could_not_be_checked_is_an_error() {
    for status in [429, 500, 503] {
        let platform = responding(status, json!({ "message": "not now", "trackingId": "T1" }));
        assert_eq!(found(&platform, "webex").0, FindingLevel::Error, "{status}");
    }
}

#[test]
fn base_url_ends_with_the_version() {
    let platform = responding(400, json!({ "error": "invalid_grant" }));
    assert_eq!(found(&platform, "base-url").0, FindingLevel::Ok);
    platform.set("webex.base-url", "https://webexapis.com");
    assert_eq!(found(&platform, "base-url").0, FindingLevel::Warning);
}

#[test]
fn missing_scope_is_named_with_its_use() {
    let platform = responding(400, json!({ "error": "invalid_grant" }));
    platform.set("webex.scopes", &Settings::default().scopes.base.join(" "));
    assert_eq!(found(&platform, "scopes").0, FindingLevel::Ok);
    platform.set("webex.scopes", "spark-admin:people_read");
    let (level, message) = found(&platform, "scopes");
    assert_eq!(level, FindingLevel::Warning);
    assert!(
        message.contains("spark-admin:roles_read (to import roles)"),
        "{message}"
    );
}

#[test]
fn wrong_clock_is_an_error() {
    let dated = |offset_seconds: i64| {
        let platform = MemoryPlatform::new();
        let now = i64::try_from(platform.now().0 / 1000).unwrap();
        let date = u64::try_from(now + offset_seconds).unwrap();
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(date);
        platform.serve(move |_, _| {
            let mut response = json_response(400, json!({ "error": "invalid_grant" }))?;
            let value = httpdate::fmt_http_date(date).parse().unwrap();
            response.headers_mut().insert("date", value);
            Ok(response)
        });
        found(&platform, "clock")
    };
    assert_eq!(dated(2).0, FindingLevel::Ok);
    assert_eq!(dated(-200).0, FindingLevel::Ok);
    for (offset, text) in [(3600, "60 min behind"), (-3600, "60 min ahead of")] {
        let (level, message) = dated(offset);
        assert_eq!(level, FindingLevel::Error);
        assert!(message.contains(text), "{message}");
    }
}

//! A plugin that tries to send forbidden headers through its interface: where each attempt ends,
//! and the transaction's log of it.
//!
//! `docs/egress.md` has many more, made without a component.
use relation_e2e::World;

use crate::world::HostileWorld;

/// Returns the plugin's result and the log; the address of the emulated Webex is written as
/// `WEBEX`.
async fn run_attempt(
    scheme: &str,
    authority: &str,
    path: &str,
    field: (&str, &str),
) -> (String, String) {
    // The emulator's address is known once the world exists; a setting is needed before.
    let emulator = World::builder().start().await;
    let address = emulator.emulator.address().to_string();
    let mut parts = vec![
        scheme.to_owned(),
        authority.replace("WEBEX", &address),
        path.to_owned(),
    ];
    if !field.0.is_empty() {
        parts.extend([field.0.to_owned(), field.1.to_owned()]);
    }
    let world = World::builder()
        .setting("attempt", &parts.join("\u{1f}"))
        .allow(&[&format!("http://{address}")]);
    let call = HostileWorld::with("header_tricks", world)
        .await
        .misbehave()
        .await;
    let log = call.log();
    let reached = emulator.emulator.requests().len();
    let result = format!("{}, {reached} sent", call.expect_notes());
    (result, log.replace(&address, "WEBEX"))
}

const NO_FIELD: (&str, &str) = ("", "");

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_request_is_sent() {
    let (result, log) = run_attempt("http", "WEBEX", "/v1/roles", ("accept", "*/*")).await;
    assert_eq!(result, "status 401, 1 sent");
    assert_eq!(log, "");
}

/// Asserts that invalid header fields are rejected when they are set.
#[tokio::test(flavor = "multi_thread")]
pub async fn header_tricks() {
    for (authority, path, field, result) in [
        (
            "WEBEX",
            "/",
            ("x-a", "b\r\nhost: evil.example"),
            "field: HeaderError::InvalidSyntax",
        ),
        (
            "WEBEX",
            "/",
            ("x-a", "b\nx-c: d"),
            "field: HeaderError::InvalidSyntax",
        ),
        (
            "WEBEX",
            "/",
            ("x-a", "b\0"),
            "field: HeaderError::InvalidSyntax",
        ),
        (
            "WEBEX",
            "/",
            ("x-a\r\nhost", "evil.example"),
            "field: HeaderError::InvalidSyntax",
        ),
        (
            "WEBEX",
            "/",
            ("host", "evil.example"),
            "field: HeaderError::Forbidden",
        ),
        (
            "WEBEX",
            "/",
            ("connection", "close"),
            "field: HeaderError::Forbidden",
        ),
        (
            "WEBEX",
            "/",
            ("transfer-encoding", "chunked"),
            "field: HeaderError::Forbidden",
        ),
        (
            "WEBEX",
            "/",
            ("upgrade", "h2c"),
            "field: HeaderError::Forbidden",
        ),
        (
            "WEBEX",
            "/",
            ("proxy-authorization", "Basic eDp5"),
            "field: HeaderError::Forbidden",
        ),
        ("evil.example\\@WEBEX", "/", NO_FIELD, "authority"),
        ("WEBEX\r\nhost: evil.example", "/", NO_FIELD, "authority"),
        ("WEBEX\0", "/", NO_FIELD, "authority"),
        ("%31%32%37.0.0.1", "/", NO_FIELD, "authority"),
        ("w\u{435}bexapis.com", "/", NO_FIELD, "authority"),
        (
            "WEBEX",
            "/ HTTP/1.1\r\nhost: evil.example\r\n\r\nGET /",
            NO_FIELD,
            "path",
        ),
        ("WEBEX", "@evil.example/", NO_FIELD, "path"),
        ("WEBEX", "http://evil.example/", NO_FIELD, "path"),
        ("WEBEX", "*", NO_FIELD, "path"),
    ] {
        let (found, _) = run_attempt("http", authority, path, field).await;
        assert_eq!(
            found,
            format!("{result}, 0 sent"),
            "{authority:?} {path:?} {field:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_request_is_rejected_with_code_and_log() {
    let long = "v".repeat(70_000);
    for (scheme, authority, field, code, words) in [
        (
            "http",
            "169.254.169.254",
            NO_FIELD,
            "HttpRequestDenied",
            "`http://169.254.169.254` is not allowed: `egress.allow` has no entry for this scheme, \
             host and port; add \"http://169.254.169.254\" to it",
        ),
        (
            "https",
            "WEBEX",
            NO_FIELD,
            "HttpRequestDenied",
            "`https://WEBEX` is not allowed: `egress.allow` has no entry for this scheme, host and \
             port; add \"https://WEBEX\" to it",
        ),
        (
            "http",
            "webexapis.com@WEBEX",
            NO_FIELD,
            "HttpRequestUriInvalid",
            "the address of the request is refused: it contains a user name or password",
        ),
        (
            "file",
            "WEBEX",
            NO_FIELD,
            "HttpRequestUriInvalid",
            "the address of the request is refused: only http and https can be reached",
        ),
        (
            "http",
            "WEBEX",
            ("te", "trailers"),
            "HttpRequestDenied",
            "the request is not sent: the header field `te` controls the connection, which only \
             the host may do",
        ),
        (
            "http",
            "WEBEX",
            ("x-long", &*long),
            "HttpRequestHeaderSectionSize(Some(65536))",
            "the header of the request to `http://WEBEX` is larger than 65536 bytes or has more \
             than 100 fields, the limit `limits.headers`",
        ),
    ] {
        let (result, log) = run_attempt(scheme, authority, "/", field).await;
        assert_eq!(
            result,
            format!("ErrorCode::{code}, 0 sent"),
            "{scheme} {authority}"
        );
        assert_eq!(log, words);
    }
}

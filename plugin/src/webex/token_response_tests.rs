//! Tests of parsing token responses.

use crate::platform::Millis;
use proptest::prelude::*;

use super::*;

#[test]
fn complete_response_is_parsed() {
    let response = TokenResponse::parse(
        r#"{"scope":"spark:kms spark-admin:people_read spark:kms","expires_in":1209599,
            "token_type":"Bearer","refresh_token":"R","refresh_token_expires_in":7775999,
            "access_token":"A"}"#,
    )
    .unwrap();
    assert_eq!(
        response,
        TokenResponse {
            access_token: Secret::new("A"),
            refresh_token: Some(Secret::new("R")),
            expires_in: Lifetime::Reported(Millis(1_209_599_000)),
            refresh_token_expires_in: Lifetime::Reported(Millis(7_775_999_000)),
            scopes: Some(vec![
                "spark-admin:people_read".to_owned(),
                "spark:kms".to_owned()
            ]),
        }
    );
}

#[test]
fn only_the_access_token_is_required() {
    let response = TokenResponse::parse(r#"{"access_token":"A","refresh_token":""}"#).unwrap();
    assert_eq!(response, TokenResponse::from_pasted(Secret::new("A"), None));
}

#[test]
fn lifetimes_are_parsed_from_any_number() {
    for (json, expected) in [
        ("1209599", Lifetime::Reported(Millis(1_209_599_000))),
        ("1209599.9", Lifetime::Reported(Millis(1_209_599_000))),
        ("\" 3600 \"", Lifetime::Reported(Millis(3_600_000))),
        ("\"3600.0\"", Lifetime::Reported(Millis(3_600_000))),
        ("null", Lifetime::Absent),
        ("0", Lifetime::Elapsed),
        ("0.9", Lifetime::Elapsed),
        ("\"0\"", Lifetime::Elapsed),
        ("-1", Lifetime::Invalid),
        ("-1e300", Lifetime::Invalid),
        ("\"soon\"", Lifetime::Invalid),
        ("\"NaN\"", Lifetime::Invalid),
        ("true", Lifetime::Invalid),
        ("[]", Lifetime::Invalid),
        ("9223372036854775807", Lifetime::Clamped(MAX_LIFETIME)),
        ("18446744073709551615", Lifetime::Clamped(MAX_LIFETIME)),
        ("1e300", Lifetime::Clamped(MAX_LIFETIME)),
        ("\"inf\"", Lifetime::Clamped(MAX_LIFETIME)),
    ] {
        let text = format!(r#"{{"access_token":"A","expires_in":{json}}}"#);
        let response = TokenResponse::parse(&text).unwrap();
        assert_eq!(response.expires_in, expected, "{json}");
    }
}

#[test]
fn invalid_response_is_refused_without_its_text() {
    for (json, expected) in [
        ("", TokenResponseError::Empty),
        (" \u{feff}\n", TokenResponseError::Empty),
        ("[]", TokenResponseError::Json),
        ("\"SECRET\"", TokenResponseError::Json),
        (r#"{"access_token":"SECRET""#, TokenResponseError::Json),
        (
            r#"{"refresh_token":"SECRET"}"#,
            TokenResponseError::NoAccessToken,
        ),
        (r#"{"access_token":""}"#, TokenResponseError::NoAccessToken),
        (r#"{"access_token":["SECRET"]}"#, TokenResponseError::Token),
        (
            r#"{"access_token":"SECRET\r\nx: y"}"#,
            TokenResponseError::Token,
        ),
        (
            r#"{"access_token":"S","refresh_token":5}"#,
            TokenResponseError::Token,
        ),
        (
            r#"{"access_token":"S","token_type":"mac"}"#,
            TokenResponseError::TokenType,
        ),
    ] {
        let error = TokenResponse::parse(json).unwrap_err();
        assert_eq!(error, expected, "{json}");
        assert!(!error.to_string().contains("SECRET"));
    }
    let large = format!(
        r#"{{"access_token":"{}"}}"#,
        "A".repeat(MAX_TOKEN_RESPONSE_BYTES)
    );
    assert_eq!(TokenResponse::parse(&large), Err(TokenResponseError::Size));
}

#[test]
fn byte_order_mark_before_a_response_is_dropped() {
    let response = TokenResponse::parse("\u{feff}{\"access_token\":\"A\"}\r\n").unwrap();
    assert_eq!(response, TokenResponse::from_pasted(Secret::new("A"), None));
}

#[test]
fn duplicate_member_is_accepted_if_equal() {
    let twice =
        r#"{"access_token":"A","expires_in":5,"access_token":"A","expires_in":5,"x":1,"x":2}"#;
    let response = TokenResponse::parse(twice).unwrap();
    assert_eq!(response.access_token, Secret::new("A"));
    for (json, member) in [
        (
            r#"{"access_token":"A","access_token":"SECRET"}"#,
            "access_token",
        ),
        (
            r#"{"access_token":"A","refresh_token":"SECRET","refresh_token":null}"#,
            "refresh_token",
        ),
        (
            r#"{"access_token":"A","expires_in":1,"expires_in":2,"expires_in":1}"#,
            "expires_in",
        ),
    ] {
        let error = TokenResponse::parse(json).unwrap_err();
        assert_eq!(error, TokenResponseError::DuplicateMember(member));
        assert!(error.to_string().contains(member) && !error.to_string().contains("SECRET"));
    }
}

#[test]
fn invalid_token_text_is_reported_with_its_cause() {
    for (text, part) in [
        ("", "empty"),
        ("\"abc\"", "quotes"),
        ("'abc'", "quotes"),
        ("“abc”", "quotes"),
        ("ab\ncd", "several lines"),
        ("Bearer abc", "Bearer"),
        ("{\"access_token\":\"a\"}", "JSON"),
        ("ab cd", "characters"),
        ("äbc", "characters"),
    ] {
        let error = find_token_error(text).unwrap_or_default();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(find_token_error(&"a".repeat(MAX_TOKEN_BYTES)), None);
    assert!(find_token_error(&"a".repeat(MAX_TOKEN_BYTES + 1)).is_some());
}

#[test]
fn token_type_may_have_any_case() {
    for name in ["Bearer", "bearer", "BEARER", ""] {
        let json = format!(r#"{{"access_token":"A","token_type":"{name}"}}"#);
        assert!(TokenResponse::parse(&json).is_ok(), "{name}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in ".{0,200}") {
        let _ = TokenResponse::parse(&text);
    }

    #[test]
    fn any_number_is_a_lifetime_within_ten_years(seconds: f64) {
        let lifetime = Lifetime::from_json(Some(&Value::from(seconds))).usable();
        prop_assert!(lifetime.is_none_or(|lifetime| (Millis(1_000)..=MAX_LIFETIME).contains(&lifetime)));
    }
}

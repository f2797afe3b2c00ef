//! How token answers are read.

use proptest::prelude::*;

use super::*;

#[test]
fn a_whole_answer_is_understood() {
    let answer = TokenResponse::parse(
        r#"{"scope":"spark:kms spark-admin:people_read spark:kms","expires_in":1209599,
            "token_type":"Bearer","refresh_token":"R","refresh_token_expires_in":7775999,
            "access_token":"A"}"#,
    )
    .unwrap();
    assert_eq!(
        answer,
        TokenResponse {
            access_token: Secret::new("A"),
            refresh_token: Some(Secret::new("R")),
            expires_in: Lifetime::Told(1_209_599_000),
            refresh_token_expires_in: Lifetime::Told(7_775_999_000),
            scopes: Some(vec![
                "spark-admin:people_read".to_owned(),
                "spark:kms".to_owned()
            ]),
        }
    );
}

#[test]
fn only_the_access_token_is_required() {
    let answer = TokenResponse::parse(r#"{"access_token":"A","refresh_token":""}"#).unwrap();
    assert_eq!(answer, TokenResponse::pasted(Secret::new("A"), None));
}

#[test]
fn lifetimes_are_read_from_any_kind_of_number_and_nonsense_is_told() {
    for (json, expected) in [
        ("1209599", Lifetime::Told(1_209_599_000)),
        ("1209599.9", Lifetime::Told(1_209_599_000)),
        ("\" 3600 \"", Lifetime::Told(3_600_000)),
        ("\"3600.0\"", Lifetime::Told(3_600_000)),
        ("null", Lifetime::Absent),
        ("0", Lifetime::Over),
        ("0.9", Lifetime::Over),
        ("\"0\"", Lifetime::Over),
        ("-1", Lifetime::Nonsense),
        ("-1e300", Lifetime::Nonsense),
        ("\"soon\"", Lifetime::Nonsense),
        ("\"NaN\"", Lifetime::Nonsense),
        ("true", Lifetime::Nonsense),
        ("[]", Lifetime::Nonsense),
        ("9223372036854775807", Lifetime::Clamped(LONGEST_LIFE)),
        ("18446744073709551615", Lifetime::Clamped(LONGEST_LIFE)),
        ("1e300", Lifetime::Clamped(LONGEST_LIFE)),
        ("\"inf\"", Lifetime::Clamped(LONGEST_LIFE)),
    ] {
        let text = format!(r#"{{"access_token":"A","expires_in":{json}}}"#);
        let answer = TokenResponse::parse(&text).unwrap();
        assert_eq!(answer.expires_in, expected, "{json}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_without_repeating_it() {
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
        "A".repeat(LARGEST_TOKEN_ANSWER)
    );
    assert_eq!(TokenResponse::parse(&large), Err(TokenResponseError::Size));
}

#[test]
fn a_byte_order_mark_before_an_answer_is_dropped() {
    let answer = TokenResponse::parse("\u{feff}{\"access_token\":\"A\"}\r\n").unwrap();
    assert_eq!(answer, TokenResponse::pasted(Secret::new("A"), None));
}

#[test]
fn a_member_twice_is_taken_when_both_are_equal() {
    let twice =
        r#"{"access_token":"A","expires_in":5,"access_token":"A","expires_in":5,"x":1,"x":2}"#;
    let answer = TokenResponse::parse(twice).unwrap();
    assert_eq!(answer.access_token, Secret::new("A"));
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
        assert_eq!(error, TokenResponseError::Twice(member));
        assert!(error.to_string().contains(member) && !error.to_string().contains("SECRET"));
    }
}

#[test]
fn a_text_that_is_no_token_is_told_by_its_fault() {
    for (text, words) in [
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
        let fault = find_token_fault(text).unwrap_or_default();
        assert!(fault.contains(words), "{text}: {fault}");
    }
    assert_eq!(find_token_fault(&"a".repeat(LONGEST_TOKEN)), None);
    assert!(find_token_fault(&"a".repeat(LONGEST_TOKEN + 1)).is_some());
}

#[test]
fn the_token_type_may_have_any_case() {
    for name in ["Bearer", "bearer", "BEARER", ""] {
        let json = format!(r#"{{"access_token":"A","token_type":"{name}"}}"#);
        assert!(TokenResponse::parse(&json).is_ok(), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in ".{0,200}") {
        let _ = TokenResponse::parse(&text);
    }

    #[test]
    fn no_number_is_a_panic_or_a_life_beyond_ten_years(seconds: f64) {
        let life = Lifetime::of(Some(&Value::from(seconds))).milliseconds();
        prop_assert!(life.is_none_or(|life| (1_000..=LONGEST_LIFE).contains(&life)));
    }
}

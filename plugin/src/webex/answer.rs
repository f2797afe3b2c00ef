//! The token endpoint's answer, read leniently: what Webex sends, and what people paste.
//!
//! RFC 6749, section 5.1, with `refresh_token_expires_in` besides. Only `access_token` is
//! required: older answers of Webex lack `scope` and `token_type`, and a refresh may come back
//! without `refresh_token` or lifetimes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::platform::Secret;
use crate::timing::LONGEST_LIFE;

/// The largest token answer that is read, in bytes. Real ones have less than 2000.
pub const LARGEST_TOKEN_ANSWER: usize = 64 * 1024;
/// The longest token that is taken: what fits well into a header.
const LONGEST_TOKEN: usize = 8 * 1024;

/// What an answer says about a token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Nothing.
    Absent,
    /// So many milliseconds.
    Told(u64),
    /// More than ten years, which is taken as ten years: this many milliseconds.
    Clamped(u64),
    /// Something that is no life: negative, zero, or no number.
    Nonsense,
}

impl Lifetime {
    /// The life to work with, in milliseconds.
    pub fn milliseconds(self) -> Option<u64> {
        match self {
            Self::Told(life) | Self::Clamped(life) => Some(life),
            Self::Absent | Self::Nonsense => None,
        }
    }

    /// A warning for the log, when the answer's `field` cannot be taken as it is.
    pub fn warning(self, field: &str) -> Option<String> {
        match self {
            Self::Absent | Self::Told(_) => None,
            Self::Clamped(_) => Some(format!(
                "the answer's {field} is more than ten years; it is taken as ten years"
            )),
            Self::Nonsense => Some(format!(
                "the answer's {field} is not a positive number of seconds; it is taken as absent"
            )),
        }
    }

    fn of(value: Option<&Value>) -> Self {
        let seconds = match value {
            None | Some(Value::Null) => return Self::Absent,
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let Some(seconds) = seconds.filter(|seconds| *seconds >= 1.0) else {
            return Self::Nonsense;
        };
        // What does not even fit a Duration is longer than the longest life too.
        let life = Duration::try_from_secs_f64(seconds.trunc())
            .ok()
            .and_then(|life| u64::try_from(life.as_millis()).ok())
            .unwrap_or(u64::MAX);
        if life > LONGEST_LIFE {
            Self::Clamped(LONGEST_LIFE)
        } else {
            Self::Told(life)
        }
    }
}

/// Tokens as they were answered or pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, when the answer has one; otherwise the one already held stays.
    pub refresh_token: Option<Secret>,
    /// The access token's life, counted from its issue.
    pub expires_in: Lifetime,
    /// The refresh token's life, or what is left of it, counted from the answer.
    pub refresh_token_expires_in: Lifetime,
    /// The scopes granted, when the answer names them.
    pub scopes: Option<Vec<String>>,
}

/// Why a text is no token answer. The text itself is never repeated: it holds tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenAnswerError {
    /// Too long.
    #[error("is longer than any token answer: expected the token endpoint's JSON answer")]
    Size,
    /// No JSON object.
    #[error("is not the token endpoint's JSON answer, an object with `access_token`")]
    Json,
    /// No access token.
    #[error("has no `access_token`")]
    NoAccessToken,
    /// A token that cannot be one.
    #[error("has a token that is too long or has characters that no token can have")]
    Token,
    /// Another type of token than a bearer token (RFC 6749, section 7.1).
    #[error("has a `token_type` other than Bearer")]
    TokenType,
}

#[derive(Deserialize)]
struct Fields {
    access_token: Option<Value>,
    refresh_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    refresh_token_expires_in: Option<Value>,
    scope: Option<Value>,
}

impl TokenAnswer {
    /// Tokens that were given without the answer that brought them: nothing is known of their
    /// lives.
    pub fn pasted(access_token: Secret, refresh_token: Option<Secret>) -> Self {
        Self {
            access_token,
            refresh_token,
            expires_in: Lifetime::Absent,
            refresh_token_expires_in: Lifetime::Absent,
            scopes: None,
        }
    }

    /// Understands the token endpoint's JSON answer.
    ///
    /// # Errors
    /// Whatever makes it useless, in words that follow the name of what was read.
    pub fn parse(json: &str) -> Result<Self, TokenAnswerError> {
        if json.len() > LARGEST_TOKEN_ANSWER {
            return Err(TokenAnswerError::Size);
        }
        serde_json::from_str::<Fields>(json)
            .map_err(|_| TokenAnswerError::Json)?
            .try_into()
    }

    /// Reads an answer through any deserializer, for the OAuth library.
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer)?
            .try_into()
            .map_err(serde::de::Error::custom)
    }
}

impl TryFrom<Fields> for TokenAnswer {
    type Error = TokenAnswerError;

    fn try_from(fields: Fields) -> Result<Self, TokenAnswerError> {
        let bearer = match &fields.token_type {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty() || text.eq_ignore_ascii_case("bearer"),
            Some(_) => false,
        };
        let access_token = token(fields.access_token)?.ok_or(TokenAnswerError::NoAccessToken)?;
        if !bearer {
            return Err(TokenAnswerError::TokenType);
        }
        Ok(Self {
            access_token,
            refresh_token: token(fields.refresh_token)?,
            expires_in: Lifetime::of(fields.expires_in.as_ref()),
            refresh_token_expires_in: Lifetime::of(fields.refresh_token_expires_in.as_ref()),
            scopes: scopes(fields.scope),
        })
    }
}

/// Whether a text can be a token: visible ASCII (RFC 6749, appendix A.12, without the space), of
/// a length that fits into a header.
pub fn is_token(text: &str) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn token(value: Option<Value>) -> Result<Option<Secret>, TokenAnswerError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if is_token(&text) => Ok(Some(Secret::new(text))),
        Some(_) => Err(TokenAnswerError::Token),
    }
}

/// Scopes are named in one text, separated by spaces; some servers send a list.
fn scopes(value: Option<Value>) -> Option<Vec<String>> {
    let mut scopes: Vec<String> = match value? {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => return None,
    };
    scopes.sort();
    scopes.dedup();
    (!scopes.is_empty()).then_some(scopes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_whole_answer_is_understood() {
        let answer = TokenAnswer::parse(
            r#"{"scope":"spark:kms spark-admin:people_read spark:kms","expires_in":1209599,
                "token_type":"Bearer","refresh_token":"R","refresh_token_expires_in":7775999,
                "access_token":"A"}"#,
        )
        .unwrap();
        assert_eq!(
            answer,
            TokenAnswer {
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
        let answer = TokenAnswer::parse(r#"{"access_token":"A","refresh_token":""}"#).unwrap();
        assert_eq!(answer, TokenAnswer::pasted(Secret::new("A"), None));
    }

    #[test]
    fn lifetimes_are_read_from_any_kind_of_number_and_nonsense_is_told() {
        for (json, expected) in [
            ("1209599", Lifetime::Told(1_209_599_000)),
            ("1209599.9", Lifetime::Told(1_209_599_000)),
            ("\" 3600 \"", Lifetime::Told(3_600_000)),
            ("\"3600.0\"", Lifetime::Told(3_600_000)),
            ("null", Lifetime::Absent),
            ("0", Lifetime::Nonsense),
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
            let answer = TokenAnswer::parse(&text).unwrap();
            assert_eq!(answer.expires_in, expected, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        for (json, expected) in [
            ("", TokenAnswerError::Json),
            ("[]", TokenAnswerError::Json),
            ("\"SECRET\"", TokenAnswerError::Json),
            (r#"{"access_token":"SECRET""#, TokenAnswerError::Json),
            (
                r#"{"refresh_token":"SECRET"}"#,
                TokenAnswerError::NoAccessToken,
            ),
            (r#"{"access_token":""}"#, TokenAnswerError::NoAccessToken),
            (r#"{"access_token":["SECRET"]}"#, TokenAnswerError::Token),
            (
                r#"{"access_token":"SECRET\r\nx: y"}"#,
                TokenAnswerError::Token,
            ),
            (
                r#"{"access_token":"S","refresh_token":5}"#,
                TokenAnswerError::Token,
            ),
            (
                r#"{"access_token":"S","token_type":"mac"}"#,
                TokenAnswerError::TokenType,
            ),
        ] {
            let error = TokenAnswer::parse(json).unwrap_err();
            assert_eq!(error, expected, "{json}");
            assert!(!error.to_string().contains("SECRET"));
        }
        let large = format!(
            r#"{{"access_token":"{}"}}"#,
            "A".repeat(LARGEST_TOKEN_ANSWER)
        );
        assert_eq!(TokenAnswer::parse(&large), Err(TokenAnswerError::Size));
    }

    #[test]
    fn the_token_type_may_have_any_case() {
        for name in ["Bearer", "bearer", "BEARER", ""] {
            let json = format!(r#"{{"access_token":"A","token_type":"{name}"}}"#);
            assert!(TokenAnswer::parse(&json).is_ok(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,200}") {
            let _ = TokenAnswer::parse(&text);
        }

        #[test]
        fn no_number_is_a_panic_or_a_life_beyond_ten_years(seconds: f64) {
            let life = Lifetime::of(Some(&Value::from(seconds))).milliseconds();
            prop_assert!(life.is_none_or(|life| (1_000..=LONGEST_LIFE).contains(&life)));
        }
    }
}

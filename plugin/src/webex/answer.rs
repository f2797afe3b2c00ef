//! The token endpoint's answer, read leniently: what Webex sends, and what people paste.
//!
//! RFC 6749, section 5.1, with `refresh_token_expires_in` besides. Only `access_token` is
//! required: older answers of Webex lack `scope` and `token_type`, and a refresh may come back
//! without `refresh_token` or lifetimes.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::platform::Secret;
use crate::text::trim_text;
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
    /// So many milliseconds, told for an earlier moment that is not known, or for an earlier token.
    Assumed(u64),
    /// Less than a second: of a token whose end is known, nothing is left.
    Over,
    /// Something that is no life: negative, or no number.
    Nonsense,
}

impl Lifetime {
    /// The life to work with, in milliseconds.
    pub fn milliseconds(self) -> Option<u64> {
        match self {
            Self::Told(life) | Self::Clamped(life) | Self::Assumed(life) => Some(life),
            Self::Absent | Self::Over | Self::Nonsense => None,
        }
    }

    /// The same life, as one that is only assumed.
    pub fn to_assumed(self) -> Self {
        self.milliseconds().map_or(self, Self::Assumed)
    }

    /// Whether the life is only assumed.
    pub fn is_assumed(self) -> bool {
        matches!(self, Self::Assumed(_))
    }

    /// A warning for the log, when the answer's `field` cannot be taken as it is.
    pub fn warning(self, field: &str) -> Option<String> {
        match self {
            Self::Absent | Self::Told(_) | Self::Assumed(_) => None,
            Self::Clamped(_) => Some(format!(
                "the answer's {field} is more than ten years; it is taken as ten years"
            )),
            Self::Over | Self::Nonsense => Some(format!(
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
        let seconds = match seconds {
            Some(seconds) if seconds >= 1.0 => seconds,
            Some(seconds) if seconds >= 0.0 => return Self::Over,
            _ => return Self::Nonsense,
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
pub struct TokenResponse {
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
pub enum TokenResponseError {
    /// An empty text.
    #[error("is empty: expected the token endpoint's JSON answer")]
    Empty,
    /// Too long.
    #[error("is longer than any token answer: expected the token endpoint's JSON answer")]
    Size,
    /// No JSON object.
    #[error("is not the token endpoint's JSON answer, an object with `access_token`")]
    Json,
    /// A member that is there more than once, with different values.
    #[error("has `{0}` twice, with different values: give the answer as Webex sent it")]
    Twice(&'static str),
    /// No access token.
    #[error("has no `access_token`")]
    NoAccessToken,
    /// A token that cannot be one.
    #[error(
        "has a token that is too long, is in quotes of its own, or has characters that no token \
         can have"
    )]
    Token,
    /// Another type of token than a bearer token (RFC 6749, section 7.1).
    #[error("has a `token_type` other than Bearer")]
    TokenType,
}

/// The members that are looked at. One that is there twice with the same value counts once.
#[derive(Default)]
struct Fields {
    access_token: Option<Value>,
    refresh_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    refresh_token_expires_in: Option<Value>,
    scope: Option<Value>,
    // A member whose values differ.
    twice: Option<&'static str>,
    // It comes from Webex, not from a person who could correct it: what can be done without counts as
    // absent where it is unusable, so that tokens are not lost for it.
    is_response: bool,
}

impl Fields {
    fn member(&mut self, name: &str) -> Option<(&'static str, &mut Option<Value>)> {
        Some(match name {
            "access_token" => ("access_token", &mut self.access_token),
            "refresh_token" => ("refresh_token", &mut self.refresh_token),
            "token_type" => ("token_type", &mut self.token_type),
            "expires_in" => ("expires_in", &mut self.expires_in),
            "refresh_token_expires_in" => (
                "refresh_token_expires_in",
                &mut self.refresh_token_expires_in,
            ),
            "scope" => ("scope", &mut self.scope),
            _ => return None,
        })
    }
}

impl Fields {
    fn note_twice(&mut self, member: &'static str) {
        if self.twice.is_none_or(|before| !is_needed(before)) {
            self.twice = Some(member);
        }
        if let Some((_, slot)) = self.member(member).filter(|_| !is_needed(member)) {
            // Neither value: an empty object is none that any member can have.
            *slot = Some(Value::Object(serde_json::Map::new()));
        }
    }
}

/// Whether a member with two values makes a response useless.
fn is_needed(member: &str) -> bool {
    matches!(member, "access_token" | "refresh_token")
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = members.next_key::<String>()? {
                    let Some((member, slot)) = fields.member(&name) else {
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let value = members.next_value::<Value>()?;
                    if slot.as_ref().is_some_and(|before| *before != value) {
                        fields.note_twice(member);
                    } else {
                        *slot = Some(value);
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl TokenResponse {
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

    /// Completes an answer that refreshed `earlier`: what it does not name is as it was there.
    pub fn complete_from(self, earlier: &Self) -> Self {
        let same = self.refresh_token.is_none() || self.refresh_token == earlier.refresh_token;
        let or_earlier = |lifetime: Lifetime, earlier: Lifetime| match lifetime.milliseconds() {
            Some(_) => lifetime,
            None => earlier.to_assumed(),
        };
        let refresh_token_expires_in = match same {
            true => or_earlier(
                self.refresh_token_expires_in,
                earlier.refresh_token_expires_in,
            ),
            false => self.refresh_token_expires_in,
        };
        Self {
            expires_in: or_earlier(self.expires_in, earlier.expires_in),
            refresh_token_expires_in,
            refresh_token: self.refresh_token.or_else(|| earlier.refresh_token.clone()),
            scopes: self.scopes.or_else(|| earlier.scopes.clone()),
            access_token: self.access_token,
        }
    }

    /// Marks the lives as assumed: the moment at which the answer came is not known.
    pub fn into_undated(self) -> Self {
        Self {
            expires_in: self.expires_in.to_assumed(),
            refresh_token_expires_in: self.refresh_token_expires_in.to_assumed(),
            ..self
        }
    }

    /// Warnings for the log, when lives cannot be taken as they are.
    pub fn warnings(&self) -> Vec<String> {
        let lives = [
            ("expires_in", self.expires_in),
            ("refresh_token_expires_in", self.refresh_token_expires_in),
        ];
        lives
            .iter()
            .filter_map(|(field, life)| life.warning(field))
            .collect()
    }

    /// Understands the token endpoint's JSON answer.
    ///
    /// # Errors
    /// Whatever makes it useless, in words that follow the name of what was read.
    pub fn parse(json: &str) -> Result<Self, TokenResponseError> {
        if json.len() > LARGEST_TOKEN_ANSWER {
            return Err(TokenResponseError::Size);
        }
        let json = trim_text(json);
        if json.is_empty() {
            return Err(TokenResponseError::Empty);
        }
        serde_json::from_str::<Fields>(json)
            .map_err(|_| TokenResponseError::Json)?
            .try_into()
    }

    /// Reads an answer through any deserializer, for the OAuth library.
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        Self::from_response(fields).map_err(serde::de::Error::custom)
    }

    fn from_response(fields: Fields) -> Result<Self, TokenResponseError> {
        let is_response = true;
        Fields {
            is_response,
            ..fields
        }
        .try_into()
    }

    /// Says why a response that is a JSON object has no usable tokens; none when it is no object, or
    /// has them.
    pub(super) fn find_fault(body: &[u8]) -> Option<TokenResponseError> {
        let fields = serde_json::from_slice(body).ok()?;
        Self::from_response(fields).err()
    }
}

impl TryFrom<Fields> for TokenResponse {
    type Error = TokenResponseError;

    fn try_from(fields: Fields) -> Result<Self, TokenResponseError> {
        let tolerated = |member| fields.is_response && !is_needed(member);
        if let Some(member) = fields.twice.filter(|member| !tolerated(member)) {
            return Err(TokenResponseError::Twice(member));
        }
        let bearer = match &fields.token_type {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => {
                let text = text.trim();
                text.is_empty() || text.eq_ignore_ascii_case("bearer")
            }
            Some(_) => fields.is_response,
        };
        let access_token = token(fields.access_token)?.ok_or(TokenResponseError::NoAccessToken)?;
        if !bearer {
            return Err(TokenResponseError::TokenType);
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
/// a length that fits into a header, and not in quotes.
pub fn is_token(text: &str) -> bool {
    find_token_fault(text).is_none()
}

/// Says why a text cannot be a token, in words that follow its name; none when it can.
pub fn find_token_fault(text: &str) -> Option<&'static str> {
    let quoted = |open: char, close: char| text.starts_with(open) && text.ends_with(close);
    if text.is_empty() {
        Some("is empty")
    } else if text.starts_with('{') {
        Some("is a JSON object: give the token endpoint's answer as such, or the token alone")
    } else if text.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
        Some("has several lines: a token has one, paste it once more without line breaks")
    } else if quoted('"', '"') || quoted('\'', '\'') || quoted('`', '`') || quoted('“', '”') {
        Some("is in quotes: paste it without them")
    } else if text
        .get(..7)
        .is_some_and(|word| word.eq_ignore_ascii_case("bearer "))
    {
        Some("begins with Bearer: paste the token alone")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("holds characters that no token has: paste it once more, in one line")
    } else if text.len() > LONGEST_TOKEN {
        Some("is longer than any token")
    } else {
        None
    }
}

fn token(value: Option<Value>) -> Result<Option<Secret>, TokenResponseError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match trim_text(&text) {
            "" => Ok(None),
            token if is_token(token) => Ok(Some(Secret::new(token.to_owned()))),
            _ => Err(TokenResponseError::Token),
        },
        Some(_) => Err(TokenResponseError::Token),
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
#[path = "answer_tests.rs"]
mod tests;

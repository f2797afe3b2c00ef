//! A lenient parser of the token endpoint's response: as Webex sends it, and as people paste it.
//!
//! RFC 6749, section 5.1, with `refresh_token_expires_in` besides. Only `access_token` is required:
//! older responses of Webex lack `scope` and `token_type`, and a refresh response may lack
//! `refresh_token` or lifetimes.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::platform::{Millis, Secret};
use crate::text::trim_text;
use crate::timing::MAX_LIFETIME;

/// The maximum size of a token response in bytes. Real ones have less than 2000.
pub const MAX_TOKEN_RESPONSE_BYTES: usize = 64 * 1024;
/// The maximum length of a token in bytes, chosen to fit into a header.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The lifetime of a token as a response reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Not reported.
    Absent,
    /// Reported.
    Reported(Millis),
    /// Reported as more than ten years, and reduced to ten years.
    Clamped(Millis),
    /// Reported for an unknown earlier time or for an earlier token.
    Assumed(Millis),
    /// Reported as less than a second: a token with a known expiry is at its end.
    Elapsed,
    /// Not a lifetime: negative, or not a number.
    Invalid,
}

impl Lifetime {
    /// Returns the usable lifetime.
    pub fn usable(self) -> Option<Millis> {
        match self {
            Self::Reported(lifetime) | Self::Clamped(lifetime) | Self::Assumed(lifetime) => {
                Some(lifetime)
            }
            Self::Absent | Self::Elapsed | Self::Invalid => None,
        }
    }

    /// Marks the lifetime as assumed.
    pub fn to_assumed(self) -> Self {
        self.usable().map_or(self, Self::Assumed)
    }

    /// Returns whether the lifetime is assumed.
    pub fn is_assumed(self) -> bool {
        matches!(self, Self::Assumed(_))
    }

    /// Returns a warning for the log when the response's `field` is not usable as it is.
    pub fn warning(self, field: &str) -> Option<String> {
        match self {
            Self::Absent | Self::Reported(_) | Self::Assumed(_) => None,
            Self::Clamped(_) => Some(format!(
                "the response's {field} is more than ten years; it is taken as ten years"
            )),
            Self::Elapsed | Self::Invalid => Some(format!(
                "the response's {field} is not a positive number of seconds; it is taken as absent"
            )),
        }
    }

    fn from_json(value: Option<&Value>) -> Self {
        let seconds = match value {
            None | Some(Value::Null) => return Self::Absent,
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let seconds = match seconds {
            Some(seconds) if seconds >= 1.0 => seconds,
            Some(seconds) if seconds >= 0.0 => return Self::Elapsed,
            _ => return Self::Invalid,
        };
        // A value that does not fit a `Duration` exceeds the maximum lifetime too.
        let lifetime = Duration::try_from_secs_f64(seconds.trunc())
            .ok()
            .and_then(|lifetime| u64::try_from(lifetime.as_millis()).ok())
            .map_or(Millis::MAX, Millis);
        if lifetime > MAX_LIFETIME {
            Self::Clamped(MAX_LIFETIME)
        } else {
            Self::Reported(lifetime)
        }
    }
}

/// Tokens from a response or pasted by a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, if the response has one; otherwise the stored one is kept.
    pub refresh_token: Option<Secret>,
    /// The access token's lifetime, counted from its issue.
    pub expires_in: Lifetime,
    /// The refresh token's lifetime, or the rest of it, counted from the response.
    pub refresh_token_expires_in: Lifetime,
    /// The granted scopes, if the response names them.
    pub scopes: Option<Vec<String>>,
}

/// The reason why a text is not a token response. The error does not repeat the text, which contains tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenResponseError {
    /// The text is empty.
    #[error("is empty: expected the token endpoint's JSON response")]
    Empty,
    /// The text is too long.
    #[error("is longer than any token response: expected the token endpoint's JSON response")]
    Size,
    /// The text is not a JSON object.
    #[error("is not the token endpoint's JSON response, an object with `access_token`")]
    Json,
    /// A member occurs more than once, with different values.
    #[error("has `{0}` twice, with different values: give the response as Webex sent it")]
    DuplicateMember(&'static str),
    /// The object has no access token.
    #[error("has no `access_token`")]
    NoAccessToken,
    /// A token has an invalid form.
    #[error(
        "has a token that is too long, is in quotes of its own, or has characters that no token \
         can have"
    )]
    Token,
    /// The token type is not Bearer (RFC 6749, section 7.1).
    #[error("has a `token_type` other than Bearer")]
    TokenType,
}

/// The members that are read. A repeated member with equal values counts once.
#[derive(Default)]
struct Fields {
    access_token: Option<Value>,
    refresh_token: Option<Value>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    refresh_token_expires_in: Option<Value>,
    scope: Option<Value>,
    // A member that is repeated with different values.
    duplicate: Option<&'static str>,
    // The text comes from Webex, not from a person who could correct it. Unusable optional members
    // then count as absent, so that tokens are not lost because of them.
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
    fn note_duplicate(&mut self, member: &'static str) {
        if self.duplicate.is_none_or(|before| !is_required(before)) {
            self.duplicate = Some(member);
        }
        if let Some((_, slot)) = self.member(member).filter(|_| !is_required(member)) {
            // Neither value is used: an empty object is not valid for any member.
            *slot = Some(Value::Object(serde_json::Map::new()));
        }
    }
}

/// Returns whether a member with two values makes a response unusable.
fn is_required(member: &str) -> bool {
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
                        fields.note_duplicate(member);
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
    /// Creates a response from tokens that were pasted alone: their lifetimes are unknown.
    pub fn from_pasted(access_token: Secret, refresh_token: Option<Secret>) -> Self {
        Self {
            access_token,
            refresh_token,
            expires_in: Lifetime::Absent,
            refresh_token_expires_in: Lifetime::Absent,
            scopes: None,
        }
    }

    /// Fills in the members that this refresh response omits, with those of `earlier`.
    pub fn complete_from(self, earlier: &Self) -> Self {
        let same = self.refresh_token.is_none() || self.refresh_token == earlier.refresh_token;
        let or_earlier = |lifetime: Lifetime, earlier: Lifetime| match lifetime.usable() {
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

    /// Marks the lifetimes as assumed, because the time of the response is unknown.
    pub fn assume_lifetimes(self) -> Self {
        Self {
            expires_in: self.expires_in.to_assumed(),
            refresh_token_expires_in: self.refresh_token_expires_in.to_assumed(),
            ..self
        }
    }

    /// Returns warnings for the log about lifetimes that are not usable as they are.
    pub fn warnings(&self) -> Vec<String> {
        let lifetimes = [
            ("expires_in", self.expires_in),
            ("refresh_token_expires_in", self.refresh_token_expires_in),
        ];
        lifetimes
            .iter()
            .filter_map(|(field, lifetime)| lifetime.warning(field))
            .collect()
    }

    /// Parses the token endpoint's JSON response.
    ///
    /// # Errors
    /// The reason, as a fragment that follows the name of the text.
    pub fn parse(json: &str) -> Result<Self, TokenResponseError> {
        if json.len() > MAX_TOKEN_RESPONSE_BYTES {
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

    /// Reads a response from any deserializer, for the OAuth library.
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

    /// Says why a JSON object has no usable tokens; none when the body is not an object, or has
    /// them.
    pub(super) fn find_error(body: &[u8]) -> Option<TokenResponseError> {
        let fields = serde_json::from_slice(body).ok()?;
        Self::from_response(fields).err()
    }
}

impl TryFrom<Fields> for TokenResponse {
    type Error = TokenResponseError;

    fn try_from(fields: Fields) -> Result<Self, TokenResponseError> {
        let is_tolerated = |member| fields.is_response && !is_required(member);
        if let Some(member) = fields.duplicate.filter(|member| !is_tolerated(member)) {
            return Err(TokenResponseError::DuplicateMember(member));
        }
        let is_bearer = match &fields.token_type {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => {
                let text = text.trim();
                text.is_empty() || text.eq_ignore_ascii_case("bearer")
            }
            Some(_) => fields.is_response,
        };
        let access_token =
            parse_token(fields.access_token)?.ok_or(TokenResponseError::NoAccessToken)?;
        if !is_bearer {
            return Err(TokenResponseError::TokenType);
        }
        Ok(Self {
            access_token,
            refresh_token: parse_token(fields.refresh_token)?,
            expires_in: Lifetime::from_json(fields.expires_in.as_ref()),
            refresh_token_expires_in: Lifetime::from_json(fields.refresh_token_expires_in.as_ref()),
            scopes: scopes(fields.scope),
        })
    }
}

/// Returns whether a text can be a token: visible ASCII (RFC 6749, appendix A.12, without the space), short enough for
/// a header, and not in quotes.
pub fn is_token(text: &str) -> bool {
    find_token_error(text).is_none()
}

/// Says why a text cannot be a token, as a fragment that follows its name; none when it can.
pub fn find_token_error(text: &str) -> Option<&'static str> {
    let is_quoted = |open: char, close: char| text.starts_with(open) && text.ends_with(close);
    if text.is_empty() {
        Some("is empty")
    } else if text.starts_with('{') {
        Some("is a JSON object: give the token endpoint's complete response, or the token alone")
    } else if text.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
        Some("has several lines: paste it again without line breaks")
    } else if is_quoted('"', '"')
        || is_quoted('\'', '\'')
        || is_quoted('`', '`')
        || is_quoted('“', '”')
    {
        Some("is in quotes: paste it without them")
    } else if text
        .get(..7)
        .is_some_and(|word| word.eq_ignore_ascii_case("bearer "))
    {
        Some("begins with Bearer: paste the token alone")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has characters that no token can have: paste it again, in one line")
    } else if text.len() > MAX_TOKEN_BYTES {
        Some("is longer than any token")
    } else {
        None
    }
}

fn parse_token(value: Option<Value>) -> Result<Option<Secret>, TokenResponseError> {
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

/// Scopes are one text, separated by spaces; some servers send a list.
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
#[path = "token_response_tests.rs"]
mod tests;

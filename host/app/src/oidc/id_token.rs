//! ID tokens (OpenID Connect Core 1.0, sections 2 and 3.1.3.7): the signature, and the claims that bind a token to this
//! log-in.
//!
//! RS256 and ES256 are accepted, by a key of the provider whose type fits. There is no other algorithm, in particular not
//! `none` and none with the client secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relation_host::types::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far the clocks of the provider and of this host may differ.
pub const LEEWAY: Duration = Duration::from_secs(300);

/// The maximum number of keys of a provider that are read.
const MAX_KEYS: usize = 100;

/// The reason why an ID token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token cannot be read, or lacks a claim.
    #[error("the ID token cannot be read: {0}")]
    Malformed(&'static str),
    /// The token is not signed, or with another algorithm.
    #[error("the ID token is not signed with RS256 or ES256")]
    Algorithm,
    /// The provider publishes no such key.
    #[error("the provider publishes no key that has signed the ID token")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature of the ID token is wrong")]
    Signature,
    /// Another provider has issued the token.
    #[error("another issuer has issued the ID token")]
    Issuer,
    /// The token is for another client.
    #[error("the ID token is for another client")]
    Audience,
    /// The token has expired, or is older than the log-in.
    #[error("the ID token has expired, or is older than the log-in")]
    Expired,
    /// The token is from the future.
    #[error("the ID token is not valid yet")]
    NotYetValid,
    /// The token belongs to another log-in.
    #[error("the ID token belongs to another log-in: its nonce differs")]
    Nonce,
}

/// The values that an ID token must have.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The client id of this installation.
    pub client_id: &'a str,
    /// The nonce of the log-in.
    pub nonce: &'a str,
    /// When the log-in began.
    pub begun: Timestamp,
    /// The current time.
    pub now: Timestamp,
}

/// A public key of a provider (RFC 7517).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    #[serde(rename = "kty")]
    key_type: String,
    #[serde(rename = "kid")]
    id: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    #[serde(rename = "alg")]
    algorithm: Option<String>,
    #[serde(rename = "crv")]
    curve: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a provider. Those of other kinds are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// Parses a JWK set. Returns `None` if the document is not one.
    pub(super) fn parse(document: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(document).ok()?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let keys = keys.filter_map(|key| serde_json::from_value(key).ok());
        Some(Self(keys.collect()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Key {
    /// Returns whether the key may have signed a token with this header.
    fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let (name, key_type) = match algorithm {
            Algorithm::Rs256 => ("RS256", "RSA"),
            Algorithm::Es256 => ("ES256", "EC"),
        };
        self.key_type == key_type
            && self.algorithm.as_deref().is_none_or(|own| own == name)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && id.is_none_or(|id| self.id.as_deref() == Some(id))
    }

    /// Checks a signature. A key that cannot be read has signed nothing.
    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let part = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_deref()?).ok();
        let verified = match algorithm {
            Algorithm::Rs256 => part(&self.n).zip(part(&self.e)).map(|(n, e)| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }),
            Algorithm::Es256 if self.curve.as_deref() == Some("P-256") => {
                part(&self.x).zip(part(&self.y)).map(|(x, y)| {
                    // The uncompressed form of a point.
                    let point = [&[4_u8][..], &x, &y].concat();
                    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                    key.verify(message, signature)
                })
            }
            Algorithm::Es256 => None,
        };
        verified.is_some_and(|verified| verified.is_ok())
    }
}

/// Verifies an ID token, and returns its claims.
///
/// # Errors
/// The first rule that the token breaks. [`TokenError::UnknownKey`] may be due to keys that have changed.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, TokenError> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed("it does not have three parts"));
    };
    let signed = token.get(..header.len() + 1 + claims.len());
    let signed = signed.unwrap_or_default().as_bytes();
    let signature = decode(signature)?;
    let header: Header = parse(header)?;
    if header.crit.is_some() {
        return Err(TokenError::Malformed("it has a critical extension"));
    }
    let algorithm = match header.alg.as_str() {
        "RS256" => Algorithm::Rs256,
        "ES256" => Algorithm::Es256,
        _ => return Err(TokenError::Algorithm),
    };
    let id = header.kid.as_deref();
    let mut fitting = keys
        .0
        .iter()
        .filter(|key| key.fits(algorithm, id))
        .peekable();
    let is_known = fitting.peek().is_some();
    if !fitting.any(|key| key.has_signed(algorithm, signed, &signature)) {
        // Without the id of a key, a new key cannot be told from a wrong signature.
        return Err(match is_known && id.is_some() {
            true => TokenError::Signature,
            false => TokenError::UnknownKey,
        });
    }
    let claims: Map<String, Value> = parse(claims)?;
    check_claims(&claims, expected)?;
    Ok(claims)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    let decoded = URL_SAFE_NO_PAD.decode(part);
    decoded.map_err(|_| TokenError::Malformed("a part is not base64url"))
}

fn parse<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let parsed = serde_json::from_slice(&decode(part)?);
    parsed.map_err(|_| TokenError::Malformed("a part is not the expected JSON"))
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenError::Issuer);
    }
    let audiences: Vec<Option<&str>> = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().map(Value::as_str).collect(),
        Some(audience) => vec![audience.as_str()],
        None => Vec::new(),
    };
    let own = Some(expected.client_id);
    let authorized = match claims.contains_key("azp") {
        true => text("azp") == own,
        false => audiences.len() == 1,
    };
    if !audiences.contains(&own) || !authorized {
        return Err(TokenError::Audience);
    }
    let leeway = LEEWAY.as_secs_f64();
    let seconds = |time: Timestamp| Duration::from_millis(time.0).as_secs_f64();
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let (now, begun) = (seconds(expected.now), seconds(expected.begun));
    let expires = time("exp").ok_or(TokenError::Malformed("it has no exp"))?;
    let issued = time("iat").ok_or(TokenError::Malformed("it has no iat"))?;
    if now >= expires + leeway || issued + leeway < begun {
        return Err(TokenError::Expired);
    }
    let valid_from = time("nbf").unwrap_or(issued).max(issued);
    if valid_from > now + leeway {
        return Err(TokenError::NotYetValid);
    }
    // The nonce is not a secret of the provider, so that its comparison need not take a constant time.
    if text("nonce") != Some(expected.nonce) {
        return Err(TokenError::Nonce);
    }
    match text("sub") {
        Some(subject) if !subject.is_empty() && subject.len() <= 255 => Ok(()),
        _ => Err(TokenError::Malformed("it has no sub of at most 255 bytes")),
    }
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;

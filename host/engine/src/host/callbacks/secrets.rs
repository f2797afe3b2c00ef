//! Credentials of callbacks, and the signature of Standard Webhooks.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};

use super::super::clear_text;
use crate::store::seal::{SealError, Sealer};
use crate::store::{Change, Store};
use crate::types::{Reference, Timestamp};

/// The name of the secret that holds the credentials.
const CREDENTIALS: &str = "credentials";
/// The beginning of a signing secret.
const PREFIX: &str = "whsec_";

/// The secrets of credentials. The JSON has them in clear text; it is stored only sealed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct CallbackSecrets {
    /// The value of the header `Authorization`.
    #[serde(with = "clear_text")]
    pub authorization: Option<SecretString>,
    /// The signing secret: see [`parse_signing_secret`].
    #[serde(with = "clear_text")]
    pub signing_secret: Option<SecretString>,
}

impl fmt::Debug for CallbackSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackSecrets").finish_non_exhaustive()
    }
}

impl CallbackSecrets {
    /// Returns the value of `Authorization` for a user name and a password.
    pub fn encode_basic(user_name: &str, password: &SecretString) -> SecretString {
        let pair = Zeroizing::new(format!("{user_name}:{}", password.expose_secret()));
        SecretString::from(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
    }

    /// Returns the value of `Authorization` for a token.
    pub fn encode_bearer(token: &SecretString) -> SecretString {
        SecretString::from(format!("Bearer {}", token.expose_secret()))
    }

    /// Returns the change that stores the secrets of a document of credentials.
    ///
    /// # Errors
    /// The secrets cannot be sealed.
    pub fn to_change(&self, sealer: &Sealer, owner: &Reference) -> Result<Change, SealError> {
        let clear = serde_json::to_string(self).unwrap_or_default();
        let sealed = sealer.seal(owner, CREDENTIALS, &SecretString::from(clear))?;
        Ok(Change::PutSecret {
            owner: owner.clone(),
            name: CREDENTIALS.to_owned(),
            sealed,
        })
    }

    /// Reads the secrets of a document of credentials; `None`: it does not exist any more.
    pub(super) async fn read(
        sealer: &Sealer,
        store: &dyn Store,
        owner: &Reference,
    ) -> Result<Option<Self>, SealError> {
        let clear = sealer.reveal(store, owner, CREDENTIALS).await?;
        Ok(clear.and_then(|clear| serde_json::from_str(clear.expose_secret()).ok()))
    }

    /// Signs a message: `v1,` and the HMAC-SHA256 over id, time and body.
    pub(super) fn sign(&self, id: &str, at: Timestamp, body: &str) -> Option<String> {
        let secret = parse_signing_secret(self.signing_secret.as_ref()?)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed = format!("{id}.{}.{body}", to_seconds(at));
        let tag = hmac::sign(&key, signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
    }
}

/// Returns a time in seconds, as `webhook-timestamp` has it.
pub(super) fn to_seconds(at: Timestamp) -> u64 {
    at.0 / 1000
}

/// Returns the key in a signing secret: `whsec_` and 24 to 64 bytes in Base64. `None` if the text is not one.
pub fn parse_signing_secret(text: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let encoded = text.expose_secret().strip_prefix(PREFIX)?;
    let key = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    (24..=64).contains(&key.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_standard_webhooks() {
        // The example of the specification's reference libraries.
        let secrets = CallbackSecrets {
            signing_secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
            ..CallbackSecrets::default()
        };
        let signed = secrets.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp(1_614_265_330_999),
            "{\"test\": 2432232314}",
        );
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed.as_deref(), Some(expected));
    }

    #[test]
    fn signing_secret_has_a_prefix_and_enough_bytes() {
        let parse = |text: &str| parse_signing_secret(&SecretString::from(text)).is_some();
        assert!(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        for refused in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_c2hvcnQ=",
            "whsec_%",
        ] {
            assert!(!parse(refused), "{refused}");
        }
    }

    #[test]
    fn basic_credentials_are_encoded() {
        let basic = CallbackSecrets::encode_basic("Aladdin", &"open sesame".into());
        assert_eq!(basic.expose_secret(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}

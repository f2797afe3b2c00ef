//! The key-encryption key in an environment variable.

use std::env;

use zeroize::Zeroizing;

use super::key_text::{KEY_FORMATS, decode, parse_bare};
use super::keys::{KeyEncryptionKey, KeyError, KeyProvider};

/// An environment variable with the key: 64 hexadecimal digits, 32 bytes in base64, or the content
/// of a key file. A variable that is not set is an error, since a key cannot be created there.
#[derive(Clone, Debug)]
pub struct KeyEnv {
    name: String,
}

impl KeyEnv {
    /// Takes the key from the environment variable `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn failed(&self, reason: String) -> KeyError {
        KeyError::Environment {
            name: self.name.clone(),
            reason,
        }
    }
}

impl KeyProvider for KeyEnv {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        let value = env::var_os(&self.name).ok_or_else(|| {
            self.failed(format!(
                "it is not set: {KEY_FORMATS}, such as `openssl rand -hex 32` makes"
            ))
        })?;
        let bytes = Zeroizing::new(value.into_encoded_bytes());
        if bytes.trim_ascii().is_empty() {
            return Err(self.failed(format!("it is empty: {KEY_FORMATS}")));
        }
        match decode(&bytes).and_then(parse_bare) {
            Ok(key) => Ok(Some(key)),
            Err(reason) => Err(self.failed(format!("{reason}: {KEY_FORMATS}"))),
        }
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        Err(self.failed("a key cannot be stored there".to_owned()))
    }

    fn describe(&self) -> String {
        format!("the environment variable {}", self.name)
    }
}

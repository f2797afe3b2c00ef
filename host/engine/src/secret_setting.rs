//! Secret settings, whose values may change while a host runs.

use secrecy::SecretString;

/// A secret setting of the installation. A [`SecretString`] is a secret setting that never changes.
pub trait SecretSetting: Send + Sync {
    /// Returns the current value, if there is one. Called in every call of the plugin, so it must be fast.
    fn current(&self) -> Option<SecretString>;
}

impl SecretSetting for SecretString {
    fn current(&self) -> Option<SecretString> {
        Some(self.clone())
    }
}

//! Secret settings, whose values may change while a host runs.

use secrecy::SecretString;

/// A secret setting of the installation. A [`SecretString`] is one that never changes.
pub trait SecretSetting: Send + Sync {
    /// Returns the present value, if there is one. Every call of the plugin asks, so this must be fast.
    fn current(&self) -> Option<SecretString>;
}

impl SecretSetting for SecretString {
    fn current(&self) -> Option<SecretString> {
        Some(self.clone())
    }
}
